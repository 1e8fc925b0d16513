"""workers, strikes, late commits, RTSP transport

Revision ID: 0002
Revises: 0001
"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UTC = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade():
    op.create_table(
        "workers",
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("node", sa.String(length=120), nullable=False),
        sa.Column("queue", sa.String(length=200), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("started", UTC, nullable=False),
        sa.Column("beat_ms", sa.BigInteger(), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stuck", sa.Integer(), server_default="0", nullable=False),
        sa.Column("load", sa.Float(), server_default="0", nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("drain", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
    )
    with op.batch_alter_table("leases") as table:
        table.add_column(sa.Column("worker", sa.String(length=120)))
        table.add_column(sa.Column("strikes", sa.Integer(), server_default="0", nullable=False))
    with op.batch_alter_table("checkpoints") as table:
        table.add_column(sa.Column("serial", sa.BigInteger(), server_default="0", nullable=False))
    with op.batch_alter_table("cameras") as table:
        table.add_column(sa.Column("rtsp_transport", sa.String(length=3), server_default="tcp", nullable=False))


def downgrade():
    with op.batch_alter_table("cameras") as table:
        table.drop_column("rtsp_transport")
    with op.batch_alter_table("checkpoints") as table:
        table.drop_column("serial")
    with op.batch_alter_table("leases") as table:
        table.drop_column("strikes")
        table.drop_column("worker")
    op.drop_table("workers")

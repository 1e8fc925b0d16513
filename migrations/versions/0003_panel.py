"""masks, previews, crops, states, shots, roll-ups, rights, audit log

Revision ID: 0003
Revises: 0002
"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UTC = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
JPEG = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SCOPES = "metrics,status,detect"


def never_again():
    """SQLite then gives no number twice; see models/base.py. Other databases are not copied for it."""
    if op.get_bind().dialect.name != "sqlite":
        return {}
    return {"recreate": "always", "table_kwargs": {"sqlite_autoincrement": True}}


def upgrade():
    with op.batch_alter_table("cameras", **never_again()) as table:
        table.add_column(sa.Column("masks", sa.JSON()))
        table.add_column(sa.Column("preview_fps", sa.Float(), server_default="15", nullable=False))
        table.add_column(sa.Column("preview_kbps", sa.Integer(), server_default="800", nullable=False))
        table.add_column(sa.Column("preview_width", sa.Integer(), server_default="960", nullable=False))
    with op.batch_alter_table("processors", **never_again()) as table:
        table.add_column(
            sa.Column("preview", sa.String(length=10), server_default="watched", nullable=False)
        )
        table.add_column(sa.Column("late", sa.Integer(), server_default="0", nullable=False))
    with op.batch_alter_table("processor_events") as table:
        table.add_column(sa.Column("crop_node", sa.String(length=120)))
    with op.batch_alter_table("workers") as table:
        table.add_column(sa.Column("media_url", sa.String(length=200), server_default="", nullable=False))
    with op.batch_alter_table("users", **never_again()) as table:
        table.add_column(sa.Column("all_cameras", sa.Boolean(), server_default=sa.true(), nullable=False))
        table.add_column(sa.Column("timezone", sa.String(length=64)))
    with op.batch_alter_table("api_tokens") as table:
        table.add_column(sa.Column("scopes", sa.String(length=200), server_default=SCOPES, nullable=False))
    op.create_table(
        "user_cameras",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("camera_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["cameras.id"], name=op.f("fk_user_cameras_camera_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_cameras_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "camera_id", name=op.f("pk_user_cameras")),
    )
    op.create_index(op.f("ix_user_cameras_camera_id"), "user_cameras", ["camera_id"])
    op.create_table(
        "audit_entries",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("ts", UTC, nullable=False),
        sa.Column("user_id", sa.Integer()),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.Integer()),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("before", sa.JSON()),
        sa.Column("after", sa.JSON()),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_audit_entries_user_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_ts", "audit_entries", ["ts"])
    op.create_index("ix_audit_entries_kind_object_id", "audit_entries", ["kind", "object_id"])
    op.create_table(
        "camera_states",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("camera_id", sa.Integer(), nullable=False),
        sa.Column("ts", UTC, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("node", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["cameras.id"], name=op.f("fk_camera_states_camera_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_camera_states")),
    )
    op.create_index("ix_camera_states_camera_id_ts", "camera_states", ["camera_id", "ts"])
    op.create_table(
        "camera_shots",
        sa.Column("camera_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ts", UTC, nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("jpeg", JPEG, nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["cameras.id"], name=op.f("fk_camera_shots_camera_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_camera_shots")),
    )
    op.create_table(
        "rollups",
        sa.Column("processor_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", UTC, nullable=False),
        sa.Column("passes", sa.Integer(), nullable=False),
        sa.Column("into", sa.Integer(), nullable=False),
        sa.Column("out", sa.Integer(), nullable=False),
        sa.Column("peak", sa.Integer()),
        sa.Column("person_s", sa.Double(), nullable=False),
        sa.Column("observed_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["processor_id"], ["processors.id"], name=op.f("fk_rollups_processor_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("processor_id", "start", name=op.f("pk_rollups")),
    )


def downgrade():
    for table in ("rollups", "camera_shots", "camera_states", "audit_entries", "user_cameras"):
        op.drop_table(table)
    for name, columns in (
        ("api_tokens", ["scopes"]),
        ("users", ["timezone", "all_cameras"]),
        ("workers", ["media_url"]),
        ("processor_events", ["crop_node"]),
        ("processors", ["late", "preview"]),
        ("cameras", ["preview_width", "preview_kbps", "preview_fps", "masks"]),
    ):
        with op.batch_alter_table(name) as table:
            for column in columns:
                table.drop_column(column)

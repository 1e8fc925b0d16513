"""Alembic's entry: runs the migrations over the application's own database connection."""

from __future__ import annotations

from alembic import context
from flask import current_app

from server.models.base import WRITE_OPTION

database = current_app.extensions["migrate"].db


def run() -> None:
    """Migrate in one transaction where the database can, one a step where it cannot (MySQL)."""
    engine = database.engine.execution_options(**{WRITE_OPTION: True})
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            transaction_per_migration=True,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


if context.is_offline_mode():
    raise SystemExit("Migrations need a database to talk to; --sql is not supported.")
run()

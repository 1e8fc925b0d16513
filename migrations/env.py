"""Alembic's entry: runs the migrations over the application's own database connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy.engine import Connection

from server.models.base import WRITE_OPTION
from server.models.connections import PATIENT_OPTION

database = current_app.extensions["migrate"].db


@contextmanager
def foreign_keys_left_alone(connection: Connection) -> Iterator[None]:
    """Let SQLite change a table by copying it: dropping the original would delete what refers to it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    # The driver's own connection: SQLite ignores these in a transaction, which SQLAlchemy would begin.
    driver = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        connection.rollback()
        driver.execute("PRAGMA foreign_keys = ON")


def refuse_broken_references(**step: Any) -> None:
    """Roll a migration back that left rows whose parent is gone."""
    connection = step["ctx"].connection
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise RuntimeError("this migration would break references between rows")


def run() -> None:
    """Migrate in one transaction where the database can, one a step where it cannot (MySQL)."""
    engine = database.engine.execution_options(**{WRITE_OPTION: True, PATIENT_OPTION: True})
    with engine.connect() as connection, foreign_keys_left_alone(connection):
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            transaction_per_migration=True,
            on_version_apply=refuse_broken_references,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


if context.is_offline_mode():
    raise SystemExit("Migrations need a database to talk to; --sql is not supported.")
run()

"""The schema: made anew, on purpose."""

from __future__ import annotations

import click
import flask_migrate
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import MetaData

from server.extensions import db
from server.log import redact
from server.models.connections import PATIENT_OPTION
from server.services.transactions import translated


@click.command("init-db")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def init_db(yes: bool) -> None:
    """Make the schema and DELETE everything that is in it: cameras, processors, events, users."""
    address = redact(current_app.config["SQLALCHEMY_DATABASE_URI"])
    if not yes:
        click.confirm(f"This deletes all cameras, events and users in {address}. Go on?", abort=True)
    with translated():
        _drop_ours()
        flask_migrate.upgrade()
    click.echo(f"The schema is made anew in {address}.")


def _drop_ours() -> None:
    """Drop our tables and Alembic's, and leave alone what else is in the database."""
    ours = MetaData()
    names = [*db.metadata.tables, "alembic_version"]
    with db.engine.execution_options(**{PATIENT_OPTION: True}).begin() as connection:
        ours.reflect(connection, only=lambda name, _: name in names)
        ours.drop_all(connection)


COMMANDS = (init_db,)

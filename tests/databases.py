"""Empty, migrated databases for tests: SQLite in a file, MariaDB and PostgreSQL where a server answers."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import flask_migrate
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import OperationalError

from server import create_app
from server.config import PROJECT_DIR
from server.extensions import db

KINDS = ("sqlite", "mariadb", "postgresql")
every_database = pytest.mark.parametrize("database", KINDS, indirect=True)
"""Runs a test (with its `app`, `client`, `session`) on each database in turn."""

SECRET = "only-for-tests-0123456789"

_SERVERS = {
    "mariadb": ("TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1"),
    "postgresql": ("TEST_POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1"),
}


class Databases:
    """Migrates each kind once a test run and hands out empty databases."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._template: Path | None = None
        self._servers: dict[str, Server | str] = {}

    def sqlite(self, directory: Path) -> str:
        """The address of a fresh SQLite file in `directory`."""
        if self._template is None:
            self._template = self._directory / "template.db"
            migrate(self._directory, f"sqlite:///{self._template}")
        path = directory / "hypersight.db"
        shutil.copy(self._template, path)
        return f"sqlite:///{path}"

    def on_server(self, kind: str) -> str:
        """The address of an emptied database on a server. Skips the test where none answers."""
        if kind not in self._servers:
            try:
                made = Server(kind)
            except OperationalError as error:
                self._servers[kind] = _no_server(kind, error)
            else:
                self._servers[kind] = made
                migrate(self._directory, made.address)
        server = self._servers[kind]
        if isinstance(server, str):
            pytest.skip(server)
        server.empty()
        return server.address

    @contextmanager
    def without_tables(self, kind: str, directory: Path) -> Iterator[str]:
        """The address of a new database without tables. Skips the test where no server answers."""
        if kind == "sqlite":
            yield f"sqlite:///{directory / 'bare.db'}"
            return
        try:
            server = Server(kind)
        except OperationalError as error:
            pytest.skip(_no_server(kind, error))
        try:
            yield server.address
        finally:
            server.close()

    def close(self) -> None:
        """Drop what was made on servers."""
        for server in self._servers.values():
            if isinstance(server, Server):
                server.close()


class Server:
    """One database of our own on a server, dropped at the end."""

    def __init__(self, kind: str) -> None:
        variable, default = _SERVERS[kind]
        self._admin = make_url(os.environ.get(variable, default))
        self._name = f"hypersight_test_{secrets.token_hex(6)}"
        self._execute(f"CREATE DATABASE {self._name}")
        ours: URL = self._admin.set(database=self._name)
        self.address = ours.render_as_string(hide_password=False)

    def empty(self) -> None:
        """Delete every row of every table."""
        with _engine(self.address) as engine, engine.begin() as connection:
            for table in reversed(db.metadata.sorted_tables):
                connection.execute(table.delete())

    def close(self) -> None:
        """Drop the database."""
        force = " WITH (FORCE)" if self._admin.get_backend_name() == "postgresql" else ""
        self._execute(f"DROP DATABASE {self._name}{force}")

    def _execute(self, statement: str) -> None:
        options = {"isolation_level": "AUTOCOMMIT"}
        with _engine(self._admin) as engine, engine.connect().execution_options(**options) as connection:
            connection.execute(text(statement))


def _no_server(kind: str, error: OperationalError) -> str:
    variable, default = _SERVERS[kind]
    return f"no {kind} at {variable} (default {default}): {error.orig}"


def migrate(instance: Path, address: str) -> None:
    """Bring the schema of a database to the newest version."""
    app = create_app(instance, {"SECRET_KEY": SECRET, "SQLALCHEMY_DATABASE_URI": address})
    with app.app_context():
        flask_migrate.upgrade(str(PROJECT_DIR / "migrations"))
        db.engine.dispose()


@contextmanager
def _engine(address: URL | str) -> Iterator[Engine]:
    engine = create_engine(address)
    try:
        yield engine
    finally:
        engine.dispose()

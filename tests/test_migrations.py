"""Every migration up and down, with rows in the tables, on every database; and the head is the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, Table, inspect, select, text
from sqlalchemy.engine import Connection

from server import create_app
from server.config import PROJECT_DIR
from server.extensions import db
from tests.databases import KINDS, SECRET, Databases
from tests.factories import at

DIRECTORY = str(PROJECT_DIR / "migrations")
REVISIONS = [
    script.revision for script in reversed(list(ScriptDirectory(DIRECTORY).walk_revisions("base", "heads")))
]
WHEN = at(0.123456).replace(tzinfo=None)

ROWS: dict[str, dict[str, Any]] = {
    "cameras": {
        "id": 1,
        "name": "Eingang Süd 🚪",
        "stream_url": "rtsp://192.0.2.1/a",
        "loop": False,
        "enabled": True,
        "watch_fps": 5.0,
        "detection_grid": 2,
        "revision": 3,
        "created_at": WHEN,
    },
    "users": {
        "id": 1,
        "name": "ada",
        "password_hash": "scrypt",
        "role": "viewer",
        "active": True,
        "session_version": 2,
        "created_at": WHEN,
    },
    "api_tokens": {
        "id": 1,
        "name": "till",
        "prefix": "hs_abc",
        "digest": "d" * 64,
        "user_id": 1,
        "created_at": WHEN,
        "revoked_at": None,
    },
    "checkpoints": {
        "camera_id": 1,
        "version": 1,
        "anchor_us": 2**53 + 1,
        "cursor": 2**40,
        "watched_until": WHEN,
        "state": bytes(range(256)) * 300,
    },
    "clip_imports": {
        "id": 1,
        "camera_id": 1,
        "digest": "c" * 64,
        "file_name": "a.mp4",
        "start": WHEN,
        "stop": WHEN,
        "created_at": WHEN,
    },
    "leases": {
        "camera_id": 1,
        "fence": 2**40,
        "owner": "watchers@a/1",
        "node": "a",
        "expires_ms": 2**41,
        "drain": False,
        "state": "watching",
        "reason": "",
        "revision": 3,
        "since": WHEN,
    },
    "processors": {
        "id": 1,
        "camera_id": 1,
        "name": "door",
        "kind": "traffic",
        "enabled": True,
        "confidence": 0.5,
        "zones": [],
        "lines": [[[0.1, 0.2], [0.3, 0.4]]],
        "options": {"a": None},
        "revision": 1,
        "created_at": WHEN,
    },
    "observations": {
        "id": 1,
        "camera_id": 1,
        "processor_id": 1,
        "clip_import_id": 1,
        "start": WHEN,
        "stop": WHEN,
        "ended": None,
    },
    "processor_events": {
        "id": 2**31 + 1,
        "processor_id": 1,
        "clip_import_id": None,
        "ts": WHEN,
        "key": "k",
        "direction": "in",
        "passes": 1,
        "count": None,
        "track": 4,
        "zone": None,
        "score": 0.75,
        "data": {"a": [1]},
    },
}
"""A row for each table of the first schema."""

ADDED: dict[str, dict[str, dict[str, Any]]] = {
    "0002": {
        "leases": {"worker": None, "strikes": 0},
        "checkpoints": {"serial": 0},
        "cameras": {"rtsp_transport": "tcp"},
    },
    "0003": {
        "cameras": {"masks": None, "preview_fps": 15.0, "preview_kbps": 800, "preview_width": 960},
        "processors": {"preview": "watched", "late": 0},
        "processor_events": {"crop_node": None},
        "users": {"all_cameras": True, "timezone": None},
        "api_tokens": {"scopes": "metrics,status,detect"},
    },
}
"""What each migration gives to rows that were there before it."""


def _sorted(found: Any) -> str:
    """Keys have no order; SQLite tells them in another one once a table has been rebuilt."""
    return str(sorted(found, key=str) if isinstance(found, list) else found)


class Schema:
    """The database of the current application, at some version."""

    def to(self, revision: str) -> None:
        """Go up or down to that version."""
        below = ["base", *REVISIONS].index(self.revision() or "base")
        up = ["base", *REVISIONS].index(revision) > below
        (flask_migrate.upgrade if up else flask_migrate.downgrade)(DIRECTORY, revision)

    def revision(self) -> str | None:
        """Where it stands."""
        with db.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def tables(self) -> set[str]:
        """What is in it."""
        return set(inspect(db.engine).get_table_names()) - {"alembic_version"}

    def differences(self) -> list[Any]:
        """What Alembic would do to make it as the models are, types and defaults included."""
        options = {"compare_type": True, "compare_server_default": _default_differs}
        with db.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts=options)
            return list(compare_metadata(context, db.metadata))

    def described(self) -> dict[str, Any]:
        """Columns, keys and indexes by table, as the database tells them."""
        inspector = inspect(db.engine)
        asked = (
            inspector.get_columns,
            # Its name, which nothing ever uses, goes where SQLite numbers rows for good.
            lambda name: inspector.get_pk_constraint(name)["constrained_columns"],
            inspector.get_foreign_keys,
            inspector.get_unique_constraints,
            inspector.get_indexes,
        )
        return {name: sorted(_sorted(ask(name)) for ask in asked) for name in self.tables()}

    def of_table(self, name: str) -> str:
        """What follows the name of an index that is dropped."""
        return f" ON {name}" if db.engine.dialect.name == "mysql" else ""

    def fill(self) -> None:
        """Store `ROWS`."""
        with db.engine.begin() as connection:
            tables = _reflected(connection)
            for name, row in ROWS.items():
                connection.execute(tables[name].insert(), row)

    def rows(self) -> dict[str, dict[str, Any]]:
        """The one row of each table that has one, compared as the columns' own types read them."""
        found = {}
        with db.engine.connect() as connection:
            for name, table in _reflected(connection).items():
                row = connection.execute(select(table)).one_or_none()
                if row is not None:
                    found[name] = dict(row._mapping)
        return found


def _default_differs(*given: Any) -> bool:
    """Alembic's own comparison takes MariaDB's 0 for something else than false."""
    *_, there, _, wanted = given
    return _plain(there) != _plain(wanted)


def _plain(default: str | None) -> str | None:
    if default is None:
        return None
    value = default.partition("::")[0].strip("()'")
    return {"false": "0", "true": "1"}.get(value, value)


def _reflected(connection: Connection) -> dict[str, Table]:
    """The tables as they are; JSON columns, which databases name differently, with the models' types."""
    metadata = MetaData()
    metadata.reflect(connection)
    for table in metadata.tables.values():
        model = db.metadata.tables.get(table.name)
        for column in table.columns if model is not None else ():
            if model is not None and column.name in model.columns and column.name in _json_columns(model):
                column.type = model.columns[column.name].type
    return {name: table for name, table in metadata.tables.items() if name != "alembic_version"}


def _json_columns(model: Table) -> set[str]:
    return {column.name for column in model.columns if column.type.__class__.__name__ == "JSON"}


@pytest.fixture
def schema(request: pytest.FixtureRequest, databases: Databases, instance: Path) -> Iterator[Schema]:
    """A database of the test's own without tables."""
    with databases.without_tables(request.param, instance) as address:
        app = create_app(instance, {"SECRET_KEY": SECRET, "SQLALCHEMY_DATABASE_URI": address})
        with app.app_context():
            yield Schema()
            db.engine.dispose()


on_every_database = pytest.mark.parametrize("schema", KINDS, indirect=True)


@on_every_database
def test_each_step_up_and_down_keeps_the_rows(schema: Schema) -> None:
    schema.to(REVISIONS[0])
    schema.fill()
    expected = [schema.rows()]
    assert expected[0] == ROWS
    for revision in REVISIONS[1:]:
        schema.to(revision)
        added = ADDED.get(revision, {})
        expected.append({name: row | added.get(name, {}) for name, row in expected[-1].items()})
        assert schema.rows() == expected[-1], f"after the way up to {revision}"
    for revision, rows in reversed(list(zip(REVISIONS[:-1], expected[:-1], strict=True))):
        schema.to(revision)
        assert schema.rows() == rows, f"after the way down to {revision}"
    schema.to("base")
    assert schema.tables() == set()
    assert schema.revision() is None


@on_every_database
def test_a_step_down_and_up_again_gives_the_same_schema(schema: Schema) -> None:
    seen = []
    for revision in REVISIONS:
        schema.to(revision)
        seen.append(schema.described())
    for revision, before in reversed(list(zip(REVISIONS, seen, strict=True))):
        schema.to(revision)
        assert schema.described() == before, f"after the way down to {revision}"
    schema.to(REVISIONS[-1])
    assert schema.described() == seen[-1]


@on_every_database
def test_the_newest_schema_is_that_of_the_models(schema: Schema) -> None:
    schema.to(REVISIONS[-1])
    assert schema.differences() == []


@on_every_database
def test_a_difference_between_schema_and_models_is_seen(schema: Schema) -> None:
    """Or the test before this one could not fail."""
    schema.to(REVISIONS[-1])
    with db.engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_processor_events_ts" + schema.of_table("processor_events")))
        connection.execute(text("ALTER TABLE workers DROP COLUMN node"))
    seen = {str(difference).strip("[(").split(",")[0] for difference in schema.differences()}
    assert seen == {"'add_column'", "'add_index'"}


@on_every_database
def test_rows_go_with_their_camera(schema: Schema) -> None:
    schema.to(REVISIONS[0])
    schema.fill()
    schema.to(REVISIONS[-1])
    with db.engine.begin() as connection:
        connection.execute(text("DELETE FROM cameras"))
    assert set(schema.rows()) == {"users", "api_tokens"}, "the migrations kept the foreign keys' ON DELETE"

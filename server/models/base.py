"""Column types and expressions that mean the same on SQLite, MariaDB/MySQL and PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.event import listens_for
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

BigKey = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit key; SQLite numbers rows by itself only where the type is called INTEGER."""

NEVER_AGAIN = {"sqlite_autoincrement": True}
"""For tables whose numbers stand for something outside the database: a cookie, a file, an entry in Redis.
SQLite would give the number of a deleted row to the next one; the other databases never do. A migration that
has SQLite copy such a table says so again, for it cannot be read off the table."""

WRITE_OPTION = "hypersight_write"
"""Execution option of a connection that will write: SQLite then takes its lock at BEGIN."""


BUSY_MS = 30_000
"""How long SQLite waits for the file while another process writes."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored as UTC with microseconds. A naive one is refused."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """MySQL drops fractions of a second unless told otherwise."""
        return dialect.type_descriptor(
            DATETIME(fsp=6) if dialect.name in ("mysql", "mariadb") else DateTime()
        )

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To naive UTC. Raises ValueError for a naive value: nobody knows when that is."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Back to aware UTC."""
        return None if value is None else value.replace(tzinfo=timezone.utc)


def utc_now() -> datetime:
    """The default of `created` columns; decisions never depend on it."""
    return datetime.now(timezone.utc)


class db_now_ms(FunctionElement[int]):
    """The database's own clock in milliseconds since 1970: what leases of several hosts are held by."""

    type = BigInteger()
    inherit_cache = True


@compiles(db_now_ms)
def _now_generic(element: db_now_ms, compiler: Any, **kw: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(db_now_ms, "sqlite")
def _now_sqlite(element: db_now_ms, compiler: Any, **kw: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(db_now_ms, "mysql")
@compiles(db_now_ms, "mariadb")
def _now_mysql(element: db_now_ms, compiler: Any, **kw: Any) -> str:
    return "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"


@listens_for(Engine, "connect")
def _prepare_connection(connection: Any, record: Any) -> None:
    """SQLite: write-ahead log, foreign keys, patience, and BEGIN left to us."""
    if type(connection).__module__ != "sqlite3":
        return
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # In WAL mode NORMAL survives a killed process whole; only a power cut may take the last commits.
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


@listens_for(Engine, "begin")
def _begin(connection: Connection) -> None:
    """SQLite refuses a read that turns into a write while others write: who will write says so first."""
    if connection.dialect.name == "sqlite":
        will_write = connection.get_execution_options().get(WRITE_OPTION)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if will_write else "BEGIN")

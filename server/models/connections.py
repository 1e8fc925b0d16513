"""How long a database may take to answer before it counts as away.

A server that is frozen, or behind a cable that was pulled out, closes no connection: without limits its
clients would hang for minutes, and every camera with them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection, Dialect, Engine, make_url
from sqlalchemy.event import listens_for
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from server.models.postgresql import BoundedConnection

PATIENT_OPTION = "hypersight_patient"
"""Execution option of a connection whose statements may take long: migrations."""

GREETING_SECONDS = 4
"""To connect, and to say that a connection from the pool is still alive."""
STATEMENT_SECONDS = 10
"""For an ordinary statement. A transaction waits for a row lock less long than that."""
PATIENT_SECONDS = 3600
"""For a statement under PATIENT_OPTION."""
_LOCK_SECONDS = 8
_WAIT_LONG = {
    "mysql": f"SET SESSION innodb_lock_wait_timeout = {PATIENT_SECONDS}, "
    f"lock_wait_timeout = {PATIENT_SECONDS}",
    "postgresql": f"SET LOCAL lock_timeout = '{PATIENT_SECONDS}s'",
}


def engine_options(address: str) -> dict[str, Any]:
    """What Flask-SQLAlchemy passes to `create_engine` for a database at `address`."""
    backend = make_url(address).get_backend_name()
    options: dict[str, Any] = {"pool_pre_ping": True}
    if backend in ("mysql", "mariadb"):
        options["connect_args"] = {
            "connect_timeout": GREETING_SECONDS,
            "read_timeout": GREETING_SECONDS,
            "write_timeout": STATEMENT_SECONDS,
            "init_command": f"SET SESSION innodb_lock_wait_timeout = {_LOCK_SECONDS}, "
            f"lock_wait_timeout = {_LOCK_SECONDS}",
        }
    elif backend == "postgresql":
        options["connect_args"] = {
            "connect_timeout": GREETING_SECONDS,
            "options": f"-c lock_timeout={_LOCK_SECONDS}s",
            # A cable that was pulled out is noticed even under a patient statement.
            "tcp_user_timeout": STATEMENT_SECONDS * 1000,
            "keepalives_idle": STATEMENT_SECONDS,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        }
    return options


@listens_for(Engine, "do_connect")
def _connect(
    dialect: Dialect, record: ConnectionPoolEntry, args: list[Any], options: dict[str, Any]
) -> BoundedConnection | None:
    """PostgreSQL's client has no limit of its own for an answer; None leaves the others as they are."""
    if dialect.driver != "psycopg":
        return None
    connection = BoundedConnection.connect(*args, **options)
    connection.patience = GREETING_SECONDS
    return connection


@listens_for(Engine, "begin")
def _statements_follow(connection: Connection) -> None:
    patient = connection.get_execution_options().get(PATIENT_OPTION)
    _be_patient(connection.connection.driver_connection, PATIENT_SECONDS if patient else STATEMENT_SECONDS)
    if patient and connection.dialect.name in _WAIT_LONG:
        # MariaDB cannot take back the half of a migration that came before a lock it did not get.
        connection.exec_driver_sql(_WAIT_LONG[connection.dialect.name])


@listens_for(Pool, "checkin")
def _a_greeting_follows(connection: Any, record: ConnectionPoolEntry) -> None:
    if connection is not None:
        _be_patient(connection, GREETING_SECONDS)


def _be_patient(connection: Any, seconds: int) -> None:
    module = type(connection).__module__
    if module.startswith("pymysql."):
        # PyMySQL has no public way to change it, and looks here before each answer.
        connection._read_timeout = seconds
    elif hasattr(connection, "patience"):
        connection.patience = seconds

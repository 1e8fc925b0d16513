"""Transactions of the services.

A service that writes says so before it reads: SQLite would refuse a read that turns into a write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from server.errors import StorageError
from server.extensions import db
from server.models.base import WRITE_OPTION


@contextmanager
def writing(engine: Engine | None = None) -> Iterator[Session]:
    """A session that commits at the end of the block and rolls back on an error.

    Needs an application context unless `engine` is given. Raises StorageError where the database is
    away, busy or refuses to take the connection; other SQL errors are ours and pass as they are.
    """
    bound = (engine or db.engine).execution_options(**{WRITE_OPTION: True})
    with translated(), Session(bound) as session, session.begin():
        yield session


def begin_write(session: Session) -> None:
    """End what a request has read so far and begin a transaction of `session` that will write."""
    session.commit()
    session.connection(execution_options={WRITE_OPTION: True})


@contextmanager
def translated() -> Iterator[None]:
    """Turn the database's absence into a StorageError that says so without its address."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated or type(error).__name__ in ("OperationalError", "InterfaceError"):
            raise StorageError(f"the database does not answer: {error.orig}") from error
        raise

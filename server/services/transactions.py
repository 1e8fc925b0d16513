"""Transactions of the services.

A service that writes says so before it reads: SQLite would refuse a read that turns into a write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from server.errors import StorageError
from server.extensions import db
from server.models.base import WRITE_OPTION
from server.services.storage_errors import in_words


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
    """Turn what a database says when it is away, busy, full or shut into a StorageError without its address.

    Mistakes in our SQL, and rows that break a constraint, pass as they are.
    """
    try:
        yield
    except SQLAlchemyError as error:
        words = in_words(error)
        if words is None:
            raise
        raise StorageError(words) from error

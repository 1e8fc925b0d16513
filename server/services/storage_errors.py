"""What the three databases say when they cannot work just now, in one set of words.

Drivers name hosts, files and users in their messages, so none of those is passed on.
"""

from __future__ import annotations

import re
import sqlite3

import psycopg
import pymysql  # type: ignore[import-untyped]
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

AWAY = "the database does not answer"
BUSY = "the database is busy: others hold what this needs"
FULL = "the database has no room left on its disk"
READ_ONLY = "the database is read-only"
CROWDED = "the database takes no more connections"
REFUSED = (
    "the database does not let us in: check its name, the user and the password in SQLALCHEMY_DATABASE_URI"
)
DAMAGED = "the database is damaged or fails to read or write its files"

_SQLITE = {
    "locked": BUSY,
    "database or disk is full": FULL,
    "readonly": READ_ONLY,
    "unable to open database file": AWAY,
    "disk i/o error": DAMAGED,
    "malformed": DAMAGED,
    "not a database": DAMAGED,
    "locking protocol": BUSY,
    "interrupted": BUSY,
}
"""By what a message contains: Python 3.10 has no error codes."""

_MYSQL = {
    **dict.fromkeys((1020, 1205, 1213, 1317, 1969, 3024), BUSY),
    **dict.fromkeys((1021, 1114), FULL),
    **dict.fromkeys((1290, 1792, 1836), READ_ONLY),
    **dict.fromkeys((1040, 1203, 1226), CROWDED),
    **dict.fromkeys((1044, 1045, 1049, 1129, 1130, 1698), REFUSED),
    **dict.fromkeys((1053, 1077, 1079, 1158, 1159, 1160, 1161, 1184, 1927), AWAY),
    **dict.fromkeys((3, 5, 1016, 1026, 1028, 1030, 1180, 1194, 1195, 1877), DAMAGED),
}
_MYSQL_CLIENT = range(2000, 3000)
_NO_SPACE_LEFT = re.compile(r"\b28\b")

_POSTGRESQL = {
    "08": AWAY,
    "25006": READ_ONLY,
    "25P03": AWAY,
    "25P04": AWAY,
    "28": REFUSED,
    "3D": REFUSED,
    "40": BUSY,
    "53": CROWDED,
    "53100": FULL,
    "55P03": BUSY,
    "57": AWAY,
    "57014": BUSY,
    "58": DAMAGED,
    "XX": DAMAGED,
}
"""By SQLSTATE, or its class."""

_POSTGRESQL_GREETING = {
    "too many": CROWDED,
    "remaining connection slots": CROWDED,
    "authentication failed": REFUSED,
    "no pg_hba.conf entry": REFUSED,
    "does not exist": REFUSED,
}
"""By what a refusal to connect contains."""


def in_words(error: SQLAlchemyError) -> str | None:
    """Why the database cannot take this just now, without its address; None for a mistake of ours."""
    if isinstance(error, PoolTimeout):
        return "all connections to the database are in use"
    if not isinstance(error, DBAPIError):
        return None
    driver = error.orig
    if isinstance(driver, sqlite3.Error):
        return _sqlite(str(driver).lower())
    words = None
    if isinstance(driver, psycopg.Error):
        words = _postgresql(driver)
    elif isinstance(driver, pymysql.err.Error):
        words = _mysql(driver)
    return words or (AWAY if error.connection_invalidated else None)


def _sqlite(message: str) -> str | None:
    return next((words for part, words in _SQLITE.items() if part in message), None)


def _postgresql(error: psycopg.Error) -> str | None:
    if error.sqlstate is not None:
        return _POSTGRESQL.get(error.sqlstate) or _POSTGRESQL.get(error.sqlstate[:2])
    # Without an SQLSTATE it did not get as far as a statement.
    if not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return None
    said = str(error)
    return next((words for part, words in _POSTGRESQL_GREETING.items() if part in said), AWAY)


def _mysql(error: pymysql.err.Error) -> str | None:
    code = error.args[0] if error.args else None
    if not isinstance(code, int):
        # Without a number it was not the server that spoke: the answer was cut or out of order.
        return AWAY if isinstance(error, (pymysql.err.InternalError, pymysql.err.InterfaceError)) else None
    if code == 0 or code in _MYSQL_CLIENT:
        return AWAY
    words = _MYSQL.get(code)
    return FULL if words == DAMAGED and _NO_SPACE_LEFT.search(str(error.args[1:])) else words

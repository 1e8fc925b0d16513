"""Names that people give to things."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from server.errors import InvalidInput

NAME_LENGTH = 80
"""Characters, as all `name` columns hold."""


def clean_name(value: object, field: str = "name") -> str:
    """The name without white space around it. Raises InvalidInput where nothing or too much is left."""
    name = " ".join(str(value or "").split())
    if not name:
        raise InvalidInput(field, "a name is needed")
    if len(name) > NAME_LENGTH:
        raise InvalidInput(field, f"{len(name)} characters are too many; {NAME_LENGTH} fit")
    if not name.isprintable():
        raise InvalidInput(field, "contains a character that cannot be shown")
    return name


@contextmanager
def unique_name(name: str, field: str = "name") -> Iterator[None]:
    """Says in words what a unique constraint refuses, also when two people save at the same moment."""
    try:
        yield
    except IntegrityError as error:
        raise InvalidInput(field, f"{name!r} is taken already") from error

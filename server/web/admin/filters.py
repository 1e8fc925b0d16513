"""Filters above a list: a choice, or a bound in time."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask_admin.contrib.sqla.filters import BaseSQLAFilter
from sqlalchemy import select

from server.errors import InvalidInput
from server.extensions import db
from server.models import Camera, Processor
from server.services.cameras import kinds
from server.services.clocktime import parse_time
from server.web.admin.page import viewer_zone
from server.web.auth import current_rights

Choices = list[tuple[str, str]]


class NumberFilter(BaseSQLAFilter):  # type: ignore[misc]
    """Rows about what has this id."""

    def clean(self, value: str) -> Any:
        """The id. Raises ValueError."""
        number = int(value)
        if not 0 < number < 2**31:
            raise ValueError("no id")
        return number

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """The query, narrowed."""
        return query.filter(self.column == value)

    def operation(self) -> str:
        """What it does, in a word."""
        return "is"


class ChoiceFilter(NumberFilter):
    """Rows whose column has one of the offered values."""

    def __init__(self, column: Any, name: str, choices: Callable[[], Choices]) -> None:
        super().__init__(column, name)
        # Not Flask-Admin's `options`: those it asks for when the application starts, before any database.
        self.choices = choices

    def clean(self, value: str) -> Any:
        """The value in the column's own type. Raises ValueError."""
        return super().clean(value) if self.column.type.python_type is int else value[:100]


class CameraFilter(ChoiceFilter):
    """Events of all processors of a camera."""

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """The query, narrowed."""
        return query.filter(self.column.in_(select(Processor.id).where(Processor.camera_id == value)))


class KindFilter(ChoiceFilter):
    """Events of all processors of a kind."""

    def clean(self, value: str) -> str:
        """The kind."""
        return value[:100]

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """The query, narrowed."""
        return query.filter(self.column.in_(select(Processor.id).where(Processor.kind == value)))


class TimeFilter(BaseSQLAFilter):  # type: ignore[misc]
    """Rows from a time on, or before one; times without offset are in the viewer's zone."""

    def __init__(self, column: Any, name: str, compare: Callable[[Any, Any], Any]) -> None:
        super().__init__(column, name, data_type="datetime-local")
        self._compare = compare

    def clean(self, value: str) -> datetime:
        """The moment. Raises ValueError."""
        try:
            return parse_time(self.name, value, viewer_zone()).utc
        except InvalidInput as error:
            raise ValueError(str(error)) from error

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """The query, narrowed."""
        return query.filter(self._compare(self.column, value))

    def operation(self) -> str:
        """What it does, in a word."""
        return "from" if self._compare is operator.ge else "before"


def camera_choices() -> Choices:
    """The cameras that this person sees."""
    rows = db.session.execute(
        select(Camera.id, Camera.name).where(current_rights().visible(Camera.id)).order_by(Camera.name)
    )
    return [(str(key), name) for key, name in rows]


def processor_choices() -> Choices:
    """Their processors, each with its camera."""
    rows = db.session.execute(
        select(Processor.id, Processor.name, Camera.name)
        .join(Camera, Camera.id == Processor.camera_id)
        .where(current_rights().visible(Camera.id))
        .order_by(Camera.name, Processor.name)
    )
    return [(str(key), f"{camera}: {name}") for key, name, camera in rows]


def kind_choices() -> Choices:
    """All kinds of processors."""
    return [(kind, kind) for kind, _ in kinds()]

"""Lists of zones and lines, as they are typed, drawn and stored, and the names in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from server.domain.geometry import Line, Polygon

T = TypeVar("T")

MAX_SHAPES = 50
"""Zones, and lines, of one processor or camera."""
_DEFAULT = re.compile(r"(zone|line) [1-9][0-9]*")


def parse_shapes(values: object, parse: Callable[[object], T]) -> tuple[T, ...]:
    """All shapes of a list; `parse`: `parse_polygon` or `parse_line`.

    Raises ValueError with a sentence that names the shape by its number, and its name where it has one.
    """
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError("a list")
    if len(values) > MAX_SHAPES:
        raise ValueError(f"at most {MAX_SHAPES} fit, not {len(values)}")
    parsed = []
    for number, value in enumerate(values, 1):
        try:
            parsed.append(parse(value))
        except ValueError as error:
            raise ValueError(f"{_numbered(number, value)}: {error}") from error
    return tuple(parsed)


def called(shape: Polygon | Line, number: int) -> str:
    """What a shape is called: its name, or "zone 1", "line 2"."""
    return shape.name or f"{_noun(shape)} {number}"


def name_clash(zones: Sequence[Polygon], lines: Sequence[Line]) -> tuple[str, str] | None:
    """The field ("zones" or "lines") and a sentence where two shapes would be called the same."""
    first: dict[str, str] = {}
    both: list[tuple[str, Sequence[Polygon | Line]]] = [("zones", zones), ("lines", lines)]
    for field, shapes in both:
        for number, shape in enumerate(shapes, 1):
            own = f"{_noun(shape)} {number}"
            if not shape.name:
                continue
            if shape.name != own and _DEFAULT.fullmatch(shape.name):
                problem = f"{shape.name} is what another one is called without a name; choose another name"
            elif shape.name in first:
                problem = f"{first[shape.name]} has this name too; each needs its own"
            else:
                first[shape.name] = own
                continue
            return field, f'number {number}, "{shape.name}": {problem}'
    return None


def _noun(shape: Polygon | Line) -> str:
    return "line" if isinstance(shape, Line) else "zone"


def _numbered(number: int, value: object) -> str:
    name = value.get("name") if isinstance(value, Mapping) else None
    name = " ".join(name.split()) if isinstance(name, str) else ""
    return f'number {number}, "{name}"' if 0 < len(name) <= 40 else f"number {number}"

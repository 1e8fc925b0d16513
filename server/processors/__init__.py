"""Kinds of processors, one file each. A new kind is one new file in this package: it is found by itself."""

from __future__ import annotations

import importlib
import pkgutil

from server.errors import InvalidInput
from server.processors.base import BaseProcessor


def _find() -> dict[str, type[BaseProcessor]]:
    found: dict[str, type[BaseProcessor]] = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, BaseProcessor) and value is not BaseProcessor:
                found[value.kind] = value
    return dict(sorted(found.items()))


KINDS = _find()
"""Kind to class, sorted."""


def create(
    kind: str,
    *,
    zones: object = (),
    lines: object = (),
    options: object = None,
    confidence: object = 0.5,
) -> BaseProcessor:
    """A processor of a kind over values as they come from JSON.

    zones: list of polygons `[[x, y], …]`; lines: list of `[[x1, y1], [x2, y2]]`, fractions of the frame;
    options: the kind's own, by name; confidence: 0..1. Raises InvalidInput naming the field.
    """
    if kind not in KINDS:
        raise InvalidInput("kind", f"{kind!r} is not one of {', '.join(KINDS)}")
    return KINDS[kind](zones=zones, lines=lines, options=options, confidence=confidence)

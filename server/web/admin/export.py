"""Tables as files, streamed: a million rows need no more memory than one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Response, stream_with_context

_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
_CHUNK = 16_384
"""Characters that are sent at once."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A file to be made. `columns`: (attribute, heading); `value` gives one cell as a plain value."""

    name: str
    kind: str
    columns: list[tuple[str, str]]
    rows: Iterable[Any]
    value: Callable[[Any, str], Any]


def stream(exported: Exported) -> Response:
    """A response that writes itself while it is read."""
    lines = _csv(exported) if exported.kind == "csv" else _json(exported)
    response = Response(stream_with_context(_in_chunks(lines)), content_type=_TYPES[exported.kind])
    response.headers.set("Content-Disposition", "attachment", filename=exported.name)
    return response


def _csv(exported: Exported) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)

    def line(values: list[Any]) -> str:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([_cell(value) for value in values])
        return buffer.getvalue()

    yield line([name for name, _ in exported.columns])
    for row in exported.rows:
        yield line([exported.value(row, name) for name, _ in exported.columns])


def _json(exported: Exported) -> Iterator[str]:
    before = "[\n"
    for row in exported.rows:
        yield before + json.dumps({name: exported.value(row, name) for name, _ in exported.columns})
        before = ",\n"
    yield "\n]\n" if before == ",\n" else "[]\n"


def _cell(value: Any) -> Any:
    """A value for a spreadsheet. Text that it would run as a formula is marked as text."""
    if value is None:
        return ""
    if isinstance(value, (list, dict)):
        value = json.dumps(value)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _in_chunks(lines: Iterator[str]) -> Iterator[str]:
    waiting: list[str] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= _CHUNK:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)

"""A processor in words: its settings, and what it counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from flask import current_app

from server.domain.geometry import Line, Polygon, parse_line, parse_polygon
from server.domain.shapes import called, parse_shapes
from server.errors import HypersightError
from server.models import Processor
from server.services import metrics
from server.services.live import LiveReader
from server.services.today import today
from server.web.admin.page import local_time, viewer_zone
from server.web.admin.processor_form import ANCHORS, COUNTED, PREVIEWS, kinds_in_words


def settings_in_words(row: Processor) -> list[tuple[str, str]]:
    """Settings as (what, value) for the page of a processor."""
    options = row.options or {}
    labels = options.get("labels", ["person"])
    return [
        ("Enabled", "yes" if row.enabled else "no: nothing is counted"),
        ("Counts", ", ".join(COUNTED.get(label, str(label)) for label in labels)),
        ("Confidence", f"{row.confidence:g}: once the detector has been {row.confidence:.0%} sure of them"),
        ("Point that counts", ANCHORS.get(options.get("anchor", "centre"), "")),
        ("Zones", _names(row.zones, "zones") or _no_zones(row)),
        *([("Lines", _names(row.lines, "lines") or "none")] if _uses_lines(row.kind) else []),
        ("Preview", PREVIEWS.get(row.preview, row.preview)),
        ("ID (proc_id)", str(row.id)),
        ("Created", local_time(row.created_at)),
    ]


def _uses_lines(kind: str) -> bool:
    return bool(kinds_in_words().get(kind, {}).get("line"))


def _no_zones(row: Processor) -> str:
    return "none: the whole picture counts" if row.kind == "persons" else "none"


def _names(values: object, field: str) -> str:
    """What the shapes are called; what is stored but no longer understood is said so."""
    shapes: Sequence[Polygon | Line]
    try:
        shapes = parse_shapes(values, parse_line) if field == "lines" else parse_shapes(values, parse_polygon)
    except ValueError as error:
        return f"not usable: {error}"
    return ", ".join(called(shape, number) for number, shape in enumerate(shapes, 1))


def numbers_of(row: Processor) -> list[dict[str, str]]:
    """What it counts now and has counted since midnight, of kinds that say either: what, value."""
    if metrics.metric_of(row.kind) == "objects":
        return [{"what": "there now", "value": _there_now(row)}]
    if metrics.metric_of(row.kind) != "traffic":
        return []
    counted = today([row.id], viewer_zone(), datetime.now(timezone.utc)).get(row.id)
    if counted is None:
        return []
    numbers = [{"what": "passed today", "value": str(counted.passes)}]
    if row.lines:
        numbers.append({"what": "in today", "value": str(counted.into), "side": "in"})
        numbers.append({"what": "out today", "value": str(counted.out), "side": "out"})
    return numbers


def _there_now(row: Processor) -> str:
    """The watcher's own word, else the last event's; a dash where nobody watches."""
    live = LiveReader.of(current_app).numbers([row.camera_id]).get(row.camera_id)
    if live is not None and row.id in live.occupancy:
        return str(live.occupancy[row.id])
    try:
        return str(metrics.occupancy(row.id, datetime.now(timezone.utc)).count)
    except HypersightError:
        return "–"

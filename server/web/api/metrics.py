"""POST /traffic and POST /objects: what the processors counted."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from flask import Blueprint, current_app

from server.config import Settings
from server.errors import InvalidInput
from server.services.clocktime import ClockTime, format_time, parse_time
from server.services.metrics import occupancy, traffic
from server.web.api.auth import needs
from server.web.api.body import integer, json_object

blueprint = Blueprint("metrics", __name__)
blueprint.before_request(needs("metrics"))


@blueprint.post("/traffic")
def traffic_call() -> dict[str, Any]:
    """Passes from start_ts up to stop_ts or now."""
    fields = json_object()
    processor_id = integer(fields, "proc_id")
    if "start_ts" not in fields:
        raise InvalidInput("start_ts", "is missing")
    now = datetime.now(timezone.utc)
    start = _time(fields, "start_ts", now)
    if "stop_ts" not in fields and start.utc >= now:
        raise InvalidInput("start_ts", "lies in the future")
    found = traffic(processor_id, start.utc, _time(fields, "stop_ts", now).utc, now=now)
    return {
        "err": False,
        "traffic": found.passes,
        "in": found.into,
        "out": found.out,
        "net": found.into - found.out,
        "min_ts": _text(found.first, start),
        "max_ts": _text(found.last, start),
        "observed": found.observed,
    }


@blueprint.post("/objects")
def objects_call() -> dict[str, Any]:
    """How many there were at ts or now."""
    fields = json_object()
    processor_id = integer(fields, "proc_id")
    now = datetime.now(timezone.utc)
    at = _time(fields, "ts", now)
    found = occupancy(processor_id, at.utc, now=now)
    return {"err": False, "count": found.count, "ts": _text(found.since, at)}


def _time(fields: dict[str, Any], name: str, now: datetime) -> ClockTime:
    if name not in fields:
        return ClockTime(now, has_offset=False)
    settings: Settings = current_app.extensions["hypersight"]
    return parse_time(name, fields[name], settings.timezone)


def _text(moment: datetime | None, asked: ClockTime) -> str | None:
    """A time in the manner of the one that was asked with."""
    settings: Settings = current_app.extensions["hypersight"]
    return None if moment is None else format_time(moment, settings.timezone, with_offset=asked.has_offset)

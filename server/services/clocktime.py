"""Times as people and programs write them: read strictly, answered in the manner they came in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from reprlib import repr as shortened

from server.errors import InvalidInput

_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[ T](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r" ?(?P<offset>Z|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII | re.IGNORECASE,
)
_HELP = 'a time such as "2020-03-27 00:00:00.0" or "2020-03-27T00:00:00Z"'


@dataclass(frozen=True, slots=True)
class ClockTime:
    """A moment, and whether it was written with its offset from UTC."""

    utc: datetime
    has_offset: bool


def parse_time(field: str, text: object, zone: tzinfo) -> ClockTime:
    """Read a local time (in `zone`) or an ISO 8601 one with offset. Raises InvalidInput naming `field`.

    Where the clocks go back, a local time that exists twice is the first of the two. Where they go
    forward, one that does not exist is read as if the clocks had not been changed yet: 02:30 becomes
    03:30. Digits beyond the microsecond are dropped.
    """
    match = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise InvalidInput(field, f"{shortened(text)} is not {_HELP}")
    try:
        offset = _offset(match["offset"])
        moment = datetime.fromisoformat(match["date"]).replace(
            hour=int(match["hour"] or 0),
            minute=int(match["minute"] or 0),
            second=int(match["second"] or 0),
            microsecond=int((match["fraction"] or "0").ljust(6, "0")[:6]),
            tzinfo=offset or zone,
        )
        return ClockTime(moment.astimezone(timezone.utc), offset is not None)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(field, f"{shortened(text)} is no time: {error}") from error


def format_time(moment: datetime, zone: tzinfo, *, with_offset: bool) -> str:
    """`2020-03-27 14:21:01.133333` in `zone`, or ISO 8601 with the zone's offset."""
    local = moment.astimezone(zone)
    if with_offset:
        return local.isoformat(timespec="microseconds")
    return local.replace(tzinfo=None).isoformat(" ", "microseconds")


def _offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in "Zz":
        return timezone.utc
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        raise ValueError("the offset is at most 23:59")
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if text[0] == "-" else span)

"""Spans of time as people ask for them, and how they are cut into buckets: by the clock on their wall."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from server.errors import InvalidInput
from server.services.clocktime import parse_time

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)

PERIODS: dict[str, tuple[str, ...]] = {
    "hour": ("1min", "5min"),
    "day": ("15min", "1h"),
    "week": ("1h", "6h"),
    "custom": (),
}
"""The periods, with the buckets that each may be cut into, the usual one first."""
WIDTHS: dict[str, timedelta] = {
    "1s": timedelta(seconds=1),
    "5s": timedelta(seconds=5),
    "15s": timedelta(seconds=15),
    "1min": timedelta(minutes=1),
    "5min": timedelta(minutes=5),
    "15min": timedelta(minutes=15),
    "1h": HOUR,
    "6h": timedelta(hours=6),
    "1d": DAY,
    "7d": WEEK,
}
MOST_BUCKETS = 200
"""A custom span is cut into the shortest buckets of which there are no more than this."""
SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=1_100)
_FIRST, _LAST = date(1990, 1, 1), date(2200, 1, 1)
"""Between these any zone's rules can be worked with."""
_LOST_PLUS = re.compile(r"(?<=T.{5}) (?=\d{2}:?\d{2}$)|(?<=T.{8}) (?=\d{2}:?\d{2}$)")


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time to look at. `bucket`: the name of a width."""

    name: str
    start: datetime
    stop: datetime
    bucket: str
    zone: ZoneInfo

    def edges(self) -> list[datetime]:
        """Where the buckets meet, from `start` to `stop`, in UTC."""
        return edges(self.start, self.stop, WIDTHS[self.bucket], self.zone)

    @property
    def buckets(self) -> tuple[str, ...]:
        """The buckets it may be cut into; none where there is nothing to choose."""
        return PERIODS[self.name]

    def before(self) -> Period:
        """The one that ends where this one begins."""
        return self._moved(-1)

    def after(self) -> Period:
        """The one that begins where this one ends."""
        return self._moved(1)

    def _moved(self, by: int) -> Period:
        if self.name in ("day", "week"):
            day = self.start.astimezone(self.zone).date() + by * (DAY if self.name == "day" else WEEK)
            start, stop = _days(day, 1 if self.name == "day" else 7, self.zone)
        elif self.stop - self.start < DAY:
            length = self.stop - self.start
            start, stop = self.start + by * length, self.stop + by * length
        else:
            # By the clock on the wall: days that begin at midnight go on to do so.
            begin, end = (
                moment.astimezone(self.zone).replace(tzinfo=None) for moment in (self.start, self.stop)
            )
            length = end - begin
            start = self.stop if by > 0 else _wall(begin - length, self.zone)
            stop = _wall(end + length, self.zone) if by > 0 else self.start
        return Period(self.name, start, stop, self.bucket, self.zone)

    def query(self) -> dict[str, str]:
        """What asks for this period again, wherever that is possible without an offset from UTC."""
        given = {"period": self.name, "from": self._written(self.start)}
        if self.name == "custom":
            given["to"] = self._written(self.stop)
        elif self.bucket != PERIODS[self.name][0]:
            given["bucket"] = self.bucket
        return given

    def _written(self, moment: datetime) -> str:
        local = moment.astimezone(self.zone)
        if self.name in ("day", "week"):
            return local.date().isoformat()
        unclear = local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset()
        written = local if unclear else local.replace(tzinfo=None)
        return written.isoformat("T", "minutes" if not local.second else "seconds")


def parse_period(given: Mapping[str, str], zone: ZoneInfo, now: datetime) -> Period:
    """Read `period`, `from`, `to` and `bucket`. Without `from` it is the present hour, day or week.

    Raises InvalidInput naming what is wrong.
    """
    name = given.get("period") or "day"
    if name not in PERIODS:
        raise InvalidInput("period", f"{name[:40]!r} is not one of {', '.join(PERIODS)}")
    written = given.get("from", "")
    start = _time("from", written, zone) if written else now
    if name == "custom":
        now = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        start, stop = _custom(start if written else now - DAY, given.get("to", ""), zone, now)
        return Period(name, start, stop, fitting(stop - start), zone)
    bucket = given.get("bucket") or PERIODS[name][0]
    if bucket not in PERIODS[name]:
        choices = " or ".join(PERIODS[name])
        raise InvalidInput("bucket", f"{bucket[:40]!r} is not {choices}, as one {name} may be cut")
    if name == "hour":
        local = start.astimezone(zone).replace(minute=0, second=0, microsecond=0)
        start = local.astimezone(timezone.utc)
        return Period(name, start, start + HOUR, bucket, zone)
    day = start.astimezone(zone).date()
    if name == "week":
        day -= day.weekday() * DAY
    return Period(name, *_days(day, 7 if name == "week" else 1, zone), bucket, zone)


def fitting(length: timedelta) -> str:
    """The shortest bucket that cuts so long a span into no more than MOST_BUCKETS."""
    return next((name for name, width in WIDTHS.items() if length <= width * MOST_BUCKETS), "7d")


def edges(start: datetime, stop: datetime, width: timedelta, zone: ZoneInfo) -> list[datetime]:
    """Moments at which buckets of a width begin and end, in UTC.

    They begin when clocks in the zone show a multiple of the width since midnight: a day has 23, 24 or 25
    of an hour, and one of a day is as long as the day is. Weeks begin on Mondays. The first and the last
    bucket are cut where the span begins and ends.
    """
    inner: list[datetime] = []
    day = start.astimezone(zone).date()
    while (begin := midnight(day, zone)) < stop:
        inner += _of_day(day, begin, width, zone)
        day += DAY
    cut = sorted({moment for moment in inner if start < moment < stop})
    return [start.astimezone(timezone.utc), *cut, stop.astimezone(timezone.utc)]


def _of_day(day: date, begin: datetime, width: timedelta, zone: ZoneInfo) -> list[datetime]:
    if width >= DAY:
        return [begin] if width == DAY or day.weekday() == 0 else []
    if width > HOUR:
        steps = range(DAY // width)
        return [_wall(datetime.combine(day, time()) + step * width, zone) for step in steps]
    # Up to an hour they follow each other evenly: the hour that comes twice is cut twice.
    end = midnight(day + DAY, zone)
    return [begin + step * width for step in range(-(-(end - begin) // width))]


def _custom(start: datetime, to: str, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    stop = _time("to", to, zone) if to else now
    if stop <= start:
        raise InvalidInput("to", "must be later than from")
    if stop - start < SHORTEST:
        raise InvalidInput("to", "must be at least a minute later than from")
    if stop - start > LONGEST:
        raise InvalidInput("to", f"must be at most {LONGEST.days} days later than from")
    return start, stop


def _time(field: str, text: str, zone: ZoneInfo) -> datetime:
    # A plus sign that was not escaped in an address arrives as a space.
    moment = parse_time(field, _LOST_PLUS.sub("+", text), zone).utc
    if not _FIRST <= moment.date() < _LAST:
        raise InvalidInput(field, f"must lie between {_FIRST} and {_LAST}")
    return moment


def _days(day: date, number: int, zone: ZoneInfo) -> tuple[datetime, datetime]:
    return midnight(day, zone), midnight(day + number * DAY, zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins in a zone, in UTC."""
    return _wall(datetime.combine(day, time()), zone)


def _wall(local: datetime, zone: ZoneInfo) -> datetime:
    """When clocks first show a local time; where they jump over it, when they do."""
    moment = local.replace(tzinfo=zone)
    before = moment.utcoffset()
    after = moment.replace(fold=1).utcoffset()
    if before is not None and after is not None and after > before:
        # It is skipped: read by the offset from after the jump it lies before it, by the other one after it.
        return _jump(moment.replace(fold=1).astimezone(timezone.utc), moment.astimezone(timezone.utc), zone)
    return moment.astimezone(timezone.utc)


def _jump(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """The moment between two at which the zone's offset changes, to the second."""
    offset = late.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return late.replace(microsecond=0)

"""What a processor saw in spans of time that follow each other, from its events and observations.

The rules are those of `metrics`: passes are counted wherever they are stored; at a moment the observation
that began last speaks, an imported recording through its own events only; an observation starts with
nobody unless its events say otherwise. Times are microseconds since 1970.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.domain.video import datetime_to_us, us_to_datetime
from server.models import Observation, ProcessorEvent
from server.services.metrics import may_reach, reach


@dataclass(slots=True)
class Measure:
    """What a span of time came to. `peak`: most at once, None where nothing was observed."""

    passes: int = 0
    into: int = 0
    out: int = 0
    peak: int | None = None
    person_us: int = 0
    """Occupancy summed over the observed time, in microseconds times persons."""
    observed_us: int = 0

    def add(self, other: Measure) -> None:
        """Take in another span of time."""
        self.passes += other.passes
        self.into += other.into
        self.out += other.out
        self.person_us += other.person_us
        self.observed_us += other.observed_us
        if other.peak is not None:
            self.rise(other.peak)

    def rise(self, count: int) -> None:
        """So many were seen at once."""
        self.peak = count if self.peak is None else max(self.peak, count)


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation as far as it reaches; both ends belong to it."""

    start: int
    stop: int
    id: int
    clip: int | None
    ended: str | None


@dataclass(frozen=True, slots=True)
class Level:
    """So many were there from `start` up to `stop`; a single moment where the two are the same."""

    start: int
    stop: int
    count: int


@dataclass(slots=True)
class Reading:
    """Measures of the spans between edges, and what they were made of."""

    measures: list[Measure]
    levels: list[Level] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)


def read_seen(session: Session, processor_id: int, start: int, stop: int, now: datetime) -> list[Seen]:
    """The observations that touch start..stop, by their start."""
    begin = us_to_datetime(start)
    rows = session.execute(
        select(
            Observation.start, Observation.stop, Observation.id, Observation.clip_import_id, Observation.ended
        )
        .where(
            Observation.processor_id == processor_id,
            may_reach(begin, now),
            Observation.start < us_to_datetime(stop),
        )
        .order_by(Observation.start, Observation.id)
    )
    found = (
        Seen(datetime_to_us(row.start), datetime_to_us(reach(row.stop, row.ended, now)), *row[2:])
        for row in rows
    )
    return [one for one in found if one.stop >= start]


def read(session: Session, processor_id: int, edges: Sequence[int], now: datetime) -> Reading:
    """Measure the spans between edges that follow each other; each begins with its edge and ends before
    the next. Nothing that lies after `now` counts as observed."""
    start, stop = edges[0], edges[-1]
    seen = read_seen(session, processor_id, start, stop, now)
    measures = [Measure() for _ in edges[1:]]
    counts = _count_passes(session, processor_id, edges, measures)
    for clip, event in _before(session, processor_id, seen, start):
        counts.setdefault(clip, []).insert(0, event)
    end = min(stop, datetime_to_us(now))
    levels = list(_levels(seen, {clip: _Counts(events) for clip, events in counts.items()}, start, end))
    _fill(measures, levels, edges)
    return Reading(measures, levels, seen)


def _count_passes(
    session: Session, processor_id: int, edges: Sequence[int], measures: Sequence[Measure]
) -> dict[int | None, list[tuple[int, int]]]:
    """Add the passes to the measures; gives (when, how many) of the events that say how many are there,
    by the recording they come from."""
    counts: dict[int | None, list[tuple[int, int]]] = {}
    index, limit = 0, edges[1]
    # Over the connection: the session's way to rows costs half as much again.
    rows = session.connection().execute(_events(processor_id, edges[0], edges[-1]))
    for ts, passes, direction, count, clip in rows:
        at = datetime_to_us(ts)
        if at >= limit:
            index = bisect_right(edges, at, index) - 1
            limit = edges[index + 1]
        measure = measures[index]
        measure.passes += passes
        if direction == "in":
            measure.into += 1
        elif direction == "out":
            measure.out += 1
        if count is not None:
            counts.setdefault(clip, []).append((at, count))
    return counts


def _events(processor_id: int, start: int, stop: int) -> Any:
    return (
        select(
            ProcessorEvent.ts,
            ProcessorEvent.passes,
            ProcessorEvent.direction,
            ProcessorEvent.count,
            ProcessorEvent.clip_import_id,
        )
        .where(
            ProcessorEvent.processor_id == processor_id,
            ProcessorEvent.ts >= us_to_datetime(start),
            ProcessorEvent.ts < us_to_datetime(stop),
        )
        .order_by(ProcessorEvent.ts, ProcessorEvent.id)
    )


def _before(
    session: Session, processor_id: int, seen: Iterable[Seen], start: int
) -> Iterator[tuple[int | None, tuple[int, int]]]:
    """For observations that had begun already: what was said last, as (recording, (when, how many))."""
    begun: dict[int | None, int] = {}
    for one in seen:
        if one.start < start:
            begun[one.clip] = min(one.start, begun.get(one.clip, one.start))
    for clip, since in begun.items():
        row = session.execute(
            select(ProcessorEvent.ts, ProcessorEvent.count)
            .where(
                ProcessorEvent.processor_id == processor_id,
                ProcessorEvent.ts >= us_to_datetime(since),
                ProcessorEvent.ts < us_to_datetime(start),
                ProcessorEvent.count.is_not(None),
                ProcessorEvent.clip_import_id.is_not_distinct_from(clip),
            )
            .order_by(ProcessorEvent.ts.desc(), ProcessorEvent.id.desc())
            .limit(1)
        ).first()
        if row is not None:
            yield clip, (datetime_to_us(row[0]), int(row[1] or 0))


class _Counts:
    """How many the events of one recording, or of the camera, say there are."""

    def __init__(self, events: Sequence[tuple[int, int]]) -> None:
        last = dict(events)
        """Of several at the same time the last one holds."""
        self.times = list(last)
        self.values = list(last.values())

    def at(self, moment: int, since: int) -> int:
        """How many at a moment, in an observation that began at `since`."""
        index = bisect_right(self.times, moment) - 1
        return self.values[index] if index >= 0 and self.times[index] >= since else 0

    def between(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The changes after `start` and before `stop`."""
        index = bisect_right(self.times, start)
        while index < len(self.times) and self.times[index] < stop:
            yield self.times[index], self.values[index]
            index += 1


_NOBODY = _Counts(())


def _levels(
    seen: Sequence[Seen], counts: dict[int | None, _Counts], start: int, stop: int
) -> Iterator[Level]:
    """How many were there, moment by moment, wherever that was observed."""
    for begin, end, one in _speaking(seen, start, stop):
        said = counts.get(one.clip, _NOBODY)
        since, count = begin, said.at(begin, one.start)
        for at, changed in said.between(begin, end):
            yield Level(since, at, count)
            since, count = at, changed
        yield Level(since, end, count)


def _speaking(seen: Sequence[Seen], start: int, stop: int) -> Iterator[tuple[int, int, Seen]]:
    """Which observation speaks when: (from, up to, observation), and (moment, moment, observation) for
    the end of one where another goes on, or nobody."""
    points = {start, *(edge for one in seen for edge in (one.start, one.stop) if start < edge < stop)}
    if stop <= start:
        return
    ordered = sorted(points)
    open_: list[tuple[int, int, Seen]] = []
    waiting = 0
    for point, following in zip(ordered, [*ordered[1:], stop], strict=True):
        while waiting < len(seen) and seen[waiting].start <= point:
            one = seen[waiting]
            heapq.heappush(open_, (-one.start, -one.id, one))
            waiting += 1
        last = _top(open_, point)
        goes_on = _top(open_, point + 1)
        if last is not None and last is not goes_on:
            yield point, point, last
        if goes_on is not None:
            yield point, following, goes_on


def _top(open_: list[tuple[int, int, Seen]], moment: int) -> Seen | None:
    """The observation that began last among those that reach a moment; the others are let go."""
    while open_ and open_[0][2].stop < moment:
        heapq.heappop(open_)
    return open_[0][2] if open_ else None


def _fill(measures: Sequence[Measure], levels: Iterable[Level], edges: Sequence[int]) -> None:
    """Add the levels to the measures they fall into."""
    index = 0
    for level in levels:
        at = level.start
        while True:
            index = bisect_right(edges, at, index) - 1
            end = min(level.stop, edges[index + 1])
            measure = measures[index]
            measure.rise(level.count)
            measure.observed_us += end - at
            measure.person_us += level.count * (end - at)
            at = end
            if at >= level.stop:
                break

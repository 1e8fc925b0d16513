"""What the stored events amount to: passes in a span, how many at a moment, and what was watched at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from server.errors import InvalidInput, NotFound
from server.extensions import db
from server.models import Observation, Processor, ProcessorEvent
from server.processors import KINDS
from server.services.transactions import translated

OPEN_SPAN_GRACE = timedelta(seconds=10)
"""An observation that goes on is stored up to its last committed part. One whose end lies less than
this behind the present is taken to reach the present; an older one was left by a watcher that died."""

_MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """Passes in a span. `observed`: share of the span that was watched, 0..1."""

    passes: int
    into: int
    out: int
    first: datetime | None
    last: datetime | None
    observed: float


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many there were, and since when that is known."""

    count: int
    since: datetime


def traffic(processor_id: int, start: datetime, stop: datetime, *, now: datetime | None = None) -> Traffic:
    """Passes from `start` up to but without `stop` (aware datetimes).

    Raises NotFound where there is no such processor or nothing was observed, InvalidInput where the
    processor does not count passes or the span is empty.
    """
    now = now or datetime.now(timezone.utc)
    if stop <= start:
        raise InvalidInput("stop_ts", "must be later than start_ts")
    with translated():
        _require(processor_id, "traffic")
        row = db.session.execute(_traffic_query(processor_id, start, stop)).one()
        observed = _observed_share(processor_id, start, min(stop, now), now)
    if observed == 0 and not row.events:
        raise NotFound("No records found")
    return Traffic(int(row.passes or 0), int(row.into), int(row.out), row.first, row.last, observed)


def occupancy(processor_id: int, at: datetime, *, now: datetime | None = None) -> Occupancy:
    """How many there were at the moment `at` (aware).

    Raises NotFound where there is no such processor or it did not watch then, InvalidInput where the
    processor does not count what is there.
    """
    now = now or datetime.now(timezone.utc)
    with translated():
        _require(processor_id, "objects")
        span = _span_at(processor_id, at, now)
        if span is None:
            raise NotFound("No records found")
        # A span of an imported recording speaks through that recording's events only.
        row = db.session.execute(
            select(ProcessorEvent.count, ProcessorEvent.ts)
            .where(
                ProcessorEvent.processor_id == processor_id,
                ProcessorEvent.ts.between(span.start, at),
                ProcessorEvent.count.is_not(None),
                ProcessorEvent.clip_import_id.is_not_distinct_from(span.clip_import_id),
            )
            .order_by(ProcessorEvent.ts.desc(), ProcessorEvent.id.desc())
            .limit(1)
        ).first()
    if row is None:
        return Occupancy(0, span.start)
    count, since = row
    return Occupancy(int(count or 0), since)


def metric_of(kind: str) -> str:
    """Which question is answered for processors of a kind: "traffic", "objects" or "" for none."""
    return KINDS[kind].metric if kind in KINDS else ""


def _require(processor_id: int, metric: str) -> None:
    kind = None
    if 0 < processor_id <= _MAX_ID:
        kind = db.session.scalar(select(Processor.kind).where(Processor.id == processor_id))
    if kind is None:
        raise NotFound(f"Wrong processor id: there is no processor with proc_id {processor_id}")
    if metric_of(kind) != metric:
        hint = f"; POST /{metric_of(kind)} answers for it" if metric_of(kind) else ""
        raise InvalidInput("proc_id", f"processor {processor_id} is of the kind {kind}{hint}")


def _traffic_query(processor_id: int, start: datetime, stop: datetime) -> Any:
    def moves(direction: str) -> ColumnElement[int]:
        return func.count(case((ProcessorEvent.direction == direction, 1)))

    return select(
        func.count().label("events"),
        func.sum(ProcessorEvent.passes).label("passes"),
        moves("in").label("into"),
        moves("out").label("out"),
        func.min(ProcessorEvent.ts).label("first"),
        func.max(ProcessorEvent.ts).label("last"),
    ).where(
        ProcessorEvent.processor_id == processor_id,
        ProcessorEvent.ts >= start,
        ProcessorEvent.ts < stop,
        or_(ProcessorEvent.passes != 0, ProcessorEvent.direction.is_not(None)),
    )


def _observed_share(processor_id: int, start: datetime, stop: datetime, now: datetime) -> float:
    """Share of start..stop that some span covers; 0 where the span lies in the future."""
    if stop <= start:
        return 0.0
    rows = db.session.execute(
        select(Observation.start, Observation.stop, Observation.ended).where(
            Observation.processor_id == processor_id, may_reach(start, now), Observation.start < stop
        )
    )
    spans = [(max(row.start, start), min(reach(row.stop, row.ended, now), stop)) for row in rows]
    return share(_union(spans), stop - start)


def share(covered: timedelta, whole: timedelta) -> float:
    """How much of `whole` (more than nothing) is covered, 0..1, to six digits."""
    if covered >= whole:
        return 1.0
    # Never rounded to "nothing" or "all": both mean something else.
    return min(max(round(covered / whole, 6), 1e-6), 0.999999) if covered else 0.0


def _span_at(processor_id: int, at: datetime, now: datetime) -> Observation | None:
    spans = db.session.scalars(
        select(Observation)
        .where(Observation.processor_id == processor_id, may_reach(at, now), Observation.start <= at)
        .order_by(Observation.start.desc(), Observation.id.desc())
    )
    return next((span for span in spans if reach(span.stop, span.ended, now) >= at), None)


def may_reach(moment: datetime, now: datetime) -> ColumnElement[bool]:
    """Whether an observation may go on to a moment: a condition that the index (processor_id, stop)
    serves; `reach` decides exactly."""
    return and_(
        Observation.stop >= min(moment, now - OPEN_SPAN_GRACE),
        or_(Observation.stop >= moment, Observation.ended.is_(None)),
    )


def reach(stop: datetime, ended: str | None, now: datetime) -> datetime:
    """Until when an observation goes that was stored with this end."""
    going_on = ended is None and now - stop < OPEN_SPAN_GRACE
    return max(stop, now) if going_on else stop


def _union(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """Length of what the spans cover together; spans of recordings may overlap."""
    covered = timedelta()
    end: datetime | None = None
    for start, stop in sorted(spans):
        if end is not None:
            start = max(start, end)
        if stop > start:
            covered += stop - start
            end = stop
    return covered

"""Charts: what a processor counted, bucket by bucket, and when nobody looked."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Engine, select
from sqlalchemy.orm import Session

from server.domain.video import datetime_to_us, us_to_datetime
from server.errors import NotFound
from server.extensions import db
from server.models import Camera, Observation, Processor
from server.services import periods
from server.services.measures import Level, Measure, Reading, Seen, read, read_seen
from server.services.metrics import metric_of, share
from server.services.rollups import QUARTER_US, floor_quarter, quarters, settled_until
from server.services.today import Today, today
from server.services.transactions import translated

__all__ = ["Bucket", "Chart", "Gap", "Step", "Subject", "Today", "chart", "subject", "subjects", "today"]

EXACT = timedelta(hours=26)
"""Spans up to this are drawn with every change of the occupancy: a day, however long."""
MOST_STEPS = 4_000
"""With more changes than this only the buckets are drawn: no screen is wide enough."""
HOUR_US = 3_600_000_000
LOST = "lost"
"""Why a gap is there whose observation was left open: its watcher died."""
NEVER = "never"
"""… when nothing had been observed before."""
_MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Bucket:
    """A span of time. None: nothing was observed, or the kind does not know it, or it is yet to come.

    `observed`: share of it, as far as it has passed, that was watched, 0..1. `average`: of the occupancy,
    over what was observed.
    """

    start: datetime
    stop: datetime
    passes: int | None
    into: int | None
    out: int | None
    peak: int | None
    average: float | None
    observed: float | None

    @property
    def net(self) -> int | None:
        """How many more came in than went out."""
        return None if self.into is None or self.out is None else self.into - self.out


@dataclass(frozen=True, slots=True)
class Gap:
    """A span in which nothing was observed, and why: what ended the observation before it."""

    start: datetime
    stop: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """From this moment on so many were there; None: nobody looked."""

    at: datetime
    count: int | None


@dataclass(frozen=True, slots=True)
class Subject:
    """The processor that a chart is of. `metric`: "traffic", "objects" or ""."""

    id: int
    name: str
    kind: str
    camera_id: int
    camera: str
    has_zones: bool
    has_lines: bool

    @property
    def metric(self) -> str:
        """What is asked of processors of its kind."""
        return metric_of(self.kind)


@dataclass(frozen=True, slots=True)
class Chart:
    """What a processor saw in a span. `steps`: for short spans of kinds with an occupancy, else None."""

    subject: Subject
    start: datetime
    stop: datetime
    now: datetime
    buckets: tuple[Bucket, ...]
    total: Bucket
    busiest: Bucket | None
    gaps: tuple[Gap, ...]
    steps: tuple[Step, ...] | None


def subjects(clause: ColumnElement[bool] | None = None) -> list[Subject]:
    """The processors there are, by camera and name. clause: a condition on their cameras' ids."""
    query = (
        select(
            Processor.id,
            Processor.name,
            Processor.kind,
            Processor.camera_id,
            Camera.name.label("camera"),
            Processor.zones,
            Processor.lines,
        )
        .join(Camera, Camera.id == Processor.camera_id)
        .order_by(Camera.name, Processor.name)
    )
    if clause is not None:
        query = query.where(clause)
    with translated():
        return [
            Subject(row.id, row.name, row.kind, row.camera_id, row.camera, bool(row.zones), bool(row.lines))
            for row in db.session.execute(query)
        ]


def subject(processor_id: int) -> Subject:
    """One processor. Raises NotFound."""
    found = subjects(Processor.id == processor_id) if 0 < processor_id <= _MAX_ID else []
    if not found:
        raise NotFound(f"There is no processor {processor_id}.")
    return found[0]


def chart(
    processor_id: int,
    start: datetime,
    stop: datetime,
    bucket: timedelta,
    zone: ZoneInfo,
    now: datetime,
    *,
    rolled_up: bool = True,
) -> Chart:
    """What a processor saw from `start` up to `stop` (aware), in buckets that fit the clocks of a zone.

    rolled_up: whether roll-ups are used and made; the answer is the same. Raises NotFound.
    """
    about = subject(processor_id)
    moments = [datetime_to_us(edge) for edge in periods.edges(start, stop, bucket, zone)]
    exact = about.metric == "objects" and stop - start <= EXACT
    with translated():
        session = db.session()
        if exact or not rolled_up:
            found = read(session, processor_id, moments, now)
        else:
            found = _through_rollups(session, db.engine, processor_id, moments, now)
        gaps = tuple(_gaps(session, processor_id, found.seen, moments[0], moments[-1], now))
    occupied = about.metric == "objects"
    whole = Measure()
    for measure in found.measures:
        whole.add(measure)
    buckets = tuple(
        _bucket(begin, end, measure, occupied, now)
        for (begin, end), measure in zip(pairwise(moments), found.measures, strict=True)
    )
    return Chart(
        about,
        us_to_datetime(moments[0]),
        us_to_datetime(moments[-1]),
        now,
        buckets,
        _bucket(moments[0], moments[-1], whole, occupied, now),
        _busiest(moments, found.measures, occupied, zone, now),
        gaps,
        _steps(found.levels) if exact else None,
    )


def _through_rollups(
    session: Session, engine: Engine, processor_id: int, edges: Sequence[int], now: datetime
) -> Reading:
    """The same as `read`, but for the changes of the occupancy: from roll-ups as far as buckets consist of
    whole quarters that have settled."""
    first = -(-edges[0] // QUARTER_US) * QUARTER_US
    last = min(floor_quarter(edges[-1]), settled_until(now))
    if first >= last or any(edge % QUARTER_US for edge in edges[1:-1]):
        return read(session, processor_id, edges, now)
    measures = [Measure() for _ in edges[1:]]
    parts = list(quarters(session, engine, processor_id, first, last, now).items())
    for ends in ([edges[0], first], [last, *(edge for edge in edges if edge > last)]):
        if ends[0] < ends[-1]:
            parts += zip(ends, read(session, processor_id, ends, now).measures, strict=False)
    for begin, measure in parts:
        measures[bisect_right(edges, begin) - 1].add(measure)
    seen = read_seen(session, processor_id, edges[0], edges[-1], now)
    return Reading(measures, seen=seen)


def _bucket(start: int, stop: int, measure: Measure, occupied: bool, now: datetime) -> Bucket:
    passed = min(stop, datetime_to_us(now)) - start
    seen = measure.observed_us
    known = bool(seen or measure.passes or measure.into or measure.out)
    return Bucket(
        us_to_datetime(start),
        us_to_datetime(stop),
        measure.passes if known else None,
        measure.into if known else None,
        measure.out if known else None,
        measure.peak if occupied and seen else None,
        measure.person_us / seen if occupied and seen else None,
        share(timedelta(microseconds=seen), timedelta(microseconds=passed)) if passed > 0 else None,
    )


def _busiest(
    edges: Sequence[int], measures: Sequence[Measure], occupied: bool, zone: ZoneInfo, now: datetime
) -> Bucket | None:
    """The hour by the clock in which most passed, or were there; of short charts, and of such with longer
    buckets, the bucket. None where there was nobody at all."""
    spans = list(zip(edges, edges[1:], measures, strict=False))
    if edges[-1] - edges[0] > 2 * HOUR_US and spans[-1][1] - spans[-1][0] < HOUR_US:
        spans = [_merged(list(hour)) for _, hour in groupby(spans, lambda span: _hour(span[0], zone))]
    best = max(spans, key=lambda span: _business(span[2], occupied))
    return _bucket(*best, occupied, now) if _business(best[2], occupied) else None


def _merged(spans: Sequence[tuple[int, int, Measure]]) -> tuple[int, int, Measure]:
    whole = Measure()
    for _, _, measure in spans:
        whole.add(measure)
    return spans[0][0], spans[-1][1], whole


def _hour(moment: int, zone: ZoneInfo) -> tuple[int, ...]:
    local = us_to_datetime(moment).astimezone(zone)
    return local.toordinal(), local.hour, local.fold


def _business(measure: Measure, occupied: bool) -> int:
    return measure.person_us if occupied else measure.passes or measure.into + measure.out


def _gaps(
    session: Session, processor_id: int, seen: Sequence[Seen], start: int, stop: int, now: datetime
) -> Iterator[Gap]:
    """What no observation covers of start..stop, as far as it has passed."""
    stop = min(stop, datetime_to_us(now))
    reached, why = start, None
    for one in seen:
        if reached >= stop:
            break
        if one.start > reached:
            why = why or _ended_before(session, processor_id, reached)
            yield Gap(us_to_datetime(reached), us_to_datetime(min(one.start, stop)), why)
        if one.stop >= reached:
            reached, why = one.stop, one.ended or LOST
    if reached < stop:
        why = why or _ended_before(session, processor_id, reached)
        yield Gap(us_to_datetime(reached), us_to_datetime(stop), why)


def _ended_before(session: Session, processor_id: int, moment: int) -> str:
    row = session.execute(
        select(Observation.ended)
        .where(Observation.processor_id == processor_id, Observation.stop <= us_to_datetime(moment))
        .order_by(Observation.stop.desc())
        .limit(1)
    ).first()
    return NEVER if row is None else row.ended or LOST


def _steps(levels: Sequence[Level]) -> tuple[Step, ...] | None:
    """The changes in order; None where there are too many."""
    steps: list[Step] = []
    end: int | None = None
    for level in levels:
        if level.start == level.stop:
            continue
        if end is not None and level.start > end:
            steps.append(Step(us_to_datetime(end), None))
        if not steps or steps[-1].count != level.count:
            steps.append(Step(us_to_datetime(level.start), level.count))
        end = level.stop
        if len(steps) > MOST_STEPS:
            return None
    if end is not None:
        steps.append(Step(us_to_datetime(end), None))
    return tuple(steps)

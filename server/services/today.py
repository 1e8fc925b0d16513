"""What has passed since midnight, for many processors at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from server.domain.video import datetime_to_us, us_to_datetime
from server.extensions import db
from server.models import ProcessorEvent, Rollup
from server.services.measures import Measure
from server.services.periods import midnight
from server.services.rollups import QUARTER_US, quarters, settled_until
from server.services.transactions import translated

_FILLED_AT_ONCE = 5
"""Busy processors that roll-ups are made for in one call, for the next one to be quick."""


@dataclass(frozen=True, slots=True)
class Today:
    """What passed since midnight."""

    into: int = 0
    out: int = 0
    passes: int = 0


def today(processor_ids: Collection[int], zone: ZoneInfo, now: datetime) -> dict[int, Today]:
    """What has passed from midnight in a zone up to `now`, for each of the processors: from roll-ups, and
    from the events that are not rolled up yet. Needs an application context. Raises StorageError."""
    ids = sorted(set(processor_ids))
    begin, end = datetime_to_us(midnight(now.astimezone(zone).date(), zone)), datetime_to_us(now)
    # From the first quarter that began since midnight to where quarters have settled.
    first = min(-(-begin // QUARTER_US) * QUARTER_US, end)
    last = max(first, settled_until(now))
    sums = {id_: Measure() for id_ in ids}
    with translated():
        session = db.session()
        lacking = set(ids)
        if first < last:
            lacking -= _add_rolled(session, sums, first, last)
            busy = _add_raw(session, sums, sorted(lacking), first, last)
            for id_ in busy[:_FILLED_AT_ONCE]:
                quarters(session, db.engine, id_, first, last, now)
        _add_raw(session, sums, ids, begin, first)
        _add_raw(session, sums, ids, last, end)
    return {id_: Today(found.into, found.out, found.passes) for id_, found in sums.items()}


def _add_rolled(session: Session, sums: dict[int, Measure], start: int, stop: int) -> set[int]:
    """Add what is rolled up for start..stop; gives the processors of which all of it is."""
    rows = session.execute(
        select(
            Rollup.processor_id,
            func.count(),
            func.sum(Rollup.passes),
            func.sum(Rollup.into),
            func.sum(Rollup.out),
        )
        .where(
            Rollup.processor_id.in_(list(sums)),
            Rollup.start >= us_to_datetime(start),
            Rollup.start < us_to_datetime(stop),
        )
        .group_by(Rollup.processor_id)
    )
    whole = set()
    for id_, number, *counted in rows:
        if number == (stop - start) // QUARTER_US:
            sums[id_].add(Measure(*map(int, counted)))
            whole.add(id_)
    return whole


def _add_raw(
    session: Session, sums: dict[int, Measure], ids: Sequence[int], start: int, stop: int
) -> list[int]:
    """Add what the events of start..stop amount to; gives the processors that have some."""
    if not ids or start >= stop:
        return []
    found = {id_: Measure(*map(int, counted)) for id_, *counted in session.execute(_passes(ids, start, stop))}
    for id_, measure in found.items():
        sums[id_].add(measure)
    return list(found)


def _passes(ids: Sequence[int], start: int, stop: int) -> Any:
    return (
        select(
            ProcessorEvent.processor_id,
            func.sum(ProcessorEvent.passes),
            func.count(case((ProcessorEvent.direction == "in", 1))),
            func.count(case((ProcessorEvent.direction == "out", 1))),
        )
        .where(
            ProcessorEvent.processor_id.in_(ids),
            ProcessorEvent.ts >= us_to_datetime(start),
            ProcessorEvent.ts < us_to_datetime(stop),
            or_(ProcessorEvent.passes != 0, ProcessorEvent.direction.is_not(None)),
        )
        .group_by(ProcessorEvent.processor_id)
    )


def sparks(processor_ids: Collection[int], zone: ZoneInfo, now: datetime) -> dict[int, list[int | None]]:
    """Today by the quarter of an hour, as far as it is rolled up: passes, or the most at once where nobody
    passes; None where nothing was observed. Needs an application context. Raises StorageError."""
    begin, end = datetime_to_us(midnight(now.astimezone(zone).date(), zone)), settled_until(now)
    number = max(0, -(-(end - begin) // QUARTER_US))
    found: dict[int, list[int | None]] = {id_: [None] * number for id_ in processor_ids}
    if not found or not number:
        return found
    with translated():
        rows = db.session.execute(
            select(Rollup.processor_id, Rollup.start, Rollup.passes, Rollup.peak).where(
                Rollup.processor_id.in_(list(found)),
                Rollup.start >= us_to_datetime(begin),
                Rollup.start < us_to_datetime(end),
                Rollup.observed_s > 0,
            )
        )
        for id_, start, passes, peak in rows:
            found[id_][(datetime_to_us(start) - begin) // QUARTER_US] = passes or peak
    return found

"""Roll-ups of events and observations, by the quarter of an hour.

They are made when somebody asks for them, or ahead by `roll_up`, and are nothing but a memory: whatever
cannot be stored just now is worked out again the next time.

What is stored late and a roll-up that is being made do not miss each other: `Processor.late` is read
before the events are, and the roll-up is only stored while it is still the same, with the processor's row
locked. Who stores something late raises `late` before deleting roll-ups, so either the roll-up is there
to be deleted, or it is not stored.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta, timezone

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from server.domain.video import datetime_to_us, us_to_datetime
from server.errors import StorageError
from server.models import Observation, Processor, ProcessorEvent, Rollup
from server.services.measures import Measure, read
from server.services.metrics import metric_of
from server.services.transactions import translated, writing

_log = logging.getLogger(__name__)

QUARTER = timedelta(minutes=15)
"""What a roll-up covers."""
QUARTER_US = 900_000_000
SETTLED = timedelta(minutes=30)
"""Who stores or deletes something for a time further back than this calls `spoil`."""
_SLACK = timedelta(minutes=15)
"""A quarter is rolled up so much later still: clocks of hosts differ, and transactions take a while."""
_EXTENDED = timedelta(minutes=1)
"""An observation is extended from the part before the one that is stored, which is no further back."""
_AT_ONCE = 96
"""Quarters that are read together: a busy day still fits in memory."""
_DAY = timedelta(hours=26)
_AHEAD = timedelta(days=32)
"""How far back `roll_up` looks. What is older is made when somebody asks for it."""


def spoil(session: Session, processor_ids: Collection[int], start: datetime, stop: datetime) -> None:
    """Throw away what was rolled up for start..stop (aware), in the transaction that changes what it was
    made of. A roll-up that is being made meanwhile is not stored: `Processor.late` has grown.

    Call it before any event is inserted: MariaDB locks the processor's row for those, and two that hold
    such a lock could not both go on to change the row.
    """
    if not processor_ids:
        return
    session.execute(update(Processor).where(Processor.id.in_(processor_ids)).values(late=Processor.late + 1))
    kinds = session.execute(select(Processor.id, Processor.kind).where(Processor.id.in_(processor_ids)))
    for id_, kind in kinds.all():
        gone = delete(Rollup).where(Rollup.processor_id == id_, Rollup.start > start - QUARTER - _EXTENDED)
        last = _next_count(session, id_, stop) if metric_of(kind) == "objects" else stop
        session.execute(gone if last is None else gone.where(Rollup.start <= last))


def _next_count(session: Session, processor_id: int, moment: datetime) -> datetime | None:
    """When it was next said how many are there: so long a change before it is felt. None: for ever."""
    return session.scalar(
        select(ProcessorEvent.ts)
        .where(
            ProcessorEvent.processor_id == processor_id,
            ProcessorEvent.ts > moment,
            ProcessorEvent.count.is_not(None),
            ProcessorEvent.clip_import_id.is_(None),
        )
        .order_by(ProcessorEvent.ts)
        .limit(1)
    )


def settled_until(now: datetime) -> int:
    """Where the quarters end that can be rolled up, in microseconds since 1970."""
    return floor_quarter(datetime_to_us(now - SETTLED - _SLACK))


def floor_quarter(moment: int) -> int:
    """The quarter's beginning, at or before a moment; both in microseconds since 1970."""
    return moment // QUARTER_US * QUARTER_US


def quarters(
    session: Session, engine: Engine, processor_id: int, start: int, stop: int, now: datetime
) -> dict[int, Measure]:
    """What each settled quarter in start..stop came to, by its beginning; all in microseconds since 1970.

    start and stop lie on quarters. Quarters long before anything was seen, and those that are not settled,
    are left out. What is not rolled up yet is, through `engine`.
    """
    stop = min(stop, settled_until(now))
    if start >= stop:
        return {}
    with translated():
        late = session.scalar(select(Processor.late).where(Processor.id == processor_id))
        found = stored(session, processor_id, start, stop)
        if late is None or len(found) == (stop - start) // QUARTER_US:
            return found
        start = max(start, _begin(session, processor_id, stop))
        for edges in _missing(found, start, stop):
            measures = dict(zip(edges, read(session, processor_id, edges, now).measures, strict=False))
            found |= measures
            _keep(engine, processor_id, late, measures)
    return found


def stored(session: Session, processor_id: int, start: int, stop: int) -> dict[int, Measure]:
    """The roll-ups that are there for start..stop, by their beginning."""
    rows = session.connection().execute(
        select(
            Rollup.start,
            Rollup.passes,
            Rollup.into,
            Rollup.out,
            Rollup.peak,
            Rollup.person_s,
            Rollup.observed_s,
        ).where(
            Rollup.processor_id == processor_id,
            Rollup.start >= us_to_datetime(start),
            Rollup.start < us_to_datetime(stop),
        )
    )
    return {
        datetime_to_us(row.start): Measure(
            row.passes, row.into, row.out, row.peak, round(row.person_s * 1e6), round(row.observed_s * 1e6)
        )
        for row in rows
    }


def roll_up(engine: Engine, now: datetime | None = None, limit: int = 2_000) -> int:
    """Make roll-ups ahead, for at most `limit` quarters; gives for how many. Raises StorageError."""
    now = now or datetime.now(timezone.utc)
    stop = settled_until(now)
    earliest = floor_quarter(datetime_to_us(now - _AHEAD))
    made = 0
    with translated(), Session(engine) as session:
        ids = list(session.scalars(select(Processor.id).order_by(Processor.id)))
    for id_ in ids:
        with translated(), Session(engine) as session:
            start = max(earliest, _begin(session, id_, stop))
            if _how_many(session, id_, start, stop) == (stop - start) // QUARTER_US:
                continue
            found = stored(session, id_, start, stop)
            missing = [begin for begin in range(start, stop, QUARTER_US) if begin not in found]
            # The present is asked for more often than the past.
            missing = missing[-(limit - made) :]
            if missing:
                quarters(session, engine, id_, missing[0], stop, now)
                made += len(missing)
        if made >= limit:
            break
    return made


def _how_many(session: Session, processor_id: int, start: int, stop: int) -> int:
    query = select(func.count()).where(
        Rollup.processor_id == processor_id,
        Rollup.start >= us_to_datetime(start),
        Rollup.start < us_to_datetime(stop),
    )
    return session.scalar(query) or 0


def _begin(session: Session, processor_id: int, stop: int) -> int:
    """From which quarter on there is something to roll up; `stop` where there is nothing.

    That is a day before the processor's first event or observation, so that no day is left half done.
    """
    moments = (
        session.scalar(select(func.min(model_ts)).where(model.processor_id == processor_id))
        for model, model_ts in ((ProcessorEvent, ProcessorEvent.ts), (Observation, Observation.start))
    )
    first = min((moment for moment in moments if moment is not None), default=None)
    return stop if first is None else floor_quarter(datetime_to_us(first - _DAY))


def _missing(found: Collection[int], start: int, stop: int) -> Iterator[list[int]]:
    """Quarters in start..stop that are not found, as runs of edges."""
    run: list[int] = []
    for begin in range(start, stop, QUARTER_US):
        if begin in found or len(run) > _AT_ONCE:
            if run:
                yield run
            run = []
        if begin not in found:
            run = run or [begin]
            run.append(begin + QUARTER_US)
    if run:
        yield run


def _keep(engine: Engine, processor_id: int, late: int, measures: dict[int, Measure]) -> None:
    """Store roll-ups unless something was stored late since `late` was read. Who is not let in at once
    leaves it: the next one who asks makes them again."""
    rows = [_row(processor_id, begin, measure) for begin, measure in measures.items()]
    begun = [row["start"] for row in rows]
    # Without a wait: a page must not stand behind an import that holds the row.
    locked = select(Processor.late).where(Processor.id == processor_id)
    locked = locked.with_for_update(nowait=True, key_share=True)
    try:
        with writing(engine) as session:
            if session.scalar(locked) != late:
                return
            there = set(
                session.scalars(
                    select(Rollup.start).where(
                        Rollup.processor_id == processor_id, Rollup.start.between(begun[0], begun[-1])
                    )
                )
            )
            fresh = [row for row in rows if row["start"] not in there]
            if fresh:
                session.execute(insert(Rollup), fresh)
    except StorageError as error:
        _log.info("roll-ups of processor %s are not stored: %s", processor_id, error)


def _row(processor_id: int, begin: int, measure: Measure) -> dict[str, object]:
    return {
        "processor_id": processor_id,
        "start": us_to_datetime(begin),
        "passes": measure.passes,
        "into": measure.into,
        "out": measure.out,
        "peak": measure.peak,
        "person_s": measure.person_us / 1e6,
        "observed_s": measure.observed_us / 1e6,
    }

"""What a watcher reads and writes. One transaction a part: lease, events, observations, checkpoint."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.engine import CursorResult, Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from server.clock import Clock, SystemClock
from server.domain.events import Event
from server.domain.video import datetime_to_us, us_to_datetime
from server.errors import CheckpointError
from server.media.sources import is_file
from server.models import Camera, Checkpoint, Lease, Observation, Processor, ProcessorEvent
from server.models.base import db_now_ms
from server.services.analysis import Begin, End, Extend, Outcome
from server.services.rollups import SETTLED, spoil
from server.services.states import note_state
from server.services.transactions import translated, writing
from server.watchers import lease
from server.watchers.lease import Claim, Standing
from server.watchers.plan import Plan as Plan
from server.watchers.plan import PreviewPlan as PreviewPlan
from server.watchers.plan import plan_of

CHECKPOINT_VERSION = 1
_LONGEST_REASON = 40
_OVERLAP = timedelta(seconds=5)
"""Observations that meet may overlap by less than this, such as after a correction of the clock."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint as it was stored. `watched_until_us`: wall time up to which everything is done."""

    anchor_us: int
    cursor: int
    watched_until_us: int
    source: str
    finished: bool
    analysis: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is committed at once, or held in the spool until it can be.

    `serial` grows from entry to entry of a camera, over all claims. `news`: (state, reason, since) to
    show from now on. `revision`: that of the camera's settings which it was made by. `advances`: whether
    it finishes a part that was never finished before.
    """

    serial: int
    outcome: Outcome
    saved: Saved | None
    news: tuple[str, str, datetime] | None
    revision: int
    advances: bool = True


class WatchStore:
    """The database, as one watcher uses it."""

    def __init__(self, engine: Engine, clock: Clock | None = None) -> None:
        """clock: tells by this host's wall time what may have been rolled up already. Roll-ups are made so
        much later than `rollups.SETTLED` that the clocks of hosts may differ by minutes."""
        self._engine = engine
        self._clock = clock or SystemClock()

    def plan(self, camera_id: int) -> Plan | None:
        """The camera's settings; None where it has been deleted. Raises StorageError."""
        with translated(), Session(self._engine) as session:
            camera = session.get(Camera, camera_id)
            if camera is None:
                return None
            return plan_of(session, camera)

    def checkpoint(self, camera_id: int) -> Saved | None:
        """Where the camera's last watcher got to. Raises CheckpointError for one that cannot be used."""
        with translated(), Session(self._engine) as session:
            row = session.get(Checkpoint, camera_id)
            if row is None:
                return None
            if row.version != CHECKPOINT_VERSION:
                raise CheckpointError(f"checkpoint version {row.version}, not {CHECKPOINT_VERSION}")
            try:
                state = json.loads(zlib.decompress(row.state))
                return Saved(
                    anchor_us=row.anchor_us,
                    cursor=row.cursor,
                    watched_until_us=datetime_to_us(row.watched_until),
                    source=state["source"],
                    finished=bool(state["finished"]),
                    analysis=state["analysis"],
                )
            except (zlib.error, ValueError, KeyError, TypeError) as error:
                raise CheckpointError(f"the checkpoint is damaged: {error}") from error

    def serial(self, camera_id: int) -> int:
        """The serial of the last entry that is stored; 0 where there is none. Raises StorageError."""
        with translated(), Session(self._engine) as session:
            return session.scalar(select(Checkpoint.serial).where(Checkpoint.camera_id == camera_id)) or 0

    def mark(self, held: Claim, strikes: int) -> Standing:
        """Write down how often the next part has been begun. Raises LeaseLost, StorageError."""
        with writing(self._engine) as session:
            return lease.renew(session, held, strikes=strikes)

    def commit(self, held: Claim, entries: Sequence[Entry]) -> Standing:
        """Store entries in their order, all or nothing. Raises LeaseLost, StorageError.

        A part that is finished clears the strikes against it; the one after it may have been begun.
        Events that are stored already stay as they are.
        """
        try:
            return self._commit(held, entries, fresh_only=False)
        except IntegrityError:
            # They came by another way, such as from a watcher that was taken for dead. Looking for them
            # costs a query each, so it is not done unless it has to be.
            return self._commit(held, entries, fresh_only=True)

    def _commit(self, held: Claim, entries: Sequence[Entry], *, fresh_only: bool) -> Standing:
        last = entries[-1]
        news = next((entry.news for entry in reversed(entries) if entry.news is not None), None)
        finished = any(entry.saved is not None and entry.advances for entry in entries)
        with writing(self._engine) as session:
            standing = lease.renew(session, held, news, last.revision, 1 if finished else None)
            self._spoil(session, held.camera_id, entries)
            for entry in entries:
                if entry.news is not None:
                    _note(session, held.camera_id, entry.news, held.node)
                _observe(session, held.camera_id, entry.outcome.spans)
                events = entry.outcome.events
                if fresh_only:
                    events = [event for event in events if not _is_stored(session, *event)]
                changed = standing.revision != entry.revision
                _keep_events(session, held.camera_id, events, entry.outcome.crops, changed)
            saved = next((entry.saved for entry in reversed(entries) if entry.saved is not None), None)
            if saved is not None:
                _keep_checkpoint(session, held.camera_id, saved, last.serial)
            elif last.serial:
                _keep_serial(session, held.camera_id, last.serial)
        return standing

    def counted_today(self, processor_id: int, zone: ZoneInfo, now_us: int) -> tuple[int, int, int]:
        """What a processor has counted since local midnight: passes, in and out. Raises StorageError."""
        day = us_to_datetime(now_us).astimezone(zone).date()
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        query = (
            select(ProcessorEvent.direction, func.count(), func.sum(ProcessorEvent.passes))
            .where(ProcessorEvent.processor_id == processor_id, ProcessorEvent.ts >= midnight)
            .group_by(ProcessorEvent.direction)
        )
        with translated(), Session(self._engine) as session:
            rows = session.execute(query).tuples().all()
        ways = {way: count for way, count, _ in rows}
        return sum(int(passes or 0) for *_, passes in rows), ways.get("in", 0), ways.get("out", 0)

    def not_of(self, node: str, camera_ids: Sequence[int]) -> set[int]:
        """Which of these cameras another node watches now, or have been deleted. Raises StorageError."""
        with translated(), Session(self._engine) as session:
            known = set(session.scalars(select(Camera.id).where(Camera.id.in_(camera_ids))))
            live = select(Lease.camera_id).where(Lease.expires_ms > db_now_ms(), Lease.node != node)
            elsewhere = set(session.scalars(live.where(Lease.camera_id.in_(camera_ids))))
        return elsewhere | (set(camera_ids) - known)

    def deliver_late(self, camera_id: int, entries: Sequence[Entry], node: str = "") -> int:
        """Store what a watcher saw while the database was away, though others watch the camera by now.

        Its events are added where they are not stored yet, its observations as spans of their own;
        the checkpoint is the present watcher's. A file's are let go: whoever watches it now reads it
        again from its checkpoint. node: the host that saw it. Gives the number of new events. Raises
        StorageError.
        """
        with writing(self._engine) as session:
            camera = session.get(Camera, camera_id)
            if camera is None or is_file(camera.stream_url):
                return 0
            there = set(session.scalars(select(Processor.id).where(Processor.camera_id == camera_id)))
            entries = _before_others(session, camera_id, entries)
            self._spoil(session, camera_id, entries)
            events = [event for entry in entries for event in entry.outcome.events if event[0] in there]
            crops = {event: host for entry in entries for event, host in entry.outcome.crops.items()}
            fresh = [event for event in events if not _is_stored(session, *event)]
            _keep_events(session, camera_id, fresh, crops, changed=False)
            _keep_late_spans(session, camera_id, entries, there)
            for entry in entries:
                if entry.news is not None:
                    _note(session, camera_id, entry.news, node, late=True)
        return len(fresh)

    def _spoil(self, session: Session, camera_id: int, entries: Sequence[Entry]) -> None:
        """What comes for a time that may have been rolled up: it is rolled up anew."""
        settled_us = self._clock.now_us() - SETTLED // timedelta(microseconds=1)
        late = [moment for entry in entries for moment in _moments(entry.outcome) if moment < settled_us]
        if late:
            ids = session.scalars(select(Processor.id).where(Processor.camera_id == camera_id)).all()
            spoil(session, ids, us_to_datetime(min(late)), us_to_datetime(max(late)))


def _moments(outcome: Outcome) -> Iterator[int]:
    """The times, microseconds since 1970, that an outcome says something of."""
    for _, event in outcome.events:
        yield event.ts_us
    for span in outcome.spans:
        if not isinstance(span, End):
            yield span.ts_us


def _note(
    session: Session, camera_id: int, news: tuple[str, str, datetime], node: str, *, late: bool = False
) -> None:
    state, reason, since = news
    note_state(session, camera_id, since, state, reason, node, late=late)


def _keep_events(
    session: Session,
    camera_id: int,
    events: Sequence[tuple[int, Event]],
    crops: Mapping[tuple[int, str], str],
    changed: bool,
) -> None:
    """Insert events, each with the host that keeps its picture.

    Those of a processor that has been deleted meanwhile have nowhere to go.
    """
    if events and changed:
        there = set(session.scalars(select(Processor.id).where(Processor.camera_id == camera_id)))
        events = [(id_, event) for id_, event in events if id_ in there]
    if events:
        rows = [event_row(id_, event, crops.get((id_, event.key))) for id_, event in events]
        session.execute(insert(ProcessorEvent), rows)


def event_row(processor_id: int, event: Event, crop_node: str | None) -> dict[str, object]:
    """An event as the columns of `ProcessorEvent`."""
    return {
        "processor_id": processor_id,
        "ts": us_to_datetime(event.ts_us),
        "key": event.key,
        "direction": event.direction,
        "passes": event.passes,
        "count": event.count,
        "track": event.track,
        "zone": event.zone,
        "score": event.score,
        "data": event.data or None,
        "crop_node": crop_node,
    }


def _observe(session: Session, camera_id: int, spans: Sequence[Begin | Extend | End]) -> None:
    ongoing: tuple[ColumnElement[bool], ...] = (
        Observation.camera_id == camera_id,
        Observation.ended.is_(None),
        Observation.clip_import_id.is_(None),
    )
    for span in spans:
        if isinstance(span, Extend):
            ts = us_to_datetime(span.ts_us)
            session.execute(update(Observation).where(*ongoing, Observation.stop < ts).values(stop=ts))
        elif isinstance(span, End):
            which = ongoing if span.rules is None else (*ongoing, Observation.processor_id.in_(span.rules))
            session.execute(update(Observation).where(*which).values(ended=span.reason[:_LONGEST_REASON]))
        else:
            _begin(session, camera_id, span, ongoing)


def _begin(session: Session, camera_id: int, span: Begin, ongoing: tuple[ColumnElement[bool], ...]) -> None:
    if None in span.rules:
        # A watcher that was lost without a usable checkpoint left its spans open.
        session.execute(update(Observation).where(*ongoing).values(ended="lost"))
    there = {None, *session.scalars(select(Processor.id).where(Processor.camera_id == camera_id))}
    ts = _after_others(session, camera_id, us_to_datetime(span.ts_us))
    rows = [
        {"camera_id": camera_id, "processor_id": id_, "start": ts, "stop": ts}
        for id_ in span.rules
        if id_ in there
    ]
    if rows:
        session.execute(insert(Observation), rows)


def _before_others(session: Session, camera_id: int, entries: Sequence[Entry]) -> list[Entry]:
    """The entries up to when somebody else began to watch: from then on it is theirs to tell."""
    seen = [span.ts_us for entry in entries for span in entry.outcome.spans if not isinstance(span, End)]
    if not seen:
        return list(entries)
    theirs = session.scalar(
        select(func.min(Observation.start)).where(
            Observation.camera_id == camera_id,
            Observation.clip_import_id.is_(None),
            Observation.start > us_to_datetime(seen[0]),
        )
    )
    if theirs is None:
        return list(entries)
    limit = datetime_to_us(theirs)
    return [
        entry
        for entry in entries
        if all(isinstance(span, End) or span.ts_us < limit for span in entry.outcome.spans)
        and all(event.ts_us < limit for _, event in entry.outcome.events)
        and (entry.news is None or entry.news[2] < theirs)
    ]


def _is_stored(session: Session, processor_id: int, event: Event) -> bool:
    same = (ProcessorEvent.processor_id == processor_id, ProcessorEvent.key == event.key)
    return session.scalar(select(ProcessorEvent.id).where(*same)) is not None


def _keep_late_spans(session: Session, camera_id: int, entries: Sequence[Entry], there: set[int]) -> None:
    """What the entries say was seen, as closed spans: of the camera, and of each rule that was observing."""
    start = stop = None
    rules: set[int] = set()
    for entry in entries:
        memory = entry.saved.analysis if entry.saved is not None else {}
        rules |= there & {int(id_) for id_ in memory.get("observing", ())}
        for span in entry.outcome.spans:
            if isinstance(span, Extend):
                start, stop = start if start is not None else span.ts_us, span.ts_us
    if start is None or stop is None:
        return
    ends = {"start": us_to_datetime(start), "stop": us_to_datetime(stop), "ended": "late"}
    rows = [{"camera_id": camera_id, "processor_id": id_, **ends} for id_ in (None, *sorted(rules))]
    session.execute(insert(Observation), rows)


def _keep_serial(session: Session, camera_id: int, serial: int) -> None:
    session.execute(update(Checkpoint).where(Checkpoint.camera_id == camera_id).values(serial=serial))


def _after_others(session: Session, camera_id: int, ts: datetime) -> datetime:
    """The moment, or the end of an observation that goes a little beyond it: none may overlap."""
    last = session.scalar(
        select(func.max(Observation.stop)).where(
            Observation.camera_id == camera_id,
            Observation.clip_import_id.is_(None),
            Observation.stop > ts,
            Observation.stop < ts + _OVERLAP,
        )
    )
    return max(ts, last) if last is not None else ts


def _keep_checkpoint(session: Session, camera_id: int, saved: Saved, serial: int) -> None:
    state = {"source": saved.source, "finished": saved.finished, "analysis": saved.analysis}
    values = {
        "version": CHECKPOINT_VERSION,
        "anchor_us": saved.anchor_us,
        "cursor": saved.cursor,
        "serial": serial,
        "watched_until": us_to_datetime(saved.watched_until_us),
        "state": zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 1),
    }
    done = session.execute(update(Checkpoint).where(Checkpoint.camera_id == camera_id).values(**values))
    assert isinstance(done, CursorResult)
    if done.rowcount == 0:
        session.execute(insert(Checkpoint).values(camera_id=camera_id, **values))

"""What a watcher reads and writes. One transaction a part: lease, events, observations, checkpoint."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.engine import CursorResult, Engine
from sqlalchemy.orm import Session

from server import processors
from server.domain.events import Event
from server.domain.video import datetime_to_us, us_to_datetime
from server.errors import CheckpointError, InvalidInput
from server.models import Camera, Checkpoint, Observation, Processor, ProcessorEvent
from server.services.analysis import Begin, End, Extend, Outcome, Rule
from server.services.transactions import translated, writing
from server.watchers import lease
from server.watchers.lease import Claim, Standing

CHECKPOINT_VERSION = 1
_LONGEST_REASON = 40


@dataclass(frozen=True, slots=True)
class Plan:
    """A camera's settings as a watcher works by them."""

    revision: int
    enabled: bool
    address: str
    loop: bool
    watch_fps: float
    grid: int
    rules: tuple[Rule, ...]
    unusable: tuple[str, ...]
    """Why a processor is left out: its stored settings are wrong."""

    @property
    def source(self) -> str:
        """Tells sources apart: another one starts from its beginning, not from a checkpoint."""
        return hashlib.sha256(f"{self.loop} {self.address}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint as it was stored. `watched_until_us`: wall time up to which everything is done."""

    anchor_us: int
    cursor: int
    watched_until_us: int
    source: str
    finished: bool
    analysis: dict[str, Any]


class WatchStore:
    """The database, as one watcher uses it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def plan(self, camera_id: int) -> Plan | None:
        """The camera's settings; None where it has been deleted. Raises StorageError."""
        with translated(), Session(self._engine) as session:
            camera = session.get(Camera, camera_id)
            if camera is None:
                return None
            rows = session.scalars(
                select(Processor)
                .where(Processor.camera_id == camera_id, Processor.enabled)
                .order_by(Processor.id)
            ).all()
            rules, unusable = _rules(rows)
            return Plan(
                revision=camera.revision,
                enabled=camera.enabled,
                address=camera.stream_url,
                loop=camera.loop,
                watch_fps=camera.watch_fps,
                grid=camera.detection_grid,
                rules=rules,
                unusable=unusable,
            )

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

    def commit(
        self,
        held: Claim,
        outcome: Outcome,
        saved: Saved | None,
        state: tuple[str, str, datetime] | None,
        revision: int,
    ) -> Standing:
        """Store what came of a part, all or nothing. Raises LeaseLost, StorageError."""
        with writing(self._engine) as session:
            standing = lease.renew(session, held, state, revision)
            _observe(session, held.camera_id, outcome.spans)
            _keep_events(session, held.camera_id, outcome.events, standing.revision != revision)
            if saved is not None:
                _keep_checkpoint(session, held.camera_id, saved)
        return standing


def _rules(rows: Sequence[Processor]) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    rules, unusable = [], []
    for row in rows:
        try:
            processor = processors.create(
                row.kind, zones=row.zones, lines=row.lines, options=row.options, confidence=row.confidence
            )
        except InvalidInput as error:
            unusable.append(f"processor {row.name}: {error}")
        else:
            rules.append(Rule(row.id, row.revision, processor))
    return tuple(rules), tuple(unusable)


def _keep_events(
    session: Session, camera_id: int, events: Sequence[tuple[int, Event]], changed: bool
) -> None:
    """Insert events; those of a processor that has been deleted meanwhile have nowhere to go."""
    if events and changed:
        there = set(session.scalars(select(Processor.id).where(Processor.camera_id == camera_id)))
        events = [(id_, event) for id_, event in events if id_ in there]
    if events:
        session.execute(insert(ProcessorEvent), [event_row(id_, event) for id_, event in events])


def event_row(processor_id: int, event: Event) -> dict[str, object]:
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
    }


def _observe(session: Session, camera_id: int, spans: Sequence[Begin | Extend | End]) -> None:
    ongoing: tuple[ColumnElement[bool], ...] = (
        Observation.camera_id == camera_id,
        Observation.ended.is_(None),
        Observation.clip_import_id.is_(None),
    )
    for span in spans:
        if isinstance(span, Extend):
            session.execute(update(Observation).where(*ongoing).values(stop=us_to_datetime(span.ts_us)))
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
    ts = us_to_datetime(span.ts_us)
    rows = [
        {"camera_id": camera_id, "processor_id": id_, "start": ts, "stop": ts}
        for id_ in span.rules
        if id_ in there
    ]
    if rows:
        session.execute(insert(Observation), rows)


def _keep_checkpoint(session: Session, camera_id: int, saved: Saved) -> None:
    state = {"source": saved.source, "finished": saved.finished, "analysis": saved.analysis}
    values = {
        "version": CHECKPOINT_VERSION,
        "anchor_us": saved.anchor_us,
        "cursor": saved.cursor,
        "watched_until": us_to_datetime(saved.watched_until_us),
        "state": zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 1),
    }
    done = session.execute(update(Checkpoint).where(Checkpoint.camera_id == camera_id).values(**values))
    assert isinstance(done, CursorResult)
    if done.rowcount == 0:
        session.execute(insert(Checkpoint).values(camera_id=camera_id, **values))

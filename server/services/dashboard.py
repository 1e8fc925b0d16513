"""All cameras at a glance: what is wrong, who is there, what has passed today, in a few queries for all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from flask import current_app
from sqlalchemy import select

from server.domain.video import datetime_to_us
from server.extensions import db
from server.models import CameraShot, Observation, Processor, ProcessorEvent
from server.services.live import LiveReader, Numbers
from server.services.metrics import OPEN_SPAN_GRACE, metric_of
from server.services.rights import Rights
from server.services.status import CameraStatus, camera_statuses
from server.services.today import Today, today
from server.services.transactions import translated

TROUBLE, SKIPPING, STARTING, WATCHED, ENDED, DISABLED = range(6)
"""How urgently a camera wants to be looked at, the most urgent first."""
_SKIPS = 0.05
"""Pictures a second that are left out before it is worth a word."""
_RANKS = {"watching": WATCHED, "starting": STARTING, "ended": ENDED}


@dataclass(frozen=True, slots=True)
class Rule:
    """A processor, as far as a glance needs it. `metric`: "traffic", "objects" or ""."""

    id: int
    camera_id: int
    name: str
    kind: str
    enabled: bool
    metric: str


@dataclass(frozen=True, slots=True)
class Counted:
    """What a processor says. `people`, `passed`: None where it does not count them or nobody knows."""

    rule: Rule
    people: int | None
    passed: Today | None
    last: ProcessorEvent | None


@dataclass(frozen=True, slots=True)
class Glance:
    """One camera. `people`, `passed`: of all its processors together; `last`: the newest of their events;
    `shot_us`: when its last picture was taken, microseconds since 1970."""

    status: CameraStatus
    rank: int
    skipped: float
    counted: tuple[Counted, ...]
    people: int | None
    passed: Today | None
    last: ProcessorEvent | None
    shot_us: int | None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Cameras, the most urgent first, and what they come to."""

    glances: tuple[Glance, ...]
    watched: int
    attention: int
    people: int | None
    passed: int | None


def dashboard(rights: Rights, zone: ZoneInfo, now: datetime, camera_id: int | None = None) -> Dashboard:
    """All cameras that somebody may see, or one of them. zone: whose midnight begins today.

    Needs an application context. Raises StorageError where the database is away.
    """
    statuses = [
        status
        for status in camera_statuses().values()
        if rights.sees(status.id) and camera_id in (None, status.id)
    ]
    watched = [status.id for status in statuses if status.watching]
    numbers = LiveReader.of(current_app).numbers(watched)
    rules = rules_of(rights, camera_id)
    people = people_now(rules, numbers, set(watched), now)
    passed = passed_today(rules, zone, now)
    last = last_events([rule.id for rule in rules])
    shots = _shot_times([status.id for status in statuses])
    counted: dict[int, list[Counted]] = {}
    for rule in rules:
        said = Counted(rule, people.get(rule.id), passed.get(rule.id), last.get(rule.id))
        counted.setdefault(rule.camera_id, []).append(said)
    glances = [
        _glance(status, numbers.get(status.id), counted.get(status.id, []), shots.get(status.id))
        for status in statuses
    ]
    glances.sort(key=lambda glance: (glance.rank, glance.status.name.lower()))
    return _summed(glances)


def rules_of(rights: Rights, camera_id: int | None = None) -> list[Rule]:
    """Processors that somebody may see, by name; of one camera where that is given."""
    query = (
        select(Processor.id, Processor.camera_id, Processor.name, Processor.kind, Processor.enabled)
        .where(rights.visible(Processor.camera_id))
        .order_by(Processor.name, Processor.id)
    )
    if camera_id is not None:
        query = query.where(Processor.camera_id == camera_id)
    with translated():
        rows = db.session.execute(query)
        return [
            Rule(row.id, row.camera_id, row.name, row.kind, row.enabled, metric_of(row.kind)) for row in rows
        ]


def people_now(
    rules: Sequence[Rule], numbers: Mapping[int, Numbers], watched: Collection[int], now: datetime
) -> dict[int, int]:
    """How many there are, by processor, for those that count it and whose camera is watched.

    From what the watchers post; where nothing has come from a watcher, as the database has it.
    """
    counting = [r for r in rules if r.metric == "objects" and r.enabled and r.camera_id in watched]
    found: dict[int, int] = {}
    unheard = []
    for rule in counting:
        posted = numbers.get(rule.camera_id)
        if posted is None:
            unheard.append(rule.id)
        elif rule.id in posted.occupancy:
            found[rule.id] = posted.occupancy[rule.id]
    return found | (_stored_people(unheard, now) if unheard else {})


def passed_today(rules: Sequence[Rule], zone: ZoneInfo, now: datetime) -> dict[int, Today]:
    """What has passed since midnight, by processor, for those that count it."""
    counting = [rule.id for rule in rules if rule.metric == "traffic"]
    return today(counting, zone, now) if counting else {}


def last_events(processor_ids: Sequence[int]) -> dict[int, ProcessorEvent]:
    """The newest event of each processor that has one, those of imported recordings left out."""
    if not processor_ids:
        return {}
    newest = (
        select(ProcessorEvent.id)
        .where(ProcessorEvent.processor_id == Processor.id, ProcessorEvent.clip_import_id.is_(None))
        .order_by(ProcessorEvent.ts.desc(), ProcessorEvent.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    with translated():
        ids = db.session.scalars(select(newest).select_from(Processor).where(Processor.id.in_(processor_ids)))
        wanted = [id_ for id_ in ids if id_ is not None]
        events = db.session.scalars(select(ProcessorEvent).where(ProcessorEvent.id.in_(wanted)))
        return {event.processor_id: event for event in events}


def _stored_people(processor_ids: Sequence[int], now: datetime) -> dict[int, int]:
    """Counts of the observations that go on. One that has no event yet has seen nobody."""
    count = (
        select(ProcessorEvent.count)
        .where(
            ProcessorEvent.processor_id == Observation.processor_id,
            ProcessorEvent.ts >= Observation.start,
            ProcessorEvent.count.is_not(None),
            ProcessorEvent.clip_import_id.is_(None),
        )
        .order_by(ProcessorEvent.ts.desc(), ProcessorEvent.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(Observation.processor_id, count).where(
        Observation.processor_id.in_(processor_ids),
        Observation.stop >= now - OPEN_SPAN_GRACE,
        Observation.ended.is_(None),
        Observation.clip_import_id.is_(None),
    )
    with translated():
        return {id_: int(found or 0) for id_, found in db.session.execute(query)}


def _shot_times(camera_ids: Sequence[int]) -> dict[int, int]:
    live = LiveReader.of(current_app).shot_times(camera_ids)
    lacking = [id_ for id_ in camera_ids if id_ not in live]
    if not lacking:
        return live
    with translated():
        rows = db.session.execute(
            select(CameraShot.camera_id, CameraShot.ts).where(CameraShot.camera_id.in_(lacking))
        )
        return live | {id_: datetime_to_us(ts) for id_, ts in rows}


def _glance(
    status: CameraStatus, numbers: Numbers | None, counted: Sequence[Counted], shot_us: int | None
) -> Glance:
    skipped = numbers.skipped if numbers is not None else 0.0
    there = [one.people for one in counted if one.people is not None]
    through = [one.passed for one in counted if one.passed is not None]
    events = [one.last for one in counted if one.last is not None]
    return Glance(
        status=status,
        rank=_rank(status, skipped),
        skipped=skipped,
        counted=tuple(counted),
        people=sum(there) if there else None,
        passed=_together(through) if through else None,
        last=max(events, key=lambda event: (event.ts, event.id), default=None),
        shot_us=shot_us,
    )


def _together(passed: Sequence[Today]) -> Today:
    return Today(
        sum(one.into for one in passed), sum(one.out for one in passed), sum(one.passes for one in passed)
    )


def _rank(status: CameraStatus, skipped: float) -> int:
    if not status.enabled:
        return DISABLED
    rank = _RANKS.get(status.state, TROUBLE)
    return SKIPPING if rank == WATCHED and skipped > _SKIPS else rank


def _summed(glances: Sequence[Glance]) -> Dashboard:
    people = [glance.people for glance in glances if glance.people is not None]
    passed = [glance.passed.passes for glance in glances if glance.passed is not None]
    return Dashboard(
        tuple(glances),
        sum(glance.rank in (SKIPPING, WATCHED) for glance in glances),
        sum(glance.rank in (TROUBLE, SKIPPING) for glance in glances),
        sum(people) if people else None,
        sum(passed) if passed else None,
    )

"""Roll-ups are made once, by whoever asks, and never outlive what they were made of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from server.domain.events import Event
from server.domain.video import datetime_to_us
from server.extensions import db
from server.models import Camera, Processor, ProcessorEvent, Rollup
from server.models.base import WRITE_OPTION
from server.services import clip_imports, rollups
from server.services.measures import Measure
from server.services.recordings import Entry, Report, Span
from server.services.rollups import QUARTER, SETTLED, quarters, roll_up, spoil
from server.services.transactions import writing
from tests.databases import every_database
from tests.factories import NOON, at, event, observation, processor

pytestmark = pytest.mark.usefixtures("session")
LATER = at(86_400)
HOUR_S = 3600
WHOLE_QUARTER = 900_000_000


@pytest.fixture
def door() -> Processor:
    """A door that was watched for an hour from noon on, with a pass in each quarter."""
    found = processor(name="door")
    observation(found, NOON, at(HOUR_S))
    for quarter in range(4):
        event(found, at(900 * quarter + 1), passes=1, direction="in")
    return found


def ask(of: int, start: int = 0, stop: int = HOUR_S, now: Any = LATER) -> dict[int, Measure]:
    """The quarters from `start` to `stop`, seconds after noon; by seconds after noon."""
    db.session.rollback()
    zero = datetime_to_us(NOON)
    span = zero + start * 1_000_000, zero + stop * 1_000_000
    found = quarters(db.session(), db.engine, of, *span, now)
    db.session.rollback()
    return {(begin - zero) // 1_000_000: measure for begin, measure in found.items()}


def passes(found: dict[int, Measure]) -> dict[int, int]:
    return {begin: measure.passes for begin, measure in found.items()}


def kept() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Rollup)) or 0


def add_late(session: Session, of: int, seconds: float) -> None:
    """What a watcher does that delivers something late."""
    spoil(session, [of], at(seconds), at(seconds))
    row = {"processor_id": of, "ts": at(seconds), "key": f"late {seconds}", "passes": 1}
    session.execute(insert(ProcessorEvent), [row])


@every_database
def test_a_quarter_is_made_once_and_read_afterwards(door: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(door.id)
    assert passes(found) == {0: 1, 900: 1, 1800: 1, 2700: 1}
    assert {measure.observed_us for measure in found.values()} == {WHOLE_QUARTER}
    assert kept() == 4
    monkeypatch.setattr(rollups, "read", None)
    assert ask(door.id) == found


@every_database
def test_what_is_added_late_is_in_the_next_answer_and_other_quarters_stay(door: Processor) -> None:
    ask(door.id)
    with writing() as session:
        add_late(session, door.id, 2000)
    assert kept() == 3
    assert passes(ask(door.id)) == {0: 1, 900: 1, 1800: 2, 2700: 1}
    assert kept() == 4


@every_database
def test_what_is_added_while_a_roll_up_is_made_keeps_it_from_being_stored(
    door: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = rollups.read

    def read_then_be_late(*args: Any) -> Any:
        found = original(*args)
        with writing() as session:
            add_late(session, door.id, 2000)
        return found

    monkeypatch.setattr(rollups, "read", read_then_be_late)
    assert passes(ask(door.id)) == {0: 1, 900: 1, 1800: 1, 2700: 1}
    assert kept() == 0
    monkeypatch.undo()
    assert passes(ask(door.id)) == {0: 1, 900: 1, 1800: 2, 2700: 1}
    assert kept() == 4


@contextmanager
def uncommitted(of: int) -> Iterator[None]:
    """Somebody delivers late and has not committed yet."""
    engine = db.engine.execution_options(**{WRITE_OPTION: True})
    with Session(engine) as session, session.begin():
        add_late(session, of, 2000)
        yield


@pytest.mark.parametrize("database", ["mariadb", "postgresql"], indirect=True)
def test_who_asks_does_not_wait_for_a_late_writer(door: Processor) -> None:
    of = door.id
    db.session.rollback()
    with uncommitted(of):
        assert passes(ask(of)) == {0: 1, 900: 1, 1800: 1, 2700: 1}
        assert kept() == 0
    assert passes(ask(of)) == {0: 1, 900: 1, 1800: 2, 2700: 1}


@every_database
def test_a_roll_up_that_is_stored_while_a_late_writer_begins_is_deleted_by_it(
    app: Flask, door: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the two gets the processor's row first."""
    of = door.id
    db.session.rollback()
    threads: list[threading.Thread] = []
    original = rollups._row

    def deliver() -> None:
        with app.app_context(), writing() as session:
            add_late(session, of, 2000)

    def begin_late_writer(*args: Any) -> Any:
        if not threads:
            threads.append(threading.Thread(target=deliver))
            threads[0].start()
        return original(*args)

    monkeypatch.setattr(rollups, "_row", begin_late_writer)
    ask(of)
    threads[0].join(30)
    monkeypatch.undo()
    assert kept() < 4
    assert passes(ask(of))[1800] == 2


@every_database
def test_many_who_ask_at_once_all_get_the_answer(app: Flask, door: Processor) -> None:
    of = door.id
    db.session.rollback()
    barrier = threading.Barrier(4)
    answers: list[dict[int, int]] = []

    def one() -> None:
        with app.app_context():
            barrier.wait(10)
            answers.append(passes(ask(of)))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [{0: 1, 900: 1, 1800: 1, 2700: 1}] * 4
    assert passes(ask(of)) == answers[0]
    assert kept() == 4


def test_a_quarter_is_not_rolled_up_before_late_writers_would_say_so(door: Processor) -> None:
    end = at(900)
    assert ask(door.id, now=end + SETTLED) == {}
    assert kept() == 0
    assert passes(ask(door.id, now=end + SETTLED + QUARTER)) == {0: 1}
    assert kept() == 1


def test_nothing_is_kept_for_the_time_long_before_a_processor_was_watched(door: Processor) -> None:
    found = ask(door.id, start=-40 * 86_400)
    assert len(found) == 26 * 4 + 4
    assert ask(processor().id, start=-40 * 86_400) == {}
    assert ask(4711) == {}


def test_roll_ups_are_made_ahead_the_latest_first(door: Processor) -> None:
    db.session.rollback()
    now = at(2 * 86_400)
    assert roll_up(db.engine, now, limit=10) == 10
    stored = db.session.scalars(select(Rollup.start).order_by(Rollup.start)).all()
    assert stored[-1] == now - SETTLED - 2 * QUARTER and len(stored) == 10
    made = 10
    while step := roll_up(db.engine, now, limit=100):
        made += step
    assert made == kept() == (26 + 48) * 4 - 3
    with writing() as session:
        add_late(session, door.id, 2000)
    assert roll_up(db.engine, now) == 1
    assert passes(ask(door.id))[1800] == 2


def test_of_what_is_older_than_a_month_nothing_is_made_ahead(door: Processor) -> None:
    db.session.rollback()
    assert roll_up(db.engine, NOON + timedelta(days=40), limit=10_000) == 32 * 96 - 3
    assert min(db.session.scalars(select(Rollup.start))) == NOON + timedelta(days=8)


def test_how_many_are_there_is_spoiled_up_to_when_it_is_said_next() -> None:
    room = processor("persons")
    observation(room, NOON, at(2 * HOUR_S))
    event(room, at(10), count=1)
    event(room, at(HOUR_S + 10), count=0)
    ask(room.id, stop=2 * HOUR_S)
    with writing() as session:
        spoil(session, [room.id], at(1000), at(1000))
        row = {"processor_id": room.id, "ts": at(1000), "key": "late", "passes": 0, "count": 5}
        session.execute(insert(ProcessorEvent), [row])
    found = ask(room.id, stop=2 * HOUR_S)
    assert [found[begin].peak for begin in range(0, 2 * HOUR_S, 900)] == [1, 5, 5, 5, 5, 0, 0, 0]


@every_database
def test_importing_a_recording_and_replacing_it_is_seen(door: Processor) -> None:
    of, on = door.id, door.camera_id
    ask(of, stop=2 * HOUR_S)

    def store(*seconds: float) -> None:
        db.session.rollback()
        start = datetime_to_us(at(1000))
        report = Report([Entry("door", "traffic", lines=[[[0, 0], [1, 1]]])], start, start + 60_000_000)
        report.events = [
            (0, Event(ts_us=datetime_to_us(at(when)), key=str(when), passes=1)) for when in seconds
        ]
        # Pictures are shown later than they are decoded: a span may end after the recording does.
        report.spans = [Span(0, start, start + 61_000_000)]
        clip_imports.store(on, "a.mp4", "d" * 64, report)

    store(1001, 1002)
    assert passes(ask(of)) == {0: 1, 900: 3, 1800: 1, 2700: 1}
    store(1001)
    assert passes(ask(of)) == {0: 1, 900: 2, 1800: 1, 2700: 1}
    assert db.session.get(Camera, on) is not None

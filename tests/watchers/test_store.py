"""What a watcher's transaction does beside events: roll-ups of what comes late, and counts of today."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.domain.events import Event
from server.domain.video import datetime_to_us
from server.extensions import db
from server.models import Processor, Rollup
from server.services.analysis import Begin, End, Extend, Outcome
from server.services.rollups import QUARTER, SETTLED
from server.watchers import lease
from server.watchers.lease import Claim
from server.watchers.store import Entry, WatchStore
from tests.databases import every_database
from tests.factories import NOON, at, camera, event, processor, save
from tests.watchers.harness import FastClock

pytestmark = [every_database, pytest.mark.usefixtures("session")]

NOW_US = datetime_to_us(NOON)
LONG_AGO = NOON - timedelta(hours=3)
LATELY = NOON - SETTLED + timedelta(minutes=1)


@pytest.fixture
def rules(app: Flask) -> Iterator[list[int]]:
    """Two processors of one camera and one of another, with a roll-up for each quarter of this morning."""
    mine = camera(stream_url="rtsp://127.0.0.1:1/x")
    made = [processor(on=mine), processor("persons", on=mine), processor()]
    for rule in made:
        for quarters in range(1, 25):
            save(Rollup(processor_id=rule.id, start=NOON - quarters * QUARTER, passes=9))
    ids = [rule.id for rule in made]
    yield ids


def _claim(rule: int) -> tuple[WatchStore, Claim]:
    with Session(db.engine) as session:
        row = session.get(Processor, rule)
        assert row is not None
        camera_id = row.camera_id
    db.session.rollback()
    held = lease.claim(db.engine, camera_id, "w1/1", "here", 60.0, NOW_US)
    assert held is not None
    return WatchStore(db.engine, FastClock(NOW_US)), held


def _starts(rule: int) -> set[datetime]:
    with Session(db.engine) as session:
        return set(session.scalars(select(Rollup.start).where(Rollup.processor_id == rule)))


def _late(rule: int) -> int:
    with Session(db.engine) as session:
        return session.scalars(select(Processor.late).where(Processor.id == rule)).one()


def _us(moment: datetime) -> int:
    return datetime_to_us(moment)


OUTCOMES = {
    "an event": lambda rule, ts: Outcome(events=[(rule, Event(_us(ts), "k", "out", 1))]),
    "a beginning": lambda rule, ts: Outcome(spans=[Begin(_us(ts), (None, rule))]),
    "an extension": lambda rule, ts: Outcome(spans=[Extend(_us(ts)), End("x")]),
}


@pytest.mark.parametrize("how", ["commit", "deliver_late"])
@pytest.mark.parametrize("what", list(OUTCOMES))
def test_what_comes_late_throws_its_roll_ups_away(rules: list[int], what: str, how: str) -> None:
    store, held = _claim(rules[0])
    entry = Entry(1, OUTCOMES[what](rules[0], LONG_AGO), None, None, 1)
    if how == "commit":
        store.commit(held, [entry])
    else:
        store.deliver_late(held.camera_id, [entry], "here")
    quarter = NOON - 12 * QUARTER
    assert quarter == LONG_AGO
    assert quarter not in _starts(rules[0]) | _starts(rules[1])
    assert NOON - QUARTER in _starts(rules[0]), "what comes after it is as it was"
    assert NOON - 24 * QUARTER in _starts(rules[0]) & _starts(rules[1])
    assert len(_starts(rules[2])) == 24, "another camera's"
    assert [_late(rule) > 0 for rule in rules] == [True, True, False]


@pytest.mark.parametrize("what", list(OUTCOMES))
def test_what_comes_in_time_leaves_roll_ups_alone(rules: list[int], what: str) -> None:
    store, held = _claim(rules[0])
    store.commit(held, [Entry(1, OUTCOMES[what](rules[0], LATELY), None, None, 1)])
    assert [len(_starts(rule)) for rule in rules] == [24, 24, 24]
    assert [_late(rule) for rule in rules] == [0, 0, 0]


def test_what_counts_today_begins_at_local_midnight(app: Flask) -> None:
    rule, other = processor(), processor()
    zone = ZoneInfo("America/New_York")
    midnight = datetime(NOON.year, NOON.month, NOON.day, tzinfo=zone)
    for seconds, direction in ((-1, "in"), (0, "in"), (1, "out"), (2, "out"), (3, None)):
        event(rule, midnight + timedelta(seconds=seconds), direction=direction, passes=int(not direction))
    event(other, at(0), direction="in")
    id_ = rule.id
    db.session.rollback()
    assert WatchStore(db.engine).counted_today(id_, zone, NOW_US) == (1, 1, 2)
    assert WatchStore(db.engine).counted_today(4711, zone, NOW_US) == (0, 0, 0)

"""One watcher a camera, on every database."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.domain.events import Event
from server.errors import LeaseLost
from server.extensions import db
from server.models import Checkpoint, Processor, ProcessorEvent
from server.services.analysis import Begin, Extend, Outcome
from server.watchers import lease
from server.watchers.store import Entry, Saved, WatchStore
from server.watchers.supervisor import restart
from tests.databases import every_database
from tests.factories import camera, processor
from tests.watchers.harness import START_US, expire_leases

pytestmark = [every_database, pytest.mark.usefixtures("session")]


def _claim(camera_id: int, owner: str) -> lease.Claim | None:
    return lease.claim(db.engine, camera_id, owner, "node", 10.0, START_US)


def _saved(cursor: int) -> Saved:
    return Saved(START_US, cursor, START_US, "source", False, {"a": 0.1})


def test_only_one_of_two_gets_the_camera(app: Flask) -> None:
    id_ = camera().id
    db.session.rollback()
    assert _claim(id_, "one") is not None
    assert _claim(id_, "two") is None


def test_a_camera_that_is_gone_cannot_be_claimed(app: Flask) -> None:
    assert _claim(4711, "one") is None


def test_a_watcher_that_was_given_up_stores_nothing_more(app: Flask) -> None:
    rule = processor("persons")
    id_, rule_id = rule.camera_id, rule.id
    db.session.rollback()
    old = _claim(id_, "old")
    expire_leases(db.engine)
    new = _claim(id_, "new")
    assert old is not None and new is not None and new.fence > old.fence
    store = WatchStore(db.engine)
    outcome = Outcome(events=[(rule_id, Event(START_US, "k", count=1))], spans=[Begin(START_US, (None,))])
    with pytest.raises(LeaseLost):
        store.commit(old, [Entry(1, outcome, _saved(1), None, 1)])
    with Session(db.engine) as session:
        assert session.scalars(select(ProcessorEvent)).all() == []
        assert session.get(Checkpoint, id_) is None
    lease.release(db.engine, old, "stopped", "", START_US)
    assert _claim(id_, "third") is None, "a release by the old owner must not free the new one's lease"


def test_a_part_is_stored_whole_and_read_back(app: Flask) -> None:
    rule = processor("persons")
    id_, rule_id = rule.camera_id, rule.id
    db.session.rollback()
    held = _claim(id_, "one")
    assert held is not None
    store = WatchStore(db.engine)
    outcome = Outcome(
        events=[(rule_id, Event(START_US + 250_001, "k", count=1))],
        spans=[Begin(START_US, (None, rule_id)), Extend(START_US + 500_003)],
    )
    for cursor in (45_000, 90_000):
        entry = Entry(cursor, outcome if cursor == 45_000 else Outcome(), _saved(cursor), None, 1)
        store.commit(held, [entry])
    saved = store.checkpoint(id_)
    assert saved == _saved(90_000)
    with Session(db.engine) as session:
        row = session.scalars(select(ProcessorEvent)).one()
        assert (row.ts.microsecond, row.count, row.data) == (250_001, 1, None)


def test_an_event_that_is_stored_already_is_no_trouble(app: Flask) -> None:
    rule = processor("traffic")
    id_, rule_id = rule.camera_id, rule.id
    db.session.rollback()
    held = _claim(id_, "one")
    assert held is not None
    store = WatchStore(db.engine)
    again, new = (rule_id, Event(START_US, "k")), (rule_id, Event(START_US + 1, "new"))
    store.commit(held, [Entry(1, Outcome(events=[again]), _saved(1), None, 1)])
    store.commit(held, [Entry(2, Outcome(events=[again, new]), _saved(2), None, 1)])
    assert store.checkpoint(id_) == _saved(2)
    with Session(db.engine) as session:
        assert sorted(session.scalars(select(ProcessorEvent.key))) == ["k", "new"]


def test_an_event_of_a_processor_deleted_meanwhile_is_let_go(app: Flask) -> None:
    rule = processor("persons")
    id_, rule_id = rule.camera_id, rule.id
    db.session.delete(db.session.get(Processor, rule_id))
    rule.camera.revision += 1
    db.session.commit()
    held = _claim(id_, "one")
    assert held is not None
    outcome = Outcome(
        events=[(rule_id, Event(START_US, "k", count=1))], spans=[Begin(START_US, (None, rule_id))]
    )
    WatchStore(db.engine).commit(held, [Entry(1, outcome, None, None, 1)])
    with Session(db.engine) as session:
        assert session.scalars(select(ProcessorEvent)).all() == []


def test_a_restart_drains_live_watchers(app: Flask) -> None:
    id_ = camera().id
    db.session.rollback()
    held = _claim(id_, "one")
    assert held is not None
    assert restart(db.engine) == 1
    assert WatchStore(db.engine).commit(held, [Entry(1, Outcome(), None, None, 1)]).drain

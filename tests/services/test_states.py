"""The log of states: written with the lease, read newest first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.domain.video import us_to_datetime
from server.errors import LeaseLost
from server.extensions import db
from server.models import CameraState
from server.services.analysis import Begin, Extend, Outcome
from server.services.states import note_state, state_log
from server.services.transactions import writing
from server.watchers import lease
from server.watchers.store import Entry, WatchStore
from tests.databases import every_database
from tests.factories import at, camera
from tests.walks import BrightBlocks, make_walk
from tests.watchers.harness import START_US, add_camera, expire_leases, watch

pytestmark = [every_database, pytest.mark.usefixtures("session")]


def _since(seconds: float) -> datetime:
    return us_to_datetime(START_US) + timedelta(seconds=seconds)


def _log(camera_id: int) -> list[tuple[float, str, str, str]]:
    """(seconds, state, reason, node), oldest first."""
    with Session(db.engine) as session:
        rows = session.scalars(
            select(CameraState)
            .where(CameraState.camera_id == camera_id)
            .order_by(CameraState.ts, CameraState.id)
        )
        return [((row.ts - _since(0)).total_seconds(), row.state, row.reason, row.node) for row in rows]


def test_a_watchers_whole_life_is_written_down(app: Flask, tmp_path: Path) -> None:
    clip = make_walk(tmp_path / "walk.mp4", seconds=3, walks=())
    id_ = add_camera(db.engine, clip)
    watch(db.engine, id_, tmp_path / "segments", detector=BrightBlocks(fails=4))
    told = [(state, reason) for _, state, reason, _ in _log(id_)]
    # What is shown before the first part is stored is replaced by what that part says.
    assert told == [
        ("starting", ""),
        ("blind", "out of sight"),
        ("watching", ""),
        ("ended", "the file has been played to its end"),
    ]
    assert {node for *_, node in _log(id_)} == {"here"}
    times = [seconds for seconds, *_ in _log(id_)]
    assert times == sorted(times)
    assert times[2] == pytest.approx(1.0, abs=0.3)


def test_the_same_state_is_written_once(app: Flask) -> None:
    id_ = camera().id
    db.session.rollback()
    for second, reason in enumerate(["", "", "why", "why", ""]):
        with writing() as session:
            note_state(session, id_, _since(second), "watching", reason, "here")
    assert [(seconds, reason) for seconds, _, reason, _ in _log(id_)] == [(0, ""), (2, "why"), (4, "")]


def test_a_host_whose_clock_is_behind_comes_after_the_last(app: Flask) -> None:
    id_ = camera().id
    db.session.rollback()
    with writing() as session:
        note_state(session, id_, _since(10), "watching", "", "one")
        note_state(session, id_, _since(5), "stopped", "", "other")
    assert [(seconds, state) for seconds, state, *_ in _log(id_)] == [(10, "watching"), (10, "stopped")]


def test_a_claim_a_release_and_a_lost_worker_are_written_down(app: Flask) -> None:
    id_ = camera().id
    db.session.rollback()
    first = lease.claim(db.engine, id_, "w1/1", "one", 10.0, START_US)
    assert first is not None
    store = WatchStore(db.engine)
    store.commit(first, [Entry(1, Outcome(), None, ("watching", "", _since(1)), 1)])
    expire_leases(db.engine)
    second = lease.claim(db.engine, id_, "w2/1", "two", 10.0, START_US + 20_000_000)
    assert second is not None
    lease.release(db.engine, first, "stopped", "not mine any more", START_US + 30_000_000)
    lease.release(db.engine, second, "stopped", "switched off", START_US + 40_000_000)
    assert _log(id_) == [
        (0, "starting", "", "one"),
        (1, "watching", "", "one"),
        (20, "stopped", "its worker ended without a word", "one"),
        (20, "starting", "", "two"),
        (40, "stopped", "switched off", "two"),
    ]


def test_a_refused_commit_writes_nothing_down(app: Flask) -> None:
    id_ = camera().id
    db.session.rollback()
    old = lease.claim(db.engine, id_, "w1/1", "one", 10.0, START_US)
    expire_leases(db.engine)
    assert lease.claim(db.engine, id_, "w2/1", "two", 10.0, START_US) is not None
    before = _log(id_)
    assert old is not None
    with pytest.raises(LeaseLost):
        WatchStore(db.engine).commit(old, [Entry(1, Outcome(), None, ("blind", "x", _since(1)), 1)])
    assert _log(id_) == before


def _held_back(times: Callable[[float], datetime]) -> list[Entry]:
    news = [(1.0, "watching"), (2.0, "unreachable"), (3.0, "watching"), (9.0, "blind")]
    entries = [
        Entry(number, Outcome(), None, (state, "", times(second)), 1)
        for number, (second, state) in enumerate(news, 1)
    ]
    begun = [Begin(START_US + 500_000, (None,)), Extend(START_US + 900_000)]
    return [Entry(0, Outcome(spans=begun), None, None, 1), *entries]


def test_what_was_held_back_keeps_its_own_times(app: Flask) -> None:
    id_ = camera().id
    db.session.rollback()
    held = lease.claim(db.engine, id_, "w1/1", "one", 10.0, START_US)
    assert held is not None
    WatchStore(db.engine).commit(held, _held_back(_since))
    assert [(seconds, state) for seconds, state, *_ in _log(id_)] == [
        (0, "starting"), (1, "watching"), (2, "unreachable"), (3, "watching"), (9, "blind"),
    ]  # fmt: skip


def test_what_comes_late_is_put_where_it_belongs_and_ends_where_others_began(app: Flask) -> None:
    id_ = camera(stream_url="rtsp://127.0.0.1:1/x").id
    db.session.rollback()
    lost = lease.claim(db.engine, id_, "w1/1", "one", 10.0, START_US)
    expire_leases(db.engine)
    held = lease.claim(db.engine, id_, "w2/1", "two", 10.0, START_US + 5_000_000)
    assert lost is not None and held is not None
    store = WatchStore(db.engine)
    others = Outcome(spans=[Begin(START_US + 6_000_000, (None,)), Extend(START_US + 7_000_000)])
    store.commit(held, [Entry(1, others, None, ("watching", "", _since(6)), 1)])
    store.deliver_late(id_, _held_back(_since), "one")
    assert [(seconds, state, node) for seconds, state, _, node in _log(id_)] == [
        (0, "starting", "one"), (1, "watching", "one"), (2, "unreachable", "one"), (3, "watching", "one"),
        (5, "stopped", "one"), (5, "starting", "two"), (6, "watching", "two"),
    ]  # fmt: skip


def test_the_log_is_read_page_by_page_newest_first(app: Flask) -> None:
    id_, other = camera().id, camera().id
    # Two at the same moment, and one that was stored late.
    for second in (1, 2, 2, 4, 3):
        db.session.add(CameraState(camera_id=id_, ts=at(second), state=f"s{second}", reason="", node="n"))
        db.session.commit()
    db.session.add(CameraState(camera_id=other, ts=at(9), state="other", reason="", node="n"))
    db.session.commit()
    whole = state_log(id_)
    assert [entry.ts for entry in whole] == [at(second) for second in (4, 3, 2, 2, 1)]
    assert whole[0].state == "s4" and whole[0].node == "n"
    pages, before = [], None
    while page := state_log(id_, limit=2, before_id=before):
        pages += page
        before = page[-1].id
    assert pages == whole
    assert state_log(id_, before_id=state_log(other)[0].id) == []
    assert state_log(id_, before_id=4711) == []

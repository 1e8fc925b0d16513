"""How a worker reports itself, and what it heeds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine, select, text, update
from sqlalchemy.orm import Session

from server.clock import SystemClock
from server.errors import StorageError
from server.extensions import db
from server.models import Worker
from server.models.base import db_now_ms
from server.services.fleet import WorkerStanding, lack_of_room, worker_standings
from server.services.housekeeping import forget_workers
from server.watchers import lease, stuck
from server.watchers.workers import Heartbeat, Identity, Vitals, register, report, retire
from tests.databases import every_database
from tests.factories import camera
from tests.watchers.harness import START_US

ME = Identity("w1@here", "here", "watchers.w1@here", 4)


def standing(engine: Engine) -> WorkerStanding:
    with Session(engine) as session:
        (one,) = worker_standings(session, 10.0)
    return one


def change(engine: Engine, **values: object) -> None:
    with Session(engine) as session, session.begin():
        session.execute(update(Worker).values(**values))


def await_(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


@every_database
@pytest.mark.usefixtures("session")
def test_a_worker_reports_and_is_told(app: Flask) -> None:
    register(db.engine, ME, START_US)
    assert report(db.engine, ME.name, Vitals(0.5, 1 << 33, 2), consumed=False, leaving=False) is False
    id_ = camera().id
    db.session.rollback()
    assert lease.claim(db.engine, id_, f"{ME.name}/1", "here", 10.0, START_US) is not None
    one = standing(db.engine)
    assert one.open and one.silent_ms < 10_000
    assert (one.watched, one.capacity, one.load, one.memory_bytes, one.stuck) == (1, 4, 0.5, 1 << 33, 2)

    change(db.engine, asked_ms=db_now_ms() - 5000)
    assert 5000 <= standing(db.engine).unheard_ms < 60_000
    report(db.engine, ME.name, Vitals(0, 0, 0), consumed=True, leaving=False)
    assert standing(db.engine).unheard_ms == 0

    change(db.engine, drain=True)
    assert report(db.engine, ME.name, Vitals(0, 0, 0), consumed=False, leaving=False) is True
    assert not standing(db.engine).open and standing(db.engine).alive
    register(db.engine, ME, START_US)
    assert standing(db.engine).open, "started anew, it is as new"

    retire(db.engine, ME.name)
    assert not standing(db.engine).alive
    assert report(db.engine, "nobody", Vitals(0, 0, 0), consumed=False, leaving=False) is None


@every_database
@pytest.mark.usefixtures("session")
def test_only_workers_silent_for_a_day_are_forgotten(app: Flask) -> None:
    for number, hours in enumerate((0, 23, 25)):
        register(db.engine, Identity(f"w{number}", "here", "q", 1), START_US)
        with Session(db.engine) as session, session.begin():
            beat = db_now_ms() - hours * 3_600_000
            session.execute(update(Worker).where(Worker.name == f"w{number}").values(beat_ms=beat))
    assert forget_workers(db.engine) == 1
    with Session(db.engine) as session:
        assert [one.name for one in worker_standings(session, 10.0)] == ["w0", "w1"]


def test_a_worker_says_where_its_host_answers_for_media(session: object) -> None:
    def told() -> str:
        with Session(db.engine) as session:
            return session.scalars(select(Worker.media_url)).one()

    register(db.engine, ME, START_US)
    assert told() == ""
    register(db.engine, replace(ME, media_url="http://shop-1:5000"), START_US)
    assert told() == "http://shop-1:5000"


def test_what_lacks_is_said_in_words(session: object) -> None:
    assert lack_of_room([]) == "No worker is running."
    register(db.engine, ME, START_US)
    assert lack_of_room([standing(db.engine)]) == ""
    change(db.engine, capacity=0)
    assert lack_of_room([standing(db.engine)]) == "No worker has room for it."
    change(db.engine, drain=True)
    assert lack_of_room([standing(db.engine)]) == "No worker is running."


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    made = create_engine(database)
    yield made
    made.dispose()


@pytest.fixture
def heartbeat(engine: Engine) -> Iterator[Heartbeat]:
    drained: list[str] = []
    made = Heartbeat(engine, SystemClock(), ME, 0.1, lambda: drained.append(threading.current_thread().name))
    made.drained = drained  # type: ignore[attr-defined]
    yield made
    made.end()


def test_the_heartbeat_goes_on_until_the_worker_has_ended(engine: Engine, heartbeat: Heartbeat) -> None:
    heartbeat.start()
    await_(lambda: _rows(engine) == 1)
    assert standing(engine).memory_bytes > 1_000_000 and standing(engine).node == "here"
    change(engine, beat_ms=1, asked_ms=7)
    await_(lambda: standing(engine).alive)
    assert standing(engine).unheard_ms > 0
    heartbeat.heard()
    await_(lambda: standing(engine).unheard_ms == 0)

    change(engine, drain=True)
    await_(lambda: heartbeat.drained)  # type: ignore[attr-defined]
    change(engine, beat_ms=1)
    await_(lambda: standing(engine).alive)
    assert heartbeat.drained == ["heartbeat"], "told once"  # type: ignore[attr-defined]

    heartbeat.end()
    assert not standing(engine).alive and standing(engine).drain
    assert not heartbeat._thread.is_alive()


def test_who_leaves_says_so_at_once(engine: Engine) -> None:
    heartbeat = Heartbeat(engine, SystemClock(), ME, 1000.0, lambda: None)
    heartbeat.start()
    await_(lambda: _rows(engine) == 1)
    heartbeat.leave()
    await_(lambda: standing(engine).drain, 1.5)
    heartbeat.end()
    assert heartbeat.errors == 0


def test_a_row_that_was_deleted_is_made_again(engine: Engine, heartbeat: Heartbeat) -> None:
    heartbeat.start()
    await_(lambda: _rows(engine) == 1)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM workers"))
    await_(lambda: _rows(engine) == 1)


def test_the_database_being_away_neither_ends_it_nor_leaks(
    engine: Engine, heartbeat: Heartbeat, caplog: pytest.LogCaptureFixture
) -> None:
    heartbeat.start()
    await_(lambda: _rows(engine) == 1)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE workers RENAME TO gone"))
    heartbeat.heard()
    await_(lambda: heartbeat.errors >= 3)
    before = _handles(), threading.active_count()
    failed = heartbeat.errors
    await_(lambda: heartbeat.errors >= failed + 20)
    assert (_handles(), threading.active_count()) == before
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO workers"))
    change(engine, beat_ms=1, asked_ms=7)
    await_(lambda: standing(engine).alive and standing(engine).unheard_ms == 0)
    told = [record for record in caplog.records if "cannot report itself" in record.getMessage()]
    assert len(told) == 1


def test_a_message_is_not_forgotten_when_a_report_fails(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat = Heartbeat(engine, SystemClock(), ME, 1.0, lambda: None)
    heartbeat.beat()
    change(engine, asked_ms=7)
    heartbeat.heard()

    def refuse(*args: object, **kwargs: object) -> bool:
        raise StorageError("gone")

    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr("server.watchers.workers.report", refuse)
        heartbeat.beat()
    assert standing(engine).unheard_ms > 0
    heartbeat.beat()
    assert standing(engine).unheard_ms == 0


def test_abandoned_threads_count_until_they_end() -> None:
    release = threading.Event()
    threads = [threading.Thread(target=release.wait, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert stuck.count() == 0
    for thread in threads:
        stuck.abandon(thread)
    assert stuck.count() == 3
    release.set()
    await_(lambda: stuck.count() == 0)


def _rows(engine: Engine) -> int:
    with Session(engine) as session:
        return session.query(Worker).count()


def _handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@every_database
def test_a_worker_that_starts_anew_frees_what_its_name_held_and_nothing_else(session: object) -> None:
    mine, other = camera().id, camera(name="other").id
    db.session.rollback()
    for id_, owner in ((mine, "w1@here/1"), (other, "w2@here/1")):
        assert lease.claim(db.engine, id_, owner, "here", 60.0, START_US) is not None

    def again(id_: int) -> bool:
        return lease.claim(db.engine, id_, "w3@here/1", "here", 60.0, START_US) is not None

    register(db.engine, ME, START_US)
    assert not again(mine), "it only reports itself again"
    register(db.engine, ME, START_US, anew=True)
    assert again(mine)
    assert not again(other)


def test_a_watcher_that_stores_nothing_for_long_counts_as_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stuck.count()
    stuck.progress()
    assert stuck.count() == before, "this thread is no watcher"
    with stuck.watching():
        assert stuck.count() == before
        monkeypatch.setattr(stuck, "SILENT_SECONDS", -1.0)
        assert stuck.count() == before + 1
    assert stuck.count() == before

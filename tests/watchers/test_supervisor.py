"""What the reconciler asks of whom, on every database."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session

from server.errors import BrokerError, StorageError
from server.extensions import db
from server.models import Camera, Lease, Worker
from server.models.base import db_now_ms
from server.services.fleet import WorkerStanding, worker_standings
from server.services.status import camera_statuses
from server.watchers import lease
from server.watchers.supervisor import (
    DEAF_AFTER,
    HEAR_EVERY,
    PATIENCE,
    Supervisor,
    choose,
    progress,
    restart,
    unwatched,
)
from server.watchers.workers import Identity, Vitals, is_wanted, register, report
from tests.databases import every_database
from tests.factories import camera
from tests.watchers.harness import START_US, FastClock, expire_leases

pytestmark = [every_database, pytest.mark.usefixtures("session")]
LEASE = 10.0


class Post:
    """Keeps the messages; `away`: Redis takes none."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.heard: list[str] = []
        self.until: dict[int, int] = {}
        self.away = False

    def watch(self, queue: str, camera_id: int, until_ms: int) -> None:
        self._go()
        self.asked.append((queue, camera_id))
        self.until[camera_id] = until_ms

    def hear(self, queue: str) -> None:
        self._go()
        self.heard.append(queue)

    def sweep(self) -> None:
        self._go()

    def _go(self) -> None:
        if self.away:
            raise BrokerError("Redis does not answer: refused")


@pytest.fixture
def clock() -> FastClock:
    return FastClock()


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def supervisor(app: Flask, clock: FastClock, post: Post) -> Supervisor:
    return Supervisor(db.engine, clock, LEASE, post)


def add_worker(name: str, capacity: int = 4, load: float = 0.0, **change: Any) -> str:
    """A worker that has just reported itself; gives its queue."""
    queue = f"watchers.{name}"
    register(db.engine, Identity(name, "here", queue, capacity), START_US)
    report(db.engine, name, Vitals(load, 1, 0), consumed=False, leaving=False)
    if change:
        set_worker(name, **change)
    return queue


def set_worker(name: str, **change: Any) -> None:
    with Session(db.engine) as session, session.begin():
        session.execute(update(Worker).where(Worker.name == name).values(**change))


def worker(name: str) -> WorkerStanding:
    with Session(db.engine) as session:
        return {one.name: one for one in worker_standings(session, LEASE)}[name]


def cameras(count: int) -> list[int]:
    ids = [camera().id for _ in range(count)]
    db.session.rollback()
    return ids


def claim(camera_id: int, name: str) -> lease.Claim:
    held = lease.claim(db.engine, camera_id, f"{name}/{camera_id}", "here", LEASE, START_US)
    assert held is not None
    return held


def reason(camera_id: int) -> str:
    db.session.rollback()
    return camera_statuses()[camera_id].reason


def test_it_asks_for_what_should_run_and_does_not(supervisor: Supervisor, post: Post) -> None:
    missing, held, ended = cameras(3)
    camera(enabled=False)
    db.session.rollback()
    queue = add_worker("w1")
    claim(held, "w1")
    lease.release(db.engine, claim(ended, "w1"), lease.ENDED, "", START_US)
    with Session(db.engine) as session, session.begin():
        session.get_one(Lease, ended).revision = session.get_one(Camera, ended).revision
    assert supervisor.look() == [missing]
    assert supervisor.look() == [], "the worker has some time to take it up"
    assert post.asked == [(queue, missing)]
    with Session(db.engine) as session, session.begin():
        session.get_one(Lease, ended).revision = 0
    assert unwatched(db.engine) == [missing, ended], "a changed camera starts again"


def test_shares_are_kept_equal_then_loads(supervisor: Supervisor, post: Post) -> None:
    large, small, busy = add_worker("a", 8), add_worker("b", 2), add_worker("c", 2, load=5.0)
    ids = cameras(6)
    assert supervisor.look() == ids
    assert [queue for queue, _ in post.asked] == [large, small, busy, large, large, large]


def test_what_is_asked_for_and_not_taken_up_counts(supervisor: Supervisor, post: Post) -> None:
    add_worker("a", 2)
    ids = cameras(3)
    assert supervisor.look() == ids[:2]
    claim(ids[0], "a")
    assert supervisor.look() == [], "one held, one promised"
    assert reason(ids[2]) == "No worker has taken it yet."
    claim(ids[1], "a")
    assert supervisor.look() == []
    assert reason(ids[2]) == "No worker has room for it."


def test_a_camera_that_is_not_taken_up_goes_elsewhere(
    supervisor: Supervisor, post: Post, clock: FastClock
) -> None:
    first, second = add_worker("a", 8), add_worker("b", 2, load=9.0)
    (id_,) = cameras(1)
    supervisor.look()
    clock.advance(PATIENCE - 0.1)
    supervisor.look()
    assert post.asked == [(first, id_)]
    clock.advance(0.2)
    supervisor.look()
    assert post.asked[1:] == [(second, id_)]
    set_worker("b", drain=True)
    supervisor.look()
    assert post.asked[2:] == [(first, id_)], "who drains is not waited for"


@pytest.mark.parametrize("change", [{"drain": True}, {"beat_ms": 1}, {"capacity": 0}], ids=str)
def test_who_cannot_take_it_is_not_asked(
    supervisor: Supervisor, post: Post, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    add_worker("a", **change)
    (id_,) = cameras(1)
    assert supervisor.look() == [] and supervisor.look() == []
    words = "No worker has room for it." if "capacity" in change else "No worker is running."
    assert reason(id_) == words
    assert [record.getMessage() for record in caplog.records if words in record.getMessage()] == [
        f"1 cameras are not watched: {words}"
    ], "said once"
    add_worker("b")
    assert supervisor.look() == [id_]
    assert reason(id_) == "No worker has taken it yet."


def test_a_message_is_void_after_a_while(supervisor: Supervisor, post: Post) -> None:
    add_worker("a")
    (id_,) = cameras(1)
    supervisor.look()
    now_ms = post.until[id_] - int(PATIENCE * 1000)
    assert is_wanted(db.engine, id_, post.until[id_])
    assert not is_wanted(db.engine, id_, now_ms - 1), "too late"
    assert not is_wanted(db.engine, 4711, post.until[id_]), "deleted"
    held = claim(id_, "a")
    assert not is_wanted(db.engine, id_, post.until[id_]), "held"
    lease.release(db.engine, held, lease.STOPPED, "", START_US)
    assert is_wanted(db.engine, id_, post.until[id_])
    with Session(db.engine) as session, session.begin():
        session.get_one(Camera, id_).enabled = False
    assert not is_wanted(db.engine, id_, post.until[id_]), "disabled"


def test_two_reconcilers_give_a_camera_one_watcher(app: Flask, clock: FastClock) -> None:
    add_worker("a")
    ids = cameras(2)
    posts = Post(), Post()
    for one in posts:
        Supervisor(db.engine, clock, LEASE, one).look()
    assert [camera_id for one in posts for _, camera_id in one.asked] == ids * 2
    claims = [lease.claim(db.engine, id_, f"a/{n}", "here", LEASE, START_US) for n in (1, 2) for id_ in ids]
    assert [claim is not None for claim in claims] == [True, True, False, False]


def test_after_an_outage_holders_may_renew_before_others_are_asked(
    supervisor: Supervisor, post: Post, clock: FastClock
) -> None:
    add_worker("a")
    old, held, new = cameras(3)
    claim(old, "a")
    expire_leases(db.engine)
    claim(held, "a")
    assert supervisor.look() == [old, new]
    # The lease ran out after the last look, while the database did not answer.
    clock.advance(60)
    with Session(db.engine) as session, session.begin():
        session.execute(update(Lease).where(Lease.camera_id == held).values(expires_ms=db_now_ms()))
        session.execute(update(Lease).where(Lease.camera_id == old).values(expires_ms=1))
    assert supervisor.look() == [old, new]
    for _ in range(int(LEASE) - 1):
        clock.advance(1)
        supervisor.look()
    assert held not in [id_ for _, id_ in post.asked]
    clock.advance(1)
    assert held in supervisor.look()


def test_a_worker_that_consumes_nothing_while_redis_answers_is_told_to_end(
    supervisor: Supervisor, post: Post, clock: FastClock
) -> None:
    deaf, well = add_worker("deaf"), add_worker("well")
    for _ in range(int(DEAF_AFTER / HEAR_EVERY)):
        supervisor.look()
        set_worker("well", asked_ms=0)
        clock.advance(HEAR_EVERY / 2)
        supervisor.look()
        clock.advance(HEAR_EVERY / 2)
    assert post.heard == [deaf, well] * 3
    assert not worker("deaf").drain, "the database's time has not passed yet"
    set_worker("deaf", asked_ms=db_now_ms() - int(DEAF_AFTER * 1000) - 1)
    supervisor.look()
    assert worker("deaf").drain and not worker("well").drain


def test_while_redis_is_away_nobody_is_called_deaf(
    supervisor: Supervisor, post: Post, clock: FastClock
) -> None:
    add_worker("a")
    supervisor.look()
    set_worker("a", asked_ms=1)
    post.away = True
    for _ in range(5):
        clock.advance(HEAR_EVERY)
        with pytest.raises(BrokerError):
            supervisor.look()
    post.away = False
    clock.advance(HEAR_EVERY)
    supervisor.look()
    clock.advance(DEAF_AFTER - 1)
    supervisor.look()
    assert not worker("a").drain
    clock.advance(1)
    supervisor.look()
    assert worker("a").drain


def test_neither_redis_nor_the_database_ends_it(
    supervisor: Supervisor, post: Post, clock: FastClock, caplog: pytest.LogCaptureFixture
) -> None:
    add_worker("a")
    (id_,) = cameras(1)
    stop = threading.Event()
    looks = 0
    look = supervisor.look

    def hooked() -> list[int]:
        nonlocal looks
        looks += 1
        post.away = looks < 3
        if looks == 4:
            raise StorageError("the database does not answer: gone")
        if looks == 6:
            stop.set()
        return look()

    supervisor.look = hooked  # type: ignore[method-assign]
    supervisor.run(stop)
    assert (looks, supervisor.errors) == (6, 3)
    assert [camera_id for _, camera_id in post.asked] == [id_]
    assert sum("cannot reconcile" in record.getMessage() for record in caplog.records) == 2


def test_a_restart_drains_live_watchers_and_is_followed(app: Flask) -> None:
    one, two = cameras(2)
    held = claim(one, "a")
    assert progress(db.engine) == (1, 1)
    assert restart(db.engine) == 1
    assert progress(db.engine) == (0, 2)
    lease.release(db.engine, held, lease.STOPPED, "", START_US)
    claim(one, "a")
    claim(two, "a")
    assert progress(db.engine) == (2, 0)


def test_nobody_is_chosen_among_none(app: Flask) -> None:
    assert choose([], {}, None) is None

"""Two real workers, a real reconciler and a private Redis: who is killed, and what comes back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from server.models import Camera, Worker
from server.models.base import db_now_ms
from tests.clips import make_clip
from tests.databases import migrate
from tests.fleet import Fleet, await_, spread
from tests.servers import MariaDb, PostgreSql, PrivateServer

UP = 40.0
"""Seconds in which processes are up, on a busy machine."""


@pytest.fixture
def fleet(instance: Path, database: str, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    with Fleet(instance, database, getattr(request, "param", 4.0)) as made:
        yield made


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=60, fps=10, gop=10)


@pytest.mark.parametrize("fleet", [10.0], ids=["usual leases"], indirect=True)
def test_a_killed_workers_cameras_are_watched_again_and_none_twice(fleet: Fleet, clip: Path) -> None:
    ids = fleet.add_cameras(clip, 6)
    fleet.redis()
    workers = {name: fleet.worker(name, "-c", "6") for name in ("w1", "w2")}
    await_(lambda: len(fleet.workers()) == 2, UP, fleet.logs)
    fleet.reconciler()
    await_(lambda: fleet.watching(ids), UP, fleet.logs)
    before = fleet.held()
    assert spread(before) == {"w1@here": 3, "w2@here": 3}, "shares are kept equal"

    os.killpg(workers["w1"].pid, signal.SIGKILL)
    lost = [id_ for id_, (worker, _, _) in before.items() if worker == "w1@here"]
    took = await_(
        lambda: all(fleet.held().get(id_, ("", 0, ""))[1] > before[id_][1] for id_ in lost), UP, fleet.logs
    )
    await_(lambda: fleet.watching(ids), UP, fleet.logs)
    after = fleet.held()
    assert took < 15
    assert spread(after) == {"w2@here": 6}
    # A fence one higher: claimed once, not by two in turn.
    assert {id_: after[id_][1] - before[id_][1] for id_ in ids} == {id_: int(id_ in lost) for id_ in ids}

    # Full to the last place, it still hears.
    with Session(fleet.engine) as session, session.begin():
        session.execute(update(Worker).where(Worker.name == "w2@here").values(asked_ms=db_now_ms()))
    fleet.send("hear", worker="w2")
    await_(lambda: fleet.workers()["w2@here"].asked_ms == 0, 8, fleet.logs)

    began = time.monotonic()
    os.kill(workers["w2"].pid, signal.SIGTERM)
    assert workers["w2"].wait(10) == 0
    assert time.monotonic() - began < 5
    assert fleet.held() == {}, "every lease is let go"
    row = fleet.workers()["w2@here"]
    assert row.drain and row.beat_ms == 0


def test_running_watchers_do_not_notice_that_redis_is_away_or_comes_back_empty(
    fleet: Fleet, clip: Path
) -> None:
    ids = fleet.add_cameras(clip, 2)
    redis = fleet.redis()
    fleet.worker("w1", "-c", "4")
    fleet.reconciler()
    await_(lambda: fleet.watching(ids), UP, fleet.logs)
    before = fleet.held()

    redis.kill()
    redis.wait(10)
    (late,) = fleet.add_cameras(clip, 1)
    await_(lambda: "cannot reconcile: Redis does not answer" in fleet.log("reconcile"), 20, fleet.logs)
    assert fleet.held() == before

    fleet.redis()
    await_(lambda: fleet.watching([*ids, late]), UP, fleet.logs)
    after = fleet.held()
    assert {id_: after[id_] for id_ in ids} == before, "the same watchers all the time"
    assert "Traceback" not in fleet.log("reconcile")


def test_cameras_that_should_not_run_are_stopped(fleet: Fleet, clip: Path, tmp_path: Path) -> None:
    disabled, deleted = fleet.add_cameras(clip, 2)
    (unreachable,) = fleet.add_cameras(tmp_path / "none.mp4", 1)
    fleet.redis()
    fleet.worker("w1", "-c", "3")
    fleet.reconciler()
    await_(lambda: fleet.watching([disabled, deleted]), UP, fleet.logs)
    await_(lambda: fleet.held().get(unreachable, ("", 0, ""))[2] == "unreachable", UP, fleet.logs)
    with Session(fleet.engine) as session, session.begin():
        camera = session.get_one(Camera, disabled)
        camera.enabled = False
        camera.revision += 1
        for id_ in (deleted, unreachable):
            session.delete(session.get_one(Camera, id_))
    await_(lambda: fleet.held() == {}, 10, fleet.logs)
    # Their places are free again.
    ids = fleet.add_cameras(clip, 3)
    await_(lambda: fleet.watching(ids), UP, fleet.logs)
    assert "Traceback" not in fleet.log("w1"), fleet.log("w1")


@pytest.mark.parametrize("kind", [MariaDb, PostgreSql])
def test_watchers_and_workers_live_on_when_the_database_was_away(
    instance: Path, clip: Path, kind: type[PrivateServer]
) -> None:
    with kind() as server:
        migrate(instance, server.address)
        with Fleet(instance, server.address) as fleet:
            ids = fleet.add_cameras(clip, 2)
            fleet.redis()
            worker = fleet.worker("w1", "-c", "3")
            reconciler = fleet.reconciler()
            await_(lambda: fleet.watching(ids), UP, fleet.logs)
            before = fleet.held()

            server.stop()
            await_(lambda: "cannot report itself" in fleet.log("w1"), 20, fleet.logs)
            # Longer than leases last; nothing else shows that the time has passed.
            time.sleep(6)
            server.start()
            (late,) = fleet.add_cameras(clip, 1)
            await_(lambda: fleet.watching([*ids, late]), UP, fleet.logs)
            after = fleet.held()
            assert {id_: after[id_] for id_ in ids} == before, "renewed, and nobody else was asked"
            assert worker.poll() is None and reconciler.poll() is None
            for name in ("w1", "reconcile"):
                assert "Traceback" not in fleet.log(name), fleet.log(name)

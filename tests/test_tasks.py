"""Real Celery workers over a private Redis: which queues they consume, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from server.config import PROJECT_DIR
from server.models import Worker
from server.watchers import process
from tests.clips import make_clip
from tests.fleet import CELERY, Fleet, await_

UP = 40.0
NEVER = 1 << 60
"""In the database's milliseconds."""


@pytest.fixture
def fleet(instance: Path, database: str) -> Iterator[Fleet]:
    with Fleet(instance, database) as made:
        made.redis()
        yield made


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=60, fps=10, gop=10)


def queues(fleet: Fleet, name: str) -> list[str]:
    """What a worker says it consumes, in its banner."""
    banner = fleet.log(name).partition("[queues]")[2].partition("[tasks]")[0]
    return [line.split()[1] for line in banner.splitlines() if line.strip().startswith(".>")]


def ready(fleet: Fleet, name: str) -> bool:
    return f"{name}@here ready" in fleet.log(name)


def test_a_worker_without_queues_watches_and_one_for_jobs_does_not(fleet: Fleet, clip: Path) -> None:
    watching = fleet.worker("w1", WORKER_CONCURRENCY="3")
    jobs = fleet.worker("jobs", "-Q", "jobs", "-c", "1")
    await_(lambda: ready(fleet, "w1") and ready(fleet, "jobs"), UP, fleet.logs)
    await_(fleet.workers, 10, fleet.logs)
    (row,) = fleet.workers().values()
    assert (row.name, row.queue, row.capacity) == ("w1@here", "watchers.w1@here", 3)
    assert queues(fleet, "w1") == ["watchers.w1@here"] and queues(fleet, "jobs") == ["jobs"]

    ids = fleet.add_cameras(clip, 4)
    fleet.reconciler()
    await_(lambda: fleet.watching(ids[:3]), UP, fleet.logs)
    # Short jobs do not wait behind watchers: the sweep has run.
    await_(lambda: "hypersight.sweep" in fleet.log("jobs"), 10, fleet.logs)
    assert len(fleet.held()) == 3
    for one in (watching, jobs):
        one.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert (watching.wait(10), jobs.wait(10)) == (0, 0)
    assert time.monotonic() - began < 5
    assert fleet.held() == {}


def test_celery_multi_starts_workers_with_queues_of_their_own(fleet: Fleet) -> None:
    """As the installation guides of old call it, --autoscale and all."""
    common = (f"--pidfile={fleet.instance}/%n.pid", f"--logfile={fleet.instance}/%n.log")
    environment = os.environ | fleet.environment | {"WORKER_CONCURRENCY": "5"}

    def multi(*words: str) -> None:
        command = (sys.executable, "-m", *CELERY, "multi", words[0], "w1", "w2", *common, *words[1:])
        done = subprocess.run(
            command, cwd=PROJECT_DIR, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr

    multi("start", "--loglevel=INFO", "--autoscale=10000,1")
    try:
        await_(lambda: len(fleet.workers()) == 2, UP, lambda: fleet.log("w1"))
        rows = fleet.workers()
        assert sorted(name.partition("@")[0] for name in rows) == ["w1", "w2"]
        assert [row.queue for row in rows.values()] == [f"watchers.{name}" for name in rows]
        assert {row.capacity for row in rows.values()} == {5}
    finally:
        multi("stopwait")
    assert all(row.beat_ms == 0 for row in fleet.workers().values()), "each has said that it ended"


@pytest.mark.parametrize("group", [False, True], ids=["the worker", "its whole group"])
def test_a_prefork_worker_drains_at_sigterm(fleet: Fleet, clip: Path, group: bool) -> None:
    ids = fleet.add_cameras(clip, 2)
    worker = fleet.worker("w1", "-c", "2", WORKER_POOL="prefork")
    fleet.reconciler()
    await_(lambda: fleet.watching(ids), UP, fleet.logs)
    assert fleet.workers()["w1@here"].capacity == 2
    began = time.monotonic()
    (os.killpg if group else os.kill)(worker.pid, signal.SIGTERM)
    assert worker.wait(15) == 0, fleet.log("w1")
    assert time.monotonic() - began < 5
    assert fleet.held() == {}, "let go, not run out"
    assert "Traceback" not in fleet.log("w1"), fleet.log("w1")


def test_a_worker_told_to_drain_ends_so_that_it_is_started_again(fleet: Fleet, clip: Path) -> None:
    ids = fleet.add_cameras(clip, 2)
    worker = fleet.worker("w1", "-c", "2")
    fleet.reconciler()
    await_(lambda: fleet.watching(ids), UP, fleet.logs)
    with Session(fleet.engine) as session, session.begin():
        session.execute(update(Worker).values(drain=True))
    assert worker.wait(15) == process.AGAIN, fleet.log("w1")
    assert fleet.held() == {}
    assert "no longer consumes" in fleet.log("w1")
    fleet.worker("w1", "-c", "2")
    await_(lambda: fleet.watching(ids), UP, fleet.logs)


def test_messages_too_many_or_too_late_do_nothing(fleet: Fleet, clip: Path) -> None:
    ids = fleet.add_cameras(clip, 3)
    worker = fleet.worker("w1", "-c", "1")
    await_(fleet.workers, UP, fleet.logs)
    for done, message in enumerate([(ids[0], 1), (4711, NEVER)], 1):
        fleet.send("watch", *message)
        await_(lambda done=done: fleet.log("w1").count("succeeded") == done, 10, fleet.logs)
    assert fleet.held() == {}
    fleet.send("watch", ids[1], NEVER)
    await_(lambda: fleet.watching([ids[1]]), UP, fleet.logs)
    for id_ in ids[1:]:
        fleet.send("watch", id_, NEVER)
    await_(lambda: fleet.log("w1").count("no room") == 2, 10, fleet.logs)
    assert set(fleet.held()) == {ids[1]}
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert "Traceback" not in fleet.log("w1"), fleet.log("w1")

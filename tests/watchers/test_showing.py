"""A real worker, of either pool, shows its cameras over a real Redis, and their last pictures stay."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.models import CameraShot, CameraState
from server.services.live import LiveReader
from tests.clips import make_clip
from tests.fleet import Fleet, await_

UP = 40.0
"""Seconds in which processes are up, on a busy machine."""


@pytest.fixture
def fleet(instance: Path, database: str) -> Iterator[Fleet]:
    with Fleet(instance, database) as made:
        yield made


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_cameras_are_shown_while_they_are_watched_and_stay_in_sight(
    fleet: Fleet, tmp_path: Path, pool: str
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=60, fps=10, gop=10)
    ids = fleet.add_cameras(clip, 2)
    redis = fleet.redis()
    worker = fleet.worker("w1", "-c", "2", WORKER_POOL=pool, CROPS_KEEP_DAYS="3")
    fleet.reconciler()
    reader = LiveReader(fleet.environment["REDIS_URL"])

    def shown() -> bool:
        numbers = reader.numbers(ids)
        return len(numbers) == 2 and all(one.frames_in > 5 for one in numbers.values())

    await_(shown, 2 * UP, fleet.logs)
    first = reader.shot_times(ids)
    assert set(first) == set(ids)
    await_(lambda: all(ts > first[id_] for id_, ts in reader.shot_times(ids).items()), UP, fleet.logs)

    redis.kill()
    redis.wait(10)
    fleet.redis()
    await_(
        lambda: LiveReader(fleet.environment["REDIS_URL"]).shot_times(ids).keys() == set(ids), UP, fleet.logs
    )

    last = LiveReader(fleet.environment["REDIS_URL"]).shot_times(ids)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(20) == 0
    with Session(fleet.engine) as session:
        shots = {row.camera_id: row for row in session.scalars(select(CameraShot))}
        states = session.scalars(select(CameraState).order_by(CameraState.id)).all()
    assert set(shots) == set(ids)
    assert all(int(shots[id_].ts.timestamp() * 1e6) >= last[id_] for id_ in ids)
    for id_ in ids:
        told = [row.state for row in states if row.camera_id == id_]
        assert told[0] == "starting" and "watching" in told and told[-1] == "stopped"

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

from server.models import Worker
from tests.clips import make_clip
from tests.fleet import Fleet, await_, spread

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
        session.execute(update(Worker).where(Worker.name == "w2@here").values(asked_ms=1))
    await_(lambda: fleet.workers()["w2@here"].asked_ms == 0, 15, fleet.logs)

    began = time.monotonic()
    os.kill(workers["w2"].pid, signal.SIGTERM)
    assert workers["w2"].wait(10) == 0
    assert time.monotonic() - began < 5
    assert fleet.held() == {}, "every lease is let go"
    row = fleet.workers()["w2@here"]
    assert row.drain and row.beat_ms == 0

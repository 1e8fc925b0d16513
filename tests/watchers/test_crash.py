"""kill -9 at every part: the events and the observations are those of an unbroken run."""

from __future__ import annotations

import multiprocessing
import signal
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from tests.walks import SECONDS, make_walk
from tests.watchers.harness import START_US, add_camera, events, expire_leases, spans, victim, watch

_PARTS = SECONDS * 2


@pytest.fixture
def engine(database: str) -> Engine:
    return create_engine(database)


@pytest.mark.parametrize("inside", [False, True], ids=["after a commit", "inside a transaction"])
def test_a_watcher_killed_at_every_part_stores_what_an_unbroken_one_does(
    engine: Engine, database: str, tmp_path: Path, inside: bool
) -> None:
    clip = make_walk(tmp_path / "walk.mp4")
    unbroken, broken = (add_camera(engine, clip, name=name) for name in ("unbroken", "broken"))
    watch(engine, unbroken, tmp_path / "segments")

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.watchers.harness"])
    kills, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        assert kills < 2 * _PARTS, "it does not get on"
        now_us = START_US + kills * 700_000
        child = context.Process(target=victim, args=(database, broken, tmp_path / "segments", now_us, inside))
        child.start()
        child.join(60)
        assert child.exitcode is not None
        code = child.exitcode
        kills += 1
        expire_leases(engine)

    assert code == 0
    assert kills >= _PARTS - 2, "not every part was the last one before a kill"
    assert len(events(engine, unbroken)) >= 8
    assert events(engine, broken) == events(engine, unbroken)
    assert spans(engine, broken) == spans(engine, unbroken)

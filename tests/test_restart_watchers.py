"""`python restart_watchers.py`, as somebody calls it after a reboot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.config import PROJECT_DIR
from tests.clips import make_clip
from tests.fleet import Fleet, await_

UP = 40.0


@pytest.fixture
def fleet(instance: Path, database: str) -> Iterator[Fleet]:
    with Fleet(instance, database) as made:
        yield made


def restart(fleet: Fleet, *arguments: str, **env: str) -> tuple[int, str]:
    """Exit code and everything it said."""
    done = subprocess.run(
        (sys.executable, "restart_watchers.py", *arguments),
        cwd=PROJECT_DIR,
        env=os.environ | fleet.environment | env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_it_ends_every_watcher_and_waits_for_the_next(fleet: Fleet, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=60, fps=10, gop=10)
    ids = fleet.add_cameras(clip, 2)
    fleet.redis()
    fleet.worker("w1", "-c", "2")
    await_(fleet.workers, UP, fleet.logs)
    code, said = restart(fleet)
    assert code == 0, said + fleet.logs()
    assert "0 watchers were told to end" in said and "2 of 2 cameras are watched" in said
    first = fleet.held()

    code, said = restart(fleet)
    assert code == 0, said + fleet.logs()
    assert "2 watchers were told to end" in said and "2 of 2 cameras are watched" in said
    assert all(fleet.held()[id_][1] == first[id_][1] + 1 for id_ in ids), "each is watched anew, once"

    fleet.add_cameras(clip, 1)
    code, said = restart(fleet, "--wait", "3")
    assert code == 1
    assert "2 of 3 cameras are watched" in said and "No worker has room" in said


def test_without_a_worker_it_says_so(fleet: Fleet, tmp_path: Path) -> None:
    fleet.redis()
    fleet.add_cameras(tmp_path / "clip.mp4", 1)
    code, said = restart(fleet, "--wait", "0")
    assert code == 1 and "0 of 1 cameras are watched" in said and "No worker is running" in said


def test_without_redis_nobody_is_ended(fleet: Fleet, tmp_path: Path) -> None:
    fleet.add_cameras(tmp_path / "clip.mp4", 1)
    code, said = restart(fleet, REDIS_URL=f"redis://joe:secret@127.0.0.1:{fleet.redis_port}/0")
    assert code == 1 and "Redis does not answer" in said
    assert "told to end" not in said and "secret" not in said


def test_without_the_database_it_says_so(fleet: Fleet) -> None:
    fleet.redis()
    address = f"mysql+pymysql://joe:secret@127.0.0.1:{fleet.redis_port + 1}/x"
    code, said = restart(fleet, SQLALCHEMY_DATABASE_URI=address)
    assert code == 1 and "the database does not answer" in said and "secret" not in said


def test_on_a_database_without_tables_it_says_what_to_do(fleet: Fleet, tmp_path: Path) -> None:
    fleet.redis()
    code, said = restart(fleet, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'empty.db'}")
    assert code == 1 and "db upgrade" in said

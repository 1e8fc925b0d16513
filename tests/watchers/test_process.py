"""A worker process whose own end hangs is cut off."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from server.clock import SystemClock
from server.config import PROJECT_DIR, load_settings
from server.watchers.process import WatchingProcess

_HANGS = """
import sys, threading, time
from pathlib import Path
from celery.worker import state
from server.clock import SystemClock
from server.config import load_settings
from server.watchers import process

class Request:
    pass

watcher = Request()
if sys.argv[2] == "busy":
    state.active_requests.add(watcher)
process.LAST_SECONDS, process.IDLE_SECONDS = 1.0, 0.3
ours = process.WatchingProcess(load_settings(Path(sys.argv[1]), {}), SystemClock())
threading.Thread(target=ours._see_to_the_end, daemon=True).start()
if sys.argv[2] == "told to drain":
    ours._on_drain()
ours.leave()
ours.leave()
time.sleep(30)
"""


@pytest.mark.parametrize("case, code", [("idle", 0), ("busy", 1), ("told to drain", 1)])
def test_a_worker_that_does_not_end_is_cut_off(instance: Path, case: str, code: int) -> None:
    command = (sys.executable, "-c", _HANGS, str(instance), case)
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, timeout=20)
    assert done.returncode == code, done.stderr
    assert ("with 1 watchers" in done.stderr) is (case == "busy"), done.stderr


@pytest.mark.parametrize("queues, warned", [(["jobs"], False), (["watchers"], True)])
def test_who_is_given_a_queue_does_not_watch_and_is_warned_of_an_idle_one(
    instance: Path, queues: list[str], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    ours = WatchingProcess(load_settings(instance, {}), SystemClock())
    ours.prepare("w1@here", object(), {"queues": queues}, object())
    ours.make_room(object())
    assert ours.capacity == 0
    assert ("nothing is sent to watchers" in caplog.text) is warned

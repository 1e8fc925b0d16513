"""A process in which one camera is healthy and those beside it are shown one damaged stream after another."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import resource
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine

from server.config import load_settings
from server.watchers import ingest, lease, stuck
from server.watchers.watcher import Watcher
from tests.media.httpd import Exchange, WebServer
from tests.mutations import INTACT, Case, Clips, case
from tests.walks import BrightBlocks
from tests.watchers.harness import START_US, HookedStore, add_camera, events, spans

ATTEMPTS = 2
"""How often a damaged stream may fail before its camera is switched off."""
LONG_ENOUGH_S = 0.7
"""Seconds after which a stream without end has been watched for long enough …"""
HANGS_S = 15.0
"""… and those after which its watcher should have ended, even on a machine that is busy."""
NEIGHBOUR_SPEED = 4.0
PATIENCE_S = 10.0
"""As in production: how far the neighbour may fall behind before it would skip. Real seconds."""
MOST_ADDRESS_SPACE = 12 << 30
"""A limit only for the machine's sake; what counts is what is really used."""
SAMPLE_EVERY = 25
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
"""Of malloc.h."""


@dataclass(slots=True)
class Report:
    """What came of a stream. Sizes in bytes, times in real seconds."""

    seed: int
    name: str
    wrong: list[str] = field(default_factory=list)
    state: str = ""
    reason: str = ""
    commits: int = 0
    observed: int = 0
    seconds: float = 0.0
    peak: int = 0
    """How much more memory than before was in use for a moment."""


@dataclass(slots=True)
class Ending:
    """How a process stood in the end, against its beginning."""

    threads: tuple[int, int]
    files: tuple[int, int]
    memory: list[int]
    """Resident bytes, every few streams."""
    neighbour: dict[str, Any]
    wrong: list[str]


class PacedClock:
    """Passes `speed` times as fast as the real one; a wait takes its share of real time, or none."""

    def __init__(self, speed: float, *, waits: bool) -> None:
        self._speed = speed
        self._waits = waits
        self._began = time.monotonic()
        self._skipped = 0.0
        self._lock = threading.Lock()
        self.longest = 0.0
        """The longest wait that was asked for, in its own seconds."""

    def now_us(self) -> int:
        return START_US + round(self.monotonic() * 1e6)

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * self._speed + self._skipped

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.longest = max(self.longest, seconds)
        if self._waits:
            return stop.wait(max(0.0, seconds) / self._speed)
        with self._lock:
            self._skipped += max(0.001, seconds)
        return stop.is_set()


class _Seen(logging.Handler):
    """What was logged with a traceback: errors that nobody expected."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.texts.append(self.format(record))


class _Watched:
    """A watcher in a thread of its own."""

    def __init__(
        self,
        engine: Engine,
        camera_id: int,
        settings: Any,
        clock: PacedClock,
        after: Callable[[int], None] = lambda commits: None,
    ) -> None:
        self.stop = threading.Event()
        self.camera_id = camera_id
        self.clock = clock
        self.store = HookedStore(engine, after)
        self.ended: tuple[str, str] = ("", "")
        self.error = ""
        self._engine = engine
        held = lease.claim(engine, camera_id, f"test/{camera_id}", "here", 300.0, clock.now_us())
        assert held is not None
        self._held = held
        seer = BrightBlocks()
        self.watcher = Watcher(held, self.store, settings, lambda grid: seer, clock, self.stop)
        self._thread = threading.Thread(target=self._run, name=f"watcher {camera_id}", daemon=True)

    def start(self) -> _Watched:
        self._thread.start()
        return self

    def join(self, seconds: float) -> bool:
        """Whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.ended = self.watcher.run()
            lease.release(self._engine, self._held, *self.ended, self.clock.now_us())
        except Exception:  # noqa: BLE001
            # This is what the test looks for.
            self.error = traceback.format_exc()


def show(
    address: str,
    directory: Path,
    clips: Clips,
    seeds: Sequence[int],
    walk: Path,
    told: Connection,
) -> None:
    """Show the streams of these seeds to watchers, beside a healthy neighbour.

    told: gets each seed before it is shown and its Report afterwards, and an Ending at last.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESS_SPACE, MOST_ADDRESS_SPACE))
    # Memory that is free is given back at once, so that what is left is what somebody holds on to.
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 128 << 10)
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    # Silence is noticed sooner than in production; the clocks run faster too.
    ingest._POLL, ingest._TICK = 0.02, 0.1
    logging.disable(logging.WARNING)
    Stage(address, directory, clips, told.send).play(seeds, walk)


class Stage:
    """One process: its database, its web server and its cameras."""

    def __init__(self, address: str, directory: Path, clips: Clips, report: Callable[[Any], None]) -> None:
        self._engine = create_engine(address)
        self._directory = directory
        self._clips = clips
        self._report = report
        self._web = WebServer()
        self._memory: list[int] = []
        self._cameras = 0
        self._seen = _Seen()
        logging.getLogger("server").addHandler(self._seen)

    def play(self, seeds: Sequence[int], walk: Path) -> None:
        """All seeds, after the intact streams, by which the process grows to its usual size."""
        neighbour = self._watched(str(walk), NEIGHBOUR_SPEED, waits=True, loop=True).start()
        for seed in range(INTACT):
            self._one(seed)
        _until(lambda: not _reading())
        threads, files = threading.active_count(), _open_files()
        for number, seed in enumerate(seeds):
            if number % SAMPLE_EVERY == 0:
                self._memory.append(_settled())
            self._report(seed)
            self._report(self._one(seed))
        _until(lambda: threading.active_count() <= threads and _open_files() <= files)
        ending = Ending(
            threads=(threads, threading.active_count()),
            files=(files, _open_files()),
            memory=[*self._memory, _settled()],
            neighbour=self._end(neighbour),
            wrong=[*self._seen.texts, *(["threads are stuck"] if stuck.count() else [])],
        )
        self._report(ending)
        self._web.close()
        self._engine.dispose()

    def _one(self, seed: int) -> Report:
        shown = case(seed, self._clips)
        report = Report(seed, shown.name)
        began, before = time.monotonic(), _reset_peak()
        watched = self._watched(self._publish(shown), 10.0, waits=False)
        self._watch(watched, report)
        report.seconds, report.peak = time.monotonic() - began, _peak() - before
        report.commits = watched.store.commits
        report.state, report.reason = watched.ended
        if watched.error:
            report.wrong.append(watched.error)
        report.wrong += self._seen.texts
        self._seen.texts.clear()
        self._judge(watched, report)
        return report

    def _watch(self, watched: _Watched, report: Report) -> None:
        def enough(commits: int) -> None:
            if watched.watcher.errors >= ATTEMPTS:
                watched.stop.set()

        watched.store._after = enough
        watched.start()
        if not watched.join(LONG_ENOUGH_S):
            watched.stop.set()
            if not watched.join(HANGS_S):
                report.wrong.append(f"its watcher does not end within {HANGS_S:.0f} s")

    def _judge(self, watched: _Watched, report: Report) -> None:
        """What is stored makes sense."""
        now_s = watched.clock.monotonic()
        observed = [span for span in spans(self._engine, watched.camera_id) if span[0] is None]
        report.observed = len(observed)
        for _, begin, end, _ in observed:
            if not -130 <= begin <= end <= now_s + 60:
                report.wrong.append(f"observed from {begin} to {end} s, and it ended at {now_s:.1f} s")
        if "(file)" in report.name and watched.clock.longest > 100:
            # Nobody gives a file up, as is done with a live source that waits.
            report.wrong.append(f"would have waited for {watched.clock.longest:.0f} s")
        left = list((self._directory / "segments" / str(watched.camera_id)).glob("*"))
        if left and not watched.error:
            report.wrong.append(f"leaves {len(left)} segments on disk")

    def _watched(self, source: str, speed: float, *, waits: bool, loop: bool = False) -> _Watched:
        clock = PacedClock(speed, waits=waits)
        values = {
            "SEGMENTS_DIR": self._directory / "segments",
            "SPOOL_DIR": self._directory / "spool",
            "SECRET_KEY": "0123456789abcdef",
            "BACKLOG_SECONDS": PATIENCE_S * speed,
        }
        settings = load_settings(self._directory, values)
        self._cameras += 1
        name = f"camera {self._cameras}"
        camera_id = add_camera(self._engine, source, name=name, loop=loop)  # type: ignore[arg-type]
        return _Watched(self._engine, camera_id, settings, clock)

    def _publish(self, shown: Case) -> str:
        """Put the stream where a watcher can read it; gives the address."""
        if not shown.over_http:
            path = self._directory / f"{shown.seed}-{shown.files[0][0]}"
            path.write_bytes(shown.files[0][1])
            return str(path)
        self._web.answers = {f"/{shown.seed}/{name}": _sent(body, shown) for name, body in shown.files}
        self._web.requests.clear()
        return self._web.url(f"/{shown.seed}/{shown.files[0][0]}")

    def _end(self, neighbour: _Watched) -> dict[str, Any]:
        """Stop the neighbour; what it saw, times in seconds since its beginning."""
        neighbour.stop.set()
        ended = neighbour.join(HANGS_S)
        return {
            "ended": ended,
            "error": neighbour.error,
            "errors": neighbour.watcher.errors,
            "passed": neighbour.clock.monotonic(),
            "spans": spans(self._engine, neighbour.camera_id),
            "events": [
                (name, (ts.timestamp() - START_US / 1e6), direction, passes, count, zone)
                for name, ts, _, direction, passes, count, _, zone, _ in events(
                    self._engine, neighbour.camera_id
                )
            ],
        }


def _sent(body: bytes, shown: Case) -> Callable[[Exchange], None]:
    def answer(exchange: Exchange) -> None:
        exchange.begin(shown.content_type)
        for at in range(0, len(body), 5000):
            exchange.wfile.write(body[at : at + 5000])
        while shown.endless and not exchange.over.wait(0.005):
            exchange.wfile.write(shown.endless)

    return answer


def _reading() -> bool:
    return any(thread.name == "ingest" for thread in threading.enumerate())


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _settled() -> int:
    """What is really in use: without what the allocator keeps for later."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _resident()


def _reset_peak() -> int:
    """Begin to measure anew; gives the memory in use now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _resident()


def _peak() -> int:
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("VmHWM"))

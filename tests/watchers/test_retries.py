"""A camera that is away is tried again for ever: at once at first, then ever more rarely."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, update
from sqlalchemy.orm import Session

from server.config import load_settings
from server.errors import SourceError
from server.models import Camera, Lease
from server.watchers import lease
from server.watchers.ingest import MOST_ABANDONED, Arrival
from server.watchers.plan import Plan
from server.watchers.store import WatchStore
from server.watchers.watcher import FIRST_PAUSE, HEALTHY_SECONDS, LONGEST_PAUSE, Watcher
from tests.walks import BrightBlocks
from tests.watchers.harness import START_US, FastClock, add_camera

SECRET_URL = "rtsp://viewer:s3cret@127.0.0.1:1/door"


class Away:
    """A camera that fails at every attempt; now and then only after some seconds."""

    live, repeatable = True, False

    def __init__(self, clock: FastClock, lasts: Callable[[int], float], most: int) -> None:
        self._clock = clock
        self._lasts = lasts
        self._most = most
        self.tried_at: list[float] = []
        self.failed_at: list[float] = []
        self.stop = threading.Event()

    def feed(self, plan: Plan, anchor_us: int, after: int | None) -> Away:
        self.tried_at.append(self._clock.monotonic())
        if len(self.tried_at) >= self._most:
            self.stop.set()
        return self

    def arrivals(self, stop: threading.Event) -> Iterator[Arrival | None]:
        until = self._clock.monotonic() + self._lasts(len(self.tried_at))
        while self._clock.monotonic() < until:
            self._clock.advance(1.0)
            yield None
        self.failed_at.append(self._clock.monotonic())
        raise SourceError(f"{SECRET_URL}: nothing listens there")

    def close(self) -> None:
        """Nothing is open."""

    @property
    def pauses(self) -> list[float]:
        """Seconds from each failure to the next attempt."""
        return [tried - failed for failed, tried in zip(self.failed_at, self.tried_at[1:], strict=False)]


@pytest.fixture
def engine(database: str) -> Engine:
    return create_engine(database)


def _run(engine: Engine, directory: Path, lasts: Callable[[int], float], most: int) -> Away:
    camera = add_camera(engine, Path("/nowhere.mp4"))
    with Session(engine) as session, session.begin():
        session.execute(update(Camera).values(stream_url=SECRET_URL))
    clock = FastClock()
    away = Away(clock, lasts, most)
    held = lease.claim(engine, camera, "w1@here/1", "here", 10.0, START_US)
    assert held is not None
    settings = load_settings(directory, {"SECRET_KEY": "0123456789abcdef"})
    Watcher(
        held, WatchStore(engine), settings, lambda grid: BrightBlocks(), clock, away.stop,
        feed_for=away.feed,
    ).run()  # fmt: skip
    return away


def test_pauses_grow_are_jittered_and_have_an_end(engine: Engine, tmp_path: Path) -> None:
    pauses = _run(engine, tmp_path, lambda attempt: 0.0, 12).pauses
    expected = [min(LONGEST_PAUSE, FIRST_PAUSE * 2**n) for n in range(len(pauses))]
    for pause, longest in zip(pauses, expected, strict=True):
        assert longest / 2 <= pause <= longest + 0.01
    assert len({round(pause / longest, 3) for pause, longest in zip(pauses, expected, strict=True)}) > 5


def test_a_healthy_minute_makes_them_short_again(engine: Engine, tmp_path: Path) -> None:
    pauses = _run(
        engine, tmp_path, lambda attempt: HEALTHY_SECONDS + 2 if attempt in (6, 8) else 10.0, 10
    ).pauses
    assert pauses[4] > 4 * FIRST_PAUSE
    assert pauses[5] <= FIRST_PAUSE + 0.01, "after a minute of video"
    assert pauses[6] > FIRST_PAUSE, "ten seconds of video are not healthy"
    assert pauses[7] <= FIRST_PAUSE + 0.01


def test_the_reason_is_shown_without_the_password(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _run(engine, tmp_path, lambda attempt: 0.0, 3)
    with Session(engine) as session:
        row = session.query(Lease).one()
    assert row.state == "unreachable"
    assert row.reason == "rtsp://***@127.0.0.1:1/door: nothing listens there"
    assert "nothing listens there" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_camera_whose_threads_hang_waits_for_one_of_them(engine: Engine, tmp_path: Path) -> None:
    camera = add_camera(engine, Path("/nowhere.mp4"))
    with Session(engine) as session, session.begin():
        session.execute(update(Camera).values(stream_url=SECRET_URL))
    held = lease.claim(engine, camera, "w1@here/1", "here", 10.0, START_US)
    assert held is not None
    settings = load_settings(tmp_path, {"SECRET_KEY": "0123456789abcdef"})
    clock, hang = FastClock(), threading.Event()
    away = Away(clock, lambda attempt: 0.0, 99)
    watcher = Watcher(
        held, WatchStore(engine), settings, lambda grid: BrightBlocks(), clock, away.stop, feed_for=away.feed
    )
    threads = [threading.Thread(target=hang.wait, args=(20,)) for _ in range(MOST_ABANDONED)]
    for thread in threads:
        thread.start()
    watcher._stuck = list(threads)
    with pytest.raises(SourceError, match="hang inside a library"):
        watcher.run_once()
    assert away.tried_at == []
    hang.set()
    threads[0].join(10)
    with pytest.raises(SourceError, match="nothing listens"):
        watcher.run_once()
    assert len(away.tried_at) == 1

"""The database away: analysis goes on, what it finds waits on disk and is stored once, in order."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, update
from sqlalchemy.orm import Session

from server.config import load_settings
from server.domain.video import us_to_datetime
from server.errors import LeaseLost, StorageError
from server.log import CameraLogger
from server.models import Camera, Observation
from server.services.analysis import Begin, End, Extend, Outcome
from server.watchers import lease
from server.watchers.lease import Standing
from server.watchers.ledger import PROBE_SECONDS, Ledger, Outage, settle_orphans
from server.watchers.plan import Plan
from server.watchers.spool import Spool, spooled_cameras
from server.watchers.store import Entry, WatchStore
from server.watchers.watcher import Watcher
from tests.databases import every_database
from tests.walks import BrightBlocks, make_walk
from tests.watchers.harness import START_US, FastClock, add_camera, events, expire_leases, spans, watch


@pytest.fixture
def engine(database: str) -> Engine:
    return create_engine(database)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_walk(tmp_path_factory.mktemp("clips") / "walk.mp4")


class _StopAt(FastClock):
    """Tells the watcher to end at a moment of the clip, in seconds."""

    def __init__(self, end: float, stop: threading.Event) -> None:
        super().__init__()
        self._end_us = START_US + round(end * 1e6)
        self._stop = stop

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        if self.now_us() >= self._end_us:
            self._stop.set()


class Flaky(WatchStore):
    """A store whose database is away between two moments of the clip, in seconds."""

    def __init__(self, engine: Engine, clock: FastClock, away: tuple[float, float]) -> None:
        super().__init__(engine)
        self._clock = clock
        self._away = away
        self.refused = 0
        self.on_refusal: Callable[[int], None] = lambda count: None

    def _refuse(self) -> None:
        since = (self._clock.now_us() - START_US) / 1e6
        if self._away[0] <= since < self._away[1]:
            self.refused += 1
            self.on_refusal(self.refused)
            raise StorageError("the database does not answer: gone")

    def plan(self, camera_id: int) -> Plan | None:
        self._refuse()
        return super().plan(camera_id)

    def commit(self, *args: Any, **kwargs: Any) -> Standing:
        self._refuse()
        return super().commit(*args, **kwargs)


def _watch(
    engine: Engine,
    camera: int,
    directory: Path,
    away: tuple[float, float],
    *,
    clock: FastClock | None = None,
    settings: dict[str, object] | None = None,
    stop: threading.Event | None = None,
    on_refusal: Callable[[int], None] = lambda count: None,
) -> tuple[tuple[str, str], Flaky]:
    clock = clock or FastClock()
    store = Flaky(engine, clock, away)
    store.on_refusal = on_refusal
    values = {"SECRET_KEY": "0123456789abcdef", "SEGMENTS_DIR": directory / "segments", **(settings or {})}
    held = lease.claim(engine, camera, f"test/{os.getpid()}", "here", 10.0, clock.now_us())
    assert held is not None
    watcher = Watcher(
        held, store, load_settings(directory, values), lambda grid: BrightBlocks(), clock,
        stop or threading.Event(),
    )  # fmt: skip
    state = watcher.run()
    lease.release(engine, held, *state, clock.now_us())
    return state, store


def _unbroken(engine: Engine, clip: Path, directory: Path) -> int:
    camera = add_camera(engine, clip, name="unbroken")
    watch(engine, camera, directory / "segments")
    return camera


@every_database
def test_what_was_held_back_is_stored_once_and_the_span_is_unbroken(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    unbroken, camera = _unbroken(engine, clip, tmp_path), add_camera(engine, clip)
    (state, _), store = _watch(engine, camera, tmp_path, (2.0, 9.0))
    assert state == "ended"
    assert 2 <= store.refused <= 7 / PROBE_SECONDS + 1, "it is tried now and then, not at every part"
    assert events(engine, camera) == events(engine, unbroken)
    assert spans(engine, camera) == spans(engine, unbroken)
    assert spooled_cameras(tmp_path / "spool") == []


@every_database
def test_a_watcher_killed_while_the_database_is_away_loses_nothing(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    unbroken, camera = _unbroken(engine, clip, tmp_path), add_camera(engine, clip)
    killed = _Killed()

    def kill(count: int) -> None:
        if count == 3:
            raise killed

    clock = FastClock()
    with pytest.raises(_Killed):
        _watch(engine, camera, tmp_path, (2.0, 99.0), clock=clock, on_refusal=kill)
    assert spooled_cameras(tmp_path / "spool") == [camera]
    with (tmp_path / "spool" / f"{camera}.spool").open("ab") as file:
        file.write(b"\x10\x00\x00\x00cut off")
    expire_leases(engine)

    _watch(engine, camera, tmp_path, (0.0, 0.0), clock=clock)
    assert events(engine, camera) == events(engine, unbroken)
    assert spans(engine, camera) == spans(engine, unbroken)
    assert spooled_cameras(tmp_path / "spool") == []


def _make_live(engine: Engine, camera: int) -> None:
    """As if the camera had been a live one: its video does not come again."""
    with Session(engine) as session, session.begin():
        session.execute(
            update(Camera).where(Camera.id == camera).values(stream_url="rtsp://127.0.0.1:1/walk")
        )


class _Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


@every_database
def test_when_others_took_over_meanwhile_the_events_are_stored_late_and_once(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    unbroken, camera = _unbroken(engine, clip, tmp_path), add_camera(engine, clip)
    done = 0

    def take_over(count: int) -> None:
        nonlocal done
        if count == 3 and not done:
            done = 1
            _make_live(engine, camera)
            expire_leases(engine)
            assert lease.claim(engine, camera, "other/1", "there", 10.0, START_US) is not None

    (state, _), _store = _watch(engine, camera, tmp_path, (2.0, 9.0), on_refusal=take_over)
    assert state == "stopped"
    seen = events(engine, camera)
    assert seen == events(engine, unbroken)[: len(seen)]
    assert len(seen) >= 4
    late = [span for span in spans(engine, camera) if span[3] == "late"]
    assert {name for name, *_ in late} == {None, "line", "exit", "room"}
    assert late[0][1] == pytest.approx(2.0, abs=0.6)
    assert late[0][2] == pytest.approx(9.0, abs=PROBE_SECONDS + 0.6)

    WatchStore(engine).deliver_late(camera, [])
    assert events(engine, camera) == seen


@every_database
def test_what_others_have_seen_themselves_is_not_stored_late(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    unbroken, camera = _unbroken(engine, clip, tmp_path), add_camera(engine, clip)
    theirs = us_to_datetime(START_US + 3_000_000)

    def take_over(count: int) -> None:
        if count == 3:
            _make_live(engine, camera)
            expire_leases(engine)
            assert lease.claim(engine, camera, "other/1", "there", 10.0, START_US) is not None
            with Session(engine) as session, session.begin():
                session.add(Observation(camera_id=camera, start=theirs, stop=theirs))

    _watch(engine, camera, tmp_path, (2.0, 9.0), on_refusal=take_over)
    expected = [event for event in events(engine, unbroken) if event[1] < theirs]
    seen = events(engine, camera)
    assert 0 < len(seen) < len(events(engine, unbroken))
    assert seen == expected[: len(seen)]
    late = [span for span in spans(engine, camera) if span[3] == "late"]
    assert max(span[2] for span in late) < 3.0


@every_database
def test_observations_that_meet_do_not_overlap(engine: Engine, clip: Path) -> None:
    camera = add_camera(engine, clip)
    held = lease.claim(engine, camera, "w1@here/1", "here", 60.0, START_US)
    assert held is not None
    store = WatchStore(engine)
    begun = [Begin(START_US, (None,)), Extend(START_US + 2_000_000), End("connection")]
    again = [Begin(START_US + 1_900_000, (None,)), Extend(START_US + 1_900_000)]
    hour_back = [End("clock"), Begin(START_US - 3_600_000_000, (None,)), Extend(START_US - 3_599_000_000)]
    for number, part in enumerate((begun, again, [Extend(START_US + 3_000_000)], hour_back)):
        store.commit(held, [Entry(number, Outcome(spans=list(part)), None, None, 1)])
    assert [span[1:] for span in spans(engine, camera)] == [
        (-3600.0, -3599.0, None),
        (0.0, 2.0, "connection"),
        (2.0, 3.0, "clock"),
    ]


@every_database
def test_a_file_that_others_took_over_is_read_again_and_counted_once(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    unbroken, camera = _unbroken(engine, clip, tmp_path), add_camera(engine, clip)

    def take_over(count: int) -> None:
        if count == 3:
            expire_leases(engine)
            assert lease.claim(engine, camera, "other/1", "there", 10.0, START_US) is not None

    (state, _), _store = _watch(engine, camera, tmp_path, (2.0, 9.0), on_refusal=take_over)
    assert state == "stopped"
    expire_leases(engine)
    _watch(engine, camera, tmp_path, (0.0, 0.0), clock=FastClock(START_US + 15_000_000))
    assert events(engine, camera) == events(engine, unbroken)
    assert [span[3] for span in spans(engine, camera)] == ["end"] * 4


@every_database
def test_what_waits_here_for_a_camera_watched_elsewhere_is_stored(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    camera = add_camera(engine, clip)

    def kill(count: int) -> None:
        if count == 4:
            raise _Killed

    with pytest.raises(_Killed):
        _watch(engine, camera, tmp_path, (0.9, 99.0), on_refusal=kill)
    before = len(events(engine, camera))
    _make_live(engine, camera)
    expire_leases(engine)
    assert lease.claim(engine, camera, "other/1", "there", 10.0, START_US) is not None
    assert settle_orphans(WatchStore(engine), tmp_path / "spool", "there") == 0, "its watcher is here"
    assert settle_orphans(WatchStore(engine), tmp_path / "spool", "here") == 1
    assert len(events(engine, camera)) > before
    assert spooled_cameras(tmp_path / "spool") == []


def test_a_spool_that_is_full_costs_a_gap_and_nothing_before_it(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    camera = add_camera(engine, clip, loop=True)
    stop = threading.Event()
    (state, _), _store = _watch(
        engine, camera, tmp_path, (2.0, 180.0), clock=_StopAt(190.0, stop), stop=stop,
        settings={"SPOOL_MAX_BYTES": 100_000},
    )  # fmt: skip
    assert state == "stopped"
    watched = [span for span in spans(engine, camera) if span[0] is None]
    assert len(watched) >= 2, "what did not fit is a gap"
    assert watched[0][2] > 10
    assert watched[1][1] > 178
    keys = [(name, key) for name, _, key, *_ in events(engine, camera)]
    assert len(keys) == len(set(keys))


def test_one_watcher_at_a_time_tries_a_database_that_is_away() -> None:
    clock = FastClock()
    outage = Outage(clock)
    with pytest.raises(StorageError), outage.attempt() as may:
        assert may
        raise StorageError("gone")
    assert outage.away
    with outage.attempt() as may:
        assert not may, "too early"
    clock.advance(PROBE_SECONDS)
    with outage.attempt() as first, outage.attempt() as second:
        assert first and not second
    assert not outage.away


def test_a_lost_lease_is_an_answer_of_the_database() -> None:
    clock = FastClock()
    outage = Outage(clock)
    outage.away = True
    clock.advance(PROBE_SECONDS)
    with pytest.raises(LeaseLost), outage.attempt():
        raise LeaseLost("another has it")
    with outage.attempt() as may:
        assert may, "nobody holds the place of the one who tries"


def test_two_processes_do_not_share_a_spool(tmp_path: Path) -> None:
    path = tmp_path / "7.spool"
    path.touch()
    one, other = (Spool(tmp_path, 7, 1_000) for _ in range(2))
    assert one.take() and not other.take()
    one.close()
    assert other.take()
    other.close()


def test_a_lease_is_held_while_nothing_is_stored_for_long(engine: Engine, clip: Path, tmp_path: Path) -> None:
    camera = add_camera(engine, clip)
    clock = FastClock()
    held = lease.claim(engine, camera, "w1@here/1", "here", 10.0, START_US)
    assert held is not None
    store = Counting(engine)
    spool = Spool(tmp_path, camera, 1_000_000)
    ledger = Ledger(held, store, spool, Outage(clock), clock, CameraLogger(logging.getLogger("t"), camera))
    for _ in range(20):
        clock.advance(0.25)
        ledger.hold(1)
    assert store.commits == 5


class Counting(WatchStore):
    """Counts commits."""

    commits = 0

    def commit(self, *args: Any, **kwargs: Any) -> Standing:
        self.commits += 1
        return super().commit(*args, **kwargs)

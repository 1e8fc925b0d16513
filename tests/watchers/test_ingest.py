"""The thread that reads a live camera: bounded, restartable, and given up when it does not come back."""

from __future__ import annotations

import gc
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from server.domain.video import Packet, Part, VideoFormat
from server.errors import SourceError
from server.log import CameraLogger
from server.watchers import stuck
from server.watchers.ingest import OPEN_SECONDS, Arrival, Ingest
from tests.watchers.harness import START_US, FastClock

LOG = CameraLogger(logging.getLogger("test"), 7)
WAIT = 10.0
"""Most seconds that a test waits for another thread."""


class Scripted:
    """A live source that does what its script says."""

    live = True
    anchor_us = START_US
    stall_seconds = 10.0

    def __init__(self, script: Callable[[threading.Event], Iterator[Part]]) -> None:
        self._script = script
        self.closed = threading.Event()

    def open(self) -> None:
        """Nothing to do."""

    def parts(self, stop: threading.Event, after: int | None = None) -> Iterator[Part]:
        """As the script says."""
        return self._script(stop)

    def close(self) -> None:
        self.closed.set()


def part(number: int, keyframe: bool = True, size: int = 10) -> Part:
    packet = Packet(number * 45_000, number * 45_000, 45_000, keyframe, bytes(size))
    return Part((packet,), VideoFormat("h264", b"", 64, 48), START_US, keyframe, keyframe)


def ingest(
    script: Callable[[threading.Event], Iterator[Part]],
    clock: FastClock | None = None,
    max_bytes: int = 10_000,
    max_seconds: float = 30.0,
) -> tuple[Ingest, Scripted]:
    source = Scripted(script)
    return Ingest(source, clock or FastClock(), LOG, max_bytes, max_seconds), source


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.005)


def test_parts_arrive_in_order_and_the_end_is_an_error_in_words() -> None:
    reading, source = ingest(lambda stop: iter([part(n) for n in range(5)]))
    arrivals = reading.arrivals(threading.Event())
    assert [a.part.start for a in itertools.islice(arrivals, 5) if a] == [n * 45_000 for n in range(5)]
    with pytest.raises(SourceError, match="ended the connection"):
        next(arrivals)
    reading.close()
    assert source.closed.is_set()


def test_what_arrived_before_an_error_is_handed_on_first() -> None:
    def script(stop: threading.Event) -> Iterator[Part]:
        yield part(0)
        raise SourceError("door: it refuses the password", state="refused")

    reading, _ = ingest(script)
    arrivals = reading.arrivals(threading.Event())
    assert isinstance(next(arrivals), Arrival)
    with pytest.raises(SourceError, match="password"):
        next(arrivals)
    reading.close()


def test_an_error_of_a_library_ends_the_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def script(stop: threading.Event) -> Iterator[Part]:
        raise AssertionError("libav is confused")
        yield part(0)

    reading, source = ingest(script)
    with pytest.raises(SourceError, match="cannot be read"):
        next(reading.arrivals(threading.Event()))
    reading.close()
    assert source.closed.is_set()
    assert "camera 7: reading failed" in caplog.text


@pytest.mark.parametrize("first", [True, False], ids=["before the first part", "after a part"])
def test_a_camera_that_sends_nothing_has_stalled(first: bool) -> None:
    clock = FastClock()

    def script(stop: threading.Event) -> Iterator[Part]:
        if not first:
            yield part(0)
        stop.wait(WAIT)

    reading, _ = ingest(script, clock)
    arrivals = reading.arrivals(threading.Event())
    if not first:
        assert next(arrivals) is not None
    assert next(arrivals) is None, "time to look at the lease"
    clock.advance((OPEN_SECONDS if first else Scripted.stall_seconds) + 0.1)
    with pytest.raises(SourceError, match="sends no video"):
        for _ in range(3):
            assert next(arrivals) is None
    reading.close()


def test_a_stop_ends_the_wait_at_once() -> None:
    def script(stop: threading.Event) -> Iterator[Part]:
        stop.wait(WAIT)
        return iter(())

    reading, _ = ingest(script)
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    assert [a for a in reading.arrivals(stop) if a] == []
    reading.close()
    assert time.monotonic() - began < WAIT / 2


def test_what_is_not_taken_is_dropped_from_the_oldest_keyframe_on() -> None:
    taken, all_put = threading.Event(), threading.Event()

    def script(stop: threading.Event) -> Iterator[Part]:
        yield part(0)
        taken.wait(WAIT)
        for number in range(1, 40):
            yield part(number, keyframe=number % 8 == 0, size=1_000)
        all_put.set()
        stop.wait(WAIT)

    reading, _ = ingest(script, max_bytes=10_000)
    arrivals = reading.arrivals(threading.Event())
    assert next(arrivals) is not None
    taken.set()
    assert all_put.wait(WAIT)
    rest = [a.part for a in itertools.islice(arrivals, 8) if a]
    reading.close()
    assert rest[0].independent
    assert rest[0].gap == "behind"
    assert {p.gap for p in rest[1:]} == {""}
    assert rest[-1].start == 39 * 45_000
    assert reading.dropped >= 30


def test_a_queue_without_keyframes_is_bounded_too() -> None:
    taken, all_put = threading.Event(), threading.Event()

    def script(stop: threading.Event) -> Iterator[Part]:
        yield part(0)
        taken.wait(WAIT)
        for number in range(1, 200):
            yield part(number, keyframe=False, size=1_000)
        all_put.set()
        stop.wait(WAIT)

    reading, _ = ingest(script, max_bytes=10_000)
    arrivals = reading.arrivals(threading.Event())
    assert next(arrivals) is not None
    taken.set()
    assert all_put.wait(WAIT)
    assert len(reading._queue) == 10
    reading.close()


def test_a_thread_that_does_not_come_back_is_given_up_counted_and_cleans_up_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.watchers.ingest.JOIN_SECONDS", 0.05)
    release = threading.Event()

    def script(stop: threading.Event) -> Iterator[Part]:
        yield part(0)
        release.wait(WAIT)

    reading, source = ingest(script)
    assert next(reading.arrivals(threading.Event())) is not None
    before = stuck.count()
    reading.close()
    assert stuck.count() == before + 1
    assert reading.left_behind is not None
    assert not source.closed.is_set(), "its thread may still be using it"
    release.set()
    until(source.closed.is_set)
    until(lambda: stuck.count() == before)


def test_closing_what_was_never_started_is_harmless() -> None:
    reading, _ = ingest(lambda stop: iter(()))
    reading.close()


def test_a_thousand_connections_leave_no_thread_behind() -> None:
    threads = threading.active_count()
    kept = []
    for _ in range(1_000):
        reading, source = ingest(lambda stop: iter([part(0)]))
        with pytest.raises(SourceError):
            list(reading.arrivals(threading.Event()))
        reading.close()
        kept.append(weakref.ref(source))
    del reading, source
    gc.collect()
    assert threading.active_count() <= threads
    assert not [ref for ref in kept if ref() is not None]

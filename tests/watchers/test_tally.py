"""The numbers of a camera: rates over the last seconds, and what was left out."""

from __future__ import annotations

import pytest

from server.domain.video import Packet, Part, VideoFormat
from server.watchers.tally import WINDOW_SECONDS, Tally
from tests.watchers.harness import FastClock

VIDEO = VideoFormat("hevc", b"", 1920, 1080, rotation=90)


def _part(pictures: int, size: int) -> Part:
    packets = tuple(Packet(n, n, 1, n == 0, bytes(size)) for n in range(pictures))
    return Part(packets, VIDEO, 0, starts_segment=True, independent=True)


def test_nothing_is_known_before_anything_has_come() -> None:
    clock = FastClock()
    tally = Tally(clock)
    clock.advance(1)
    assert tally.numbers(0.0, 0, {}) is None


def test_rates_are_those_of_the_last_seconds() -> None:
    clock = FastClock()
    tally = Tally(clock)
    for second in range(20):
        busy = second < 10
        tally.arrived(_part(25, 1000 if busy else 200))
        tally.done(25 if busy else 10, 5, 0.2 if busy else 0.4)
        if not busy:
            tally.skipped(5)
        clock.advance(1)
        numbers = tally.numbers(second * 0.5, 0, {3: 1})
        assert numbers is not None
        if second == 9:
            assert (numbers.frames_in, numbers.decoded, numbers.analysed) == (25, 25, 5)
            assert (numbers.kbps, numbers.delay_s, numbers.skipped) == (200, pytest.approx(0.2), 0)
    assert WINDOW_SECONDS + 10 < 20
    assert (numbers.decoded, numbers.kbps, numbers.delay_s) == (10, 40, pytest.approx(0.4))
    assert numbers.skipped == 5
    assert numbers.cpu == pytest.approx(0.5, abs=0.1)
    assert (numbers.codec, numbers.width, numbers.height) == ("hevc", 1080, 1920)
    assert numbers.occupancy == {3: 1}


def test_pictures_that_never_came_to_be_analysed_came_and_were_left_out() -> None:
    clock = FastClock()
    tally = Tally(clock)
    tally.arrived(_part(10, 10))
    clock.advance(2)
    numbers = tally.numbers(0.0, 30, {})
    assert numbers is not None
    assert (numbers.frames_in, numbers.skipped) == (20, 15)


def test_a_camera_that_goes_silent_is_shown_so() -> None:
    clock = FastClock()
    tally = Tally(clock)
    tally.arrived(_part(10, 10))
    tally.done(10, 2, 0.1)
    for _ in range(10):
        clock.advance(1)
        numbers = tally.numbers(0.0, 0, {})
    assert numbers is not None
    assert (numbers.frames_in, numbers.kbps, numbers.delay_s, numbers.cpu) == (
        0,
        0,
        0,
        pytest.approx(0, abs=0.1),
    )

"""The wall time of media time, learnt from arrivals."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from server.media.wallclock import JUMP_US, LATE_LASTS_S, SLEW_US_PER_S, WallClock

UNHURRIED = settings(deadline=None, max_examples=30)
"""A busy machine is no failure."""

START_US = 1_700_000_000_000_000
FRAME_US = 40_000


def run(
    clock: WallClock, frames: range, *, late_us: object = None, drift: float = 0.0, extra_us: int = 0
) -> list[bool]:
    """Frames captured every 40 ms and seen `late_us()` later by a machine whose clock is right."""
    jumps = []
    for number in frames:
        real_us = number * FRAME_US
        seen_us = real_us + (late_us() if callable(late_us) else 0)
        media_us = round(real_us * (1 + drift)) - extra_us
        jumps.append(clock.measure(media_us, START_US + seen_us, seen_us / 1e6))
    return jumps


def new() -> WallClock:
    return WallClock(START_US, START_US, 0.0)


def test_packets_on_time_leave_the_anchor_where_it_is() -> None:
    clock = new()
    assert not any(run(clock, range(2_000)))
    assert clock.anchor_us == START_US


@UNHURRIED
@given(st.integers(0, 2**32))
def test_late_packets_do_not_push_time(seed: int) -> None:
    chance = random.Random(seed)
    clock = new()
    run(clock, range(50))
    assert not any(
        run(
            clock,
            range(50, 3_000),
            late_us=lambda: 0 if chance.random() < 0.1 else chance.randint(0, 1_900_000),
        )
    )
    assert START_US <= clock.anchor_us <= START_US + 20_000


def test_bursts_of_ten_seconds_do_not_push_time() -> None:
    clock, jumps = new(), []
    clock.measure(0, START_US, 0.0)
    for segment in range(30):
        done_us = (segment + 1) * 10_000_000
        for number in range(250):
            media_us = segment * 10_000_000 + (number + 1) * FRAME_US
            jumps.append(clock.measure(media_us, START_US + done_us, done_us / 1e6))
    assert not any(jumps)
    assert abs(clock.anchor_us - START_US) < 50_000
    assert 9_000_000 < clock.usual_lateness_us < 11_000_000


def test_a_camera_clock_that_drifts_is_followed() -> None:
    for drift in (200e-6, -200e-6):
        clock = new()
        assert not any(run(clock, range(25 * 1_800), drift=drift))
        hour_end_us = 25 * 1_800 * FRAME_US
        media_us = round(hour_end_us * (1 + drift))
        assert abs(clock.anchor_us + media_us - (START_US + hour_end_us)) < 20_000


@UNHURRIED
@given(
    st.lists(st.tuples(st.integers(1, 200_000), st.integers(-1_900_000, 1_900_000)), min_size=2, max_size=200)
)
def test_the_anchor_moves_no_faster_than_it_may(steps: list[tuple[int, int]]) -> None:
    clock, media_us, real_us = new(), 0, 0
    clock.measure(0, START_US, 0.0)
    for passed_us, off_us in steps:
        before_us = clock.anchor_us
        media_us, real_us = media_us + passed_us, real_us + passed_us
        jumped = clock.measure(media_us, before_us + media_us + off_us, real_us / 1e6)
        assert not jumped
        assert abs(clock.anchor_us - before_us) <= passed_us * SLEW_US_PER_S / 1e6


def test_media_time_that_jumps_ahead_is_noticed_in_a_second() -> None:
    clock = new()
    run(clock, range(100))
    jumps = run(clock, range(100, 200), extra_us=-5_000_000)
    assert jumps.index(True) in range(24, 28)
    assert sum(jumps) == 1
    assert clock.anchor_us == START_US - 5_000_000


def test_one_packet_from_the_future_changes_nothing() -> None:
    clock = new()
    run(clock, range(100))
    assert not any(run(clock, range(100, 101), extra_us=-9_000_000))
    run(clock, range(101, 5_000))
    assert abs(clock.anchor_us - START_US) < 1_000


def test_media_time_that_falls_back_is_noticed_once_it_lasts() -> None:
    clock = new()
    run(clock, range(100))
    jumps = run(clock, range(100, 2_000), extra_us=3_000_000)
    assert jumps.index(True) == 25 * LATE_LASTS_S
    assert sum(jumps) == 1
    assert clock.anchor_us == START_US + 3_000_000


def test_a_slow_network_for_twenty_seconds_is_no_jump() -> None:
    clock = new()
    run(clock, range(100))
    assert not any(run(clock, range(100, 600), late_us=lambda: JUMP_US + 500_000))
    assert not any(run(clock, range(600, 2_000)))
    assert abs(clock.anchor_us - START_US) < 1_000


def test_a_clock_that_is_set_takes_the_anchor_along() -> None:
    for step_us in (-3_600_000_000, 50 * 365 * 86_400_000_000):
        clock = new()
        run(clock, range(100))
        assert not clock.check_step(START_US + 4_000_000, 4.0)
        assert clock.check_step(START_US + 4_040_000 + step_us, 4.04)
        assert not clock.check_step(START_US + 4_080_000 + step_us, 4.08)
        assert clock.anchor_us == START_US + step_us
        for number in range(102, 3_000):
            us = number * FRAME_US
            assert not clock.measure(us, START_US + step_us + us, us / 1e6)
        assert clock.anchor_us == START_US + step_us


def test_a_clock_that_is_slewed_is_not_set() -> None:
    clock = new()
    assert not any(clock.check_step(START_US + n * 1_000_500, float(n)) for n in range(5_000))

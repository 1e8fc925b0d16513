"""The time line of a live source."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.video import PART_MAX_TICKS, TICKS_PER_SECOND
from tests.media.livetime import FRAME, START_US, VIDEO, Feed, packet

UNHURRIED = settings(deadline=None)
"""A busy machine is no failure."""

SECOND_US = 1_000_000


def test_the_first_picture_ever_is_at_the_anchor() -> None:
    feed = Feed()
    feed.steady(100, first=777_777)
    parts = feed.finish()
    assert feed.times == [number * FRAME for number in range(100)]
    assert {part.anchor_us for part in parts} == {START_US}
    assert feed.gaps == []
    assert parts[0].starts_segment
    assert parts[0].independent
    assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]


def test_a_later_connection_goes_on_where_the_wall_clock_is() -> None:
    feed = Feed(after=500 * FRAME)
    feed.clock.advance(60)
    feed.steady(50)
    feed.finish()
    assert feed.times[0] == 60 * TICKS_PER_SECOND
    assert feed.gaps == ["lost"]
    assert feed.walls[0] == 60 * SECOND_US


def test_ticks_never_repeat_though_the_clock_was_set_back_in_between() -> None:
    feed = Feed(after=100_000_000)
    feed.steady(50)
    feed.finish()
    assert feed.times[0] == 100_000_001
    assert abs(feed.walls[0]) <= 12


def test_a_burst_at_the_beginning_is_older_than_its_arrival() -> None:
    feed = Feed(after=0)
    feed.clock.advance(60)
    for number in range(125):
        feed.add(packet(number * FRAME, key=number == 0))
    assert feed.parts == []
    feed.clock.advance(0.04)
    feed.steady(200, first=125 * FRAME)
    feed.finish()
    assert feed.walls[0] == pytest.approx(55 * SECOND_US + 40_000, abs=20)
    assert feed.walls[-1] == pytest.approx(60 * SECOND_US + 40_000 + 199 * 40_000, abs=20)
    assert feed.gaps == ["lost"]


def test_the_part_of_a_burst_that_was_seen_before_is_passed_over_from_a_keyframe_on() -> None:
    known = 58 * TICKS_PER_SECOND
    feed = Feed(after=known)
    feed.clock.advance(60)
    for number in range(125):
        feed.add(packet(number * FRAME, key=number % 25 == 0))
    feed.clock.advance(0.04)
    feed.steady(20, first=125 * FRAME)
    parts = feed.finish()
    assert parts[0].independent
    assert known < feed.times[0] <= known + TICKS_PER_SECOND
    assert feed.walls[-1] == pytest.approx(60 * SECOND_US + 20 * 40_000, abs=20)


def test_the_beginning_is_held_only_for_a_moment() -> None:
    feed = Feed()
    for number in range(4):
        feed.add(packet(number * FRAME, key=True))
        feed.clock.advance(0.04)
    assert len(feed.parts) == 3
    slow = Feed()
    for number in range(3):
        slow.add(packet(number * TICKS_PER_SECOND, key=True))
        slow.clock.advance(1)
    assert len(slow.parts) == 2


def test_a_connection_that_ends_at_once_loses_nothing() -> None:
    feed = Feed()
    feed.add(packet(5, key=True))
    feed.add(packet(5 + FRAME))
    assert [len(part.packets) for part in feed.finish()] == [2]
    assert Feed().finish() == []


def test_bursts_do_not_push_time() -> None:
    feed = Feed()
    raw = 0
    for _ in range(20):
        feed.clock.advance(6)
        for _ in range(150):
            feed.add(packet(raw, key=raw % (150 * FRAME) == 0))
            raw += FRAME
    feed.finish()
    assert feed.gaps == []
    assert feed.times == [number * FRAME for number in range(1, 3_001)]
    steps = {other - one for one, other in pairwise(feed.walls)}
    assert all(37_000 < step < 43_000 for step in steps)
    assert feed.walls[-1] == pytest.approx(120 * SECOND_US, abs=200_000)


@pytest.mark.parametrize("step", [-3_600.0, 3_600.0, -5.0, 1e9])
def test_a_clock_that_is_set_moves_wall_time_and_not_the_line(step: float) -> None:
    feed = Feed()
    raw = feed.steady(100)
    feed.clock.step(step)
    feed.steady(100, first=raw)
    feed.finish()
    assert feed.times == [number * FRAME for number in range(200)]
    assert feed.gaps == ["clock"]
    marked = next(part for part in feed.parts if part.gap)
    assert marked.starts_segment
    assert marked.start == 100 * FRAME
    assert feed.walls[99] == pytest.approx(99 * 40_000, abs=12)
    assert feed.walls[100] == pytest.approx(100 * 40_000 + step * 1e6, abs=12)


@pytest.mark.parametrize("drift", [300e-6, -300e-6])
def test_a_drifting_camera_clock_is_followed_without_a_gap(drift: float) -> None:
    feed = Feed()
    frames = 25 * 1_200
    for number in range(frames):
        feed.add(packet(round(number * FRAME * (1 + drift)), key=number % 250 == 0))
        feed.clock.advance(0.04)
    feed.finish()
    assert feed.gaps == []
    assert feed.walls[-1] == pytest.approx((frames - 1) * 40_000, abs=40_000)
    assert all(one < other for one, other in pairwise(feed.walls))


def test_timestamps_that_jump_without_time_passing_are_closed_up() -> None:
    feed = Feed()
    feed.steady(50)
    feed.steady(50, first=2**40)
    feed.steady(50, first=5)
    feed.finish()
    assert feed.times == [number * FRAME for number in range(150)]
    assert feed.gaps == []


def test_time_that_is_missing_behind_a_jump_is_a_gap() -> None:
    feed = Feed()
    feed.steady(50)
    feed.clock.advance(8)
    feed.steady(50, first=2**40)
    feed.finish()
    assert feed.gaps == ["lost"]
    assert feed.times[50] == pytest.approx(50 * FRAME + 8 * TICKS_PER_SECOND, abs=2)
    assert feed.walls[-1] == pytest.approx(8 * SECOND_US + 99 * 40_000, abs=100)


def test_known_loss_is_a_gap_and_starts_a_segment() -> None:
    feed = Feed()
    raw = feed.steady(50)
    feed.add(packet(raw + 20 * FRAME), lost=True)
    feed.finish()
    assert feed.gaps == ["lost"]
    assert feed.parts[-1].starts_segment
    assert not feed.parts[-1].independent
    assert feed.times[-1] == 70 * FRAME


def test_another_format_ends_the_part_and_starts_a_segment() -> None:
    feed = Feed()
    raw = feed.steady(30)
    larger = replace(VIDEO, width=128)
    feed.add(packet(raw, key=True), video=larger)
    feed.add(packet(raw + FRAME), video=replace(VIDEO, width=128, template=object()))
    feed.finish()
    assert [part.video.width for part in feed.parts].count(128) == 1
    assert feed.parts[-1].starts_segment
    assert feed.gaps == []
    assert sum(len(part.packets) for part in feed.parts) == 32


def test_dates_are_the_better_clock() -> None:
    feed = Feed()
    feed.clock.advance(30)
    for segment in range(4):
        for number in range(50):
            raw = (segment * 50 + number) * FRAME
            date = START_US + 10 * SECOND_US + raw * 100 // 9 if number == 0 else None
            feed.add(packet(raw, key=number == 0), date_us=date)
        feed.clock.advance(2)
    feed.finish()
    assert feed.gaps == []
    assert feed.walls == pytest.approx([10 * SECOND_US + number * 40_000 for number in range(200)], abs=12)


def test_an_absurd_date_is_not_believed() -> None:
    feed = Feed()
    for number in range(50):
        feed.add(packet(number * FRAME, key=number == 0), date_us=number * 40_000)
        feed.clock.advance(0.04)
    feed.finish()
    assert feed.walls[-1] == pytest.approx(49 * 40_000, abs=12)


def test_what_dates_show_to_be_known_is_passed_over() -> None:
    known = 12 * TICKS_PER_SECOND
    feed = Feed(after=known)
    feed.clock.advance(20)
    for number in range(250):
        date = START_US + 10 * SECOND_US + number * 40_000 if number % 50 == 0 else None
        feed.add(packet(number * FRAME, key=number % 50 == 0), date_us=date)
    feed.finish()
    assert feed.times[0] == known + FRAME
    assert feed.walls[-1] == pytest.approx(10 * SECOND_US + 249 * 40_000, abs=12)


def test_dates_long_before_what_is_known_are_a_clock_that_was_wrong() -> None:
    feed = Feed(after=3_600 * TICKS_PER_SECOND)
    for number in range(10):
        feed.add(packet(number * FRAME), date_us=START_US + number * 40_000)
    feed.finish()
    assert feed.times[0] == 3_600 * TICKS_PER_SECOND + 1
    assert feed.walls[0] == pytest.approx(0, abs=12)


def test_a_pause_is_kept() -> None:
    feed = Feed()
    feed.steady(30)
    feed.clock.advance(7)
    feed.steady(30, first=30 * FRAME + 7 * TICKS_PER_SECOND)
    feed.finish()
    assert feed.times[30] == 30 * FRAME + 7 * TICKS_PER_SECOND
    assert feed.gaps == []


maybe = st.one_of(st.none(), st.integers(-(2**34), 2**34), st.integers(0, 2_000_000))


@UNHURRIED
@given(
    st.lists(
        st.tuples(maybe, maybe, st.booleans(), st.floats(0, 20), st.sampled_from([0.0, 0.0, -500.0, 90.0])),
        min_size=1,
        max_size=60,
    ),
    st.one_of(st.none(), st.integers(0, 2**36)),
)
def test_whatever_a_camera_sends_the_line_only_grows(
    sent: list[tuple[int | None, int | None, bool, float, float]], after: int | None
) -> None:
    feed = Feed(after=after)
    for dts, pts, key, wait, step in sent:
        encoded = packet(dts, key=key)
        encoded.pts = pts
        feed.add(encoded)
        feed.clock.advance(wait)
        if step:
            feed.clock.step(step)
    feed.finish()
    decoded = [one.dts for part in feed.parts for one in part.packets]
    assert all(one < other for one, other in pairwise(decoded))
    assert all(one.pts >= one.dts for part in feed.parts for one in part.packets)
    assert after is None or decoded[0] > after
    assert min(decoded) >= 0
    assert all(part.end - part.start <= PART_MAX_TICKS or len(part.packets) == 1 for part in feed.parts)
    assert all(part.starts_segment for part in feed.parts if part.gap)
    # Undated pictures may only be passed over before a keyframe of a burst that overlaps what is known.
    assert len(decoded) == len(sent) or after is not None

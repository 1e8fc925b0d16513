"""Timestamps made whole."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.video import TICKS_PER_SECOND
from server.media.timestamps import JUMP_TICKS, Arrival, Placed, Stamp, Timestamps, fill_in

UNHURRIED = settings(deadline=None)
"""A busy machine is no failure."""

FRAME = 3_600


def placed(stamps: list[Stamp], *, first: int = 1_000, rate: float = 25.0) -> list[Placed]:
    times = Timestamps(first, rate)
    return [times.place(stamp, Arrival(first + number * FRAME)) for number, stamp in enumerate(stamps)]


def plain(*times: int | None) -> list[Stamp]:
    return [Stamp(time, time) for time in times]


maybe = st.one_of(st.none(), st.integers(-(2**33), 2**34), st.integers(0, 20 * TICKS_PER_SECOND))


@UNHURRIED
@given(st.lists(st.builds(Stamp, maybe, maybe, st.integers(-5, 2**31)), max_size=60), st.integers(0, 2**40))
def test_whatever_comes_decode_times_grow_and_pictures_are_not_shown_before(
    stamps: list[Stamp], first: int
) -> None:
    line = placed(stamps, first=first)
    assert all(one.dts < other.dts for one, other in pairwise(line))
    assert all(one.dts <= one.pts <= one.dts + JUMP_TICKS for one in line)
    assert all(0 < one.duration <= TICKS_PER_SECOND for one in line)
    assert all(one.dts >= first for one in line)


@UNHURRIED
@given(st.lists(st.integers(1, JUMP_TICKS), min_size=1, max_size=50), st.integers(-(2**33), 2**33))
def test_a_variable_rate_with_pauses_is_kept_wherever_it_starts(deltas: list[int], start: int) -> None:
    raw = [start]
    for delta in deltas:
        raw.append(raw[-1] + delta)
    assert [one.dts - 1_000 for one in placed(plain(*raw))] == [time - start for time in raw]
    assert not any(one.lost for one in placed(plain(*raw)))


def test_reordered_pictures_keep_their_places() -> None:
    shown = [2, 5, 3, 4, 8, 6, 7]
    stamps = [Stamp((number - 1) * FRAME, at * FRAME) for number, at in enumerate(shown)]
    line = placed(stamps)
    assert [(one.pts - line[0].pts) // FRAME for one in line] == [at - 2 for at in shown]
    assert [one.dts for one in line] == [1_000 + number * FRAME for number in range(7)]


def test_reordered_pictures_without_decode_times_keep_their_places() -> None:
    shown = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    line = placed([Stamp(None, at * FRAME) for at in shown])
    assert [(one.pts - 1_000) // FRAME for one in line] == shown
    assert all(one.dts <= one.pts for one in line)


def test_counters_that_wrap_go_on() -> None:
    for bits in (33, 32):
        start = (1 << bits) - 10 * FRAME
        raw = [(start + number * FRAME) % (1 << bits) for number in range(50)]
        late = [(start + (number + 2) * FRAME) % (1 << bits) for number in range(50)]
        line = placed([Stamp(dts, pts) for dts, pts in zip(raw, late, strict=True)])
        assert [one.dts for one in line] == [1_000 + number * FRAME for number in range(50)]
        assert {one.pts - one.dts for one in line} == {2 * FRAME}
        assert not any(one.lost for one in line)


def test_a_counter_that_wraps_again_and_again_goes_on() -> None:
    line = placed(plain(*[number * 9 * TICKS_PER_SECOND % (1 << 33) for number in range(30_000)]))
    assert line[-1].dts == 1_000 + 29_999 * 9 * TICKS_PER_SECOND


def test_a_jump_that_took_no_time_is_closed_up() -> None:
    for jump in (11 * TICKS_PER_SECOND, 2**40, -(2**40), -TICKS_PER_SECOND):
        raw = [number * FRAME + (jump if number >= 20 else 0) for number in range(40)]
        line = placed(plain(*raw))
        assert [one.dts for one in line] == [1_000 + number * FRAME for number in range(40)]
        assert not any(one.lost for one in line)


def test_a_jump_across_missing_time_leaves_that_much_room() -> None:
    times = Timestamps(0, 25.0)
    for number in range(20):
        times.place(Stamp(number * FRAME, number * FRAME), Arrival(number * FRAME))
    away = 20 * FRAME + 7 * TICKS_PER_SECOND
    after = times.place(Stamp(2**31 + 17, 2**31 + 17), Arrival(away))
    assert after.lost
    assert after.dts == away
    assert times.place(Stamp(2**31 + 17 + FRAME, None), Arrival(away + FRAME)).dts == away + FRAME


def test_time_that_bursts_explain_is_not_missing() -> None:
    times = Timestamps(0, 25.0)
    times.place(Stamp(0, 0), Arrival(0))
    jumped = times.place(
        Stamp(2**31, 2**31), Arrival(FRAME + 6 * TICKS_PER_SECOND, late=6 * TICKS_PER_SECOND)
    )
    assert (jumped.dts, jumped.lost) == (FRAME, False)


def test_a_long_pause_that_arrival_confirms_is_kept_and_is_a_gap() -> None:
    times = Timestamps(0, 25.0)
    times.place(Stamp(0, 0), Arrival(0))
    pause = 15 * TICKS_PER_SECOND
    after = times.place(Stamp(pause, pause), Arrival(pause + 900))
    assert (after.dts, after.lost) == (pause, True)


def test_small_steps_back_and_repeats_are_clamped() -> None:
    line = placed(plain(0, FRAME, FRAME, FRAME - 900, 2 * FRAME, 3 * FRAME))
    assert [one.dts - 1_000 for one in line] == [0, 3600, 3601, 3602, 7200, 10800]


def test_missing_timestamps_are_filled_in_at_the_pace_of_the_others() -> None:
    line = placed(plain(0, FRAME, None, None, 4 * FRAME, None))
    assert [one.dts - 1_000 for one in line] == [number * FRAME for number in range(6)]


def test_a_stream_without_any_goes_by_arrival() -> None:
    times = Timestamps(0, 0.0)
    arrivals = [0, 3_000, 9_000, 9_000, 20_000]
    line = [times.place(Stamp(None, None), Arrival(tick)) for tick in arrivals]
    assert [one.dts for one in line] == [0, 3_000, 9_000, 9_001, 20_000]


def test_a_stream_without_any_and_a_wrong_rate_does_not_run_away() -> None:
    for rate in (50.0, 10.0):
        times = Timestamps(0, rate)
        line = [times.place(Stamp(None, None), Arrival(number * FRAME)) for number in range(5_000)]
        assert abs(line[-1].dts - 4_999 * FRAME) <= 2 * TICKS_PER_SECOND
        assert not any(one.lost for one in line)


def test_the_first_packets_get_the_times_that_only_later_ones_tell() -> None:
    known = [Stamp(None, None), Stamp(None, 21_600), Stamp(None, 14_400), Stamp(10_800, 10_800)]
    assert [(one.dts, one.pts) for one in fill_in(known, 25.0)] == [
        (0, 7_200),
        (3_600, 21_600),
        (7_200, 14_400),
        (10_800, 10_800),
    ]


def test_where_no_packet_tells_the_first_ones_are_left_as_they_are() -> None:
    for stamps in ([], [Stamp(None, None)] * 3, [Stamp(5, 5), Stamp(None, None)]):
        assert fill_in(stamps, 0.0) == stamps


def test_a_stream_that_lies_about_its_rate_is_judged_by_what_it_sends() -> None:
    told = [Stamp(None, 7_200, 90), *(Stamp(n * 3_600, n * 3_600, 90) for n in range(2, 6))]
    assert fill_in(told, 1_000.0)[0] == Stamp(3_600, 7_200, 90)

from __future__ import annotations

from itertools import pairwise

from server.media.pacing import Pacer

START = 1_800_000_000_000_000


def places(pacer: Pacer, *seconds: float) -> list[int | None]:
    return [pacer.place(START + round(second * 1e6)) for second in seconds]


def test_a_faster_source_loses_what_has_no_place() -> None:
    given = places(Pacer(10), *(number / 25 for number in range(50)))
    assert [place for place in given if place is not None] == list(range(21))


def test_a_slower_source_leaves_places_between() -> None:
    assert places(Pacer(15), *(number / 5 for number in range(6))) == [0, 3, 6, 9, 12, 15]


def test_the_same_rate_with_jitter_neither_drops_nor_repeats() -> None:
    jitter = (0, 0.02, -0.02, 0.025, -0.01)
    given = places(Pacer(15), *(number / 15 + jitter[number % 5] for number in range(300)))
    assert given == list(range(300))


def test_a_gap_of_more_than_a_second_is_skipped() -> None:
    assert places(Pacer(10), 0, 0.1, 60, 60.1, 60.2) == [0, 1, 2, 3, 4]


def test_a_shorter_gap_is_kept() -> None:
    assert places(Pacer(10), 0, 0.1, 1.0) == [0, 1, 10]


def test_a_clock_that_is_set_back_goes_on() -> None:
    assert places(Pacer(10), 100, 100.1, 40, 40.1) == [0, 1, 2, 3]


def test_a_picture_that_comes_a_little_late_has_no_place() -> None:
    assert places(Pacer(10), 1.0, 1.2, 1.1, 1.3) == [0, 2, None, 3]


def test_no_two_places_are_further_apart_than_a_second() -> None:
    pacer = Pacer(7.5)
    given = [pacer.place(START + n * n * 40_000) for n in range(60)]
    taken = [place for place in given if place is not None]
    assert max(b - a for a, b in pairwise(taken)) <= 8

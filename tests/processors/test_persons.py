"""How many are inside: on tracks made by hand."""

from __future__ import annotations

from server.domain.events import Event
from server.processors import create
from server.processors.persons import LINGER_US
from tests.processors.tracks import BEGIN_US, go_on, run, straight, together, walk

ZONE = [[0.4, 0.0], [0.8, 0.0], [0.8, 1.0], [0.4, 1.0]]
THROUGH = straight((0.2, 0.5), (0.95, 0.5), 30)


def counts(events: list[Event]) -> list[int | None]:
    return [event.count for event in events]


def test_the_number_is_told_only_when_it_changes() -> None:
    frames = together(
        walk([(0.3, 0.5)] * 20, track=1),
        walk([(0.6, 0.5)] * 10, track=2, start_us=BEGIN_US + 2_500_000),
    )
    events = run(create("persons"), frames)
    assert counts(events) == [1, 2, 1, 0]
    assert [event.ts_us - BEGIN_US for event in events[:2]] == [2_000_000, 2_500_000]
    assert all(event.passes == 0 and event.direction is None for event in events)
    assert len({event.key for event in events}) == 4


def test_one_comes_as_another_goes_and_nothing_is_told() -> None:
    first = walk([(0.3, 0.5)] * 5, track=1)
    second = walk([(0.6, 0.5)] * 5, track=2, start_us=first[-1][0], ends=False)
    assert counts(run(create("persons"), together(first, second))) == [1]


def test_only_those_inside_a_zone_count() -> None:
    events = run(create("persons", zones=[ZONE]), walk(THROUGH))
    assert counts(events) == [1, 0]


def test_somebody_in_two_zones_counts_once() -> None:
    assert counts(run(create("persons", zones=[ZONE, ZONE]), walk(THROUGH))) == [1, 0]


def test_trembling_on_the_border_of_a_zone_tells_nothing_again() -> None:
    tremble = [(0.4 + (0.008 if i % 2 else -0.008), 0.5) for i in range(100)]
    assert len(run(create("persons", zones=[ZONE]), walk(tremble, ends=False))) <= 1


def test_somebody_hidden_for_a_moment_still_counts() -> None:
    events = run(create("persons"), walk([*[(0.5, 0.5)] * 5, *[None] * 15, *[(0.5, 0.5)] * 5], ends=False))
    assert counts(events) == [1]


def test_the_number_falls_when_a_track_is_given_up() -> None:
    frames = walk([(0.5, 0.5)] * 5)
    events = run(create("persons"), frames)
    assert counts(events) == [1, 0]
    assert events[-1].ts_us == frames[4][0] + LINGER_US, "dated to when it was last seen"


def test_a_new_observation_tells_how_many_there_are_unless_nobody_is() -> None:
    processor = create("persons")
    assert processor.begin(BEGIN_US) == []
    go_on(processor, walk([(0.5, 0.5)] * 5, ends=False))
    again = processor.begin(BEGIN_US + 60_000_000)
    assert [(event.count, event.ts_us) for event in again] == [(1, BEGIN_US + 60_000_000)]


def test_after_forgetting_the_count_starts_from_nobody() -> None:
    processor = create("persons")
    run(processor, walk([(0.5, 0.5)] * 5, ends=False))
    processor.forget()
    assert processor.begin(BEGIN_US + 60_000_000) == []
    assert counts(go_on(processor, walk([(0.5, 0.5)], track=9, start_us=BEGIN_US + 61_000_000))) == [1, 0]


def test_other_classes_do_not_count() -> None:
    assert run(create("persons"), walk(THROUGH, label="car")) == []
    assert counts(run(create("persons", options={"labels": ["car"]}), walk(THROUGH, label="car"))) == [1, 0]


def test_the_occupancy_is_what_the_last_event_said() -> None:
    processor = create("persons")
    assert processor.occupancy() == 0
    go_on(processor, walk([(0.5, 0.5)] * 5, ends=False))
    assert processor.occupancy() == 1
    assert create("traffic", lines=[[[0, 0.5], [1, 0.5]]]).occupancy() is None

"""How many pass: on tracks made by hand. Up over a line from left to right is in."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from server.domain.events import Event
from server.errors import InvalidInput
from server.processors import create
from server.processors.base import BaseProcessor
from tests.processors.tracks import (
    BEGIN_US,
    STEP_US,
    Frames,
    Way,
    go_on,
    maker,
    run,
    straight,
    together,
    walk,
)

RIGHT_ZONE = [[0.7, 0.0], [1.0, 0.0], [1.0, 1.0], [0.7, 1.0]]
LEFT_ZONE = [[0.0, 0.0], [0.3, 0.0], [0.3, 1.0], [0.0, 1.0]]
MIDDLE_ZONE = [[0.4, 0.2], [0.6, 0.2], [0.6, 0.8], [0.4, 0.8]]
ACROSS = [[0.0, 0.5], [1.0, 0.5]]
UP, DOWN = straight((0.5, 0.7), (0.5, 0.3), 10), straight((0.5, 0.3), (0.5, 0.7), 10)
TO_THE_RIGHT = straight((0.5, 0.5), (0.85, 0.5), 10)


def passes(events: list[Event]) -> int:
    return sum(event.passes for event in events)


def ways(events: list[Event]) -> list[str | None]:
    return [event.direction for event in events]


def test_somebody_who_comes_into_a_zone_passes_once() -> None:
    events = run(create("traffic", zones=[RIGHT_ZONE]), walk(TO_THE_RIGHT))
    (event,) = events
    assert (event.passes, event.direction, event.zone, event.track) == (1, "out", "zone 1", 1)
    assert event.score == 0.9
    assert BEGIN_US + 2_000_000 < event.ts_us < BEGIN_US + 3_100_000


def test_somebody_who_was_in_the_zone_from_the_start_does_not_pass() -> None:
    assert run(create("traffic", zones=[RIGHT_ZONE]), walk(straight((0.85, 0.4), (0.8, 0.6), 20))) == []


def test_somebody_who_keeps_clear_of_the_zone_does_not_pass() -> None:
    assert run(create("traffic", zones=[RIGHT_ZONE]), walk(straight((0.2, 0.3), (0.5, 0.6), 20))) == []


def trembling(x: float, y: float, dx: float, dy: float) -> Way:
    sign = [1, -1, 1, 1, -1, -1]
    return [(x + dx * sign[i % 6], y + dy * sign[(i + 1) % 6]) for i in range(200)]


def test_trembling_on_the_border_of_a_zone_counts_at_most_once() -> None:
    way = [*straight((0.5, 0.5), (0.7, 0.5), 8), *trembling(0.7, 0.5, 0.008, 0.008)]
    assert passes(run(create("traffic", zones=[RIGHT_ZONE]), walk(way))) <= 1


def test_trembling_on_a_line_counts_nothing_and_walking_off_counts_once() -> None:
    way = [*straight((0.5, 0.7), (0.5, 0.5), 8), *trembling(0.5, 0.5, 0.008, 0.008)]
    still = walk(way, ends=False)
    processor = create("traffic", lines=[ACROSS])
    assert run(processor, still) == []
    off = walk([*way, *straight((0.5, 0.5), (0.5, 0.3), 8)])
    assert ways(go_on(processor, off[len(still) :])) == ["in"]


def test_a_line_counts_in_and_out_for_each_way_over_it() -> None:
    frames = walk([*UP, *DOWN, *UP])
    events = run(create("traffic", lines=[ACROSS]), frames)
    assert ways(events) == ["in", "out", "in"]
    assert passes(events) == 3
    assert len({event.key for event in events}) == 3


def test_turning_a_line_round_turns_in_and_out() -> None:
    assert ways(run(create("traffic", lines=[ACROSS[::-1]]), walk(UP))) == ["out"]


def test_net_of_several_people_is_who_stayed() -> None:
    frames = together(walk(UP, track=1), walk(DOWN, track=2), walk([(0.2, y) for _, y in UP], track=3))
    found = ways(run(create("traffic", lines=[ACROSS]), frames))
    assert (found.count("in"), found.count("out")) == (2, 1)


def test_going_round_the_end_of_a_line_is_not_crossing_it() -> None:
    line = [[0.0, 0.5], [0.3, 0.5]]
    assert run(create("traffic", lines=[line]), walk(UP)) == []
    assert ways(run(create("traffic", lines=[line]), walk([(0.15, y) for _, y in UP]))) == ["in"]


def test_with_zones_and_lines_only_zones_are_traffic_and_only_lines_have_directions() -> None:
    upright = [[0.6, 1.0], [0.6, 0.0]]
    events = run(create("traffic", zones=[RIGHT_ZONE], lines=[upright]), walk(TO_THE_RIGHT))
    assert [(e.zone, e.direction, e.passes) for e in events] == [("line 1", "out", 0), ("zone 1", None, 1)]


def test_with_zones_alone_a_pass_is_out_and_with_lines_alone_a_crossing_is_traffic() -> None:
    (by_zone,) = run(create("traffic", zones=[RIGHT_ZONE]), walk(TO_THE_RIGHT))
    (by_line,) = run(create("traffic", lines=[[[0.6, 1.0], [0.6, 0.0]]]), walk(TO_THE_RIGHT))
    assert (by_zone.direction, by_zone.passes) == ("out", 1)
    assert (by_line.direction, by_line.passes) == ("out", 1)


def test_a_track_passes_once_however_many_zones_it_meets() -> None:
    processor = create("traffic", zones=[LEFT_ZONE, MIDDLE_ZONE, RIGHT_ZONE])
    way = [*straight((0.35, 0.5), (0.9, 0.5), 20), *straight((0.9, 0.5), (0.1, 0.5), 30)]
    events = run(processor, walk(way))
    assert [(e.zone, e.passes) for e in events] == [("zone 2", 1)]


def test_two_people_pass_twice() -> None:
    frames = together(walk(TO_THE_RIGHT, track=1), walk(TO_THE_RIGHT, track=2))
    events = run(create("traffic", zones=[RIGHT_ZONE]), frames)
    assert passes(events) == 2
    assert len({event.key for event in events}) == 2


def test_somebody_lost_and_found_does_not_count_twice() -> None:
    way: list[tuple[float, float] | None] = [
        *TO_THE_RIGHT,
        *[None] * 15,
        *straight((0.72, 0.5), (0.9, 0.5), 8),
    ]
    assert passes(run(create("traffic", zones=[RIGHT_ZONE]), walk(way))) == 1


def test_somebody_lost_before_a_line_and_found_behind_it_crossed_it_once() -> None:
    hidden: list[tuple[float, float] | None] = [*UP[:4], *[None] * 5, *UP[8:]]
    assert ways(run(create("traffic", lines=[ACROSS]), walk(hidden))) == ["in"]


NEAR_THE_BOTTOM = [[0.0, 0.97], [1.0, 0.97]]
NEAR_THE_LEFT = [[0.03, 1.0], [0.03, 0.0]]


def test_coming_in_over_the_border_next_to_a_line_counts_in() -> None:
    events = run(create("traffic", lines=[NEAR_THE_BOTTOM]), walk(straight((0.5, 1.05), (0.5, 0.6), 12)))
    assert ways(events) == ["in"]


def test_going_out_over_the_border_next_to_a_line_counts_out() -> None:
    events = run(create("traffic", lines=[NEAR_THE_BOTTOM]), walk(straight((0.5, 0.6), (0.5, 1.05), 12)))
    assert ways(events) == ["out"]


def test_in_and_out_again_over_the_same_border_is_net_nothing() -> None:
    way = [*straight((0.5, 1.05), (0.5, 0.6), 12), *straight((0.5, 0.6), (0.5, 1.05), 12)]
    assert ways(run(create("traffic", lines=[NEAR_THE_BOTTOM]), walk(way))) == ["in", "out"]


def test_standing_cut_by_the_border_counts_nothing() -> None:
    way = trembling(0.5, 0.95, 0.003, 0.006)
    assert run(create("traffic", lines=[NEAR_THE_BOTTOM]), walk(way, ends=False)) == []


def test_coming_in_over_another_border_does_not_count_for_a_line() -> None:
    way = straight((-0.02, 0.5), (0.4, 0.5), 12)
    assert run(create("traffic", lines=[NEAR_THE_BOTTOM]), walk(way)) == []
    assert len(run(create("traffic", lines=[NEAR_THE_LEFT]), walk(way))) == 1


def test_whoever_is_there_when_an_observation_begins_was_not_seen_coming_in() -> None:
    way = straight((0.5, 1.05), (0.5, 0.6), 12)
    frames = walk(way, start_us=BEGIN_US + STEP_US)
    assert run(create("traffic", lines=[NEAR_THE_BOTTOM]), frames) == []


def test_leaving_over_the_border_into_a_narrow_zone_passes() -> None:
    narrow = [[0.98, 0.0], [1.0, 0.0], [1.0, 1.0], [0.98, 1.0]]
    events = run(create("traffic", zones=[narrow]), walk(straight((0.6, 0.5), (1.0, 0.5), 10)))
    assert passes(events) == 1


def test_leaving_over_the_border_beside_the_zone_does_not_pass() -> None:
    low = [[0.9, 0.8], [1.0, 0.8], [1.0, 1.0], [0.9, 1.0]]
    assert run(create("traffic", zones=[low]), walk(straight((0.6, 0.3), (1.0, 0.3), 10))) == []


def test_somebody_lost_just_before_a_zone_is_taken_to_have_gone_on() -> None:
    fast = straight((0.4, 0.5), (0.66, 0.5), 8)
    assert passes(run(create("traffic", zones=[RIGHT_ZONE]), walk(fast))) == 1
    assert passes(run(create("traffic", zones=[RIGHT_ZONE]), walk([*fast, *[(0.66, 0.5)] * 5]))) == 0


def test_other_classes_and_unsure_tracks_do_not_count() -> None:
    make = maker("traffic", zones=[RIGHT_ZONE], confidence=0.6)
    assert run(make(), walk(TO_THE_RIGHT, label="car")) == []
    assert run(make(), walk(TO_THE_RIGHT, best=0.59)) == []
    assert passes(run(make(), walk(TO_THE_RIGHT, best=0.6))) == 1
    cars = create("traffic", zones=[RIGHT_ZONE], options={"labels": ["car", "truck"]})
    assert passes(run(cars, together(walk(TO_THE_RIGHT, label="car"), walk(TO_THE_RIGHT, track=2)))) == 1


def test_the_foot_can_stand_for_a_box() -> None:
    low_line = [[0.0, 0.6], [1.0, 0.6]]
    way = straight((0.5, 0.7), (0.5, 0.52), 10)
    assert ways(run(create("traffic", lines=[low_line]), walk(way))) == ["in"]
    assert run(create("traffic", lines=[low_line], options={"anchor": "foot"}), walk(way)) == []


def busy() -> Frames:
    return together(
        walk(TO_THE_RIGHT, track=1),
        walk([*UP, *DOWN], track=2, start_us=BEGIN_US + 2_500_000),
        walk(straight((0.3, 1.05), (0.3, 0.3), 20), track=3, start_us=BEGIN_US + 2_200_000),
        walk(
            [*straight((0.1, 0.3), (0.4, 0.7), 9), *[None] * 6, *straight((0.6, 0.7), (1.0, 0.2), 9)], track=4
        ),
    )


MAKERS = [
    maker("traffic", zones=[RIGHT_ZONE, LEFT_ZONE], lines=[ACROSS, NEAR_THE_BOTTOM]),
    maker("traffic", lines=[ACROSS, NEAR_THE_BOTTOM]),
    maker("traffic", zones=[MIDDLE_ZONE, RIGHT_ZONE]),
    maker("persons", zones=[MIDDLE_ZONE, RIGHT_ZONE]),
    maker("persons"),
]


@pytest.mark.parametrize("make", MAKERS)
def test_going_on_from_a_written_state_is_as_if_nothing_had_happened(
    make: Callable[[], BaseProcessor],
) -> None:
    frames = busy()
    unbroken = run(make(), frames)
    assert len(unbroken) >= 2
    for cut in range(len(frames) + 1):
        first = make()
        before = run(first, frames[:cut])
        written = json.dumps(first.state())
        second = make()
        second.restore(json.loads(written))
        assert json.dumps(second.state()) == written
        assert before + go_on(second, frames[cut:]) == unbroken


@pytest.mark.parametrize("state", [{}, {"begun_us": 0}, {"begun_us": 0, "courses": [[1, [0.5, 0.5]]]}])
def test_a_state_of_another_shape_is_refused(state: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        create("traffic", lines=[ACROSS]).restore(state)


def test_the_state_of_other_zones_is_refused() -> None:
    processor = create("traffic", zones=[RIGHT_ZONE])
    run(processor, walk(TO_THE_RIGHT, ends=False))
    with pytest.raises(ValueError, match="have changed"):
        create("traffic", zones=[RIGHT_ZONE, LEFT_ZONE]).restore(processor.state())


def test_after_forgetting_nobody_is_known_any_more() -> None:
    processor = create("traffic", zones=[RIGHT_ZONE])
    frames = walk(TO_THE_RIGHT, ends=False)
    assert run(processor, frames[:3]) == []
    processor.forget()
    assert json.loads(json.dumps(processor.state()))["courses"] == []


def test_a_traffic_processor_needs_a_zone_or_a_line() -> None:
    with pytest.raises(InvalidInput, match="at least one zone of exit or one line") as refusal:
        create("traffic")
    assert refusal.value.field == "zones"


def test_events_name_the_zone_or_line_and_keep_their_key() -> None:
    upright = [[0.6, 1.0], [0.6, 0.0]]
    zone, line = {"name": "Way out", "points": RIGHT_ZONE}, {"name": "Step", "points": upright}
    events = run(create("traffic", zones=[zone], lines=[line]), walk(TO_THE_RIGHT))
    plain = run(create("traffic", zones=[RIGHT_ZONE], lines=[upright]), walk(TO_THE_RIGHT))
    assert {event.zone for event in events} == {"Way out", "Step"}
    assert {event.zone for event in plain} == {"zone 1", "line 1"}
    assert [event.key for event in events] == [event.key for event in plain]


def test_a_name_given_meanwhile_goes_on_from_the_same_checkpoint() -> None:
    frames = walk(TO_THE_RIGHT)
    before = create("traffic", zones=[RIGHT_ZONE])
    first = run(before, frames[:5])
    after = create("traffic", zones=[{"name": "Way out", "points": RIGHT_ZONE}])
    after.restore(json.loads(json.dumps(before.state())))
    assert [event.zone for event in [*first, *go_on(after, frames[5:])]] == ["Way out"]

"""The tracker on hand-made detections: people 0.4 high and 0.1 wide unless said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.detections import LABELS, Detections
from server.domain.geometry import Box
from server.domain.tracks import Track, TrackState
from server.vision.tracker import Tracker, TrackerSettings

START = 1_700_000_000_000_000
Item = tuple[Box, float, str]
Scene = Callable[[float], list[Item]]


def person(x: float, y: float = 0.5, score: float = 0.85, label: str = "person") -> Item:
    """Somebody whose middle is at x, y; what lies beyond the frame is cut."""
    return clipped(Box(x - 0.05, y - 0.2, x + 0.05, y + 0.2)), score, label


def clipped(box: Box) -> Box:
    return Box(*(min(max(value, 0.0), 1.0) for value in box))


def detections(items: Iterable[Item]) -> Detections:
    items = [item for item in items if item[0].width > 0 and item[0].height > 0]
    return Detections(
        np.array([item[0] for item in items], np.float32).reshape(-1, 4),
        np.array([item[1] for item in items], np.float32),
        np.array([LABELS.index(item[2]) for item in items], np.int64),
    )


def play(tracker: Tracker, scene: Scene, times: Iterable[float]) -> list[list[Track]]:
    """What the tracker says at each time, seconds after START."""
    return [tracker.update(detections(scene(t)), START + round(t * 1e6)) for t in times]


def every(fps: float, begin: float, end: float) -> list[float]:
    return [n / fps for n in range(round(begin * fps), round(end * fps))]


def ids(frames: Iterable[Iterable[Track]]) -> set[int]:
    return {track.id for frame in frames for track in frame}


def end_of(frames: list[list[Track]], times: list[float]) -> float:
    """When the only track ended."""
    ends = [
        t
        for t, frame in zip(times, frames, strict=True)
        for track in frame
        if track.state is TrackState.ENDED
    ]
    assert len(ends) == 1
    return ends[0]


@pytest.mark.parametrize("fps", [5, 10, 25])
def test_somebody_clear_counts_within_three_tenths_of_a_second_and_keeps_the_first_sight(fps: int) -> None:
    frames = play(Tracker(), lambda t: [person(0.3 + 0.1 * t)], every(fps, 0, 1))
    first = next(i for i, frame in enumerate(frames) if frame)
    assert first / fps <= 0.3
    track = frames[first][0]
    assert track.first_us == START
    assert track.first_box == pytest.approx(person(0.3)[0])
    assert track.state is TrackState.SEEN
    assert track.label == "person"


@pytest.mark.parametrize("fps", [5, 10])
@pytest.mark.parametrize("moving", [0.0, 0.1])
def test_somebody_hidden_for_almost_two_seconds_stays_the_same(fps: int, moving: float) -> None:
    def scene(t: float) -> list[Item]:
        return [] if 2.0 < t < 3.9 else [person(0.2 + moving * t)]

    frames = play(Tracker(), scene, every(fps, 0, 6))
    assert ids(frames) == {1}
    assert all(len(frame) == 1 for frame in frames[3:])
    hidden = frames[round(3.0 * fps)][0]
    assert hidden.state is TrackState.HIDDEN
    assert hidden.seen_us == START + 2_000_000
    assert frames[-1][0].state is TrackState.SEEN


def test_somebody_who_stops_behind_a_pillar_is_found_again_where_he_stopped() -> None:
    def scene(t: float) -> list[Item]:
        return [] if 2.0 < t < 3.8 else [person(0.2 + 0.12 * min(t, 2.3))]

    assert ids(play(Tracker(), scene, every(5, 0, 6))) == {1}


@pytest.mark.parametrize("fps", [5, 10])
def test_somebody_lost_amid_the_scene_is_given_up_a_little_after_two_seconds(fps: int) -> None:
    times = every(fps, 0, 6)
    frames = play(Tracker(), lambda t: [person(0.5)] if t <= 2 else [], times)
    assert 2.0 < end_of(frames, times) - 2.0 <= 2.5


@pytest.mark.parametrize("fps", [5, 10])
@pytest.mark.parametrize("mirrored", [False, True])
def test_somebody_who_left_over_the_border_is_given_up_within_half_a_second(fps: int, mirrored: bool) -> None:
    def scene(t: float) -> list[Item]:
        x = 0.6 + 0.2 * t
        return [person(1 - x if mirrored else x)] if x < 1.04 else []

    times = every(fps, 0, 5)
    frames = play(Tracker(), scene, times)
    last_seen = max(t for t in times if scene(t))
    assert frames[round(last_seen * fps)][0].leaving
    assert 0.3 < end_of(frames, times) - last_seen <= 0.5
    assert frames[round(end_of(frames, times) * fps)][0].leaving


def test_somebody_standing_at_the_border_is_waited_for_like_anybody_else() -> None:
    rng = np.random.default_rng(1)

    def scene(t: float) -> list[Item]:
        return [person(0.97 + float(rng.normal(0, 0.002)))] if t <= 3 else []

    times = every(5, 0, 8)
    frames = play(Tracker(), scene, times)
    assert end_of(frames, times) - 3 > 2


@pytest.mark.parametrize("fps", [5, 10])
def test_a_box_seen_in_a_single_frame_never_counts(fps: int) -> None:
    def scene(t: float) -> list[Item]:
        return (
            [person(0.2 + 0.6 * ((t * 7) % 1), 0.3 + 0.4 * ((t * 3) % 1), 0.95)]
            if round(t * fps) % 9 == 0
            else []
        )

    assert not ids(play(Tracker(), scene, every(fps, 0, 20)))


def test_boxes_that_stay_weak_never_count() -> None:
    assert not ids(play(Tracker(), lambda t: [person(0.5, score=0.3)], every(5, 0, 10)))


def test_weak_boxes_keep_a_track_alive() -> None:
    frames = play(Tracker(), lambda t: [person(0.5, score=0.8 if t < 1 else 0.15)], every(5, 0, 10))
    assert ids(frames) == {1}
    assert all(frame[0].state is TrackState.SEEN for frame in frames[3:])
    assert frames[-1][0].best_score == pytest.approx(0.8)


@pytest.mark.parametrize("fps", [5, 10])
def test_two_people_who_cross_keep_their_tracks(fps: int) -> None:
    def left(t: float) -> float:
        return 0.2 + 0.12 * t

    def right(t: float) -> float:
        return 0.8 - 0.12 * t

    def scene(t: float) -> list[Item]:
        hidden = abs(left(t) - right(t)) < 0.06
        return [person(left(t), 0.55)] + ([] if hidden else [person(right(t), 0.5)])

    frames = play(Tracker(), scene, every(fps, 0, 5))
    assert ids(frames) == {1, 2}
    before = {track.id: track.box.centre.x < 0.5 for track in frames[round(1 * fps)]}
    after = {track.id: track.box.centre.x < 0.5 for track in frames[-1]}
    assert all(before[name] != after[name] for name in before)


def test_somebody_hidden_does_not_take_the_box_of_somebody_in_sight() -> None:
    def scene(t: float) -> list[Item]:
        return [person(0.5)] + ([person(0.58)] if t < 2 else [])

    frames = play(Tracker(), scene, every(5, 0, 4))
    places = {track.id: track.box.centre.x for track in frames[5]}
    stayed = next(name for name, x in places.items() if x == pytest.approx(0.5))
    for frame in frames[10:]:
        assert [track.id for track in frame if track.state is TrackState.SEEN] == [stayed]


@pytest.mark.parametrize("speed", [0.1, 0.25])
def test_irregular_and_missing_frames_do_not_break_a_track(speed: float) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.choice([0.033, 0.1, 0.2, 0.4], 200)).tolist()

    def scene(t: float) -> list[Item]:
        way = (speed * t) % 1.2
        return [person(0.2 + (way if way < 0.6 else 1.2 - way))]

    assert ids(play(Tracker(), scene, times)) == {1}


def test_one_frame_a_second_is_enough_for_somebody_slow() -> None:
    assert ids(play(Tracker(), lambda t: [person(0.3 + 0.02 * t)], every(1, 0, 12))) == {1}


@pytest.mark.parametrize(
    "second",
    [
        Box(0.42, 0.2, 0.58, 0.5),  # the upper half again
        Box(0.41, 0.21, 0.6, 0.79),  # a looser box
        Box(0.46, 0.2, 0.54, 0.32),  # the head
    ],
)
def test_a_second_box_around_somebody_is_not_another_person(second: Box) -> None:
    whole = Box(0.4, 0.2, 0.6, 0.8)
    frames = play(Tracker(), lambda t: [(whole, 0.9, "person"), (second, 0.6, "person")], every(5, 0, 5))
    assert ids(frames) == {1}


@pytest.mark.parametrize("fps", [5, 10])
def test_somebody_split_in_two_boxes_for_a_while_stays_one(fps: int) -> None:
    def scene(t: float) -> list[Item]:
        if 2 <= t < 3:
            return [(Box(0.4, 0.2, 0.6, 0.48), 0.8, "person"), (Box(0.41, 0.46, 0.59, 0.8), 0.7, "person")]
        return [(Box(0.4, 0.2, 0.6, 0.8), 0.9, "person")]

    assert ids(play(Tracker(), scene, every(fps, 0, 5))) == {1}


def test_a_car_taken_for_a_truck_now_and_then_stays_one_car() -> None:
    def scene(t: float) -> list[Item]:
        label = "truck" if round(t * 5) % 4 == 2 else "car"
        return [(Box(0.1 + 0.1 * t, 0.5, 0.3 + 0.1 * t, 0.7), 0.8, label)]

    frames = play(Tracker(), scene, every(5, 0, 5))
    assert ids(frames) == {1}
    assert frames[-1][0].label == "car"


@pytest.mark.parametrize(("before", "after"), [("person", "bicycle"), ("person", "car"), ("bicycle", "car")])
def test_a_track_never_goes_on_as_something_of_another_kind(before: str, after: str) -> None:
    frames = play(Tracker(), lambda t: [person(0.5, label=before if t < 2 else after)], every(5, 0, 6))
    labels = {track.id: track.label for frame in frames for track in frame}
    assert labels == {1: before, 2: after}


def test_a_rider_and_the_bicycle_are_two_tracks() -> None:
    frames = play(Tracker(), lambda t: [person(0.5), person(0.5, 0.6, label="bicycle")], every(5, 0, 2))
    assert {track.label for track in frames[-1]} == {"person", "bicycle"}


def test_end_all_ends_each_confirmed_track_once_and_ids_go_on() -> None:
    tracker = Tracker()
    play(tracker, lambda t: [person(0.3), person(0.7)] + ([person(0.5)] if t > 0.9 else []), every(5, 0, 1.2))
    ended = tracker.end_all(START + 1_200_000)
    assert [(track.id, track.state) for track in ended] == [(1, TrackState.ENDED), (2, TrackState.ENDED)]
    assert tracker.end_all(START + 1_300_000) == []
    assert ids(play(tracker, lambda t: [person(0.3)], every(5, 2, 3))) == {3}


def test_a_frame_that_is_not_later_than_the_last_is_refused() -> None:
    tracker = Tracker()
    tracker.update(Detections.empty(), START)
    with pytest.raises(ValueError, match="not later"):
        tracker.update(Detections.empty(), START)


def crowd(t: float) -> list[Item]:
    """Twelve people to and fro, with gaps and weak scores."""
    items = []
    for n in range(12):
        way = (0.07 * n + (0.05 + 0.01 * n) * t) % 2
        score = 0.3 + 0.6 * abs(((t * (3 + n)) % 2) - 1)
        if (n * 7 + round(t * 10)) % 11:
            items.append(person(way if way < 1 else 2 - way, 0.3 + 0.03 * n, score))
    return items


@pytest.mark.parametrize("cut", range(1, 30, 4))
def test_a_tracker_restored_amid_the_scene_goes_on_identically(cut: int) -> None:
    times = every(5, 0, 8)
    whole, first = Tracker(), Tracker()
    expected = play(whole, crowd, times)
    play(first, crowd, times[:cut])
    second = Tracker.restore(json.loads(json.dumps(first.state())))
    assert play(second, crowd, times[cut:]) == expected[cut:]
    assert second.state() == whole.state()


def test_a_state_of_another_version_is_refused_in_words() -> None:
    state = Tracker().state()
    state["version"] = 99
    with pytest.raises(ValueError, match="version 99"):
        Tracker.restore(state)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="scores"):
        TrackerSettings(low_score=0.5, high_score=0.4)


def test_boxes_that_are_no_boxes_are_ignored() -> None:
    bad = Detections(
        np.array([[0.5, 0.5, 0.5, 0.9], [0.1, np.nan, 0.2, 0.3], [0.6, 0.6, 0.5, 0.7]], np.float32),
        np.array([0.9, 0.9, 0.9], np.float32),
        np.zeros(3, np.int64),
    )
    tracker = Tracker()
    assert [tracker.update(bad, START + n * 200_000) for n in range(5)] == [[]] * 5


coordinate = st.floats(0, 1, width=32)
frame_of_anything = st.lists(
    st.tuples(
        st.builds(Box, coordinate, coordinate, coordinate, coordinate),
        st.floats(0, 1, width=32),
        st.sampled_from(LABELS),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3_000_000), frame_of_anything, st.booleans()), max_size=25))
def test_whatever_comes_ids_are_unique_and_nobody_ends_twice(
    frames: list[tuple[int, list[Item], bool]],
) -> None:
    tracker, now, ended, alive = Tracker(), START, set[int](), set[int]()
    for step, items, again in frames:
        now += step
        everything = items + [(item[0], 0.9, item[2]) for item in items] if again else items
        tracks = tracker.update(detections(everything), now)
        names = [track.id for track in tracks]
        assert len(names) == len(set(names))
        assert alive <= set(names)
        assert not ended & set(names)
        for track in tracks:
            assert 0 <= track.box.x1 <= track.box.x2 <= 1
            assert 0 <= track.box.y1 <= track.box.y2 <= 1
        now_ended = {track.id for track in tracks if track.state is TrackState.ENDED}
        ended |= now_ended
        alive = set(names) - now_ended
    assert {track.id for track in tracker.end_all(now)} == alive

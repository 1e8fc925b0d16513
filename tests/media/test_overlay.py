from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from server.domain.geometry import Box, Line, Point, Polygon
from server.domain.tracks import Track, TrackState
from server.domain.video import Picture
from server.media import overlay
from server.media.overlay import Caption, Mark, Overlay

WIDTH, HEIGHT = 640, 360
NOTHING = Caption("", (), "", "")
SQUARE = Polygon((Point(0.25, 0.25), Point(0.75, 0.25), Point(0.75, 0.75), Point(0.25, 0.75)))
BOX = Box(0.4, 0.3, 0.6, 0.8)


def grey(width: int = WIDTH, height: int = HEIGHT) -> Picture:
    return np.full((height, width, 3), 100, np.uint8)


def track(**values: Any) -> Track:
    given: dict[str, Any] = {
        "id": 7, "label": "person", "state": TrackState.SEEN, "box": BOX, "score": 0.9, "best_score": 0.9,
        "velocity": Point(0, 0), "first_us": 0, "first_box": BOX, "seen_us": 0, "seen_box": BOX,
    }  # fmt: skip
    return Track(**(given | values))


def draw(
    zones: tuple[Polygon, ...] = (),
    lines: tuple[Line, ...] = (),
    marks: tuple[Mark, ...] = (),
    ahead_s: float = 0.0,
    caption: Caption = NOTHING,
) -> Picture:
    return Overlay(WIDTH, HEIGHT, zones, lines).draw(grey(), marks, ahead_s, caption)


def at(picture: Picture, x: float, y: float) -> np.ndarray:
    return picture[round(y * (HEIGHT - 1)), round(x * (WIDTH - 1))].astype(int)


def looks(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel - colour).max() < 50)


def share_of(picture: Picture, colour: tuple[int, int, int], left: float, right: float) -> int:
    """Pixels of about that colour between two fractions of the width."""
    part = picture[:, round(left * WIDTH) : round(right * WIDTH)].astype(int)
    return int((np.abs(part - colour).max(axis=2) < 40).sum())


def test_a_zone_is_tinted_inside_and_outlined() -> None:
    picture = draw(zones=(SQUARE,))
    inside, outside = at(picture, 0.5, 0.6), at(picture, 0.1, 0.6)
    assert looks(at(picture, 0.25, 0.5), overlay.ZONE)
    assert (outside == 100).all()
    assert (inside != 100).any() and np.abs(inside - 100).max() < 40, "what is in it is still seen"


def test_zones_that_overlap_hide_neither_each_other_nor_the_picture() -> None:
    picture = draw(zones=(SQUARE, SQUARE, SQUARE))
    assert np.abs(at(picture, 0.5, 0.6) - 100).max() < 60


@pytest.mark.parametrize(
    ("line", "side"),
    [
        # Walking down the picture the left hand points to the right, walking up to the left.
        (Line(Point(0.5, 0.1), Point(0.5, 0.9)), "right"),
        (Line(Point(0.5, 0.9), Point(0.5, 0.1)), "left"),
    ],
)
def test_the_arrow_points_to_where_in_is(line: Line, side: str) -> None:
    picture = draw(lines=(line,))
    left, right = share_of(picture, overlay.IN, 0, 0.495), share_of(picture, overlay.IN, 0.505, 1)
    assert (right > 3 * left) if side == "right" else (left > 3 * right)
    assert line.offset(Point(0.9 if side == "right" else 0.1, 0.5)) > 0, "as the counting has it"


def test_boxes_are_coloured_by_state() -> None:
    for mark, colour in (
        (Mark(track()), overlay.SEEN),
        (Mark(track(state=TrackState.HIDDEN)), overlay.HIDDEN),
        (Mark(track(), concerned=False), overlay.HIDDEN),
        (Mark(track(), way="in"), overlay.IN),
        (Mark(track(), way="out"), overlay.OUT),
    ):
        assert looks(at(draw(marks=(mark,)), 0.4, 0.6), colour), mark
    assert (draw(marks=(Mark(track(state=TrackState.ENDED)),)) == 100).all()


def test_boxes_move_on_with_their_velocity_for_a_while() -> None:
    mark = Mark(track(velocity=Point(0.2, 0)))
    picture = draw(marks=(mark,), ahead_s=1.0)
    assert looks(at(picture, 0.6, 0.5), overlay.SEEN) and looks(at(picture, 0.8, 0.5), overlay.SEEN)
    assert (at(picture, 0.4, 0.6) == 100).all()
    assert (draw(marks=(mark,), ahead_s=3.0) == 100).all()


def test_nothing_fails_at_the_edges() -> None:
    for box in (
        Box(-0.2, -0.2, 0.1, 0.1),
        Box(0.95, 0.9, 1.3, 1.3),
        Box(0, 0, 1, 1),
        Box(1.2, 1.2, 1.4, 1.4),
    ):
        draw(marks=(Mark(track(box=box, label="motorcycle", id=10**9), way="out"),))
    corner = Polygon(
        (Point(0, 0), Point(0.01, 0), Point(0, 0.01)), "A name of quite some forty characters, ok"
    )
    edge = Line(Point(0, 0), Point(1, 0), "Ein langer Name für eine Linie am Rand")
    long = Caption("x" * 200, (("in", "1" * 50),) * 5, "today", "2026-11-21 10:41:17")
    for size in ((WIDTH, HEIGHT), (160, 90), (90, 160), (2, 2)):
        Overlay(*size, (corner,), (edge,)).draw(grey(*size), (Mark(track()),), 0.1, long)


def ink(caption: Caption, top: bool) -> int:
    picture = draw(caption=caption)
    half = picture[: HEIGHT // 2] if top else picture[HEIGHT // 2 :]
    return int((half > 200).all(axis=2).sum())


def test_counts_and_time_are_written_in_letters_of_any_alphabet() -> None:
    count = Caption("Door", (("in", "12"),), "today", "")
    assert ink(count, top=True) > 50 and ink(count, top=False) == 0
    time = Caption("", (), "", "2026-11-21 10:41:17")
    assert ink(time, top=False) > 100
    # A question mark in place of each letter would make these two alike.
    names = [draw(zones=(Polygon(SQUARE.points, name),)) for name in ("вход", "выйти", "入口出口")]
    assert not (names[0] == names[1]).all() and not (names[0] == names[2]).all()
    assert not (names[1] == draw(zones=(Polygon(SQUARE.points, "?????"),))).all()


def test_larger_pictures_get_larger_letters() -> None:
    sizes = [Overlay(w, h, (), ())._pen.size for w, h in ((320, 180), (640, 360), (960, 540), (1280, 720))]
    assert sizes == sorted(sizes) and sizes[0] >= 13 and sizes[3] > sizes[1]


def test_several_threads_may_write_at_once() -> None:
    caption = Caption("Tür", (("in", "12"), ("out", "9")), "today", "2026-11-21 10:41:17")
    expected = draw(zones=(SQUARE,), marks=(Mark(track()),), caption=caption)
    different: list[int] = []

    def work() -> None:
        mine = Overlay(WIDTH, HEIGHT, (SQUARE,), ())
        for _ in range(40):
            picture = mine.draw(grey(), (Mark(track()),), 0.0, caption)
            if not (picture == expected).all():
                different.append(1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert different == []

"""Draws the hall of the demo clip and the people in it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np

from server.domain.video import Picture
from server.media.demo.choreography import VISITS, Visit
from server.media.demo.cutout import Cutout

WIDTH, HEIGHT = 768, 432
HEAD = 104
"""Height in pixels of a head at the front of the hall."""
FAR_SCALE = 0.78
"""Size of those at the back, compared with those at the front."""

_COUNTER_TOP = 366
_FAR_FOOT = 372
_NEAR_FOOT = 392
"""Rows in pixels; everybody is cut off below by the counter in front."""
_STEPS_PER_SECOND = 1.8
_BOB = 3.5
"""How far a walker's head goes up and down, in pixels."""

_WALL_TOP, _WALL_BOTTOM = (196, 205, 210), (222, 228, 232)
_FLOOR_BACK, _FLOOR_FRONT = (138, 150, 158), (96, 108, 118)
_SKIRTING, _FRAME, _DOOR = (150, 160, 166), (120, 132, 140), (128, 156, 176)
_WOOD, _WOOD_EDGE, _WOOD_DARK = (92, 124, 158), (150, 182, 208), (70, 98, 128)
_LEAF, _POT = (92, 138, 96), (104, 112, 170)
_SKY_TOP, _SKY_BOTTOM = (232, 196, 150), (244, 232, 214)


class Scene:
    """The empty hall, and pictures of it with people at a given time."""

    def __init__(self, looks: Mapping[str, Cutout]) -> None:
        """looks: the people by name, with heads of `HEAD` pixels."""
        self._hall = _draw_hall()
        self._counter = _draw_counter()
        self._people = {visit: _prepare(visit, looks[visit.look]) for visit in VISITS}

    def picture(self, time: float) -> Picture:
        """The hall at `time` seconds: BGR, `HEIGHT` x `WIDTH`."""
        canvas = self._hall.copy()
        for visit in sorted(VISITS, key=lambda visit: not visit.far):
            x = visit.at(time)
            if x is not None:
                _paste(canvas, self._people[visit], x * WIDTH, _foot(visit, time))
        canvas[_COUNTER_TOP:] = self._counter
        return canvas


def _prepare(visit: Visit, person: Cutout) -> Cutout:
    if visit.far:
        person = person.scaled(round(person.colour.shape[0] * FAR_SCALE))
    return person.mirrored() if visit.enters == "right" else person


def _foot(visit: Visit, time: float) -> float:
    """The row of a person's lower end: walkers bob, those who stand only breathe."""
    foot = _FAR_FOOT if visit.far else _NEAR_FOOT
    walking = visit.at(time) != visit.at(time + 0.01)
    if walking:
        return foot + _BOB * abs(math.sin(math.pi * _STEPS_PER_SECOND * time))
    return foot + 0.4 * _BOB * math.sin(0.5 * math.pi * time)


def _paste(canvas: Picture, person: Cutout, centre: float, foot: float) -> None:
    """Blend a person in, the part that lies within the picture; positions to a fraction of a pixel."""
    height, width = person.alpha.shape
    left, top = math.floor(centre - width / 2), math.floor(foot - height)
    shift = np.array(((1, 0, centre - width / 2 - left), (0, 1, foot - height - top)), np.float32)
    x1, y1 = max(0, left), max(0, top)
    x2, y2 = min(WIDTH, left + width + 1), min(HEIGHT, top + height + 1)
    if x1 >= x2 or y1 >= y2:
        return
    size = (width + 1, height + 1)
    here = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
    colour = cv2.warpAffine(person.colour, shift, size, borderMode=cv2.BORDER_REPLICATE)[here]
    alpha = cv2.warpAffine(person.alpha, shift, size)[here]
    canvas[y1:y2, x1:x2] = cv2.blendLinear(colour, canvas[y1:y2, x1:x2], alpha, 1 - alpha)


def _draw_hall() -> Picture:
    hall = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    floor_row = 318
    _shade(hall, 0, floor_row, _WALL_TOP, _WALL_BOTTOM)
    _shade(hall, floor_row, HEIGHT, _FLOOR_BACK, _FLOOR_FRONT)
    for x in range(-1200, WIDTH + 1200, 110):
        cv2.line(
            hall, (WIDTH // 2 + (x - WIDTH // 2) // 3, floor_row), (x, HEIGHT), _FLOOR_FRONT, 1, cv2.LINE_AA
        )
    cv2.rectangle(hall, (0, floor_row - 10), (WIDTH, floor_row), _SKIRTING, -1)
    _draw_window(hall)
    _draw_door(hall)
    _draw_plant(hall)
    cv2.putText(hall, "HYPERSIGHT DEMO", (322, 62), cv2.FONT_HERSHEY_DUPLEX, 0.55, _FRAME, 1, cv2.LINE_AA)
    return cv2.GaussianBlur(hall, (0, 0), 0.6).astype(np.uint8)


def _draw_window(hall: Picture) -> None:
    left, top, right, bottom = 96, 52, 260, 214
    _shade(hall[:, left:right], top, bottom, _SKY_TOP, _SKY_BOTTOM)
    hills = np.array(
        [(left, 190), (140, 160), (178, 180), (222, 150), (right, 178), (right, bottom), (left, bottom)]
    )
    cv2.fillPoly(hall, [hills.astype(np.int32)], (150, 186, 168), cv2.LINE_AA)
    cv2.rectangle(hall, (left, top), (right, bottom), _FRAME, 6)
    cv2.line(hall, ((left + right) // 2, top), ((left + right) // 2, bottom), _FRAME, 4)
    cv2.rectangle(hall, (left - 10, bottom + 2), (right + 10, bottom + 12), _SKIRTING, -1)


def _draw_door(hall: Picture) -> None:
    cv2.rectangle(hall, (560, 92), (662, 318), _FRAME, -1)
    cv2.rectangle(hall, (569, 101), (653, 318), _DOOR, -1)
    for top, bottom in ((114, 196), (212, 304)):
        cv2.rectangle(hall, (580, top), (642, bottom), tuple(round(0.88 * c) for c in _DOOR), 2, cv2.LINE_AA)
    cv2.circle(hall, (578, 212), 5, (70, 84, 92), -1, cv2.LINE_AA)
    cv2.rectangle(hall, (582, 64), (640, 84), (86, 140, 70), -1)
    cv2.putText(hall, "EXIT", (594, 79), cv2.FONT_HERSHEY_DUPLEX, 0.45, (240, 246, 240), 1, cv2.LINE_AA)


def _draw_plant(hall: Picture) -> None:
    for angle in range(-70, 71, 20):
        x = 462 + round(54 * math.sin(math.radians(angle)))
        y = 262 - round(70 * math.cos(math.radians(angle)))
        cv2.ellipse(
            hall, ((462 + x) // 2, (262 + y) // 2), (40, 9), angle - 90, 0, 360, _LEAF, -1, cv2.LINE_AA
        )
    pot = np.array([(438, 260), (486, 260), (478, 322), (446, 322)], np.int32)
    cv2.fillPoly(hall, [pot], _POT, cv2.LINE_AA)


def _draw_counter() -> Picture:
    """The counter in front, from row `_COUNTER_TOP` down."""
    counter = np.empty((HEIGHT - _COUNTER_TOP, WIDTH, 3), np.uint8)
    counter[:] = _WOOD
    _shade(counter, 0, 12, _WOOD_EDGE, _WOOD)
    cv2.line(counter, (0, 13), (WIDTH, 13), _WOOD_DARK, 2)
    for x in range(48, WIDTH, 96):
        cv2.line(counter, (x, 16), (x, HEIGHT), _WOOD_DARK, 1)
    return counter


def _shade(picture: Picture, top: int, bottom: int, above: tuple[int, ...], below: tuple[int, ...]) -> None:
    """Fill rows `top` to `bottom` with a colour that changes from above to below."""
    ramp = np.linspace(0, 1, bottom - top)[:, None, None]
    picture[top:bottom] = np.array(above) * (1 - ramp) + np.array(below) * ramp

"""What a processor sees, drawn over a picture: zones, lines, boxes and the running count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from server.domain.geometry import Box, Line, Polygon
from server.domain.tracks import Track, TrackState
from server.domain.video import Picture

MOVED_ON_S = 1.5
"""Boxes are moved on with their velocity for this long (seconds) after the last look, then left out."""

Colour = tuple[int, int, int]
"""Blue, green, red, 0..255."""
ZONE: Colour = (215, 205, 70)
LINE: Colour = (60, 215, 255)
IN: Colour = (255, 185, 90)
OUT: Colour = (60, 145, 255)
SEEN: Colour = (120, 240, 120)
HIDDEN: Colour = (190, 190, 190)
_WHITE: Colour = (255, 255, 255)
_PALE: Colour = (205, 205, 205)
_DARK: Colour = (30, 24, 20)
_FILL = 0.16
_WAYS = {"in": IN, "out": OUT}
_REGULAR, _BOLD = 450, 650
"""Weights of the font that OpenCV brings; it has letters of most alphabets."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A track to be drawn. `concerned`: it takes part. `way`: "in" or "out" if it has just been counted."""

    track: Track
    concerned: bool = True
    way: str = ""


@dataclass(frozen=True, slots=True)
class Caption:
    """What is written over the picture.

    `title`: whose picture it is. `values`: words and numbers, such as ("in", "12"). `note`: what they
    refer to, such as "today". `time`: of the picture, as it is written.
    """

    title: str
    values: tuple[tuple[str, str], ...]
    note: str
    time: str


class Overlay:
    """Draws over pictures of one size. Zones and lines are painted once and blended in."""

    def __init__(self, width: int, height: int, zones: Sequence[Polygon], lines: Sequence[Line]) -> None:
        """Width and height in pixels."""
        self._size = width, height
        self._pen = _Pen(width, height)
        self._thick = max(1, round(self._pen.size / 8))
        colour = np.zeros((height, width, 3), np.uint8)
        cover = np.zeros((height, width, 3), np.uint8)
        self._paint_zones(colour, cover, zones)
        self._paint_lines(colour, cover, lines)
        self._colour = colour if zones or lines else None
        self._uncovered = 255 - cover

    def draw(self, picture: Picture, marks: Sequence[Mark], ahead_s: float, caption: Caption) -> Picture:
        """Draw over the picture itself and give it back. ahead_s: how much later it is than the marks."""
        if self._colour is not None:
            cv2.multiply(picture, self._uncovered, picture, 1 / 255)
            cv2.add(picture, self._colour, picture)
        if -MOVED_ON_S <= ahead_s <= MOVED_ON_S:
            for mark in sorted(marks, key=lambda one: bool(one.way)):
                self._draw_mark(picture, mark, ahead_s)
        self._draw_caption(picture, caption)
        self._draw_time(picture, caption.time)
        return picture

    def _paint_zones(self, colour: Picture, cover: Picture, zones: Sequence[Polygon]) -> None:
        for zone in zones:
            corners = np.array([self._pixel(*point) for point in zone.points], np.int32)
            share = int(255 * _FILL)
            cv2.fillPoly(cover, [corners], (share, share, share), cv2.LINE_AA)
            cv2.fillPoly(colour, [corners], _scaled(ZONE, _FILL), cv2.LINE_AA)
            self._stroke(colour, cover, corners, ZONE)
        for number, zone in enumerate(zones, 1):
            name = zone.name or (f"zone {number}" if len(zones) > 1 else "")
            top = min(zone.points, key=lambda point: point.y)
            middle = sum(point.x for point in zone.points) / len(zone.points)
            x, y = self._pixel(middle, top.y)
            self._write_both(colour, cover, name, x, y + self._pen.line // 2 + self._thick * 2, ZONE)

    def _paint_lines(self, colour: Picture, cover: Picture, lines: Sequence[Line]) -> None:
        for number, line in enumerate(lines, 1):
            a, b = self._pixel(*line.a), self._pixel(*line.b)
            self._stroke(colour, cover, np.array([a, b], np.int32), LINE, closed=False)
            length = math.dist(a, b) or 1.0
            # To the left of somebody who walks from a to b; y runs down.
            aside = (b[1] - a[1]) / length, (a[0] - b[0]) / length
            middle = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
            reach = 1.6 * self._pen.size
            tip = round(middle[0] + aside[0] * reach), round(middle[1] + aside[1] * reach)
            for canvas, shade in ((colour, IN), (cover, _WHITE)):
                start = round(middle[0]), round(middle[1])
                cv2.arrowedLine(canvas, start, tip, shade, 2 * self._thick, cv2.LINE_AA, tipLength=0.45)
            for word, sign, shade in (("in", 2.4, IN), ("out", -1.2, OUT)):
                away = sign * self._pen.size
                x, y = round(middle[0] + aside[0] * away), round(middle[1] + aside[1] * away)
                self._write_both(colour, cover, word, x, y, shade)
            name = line.name or (f"line {number}" if len(lines) > 1 else "")
            x, y = round(a[0] + (b[0] - a[0]) * 0.15), round(a[1] + (b[1] - a[1]) * 0.15)
            self._write_both(colour, cover, name, x, y - self._pen.line // 2 - self._thick, LINE)

    def _stroke(
        self,
        colour: Picture,
        cover: Picture,
        points: npt.NDArray[np.int32],
        shade: Colour,
        *,
        closed: bool = True,
    ) -> None:
        """A line with a dark rim, so that it is seen on white as well."""
        for canvas, rim, core in ((colour, _DARK, shade), (cover, _WHITE, _WHITE)):
            cv2.polylines(canvas, [points], closed, rim, self._thick + 2, cv2.LINE_AA)
            cv2.polylines(canvas, [points], closed, core, self._thick, cv2.LINE_AA)

    def _write_both(self, colour: Picture, cover: Picture, text: str, x: int, y: int, shade: Colour) -> None:
        """Text on a dark plate around (x, y), moved into the picture where it would stick out."""
        if not text:
            return
        left, top, width = self._place(text, x, y)
        for canvas, plate, ink in ((colour, _DARK, shade), (cover, _WHITE, _WHITE)):
            self._pen.plate(canvas, left, top, width, plate)
            if canvas is colour:
                self._pen.write(canvas, text, left, top, ink, _BOLD)

    def _place(self, text: str, x: int, y: int) -> tuple[int, int, int]:
        """Left, top and width in pixels of a text around (x, y)."""
        width = self._pen.width(text, _BOLD)
        pad = self._pen.pad
        left = min(max(pad, x - width // 2), max(pad, self._size[0] - width - pad))
        top = min(max(0, y - self._pen.line // 2), self._size[1] - self._pen.line)
        return left, top, width

    def _draw_mark(self, picture: Picture, mark: Mark, ahead_s: float) -> None:
        track = mark.track
        if track.state is TrackState.ENDED:
            return
        seen = track.state is TrackState.SEEN and mark.concerned
        shade = _WAYS.get(mark.way) or (SEEN if seen else HIDDEN)
        box = _moved(track.box, track.velocity.x * ahead_s, track.velocity.y * ahead_s)
        left, top = self._pixel(box.x1, box.y1)
        right, bottom = self._pixel(box.x2, box.y2)
        thick = self._thick * (2 if mark.way else 1)
        cv2.rectangle(picture, (left, top), (right, bottom), _DARK, thick + 2, cv2.LINE_AA)
        cv2.rectangle(picture, (left, top), (right, bottom), shade, thick, cv2.LINE_AA)
        text = f"#{track.id}" if track.label == "person" else f"{track.label} #{track.id}"
        if mark.way:
            text = f"{text} {mark.way}"
        width = self._pen.width(text, _BOLD)
        above = top - self._pen.line - self._thick
        x, y, width = self._place(
            text, left + self._pen.pad + width // 2, (above if above >= 0 else top) + self._pen.line // 2
        )
        self._pen.plate(picture, x, y, width, shade)
        self._pen.write(picture, text, x, y, _DARK, _BOLD)

    def _draw_caption(self, picture: Picture, caption: Caption) -> None:
        pen = self._pen
        gap, pad = pen.size // 2, pen.pad * 2
        pieces = []
        for word, value in caption.values:
            pieces.append((word, _WAYS.get(word, _PALE), _REGULAR))
            pieces.append((value, _WHITE, _BOLD))
        if caption.note:
            pieces.append((caption.note, _PALE, _REGULAR))
        widths = [pen.width(text, weight) for text, _, weight in pieces]
        title = pen.width(caption.title, _REGULAR)
        wide = max(title, sum(widths) + gap * max(0, len(pieces) - 1))
        rows = (1 if caption.title else 0) + (1 if pieces else 0)
        if not rows:
            return
        _dim(picture, 0, 0, wide + 2 * pad, rows * pen.line + 2 * pen.pad)
        y = pen.pad
        if caption.title:
            pen.write(picture, caption.title, pad, y, _PALE, _REGULAR)
            y += pen.line
        x = pad
        for (text, shade, weight), width in zip(pieces, widths, strict=True):
            pen.write(picture, text, x, y, shade, weight)
            x += width + gap

    def _draw_time(self, picture: Picture, time: str) -> None:
        if not time:
            return
        pen = self._pen
        width = pen.width(time, _REGULAR)
        left, top = self._size[0] - width - 2 * pen.pad, self._size[1] - pen.line - pen.pad
        _dim(picture, left - 2 * pen.pad, top - pen.pad, self._size[0], self._size[1])
        pen.write(picture, time, left, top, _WHITE, _REGULAR)

    def _pixel(self, x: float, y: float) -> tuple[int, int]:
        width, height = self._size
        return round(x * (width - 1)), round(y * (height - 1))


class _Pen:
    """Writes in one size, chosen so that it can be read in a picture of that many pixels."""

    def __init__(self, width: int, height: int) -> None:
        self.size = max(13, round(math.sqrt(width * height) * 0.03))
        self.line = round(self.size * 1.35)
        self.pad = max(2, self.size // 4)
        self._font = cv2.FontFace("sans")
        self._widths: dict[tuple[str, int], int] = {}

    def width(self, text: str, weight: int) -> int:
        """Pixels that a text is wide."""
        key = text, weight
        if key not in self._widths:
            if len(self._widths) > 500:
                self._widths.clear()
            box = cv2.getTextSize((0, 0), text, (0, 0), self._font, self.size, weight)
            self._widths[key] = int(box[2])
        return self._widths[key]

    def write(self, picture: Picture, text: str, left: int, top: int, colour: Colour, weight: int) -> None:
        """Write into a row whose upper left corner is given."""
        cv2.putText(picture, text, (left, top + self.size), colour, self._font, self.size, weight)

    def plate(self, picture: Picture, left: int, top: int, width: int, colour: Colour) -> None:
        """The ground under a text that is written at the same place."""
        corner = left + width + self.pad, top + self.line
        cv2.rectangle(picture, (left - self.pad, top), corner, colour, cv2.FILLED)


def _moved(box: Box, x: float, y: float) -> Box:
    """A box further on, cut to the picture."""
    left, right = (min(1.0, max(0.0, value + x)) for value in (box.x1, box.x2))
    top, bottom = (min(1.0, max(0.0, value + y)) for value in (box.y1, box.y2))
    return Box(left, top, right, bottom)


def _scaled(colour: Colour, by: float) -> Colour:
    blue, green, red = colour
    return round(blue * by), round(green * by), round(red * by)


def _dim(picture: Picture, left: int, top: int, right: int, bottom: int) -> None:
    """Darken a rectangle, so that white text can be read on it."""
    part = picture[max(0, top) : bottom, max(0, left) : right]
    if part.size:
        picture[max(0, top) : bottom, max(0, left) : right] = cv2.convertScaleAbs(part, alpha=0.3)

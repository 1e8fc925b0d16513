"""How many passed: through zones of exit, and over directed lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from server.domain.events import Event
from server.domain.geometry import Box, Point
from server.domain.tracks import Track, TrackState, borders_touched, exit_point, exit_points
from server.errors import InvalidInput
from server.processors.base import BaseProcessor
from server.processors.regions import margin_of, settle_beside_line, settle_in_zone

ENTRY_S = 2.0
"""A track that begins at the frame's border has this long (seconds) to show that it came in over it."""
ENTRY_SHARE = 0.15
"""… by moving this share of its box's size away from the border."""
AHEAD_S = 0.3
"""Somebody lost in mid-scene is taken to have gone on for this long (seconds): about one missed look."""


@dataclass(slots=True)
class _Course:
    """What is known of one track's way."""

    point: Point
    inside: list[bool | None]
    sides: list[int]
    within: list[bool]
    """Whether the way last met each line between its ends, not beyond them."""
    touching: list[int | None]
    """Since when (microseconds since 1970) each border of the frame has cut its box, without a break."""
    counted: bool = False
    """Whether it has passed a zone of exit: a track passes once."""
    entering: bool = True
    """Whether it may still turn out to have come in over the frame's border."""


class Traffic(BaseProcessor):
    """Zones of exit (ROE) and directed lines.

    A track that was outside a zone and comes in, or leaves the scene through one, passes: once, however
    many zones it meets. Every crossing of a line counts, as in or out. A way begins and ends beyond the
    frame where its first or last box was cut by the border, so zones and lines close to it work.

    With zones the traffic is the passes through them, and in and out are the lines'. With lines alone
    each crossing is traffic; with zones alone each pass is out.
    """

    kind = "traffic"
    title = "Traffic: how many pass a zone of exit or a line"
    about = (
        "Counts who passes. Draw a line where people walk across: each crossing counts, as in or as out. "
        "Draw a zone over the way out, such as a strip along the picture's edge: whoever walks into it, or "
        "out of the picture through it, has passed, once."
    )
    undrawn = "It needs at least one of them."
    uses_lines = True
    metric = "traffic"

    def __init__(self, *, zones: object, lines: object, options: object, confidence: object) -> None:
        super().__init__(zones=zones, lines=lines, options=options, confidence=confidence)
        if not self.zones and not self.lines:
            raise InvalidInput("zones", "a traffic processor needs at least one zone of exit or one line")
        self._courses: dict[int, _Course] = {}
        self._begun_us = 0

    def begin(self, ts_us: int) -> list[Event]:
        """Whoever is there in the first second was there before: nobody saw them come in."""
        self._begun_us = ts_us
        return []

    def process(self, ts_us: int, tracks: Sequence[Track]) -> list[Event]:
        """See `BaseProcessor.process`."""
        events: list[Event] = []
        for track in tracks:
            if track.state is TrackState.ENDED:
                course = self._courses.pop(track.id, None)
                if course is not None:
                    events += self._end(track, course)
            elif track.state is TrackState.SEEN and self.concerns(track):
                events += self._move(ts_us, track)
        return events

    def forget(self) -> None:
        """See `BaseProcessor.forget`."""
        self._courses.clear()

    def state(self) -> dict[str, Any]:
        """See `BaseProcessor.state`."""
        return {
            "begun_us": self._begun_us,
            "courses": [
                [track, [*c.point], c.inside, c.sides, c.within, c.touching, c.counted, c.entering]
                for track, c in self._courses.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See `BaseProcessor.restore`."""
        self._begun_us = int(state["begun_us"])
        self._courses = {}
        for track, (x, y), inside, sides, *rest in state["courses"]:
            if len(inside) != len(self.zones) or len(sides) != len(self.lines):
                raise ValueError("zones and lines have changed")
            self._courses[int(track)] = _Course(Point(x, y), inside, sides, *rest)

    def _move(self, ts_us: int, track: Track) -> Iterator[Event]:
        course = self._courses.get(track.id)
        if course is None:
            course = self._courses[track.id] = self._set_out(track)
        course.touching = [
            (since or ts_us) if touched else None
            for touched, since in zip(borders_touched(track.box), course.touching, strict=True)
        ]
        if course.entering:
            yield from self._entry(ts_us, track, course)
        yield from self._advance(ts_us, track, course, self.anchor(track.box), margin_of(track.box))

    def _set_out(self, track: Track) -> _Course:
        """The way begins where the track was first seen, which is some frames before it was confirmed."""
        start = self.anchor(track.first_box)
        return _Course(
            point=start,
            inside=[zone.contains(start) for zone in self.zones],
            sides=[settle_beside_line(line, start, 0.0, 0) for line in self.lines],
            within=[False] * len(self.lines),
            touching=[None] * 4,
            entering=track.first_us - self._begun_us >= 1_000_000,
        )

    def _entry(self, ts_us: int, track: Track, course: _Course) -> Iterator[Event]:
        """Count the lines between the border and where a track was first seen, once it has moved away."""
        seconds = (ts_us - track.first_us) / 1e6
        if seconds > ENTRY_S:
            course.entering = False
            return
        first, now = track.first_box, track.box
        moved = Point(now.centre.x - first.centre.x, now.centre.y - first.centre.y)
        beyond = exit_point(first, Point(-moved.x / seconds, -moved.y / seconds)) if seconds > 0 else None
        if beyond is None or not _far_enough(moved, now, beyond):
            return
        course.entering = False
        start = self.anchor(first)
        for index, line in enumerate(self.lines):
            side = settle_beside_line(line, start, 0.0, 0)
            origin = settle_beside_line(line, beyond, 0.0, 0)
            if side * origin < 0 and side == course.sides[index] and line.spans(beyond, start):
                yield self._crossing(track.first_us, track, index, side)

    def _advance(
        self, ts_us: int, track: Track, course: _Course, point: Point, margin: float
    ) -> Iterator[Event]:
        for index, zone in enumerate(self.zones):
            was = course.inside[index]
            course.inside[index] = settle_in_zone(zone, point, margin, was)
            if course.inside[index] and not was and not course.counted:
                course.counted = True
                yield self._pass(ts_us, track, index)
        yield from self._cross_lines(ts_us, track, course, point, margin)

    def _cross_lines(
        self, ts_us: int, track: Track, course: _Course, point: Point, margin: float
    ) -> Iterator[Event]:
        for index, line in enumerate(self.lines):
            if line.offset(course.point) * line.offset(point) <= 0:
                course.within[index] = line.spans(course.point, point)
            was_side = course.sides[index]
            side = course.sides[index] = settle_beside_line(line, point, margin, was_side)
            if side * was_side < 0 and course.within[index]:
                yield self._crossing(ts_us, track, index, side)
        course.point = point

    def _end(self, track: Track, course: _Course) -> Iterator[Event]:
        """The last stretch nobody saw: out over the border, or a little further on."""
        box, velocity = track.seen_box, track.velocity
        beyond = _way_out(track, course)
        if beyond is None:
            point = self.anchor(box)
            ahead = Point(point.x + velocity.x * AHEAD_S, point.y + velocity.y * AHEAD_S)
            yield from self._advance(track.seen_us, track, course, ahead, margin_of(box))
            return
        for index, zone in enumerate(self.zones):
            if not course.counted and not course.inside[index] and zone.meets(course.point, beyond):
                course.counted = True
                yield self._pass(track.seen_us, track, index)
        yield from self._cross_lines(track.seen_us, track, course, beyond, 0.0)

    def _pass(self, ts_us: int, track: Track, index: int) -> Event:
        direction = None if self.lines else "out"
        return _event(ts_us, track, f"zone {index + 1}", self.zones[index].name, direction, passes=1)

    def _crossing(self, ts_us: int, track: Track, index: int, side: int) -> Event:
        direction, passes = "in" if side > 0 else "out", 0 if self.zones else 1
        return _event(ts_us, track, f"line {index + 1}", self.lines[index].name, direction, passes)


def _way_out(track: Track, course: _Course) -> Point | None:
    """Where a track went that left over the border; None where it did not.

    Of two borders the one that has cut it for longer: when somebody goes out sideways, what is left of
    them at last may well touch the bottom too, and sink faster than it moves out.
    """
    ways = exit_points(track.seen_box, track.velocity)
    if not ways:
        return None
    never = track.seen_us + 1
    return min((course.touching[border] or never, -speed, point) for border, (speed, point) in ways.items())[
        2
    ]


def _far_enough(moved: Point, box: Box, beyond: Point) -> bool:
    """Whether a move away from the border is more than trembling, measured across that border."""
    across = moved.x / box.width if not 0 <= beyond.x <= 1 else moved.y / box.height
    return math.fabs(across) >= ENTRY_SHARE


def _event(ts_us: int, track: Track, numbered: str, name: str, direction: str | None, passes: int) -> Event:
    """`numbered`: the shape by its number. The key goes by it, so that a new name makes no new event."""
    return Event(
        ts_us=ts_us,
        key=f"{ts_us}.{track.id}.{numbered.replace(' ', '')}",
        direction=direction,
        passes=passes,
        track=track.id,
        zone=name or numbered,
        score=round(track.best_score, 3),
    )

"""How many are inside a zone of interest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from server.domain.events import Event
from server.domain.tracks import Track, TrackState
from server.processors.base import BaseProcessor
from server.processors.regions import margin_of, settle_in_zone

LINGER_US = 400_000
"""Somebody is taken to be there for this long (microseconds) after the last detection: detectors lose people
who go out over the border some looks before the eye does."""


class Persons(BaseProcessor):
    """Counts the tracks inside the zones (none: the whole picture); an event each time the number changes.

    Somebody hidden for a moment still counts, until the tracker gives the track up. A change is dated to
    when it happened rather than to when the tracker was sure of it, but never before the last change.
    """

    kind = "persons"
    title = "Persons: how many are in a zone"
    about = (
        "Counts who is there: the people inside its zones, or in the whole picture where it has none. "
        "Somebody who stands in two zones counts once."
    )
    undrawn = "Without a zone the whole picture counts."
    metric = "objects"

    def __init__(self, *, zones: object, lines: object, options: object, confidence: object) -> None:
        super().__init__(zones=zones, lines=lines, options=options, confidence=confidence)
        self._inside: dict[int, list[bool]] = {}
        """For each track, whether it is inside each zone."""
        self._count = 0
        self._told_us = 0
        """When the last change, or the observation, began: microseconds since 1970."""

    def begin(self, ts_us: int) -> list[Event]:
        """A new observation starts from 0, so what it starts with is told, unless it is 0."""
        self._count, self._told_us = 0, ts_us - 1
        return self._changes(ts_us)

    def process(self, ts_us: int, tracks: Sequence[Track]) -> list[Event]:
        """See `BaseProcessor.process`."""
        since_us = ts_us
        for track in tracks:
            if track.state is TrackState.ENDED:
                if self._inside.pop(track.id, None) is not None:
                    since_us = min(since_us, track.seen_us + LINGER_US)
            elif track.state is TrackState.SEEN and self.concerns(track):
                if track.id not in self._inside:
                    since_us = min(since_us, track.first_us)
                self._place(track)
        return self._changes(since_us)

    def occupancy(self) -> int:
        """See `BaseProcessor.occupancy`."""
        return self._count

    def forget(self) -> None:
        """See `BaseProcessor.forget`."""
        self._inside.clear()

    def state(self) -> dict[str, Any]:
        """See `BaseProcessor.state`."""
        return {
            "inside": [[track, inside] for track, inside in self._inside.items()],
            "count": self._count,
            "told_us": self._told_us,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See `BaseProcessor.restore`."""
        self._inside = {int(track): [bool(zone) for zone in inside] for track, inside in state["inside"]}
        self._count, self._told_us = int(state["count"]), int(state["told_us"])

    def _place(self, track: Track) -> None:
        before = self._inside.get(track.id, [None] * len(self.zones))
        point, margin = self.anchor(track.box), margin_of(track.box)
        self._inside[track.id] = [
            settle_in_zone(zone, point, margin, was) for zone, was in zip(self.zones, before, strict=True)
        ]

    def _changes(self, ts_us: int) -> list[Event]:
        count = sum(any(inside) or not self.zones for inside in self._inside.values())
        if count == self._count:
            return []
        self._count = count
        self._told_us = max(ts_us, self._told_us + 1)
        return [Event(ts_us=self._told_us, key=str(self._told_us), count=count)]

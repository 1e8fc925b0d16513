"""Who watches an analysis at work: previews, shots, pictures of events. Nothing they do changes it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from server.domain.events import Event
from server.domain.tracks import Track
from server.domain.video import Frame
from server.processors.base import BaseProcessor

log = logging.getLogger(__name__)


class Viewer(Protocol):
    """Watches an analysis at work, and never changes it: one that raises is dropped.

    Both calls come in the watcher's thread. `frame` comes for every decoded picture, in the order they are
    shown; `judged` for those that are analysed, in that order too, after their `frame`. Where several
    pictures wait for one look of the detector (a grid), up to that many later ones have been given to
    `frame` before the first is judged; its own time tells which it is. What was given up on (a gap, a
    detector that failed) is never judged.
    """

    def frame(self, frame: Frame) -> None:
        """A decoded picture, masked."""

    def judged(
        self,
        ts_us: int,
        tracks: Sequence[Track],
        events: Sequence[tuple[int, Event]],
        rules: Mapping[int, BaseProcessor],
    ) -> None:
        """What was found in the picture captured at ts_us, and what came of it. The last call may come
        without a picture of its time: the source has ended."""

    def wants_every_frame(self) -> bool:
        """Whether pictures that nothing else needs are to be decoded as well."""


class Witness(Protocol):
    """Keeps pictures of what happens. As a viewer, it is dropped once it raises."""

    def saw(
        self,
        frame: Frame | None,
        ts_us: int,
        tracks: Sequence[Track],
        events: Sequence[tuple[int, Event]],
    ) -> None:
        """What was found in a frame, with the frame; without one where the source has ended."""


class Onlookers:
    """The viewers of one analysis, and its witness."""

    def __init__(self) -> None:
        self.viewers: list[Viewer] = []
        self.witness: Witness | None = None
        self.errors = 0
        """How many were dropped because they raised."""

    def want_every_frame(self) -> bool:
        """Whether one of the viewers does."""
        wanted = False
        for viewer in tuple(self.viewers):
            wanted = self._ask(viewer, viewer.wants_every_frame) is True or wanted
        return wanted

    def show(self, frame: Frame) -> None:
        """See `Viewer.frame`."""
        for viewer in tuple(self.viewers):
            self._ask(viewer, lambda viewer=viewer: viewer.frame(frame))  # type: ignore[misc]

    def tell(
        self,
        frame: Frame | None,
        ts_us: int,
        tracks: Sequence[Track],
        events: Sequence[tuple[int, Event]],
        rules: Mapping[int, BaseProcessor],
    ) -> None:
        """See `Witness.saw` and `Viewer.judged`."""
        witness = self.witness
        if witness is not None:
            self._ask(witness, lambda: witness.saw(frame, ts_us, tracks, events))
        for viewer in tuple(self.viewers):
            self._ask(
                viewer,
                lambda viewer=viewer: viewer.judged(ts_us, tracks, events, rules),  # type: ignore[misc]
            )

    def _ask(self, who: Viewer | Witness, call: Callable[[], object]) -> object:
        try:
            return call()
        except Exception:
            # The edge to what only looks on: whatever goes wrong there is no reason to lose events.
            log.exception("%s has failed and is asked no more", type(who).__name__)
            self.errors += 1
            if who is self.witness:
                self.witness = None
            else:
                self.viewers[:] = [viewer for viewer in self.viewers if viewer is not who]
        return None

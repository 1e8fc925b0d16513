"""What every kind of processor has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from server.domain.detections import LABELS
from server.domain.events import Event
from server.domain.geometry import Box, Line, Point, Polygon, parse_line, parse_polygon
from server.domain.shapes import name_clash, parse_shapes
from server.domain.tracks import Track
from server.errors import InvalidInput

T = TypeVar("T")

ANCHORS = ("centre", "foot")
"""Points that can stand for a box. The centre jumps least when legs are hidden or the border cuts a box."""


class BaseProcessor(ABC):
    """A rule that turns tracks into events, frame by frame, and whose memory can be written down.

    A kind sets `kind` and `title`, says whether it `uses_zones` and `uses_lines`, names its options
    with their defaults, and implements `process`, `begin`, `state` and `restore`.
    """

    kind: ClassVar[str]
    """The name in the database, the API and files."""
    title: ClassVar[str]
    """What it does, in a few words, for /admin."""
    about: ClassVar[str] = ""
    """What it counts and how, in a few sentences for the person who sets it up."""
    undrawn: ClassVar[str] = ""
    """What it means to draw neither zone nor line, in a sentence."""
    uses_zones: ClassVar[bool] = True
    uses_lines: ClassVar[bool] = False
    metric: ClassVar[str] = ""
    """Which call of the metrics API answers for it: "traffic", "objects" or none."""

    zones: tuple[Polygon, ...]
    lines: tuple[Line, ...]
    labels: frozenset[str]
    """Option `labels`: the classes that take part. Default: people."""
    confidence: float

    def __init__(self, *, zones: object, lines: object, options: object, confidence: object) -> None:
        self.zones = _parse_list("zones", zones, parse_polygon)
        self.lines = _parse_list("lines", lines, parse_line)
        if self.zones and not self.uses_zones:
            raise InvalidInput("zones", f"a {self.kind} processor has no zones")
        if self.lines and not self.uses_lines:
            raise InvalidInput("lines", f"a {self.kind} processor has no lines")
        clash = name_clash(self.zones, self.lines)
        if clash is not None:
            raise InvalidInput(*clash)
        if (
            isinstance(confidence, bool)
            or not isinstance(confidence, (int, float))
            or not 0 <= confidence <= 1
        ):
            raise InvalidInput("confidence", f"{confidence!r} is not a number from 0 to 1")
        self.confidence = float(confidence)
        if options is not None and not isinstance(options, dict):
            raise InvalidInput("options", 'an object such as {"labels": ["person"]}')
        self._take_options(dict(options or {}))

    def _take_options(self, options: dict[str, Any]) -> None:
        """Take what every kind knows, then let the kind take its own; refuse the rest."""
        labels = options.pop("labels", ["person"])
        if not isinstance(labels, list) or not labels or any(label not in LABELS for label in labels):
            raise InvalidInput("options", f"labels: a list of some of {', '.join(LABELS)}")
        self.labels = frozenset(labels)
        self._anchor = options.pop("anchor", "centre")
        if self._anchor not in ANCHORS:
            raise InvalidInput("options", f"anchor: one of {', '.join(ANCHORS)}")
        self.take_options(options)
        if options:
            raise InvalidInput("options", f"a {self.kind} processor has no option {sorted(options)[0]!r}")

    def take_options(self, options: dict[str, Any]) -> None:  # noqa: B027 - most kinds have none
        """Take the kind's own options out of `options`. Raises InvalidInput for a value that is wrong."""

    def anchor(self, box: Box) -> Point:
        """The point of a box that stands for it: where it is, for zones and lines."""
        return box.centre if self._anchor == "centre" else box.foot

    def concerns(self, track: Track) -> bool:
        """Whether the track is of a wanted class and was ever seen clearly enough."""
        return track.label in self.labels and track.best_score >= self.confidence

    @abstractmethod
    def begin(self, ts_us: int) -> list[Event]:
        """An observation begins at ts_us: what happened before it is unknown.

        Called at the start and after every gap, with whatever memory there is from before.
        """

    @abstractmethod
    def process(self, ts_us: int, tracks: Sequence[Track]) -> list[Event]:
        """What the tracks of the frame captured at ts_us mean. Called for each frame, in order."""

    def occupancy(self) -> int | None:
        """How many are there now; None for kinds that do not count what is there."""
        return None

    @abstractmethod
    def forget(self) -> None:
        """All tracks are void: a gap was too long for any of them. `begin` follows."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything that decides later events, as JSON values that survive a round trip exactly."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave. Raises KeyError, TypeError or ValueError for anything else."""


def _parse_list(field: str, values: object, parse: Callable[[object], T]) -> tuple[T, ...]:
    try:
        return parse_shapes(values, parse)
    except ValueError as error:
        raise InvalidInput(field, str(error)) from error

"""Where parts come from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from server.domain.video import Part


class Source(Protocol):
    """Delivers the parts of one camera, in order, on one continuous time line."""

    live: bool
    """Whether being late loses something: a live source is skipped when analysis falls behind."""
    anchor_us: int
    """Wall time of tick 0, microseconds since 1970; each part carries its own, which may have been
    corrected since."""

    def open(self) -> None:
        """Connect, and read as far as the codec is known. Raises SourceError."""

    def parts(self, stop: threading.Event, after: int | None = None) -> Iterator[Part]:
        """Parts until the source ends or `stop` is set.

        after: presentation time in ticks of the last frame that is already known; decoding from the
        first part on gives every later frame. Raises SourceError.
        """

    def close(self) -> None:
        """Let go of the connection. No part is asked for afterwards."""


class LiveSource(Source, Protocol):
    """A source that cannot be read again: what is not taken in time is gone."""

    stall_seconds: float
    """Seconds without a part after which it counts as stalled."""

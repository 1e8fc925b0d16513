"""Time, handed in wherever it matters so that tests need not wait for it."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored, monotonic time for how long something took."""

    def now_us(self) -> int:
        """Wall time in microseconds since 1970."""

    def monotonic(self) -> float:
        """Seconds from an unspecified start, never set back."""

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Pause for `seconds` or until `stop` is set; True if it is set."""


class SystemClock:
    """The machine's own clock."""

    def now_us(self) -> int:
        """Wall time in microseconds since 1970."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds from an unspecified start, never set back."""
        return time.monotonic()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Pause for `seconds` or until `stop` is set; True if it is set."""
        return stop.wait(max(0.0, seconds))

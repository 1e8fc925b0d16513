"""Pictures that come when they come, put on a constant rate by the time they were captured."""

from __future__ import annotations

LONGEST_FILL_US = 1_000_000
"""A longer gap (microseconds) is skipped rather than filled with a picture that stands still."""


class Pacer:
    """Gives pictures their places on an output of constant rate.

    Places count up from 0. Between two places given out lie at most `LONGEST_FILL_US`, whatever the times
    say, so whoever fills the places between by repeating never falls behind.
    """

    def __init__(self, fps: float) -> None:
        """fps: places a second."""
        self._fps = fps
        self._origin_us = 0.0
        """When place 0 is due."""
        self._last: tuple[int, int] | None = None
        """The last place given out, and when its picture was captured."""

    def place(self, ts_us: int) -> int | None:
        """The place of the picture captured at ts_us; None where the place has been given already."""
        if self._last is None:
            self._origin_us, self._last = ts_us, (0, ts_us)
            return 0
        place, before_us = self._last
        # Rounded to the nearest, so that small deviations neither drop nor repeat a picture.
        due = int((ts_us - self._origin_us) * self._fps / 1e6 + 0.5)
        if ts_us - before_us > LONGEST_FILL_US or before_us - ts_us > LONGEST_FILL_US:
            # A gap, or the clock was set: go on from here.
            due = place + 1
            self._origin_us = ts_us - due * 1e6 / self._fps
        if due <= place:
            return None
        self._last = due, ts_us
        return due

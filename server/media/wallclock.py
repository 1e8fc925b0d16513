"""Which wall time belongs to media time, learnt from when packets arrive.

A packet may come late, but never before it was captured. So the smallest difference between arrival and
media time that was seen lately is the anchor; bursts and slow networks only make differences larger.
docs/adr/0007 says what was weighed.
"""

from __future__ import annotations

from collections import deque

WINDOW_S = 60.0
"""Differences older than this no longer count."""
SLEW_US_PER_S = 5_000
"""How fast the anchor follows, in microseconds a second of media time: no slot of 50 ms ever tears."""
JUMP_US = 2_000_000
"""A difference over this is no drift."""
EARLY_LASTS_S = 1.0
"""Packets cannot come early: media time has jumped ahead if they seem to for this long."""
LATE_LASTS_S = 30.0
"""They can come late; only if all of them do for this long has media time fallen back."""
STEP_US = 1_000_000
"""Wall and monotonic time may differ by this before the wall clock counts as set anew."""


class WallClock:
    """The wall time of media time 0, in microseconds since 1970, as well as it is known.

    Pure: the moments come with the calls. `now_us` is wall time, `mono_s` monotonic seconds.
    """

    def __init__(self, anchor_us: int, now_us: int, mono_s: float) -> None:
        self.anchor_us = anchor_us
        self._offset_us = now_us - round(mono_s * 1e6)
        self._buckets: deque[_Bucket] = deque()
        self._media_us: int | None = None
        self._run: _Run | None = None

    def check_step(self, now_us: int, mono_s: float) -> bool:
        """Whether the machine's clock was set since the last call; the anchor goes along if so."""
        offset_us = now_us - round(mono_s * 1e6)
        step_us = offset_us - self._offset_us
        self._offset_us = offset_us
        if abs(step_us) <= STEP_US:
            return False
        self._shift(step_us)
        return True

    def measure(self, media_us: int, seen_us: int, mono_s: float) -> bool:
        """Take a packet of `media_us` that belongs to the wall time `seen_us`, or came then.

        Gives whether the anchor jumped; otherwise it moved by what the slew allows.
        """
        difference_us = seen_us - media_us
        if difference_us >= self.anchor_us - JUMP_US:
            self._keep(difference_us, mono_s)
        if self._lasts(difference_us, mono_s):
            assert self._run is not None
            self.restart(self._run.least_us, media_us)
            return True
        self._slew(media_us)
        return False

    def restart(self, anchor_us: int, media_us: int | None = None) -> None:
        """Begin again with another anchor: what was seen before measured something else."""
        self.anchor_us = anchor_us
        self._buckets.clear()
        self._run = None
        self._media_us = media_us

    def trust(self, mono_s: float) -> None:
        """Take the anchor for as good as a difference that was seen just now."""
        self._keep(self.anchor_us, mono_s)

    @property
    def usual_lateness_us(self) -> int:
        """The most that packets were late by lately: how long this source's bursts are."""
        most_us = max((bucket.most_us for bucket in self._buckets), default=self.anchor_us)
        return max(0, most_us - self.anchor_us)

    def _keep(self, difference_us: int, mono_s: float) -> None:
        while self._buckets and mono_s - self._buckets[0].since_s > WINDOW_S:
            self._buckets.popleft()
        if self._buckets and mono_s - self._buckets[-1].since_s < 1.0:
            self._buckets[-1].take(difference_us)
        else:
            self._buckets.append(_Bucket(mono_s, difference_us))

    def _lasts(self, difference_us: int, mono_s: float) -> bool:
        """Whether differences have been beyond what drifts, all to the same side, for long enough."""
        off_us = difference_us - self.anchor_us
        if abs(off_us) <= JUMP_US:
            self._run = None
            return False
        early = off_us < 0
        if self._run is None or self._run.early != early:
            self._run = _Run(early, mono_s, difference_us)
        self._run.least_us = min(self._run.least_us, difference_us)
        return mono_s - self._run.since_s >= (EARLY_LASTS_S if early else LATE_LASTS_S)

    def _slew(self, media_us: int) -> None:
        passed_us = media_us - self._media_us if self._media_us is not None else 0
        if self._media_us is not None and passed_us <= 0:
            return
        self._media_us = media_us
        most = passed_us * SLEW_US_PER_S // 1_000_000
        least_us = min((bucket.least_us for bucket in self._buckets), default=self.anchor_us)
        wanted = least_us - self.anchor_us
        self.anchor_us += max(-most, min(most, wanted))

    def _shift(self, step_us: int) -> None:
        self.anchor_us += step_us
        for bucket in self._buckets:
            bucket.least_us += step_us
            bucket.most_us += step_us
        if self._run is not None:
            self._run.least_us += step_us


class _Bucket:
    """The differences of about a second."""

    __slots__ = ("least_us", "most_us", "since_s")

    def __init__(self, since_s: float, difference_us: int) -> None:
        self.since_s = since_s
        self.least_us = self.most_us = difference_us

    def take(self, difference_us: int) -> None:
        self.least_us = min(self.least_us, difference_us)
        self.most_us = max(self.most_us, difference_us)


class _Run:
    """Differences beyond what drifts, one after the other."""

    __slots__ = ("early", "least_us", "since_s")

    def __init__(self, early: bool, since_s: float, difference_us: int) -> None:
        self.early = early
        self.since_s = since_s
        self.least_us = difference_us

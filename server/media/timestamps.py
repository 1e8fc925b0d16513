"""Timestamps made whole: a camera's own may be missing, repeated, set back or miles off."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from server.domain.video import TICKS_PER_SECOND

JUMP_TICKS = 10 * TICKS_PER_SECOND
"""A timestamp further than this from where it should be is a jump, not a pause: it is closed up."""
SMALL_STEP_TICKS = TICKS_PER_SECOND // 2
"""A step back of less than this is clamped: pictures come a tick apart until it is made up for."""
REORDER_TICKS = 2 * TICKS_PER_SECOND
"""Where decode times are missing, a picture may be shown this much before the last."""
MISSING_TICKS = TICKS_PER_SECOND
"""Where timestamps say nothing, time is missing only if arrival is later than usual by this."""
DEFAULT_RATE = 25.0
"""Frames a second where nothing tells."""
_WRAPS = (1 << 33, 1 << 32)
"""MPEG-TS counts ticks in 33 bits, RTP in 32."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a packet says of its times, in ticks; None where it says nothing, duration 0 likewise."""

    dts: int | None
    pts: int | None
    duration: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where the wall clock would place a packet, and how late packets of this source usually are. Ticks."""

    tick: int
    late: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """Times on the line. `lost`: time that was not seen lies before it."""

    dts: int
    pts: int
    duration: int
    lost: bool = False


class Timestamps:
    """Places the packets of one connection on a line on which decode times only grow.

    first: the decode time that the first packet gets, in ticks. rate: frames a second, 0 if unknown.
    """

    def __init__(self, first: int, rate: float) -> None:
        self._first = first
        self._shift: int | None = None
        self._last: int | None = None
        self._peak = first
        self._deltas: deque[int] = deque(maxlen=5)
        self._rate = rate if 1 <= rate <= 240 else 0.0

    def place(self, stamp: Stamp, arrival: Arrival | None = None) -> Placed:
        """Place the next packet in decode order. arrival: None where it says nothing."""
        duration = self._duration(stamp)
        key = stamp.dts if stamp.dts is not None else stamp.pts
        lost = False
        if self._last is None:
            dts = at = self._first
            self._shift = dts - key if key is not None else None
        elif key is None:
            dts, lost = self._blind(self._last, stamp, duration, arrival)
            at = dts
        else:
            at, lost = self._close_up(key, self._last, duration, arrival, ordered=stamp.dts is not None)
            dts = at if stamp.dts is not None else min(self._peak, at)
            dts = max(dts, self._last + 1)
            if stamp.dts is not None and not lost and dts == at:
                self._deltas.append(min(dts - self._last, TICKS_PER_SECOND))
        pts = max(at + delay(stamp), dts)
        self._last, self._peak = dts, max(self._peak, pts)
        return Placed(dts, pts, duration, lost)

    def _close_up(
        self, key: int, last: int, duration: int, arrival: Arrival | None, *, ordered: bool
    ) -> tuple[int, bool]:
        """Where a packet goes that says `key`, and whether unseen time lies before it."""
        reference = last if ordered else self._peak
        expected = reference + duration
        if self._shift is None:
            self._shift = expected - key
        at = key + self._shift
        lowest = reference - (SMALL_STEP_TICKS if ordered else REORDER_TICKS)
        for turn in (0, *_WRAPS, *(-wrap for wrap in _WRAPS)):
            if lowest <= at + turn <= expected + JUMP_TICKS:
                self._shift += turn
                return at + turn, False
        if arrival is not None:
            if at > expected and abs(arrival.tick - at) <= arrival.late + 2 * MISSING_TICKS:
                return at, True
            in_time = arrival.tick - arrival.late
            if in_time - expected > MISSING_TICKS:
                self._shift += in_time - at
                return in_time, True
        self._shift += expected - at
        return expected, False

    def _blind(self, last: int, stamp: Stamp, duration: int, arrival: Arrival | None) -> tuple[int, bool]:
        """Where a packet goes that says nothing."""
        expected = last + duration
        if arrival is None:
            return expected, False
        if not (self._deltas or self._rate or stamp.duration):
            return max(last + 1, arrival.tick), arrival.tick - last > JUMP_TICKS
        if arrival.tick < expected - MISSING_TICKS:
            return last + max(1, duration // 8), False
        in_time = arrival.tick - arrival.late
        if in_time > expected + MISSING_TICKS:
            return in_time, in_time > expected + 2 * MISSING_TICKS
        return expected, False

    def _duration(self, stamp: Stamp) -> int:
        """How long a picture is shown: as long as those before it, since most containers cannot tell."""
        if self._deltas:
            return sorted(self._deltas)[len(self._deltas) // 2]
        if 0 < stamp.duration <= TICKS_PER_SECOND:
            return stamp.duration
        return round(TICKS_PER_SECOND / (self._rate or DEFAULT_RATE))


def delay(stamp: Stamp) -> int:
    """How much later than it is decoded a picture is shown."""
    if stamp.dts is None or stamp.pts is None:
        return 0
    for turn in (0, *_WRAPS):
        if 0 <= stamp.pts - stamp.dts + turn <= JUMP_TICKS:
            return stamp.pts - stamp.dts + turn
    return 0


def fill_in(stamps: list[Stamp], rate: float) -> list[Stamp]:
    """The first packets of a connection, in decode order, with the times that only later ones tell.

    libav knows decode times once it has seen how far pictures are reordered, and gives none to the
    packets before; the very first may have no time at all.
    """
    first = next((index for index, stamp in enumerate(stamps) if stamp.dts is not None), None)
    if not first:
        return stamps
    known = stamps[first].dts
    assert known is not None
    later = [stamp.dts for stamp in stamps[first:] if stamp.dts is not None]
    steps = sorted(other - one for one, other in pairwise(later) if 0 < other - one <= JUMP_TICKS)
    usual = stamps[first].duration or round(TICKS_PER_SECOND / (rate or DEFAULT_RATE))
    # What was seen counts for more than what is said: some streams claim 1000 pictures a second.
    duration = steps[len(steps) // 2] if steps else usual
    filled = list(stamps)
    shown = [stamp.pts for stamp in stamps if stamp.pts is not None and abs(stamp.pts - known) < JUMP_TICKS]
    for index in range(first):
        dts = known - (first - index) * duration
        pts = stamps[index].pts
        if pts is None:
            # It comes before all others that are known, as a first picture does.
            pts = min(shown, default=dts + duration) - (duration if index == 0 else 0)
        filled[index] = Stamp(dts, max(dts, pts), stamps[index].duration)
    return filled

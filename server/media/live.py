"""The time line of a live source: ticks that only grow, and the wall time that belongs to them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av.packet

from server.clock import Clock
from server.domain.video import Part, VideoFormat


class LiveLine:
    """Puts the packets of one connection on the camera's line and cuts them into parts.

    anchor_us: wall time of tick 0 in microseconds since 1970, as an earlier connection knew it last.
    after: last presentation tick that is already known; no later picture gets this tick or one before.
    """

    def __init__(self, *, anchor_us: int, after: int | None, clock: Clock) -> None:
        self._anchor_us = anchor_us
        self._after = after
        self._clock = clock

    def add(
        self,
        packet: av.packet.Packet[Any],
        time_base: Fraction,
        video: VideoFormat,
        *,
        lost: bool = False,
        date_us: int | None = None,
    ) -> list[Part]:
        """Take a packet as libav gives it, in decode order; gives the parts that this completed, in order.

        lost: packets are known to be missing before this one. date_us: wall time of its presentation
        in microseconds since 1970, where the stream says so; otherwise arrival tells. Another `video`
        than before ends the part and starts a segment.

        Mostly none or one part; several at once when a burst at the beginning was held until its
        length was known.
        """
        raise NotImplementedError

    def finish(self) -> list[Part]:
        """The parts that were begun: the connection has ended."""
        raise NotImplementedError

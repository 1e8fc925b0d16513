"""Cutting a run of packets into parts and segments."""

from __future__ import annotations

from server.domain.video import PART_MAX_TICKS, TICKS_PER_SECOND, Packet, Part, VideoFormat

SEGMENT_MAX_TICKS = 20 * TICKS_PER_SECOND
"""A segment ends here even without a keyframe: it bounds what a file that is being written holds."""


class PartBuilder:
    """Collects packets and gives out parts.

    Where a part ends depends only on the packets since the last keyframe. So a source that begins
    again at a keyframe cuts as it did before.
    """

    def __init__(self, video: VideoFormat, anchor_us: int, gap: str = "") -> None:
        self.anchor_us = anchor_us
        """Wall time of tick 0, for the parts that are given out from now on."""
        self._video = video
        self._gap = gap
        self._packets: list[Packet] = []
        self._segment_start: int | None = None

    def add(self, packet: Packet) -> Part | None:
        """Take a packet in decode order; gives the part that it ended, if it ended one."""
        part = self.finish() if self._ends_before(packet) else None
        self._packets.append(packet)
        return part

    def finish(self) -> Part | None:
        """The part that has been begun, if any: the source has ended."""
        if not self._packets:
            return None
        first = self._packets[0]
        new_segment = (
            self._segment_start is None
            or first.keyframe
            or first.dts - self._segment_start >= SEGMENT_MAX_TICKS
        )
        if new_segment:
            self._segment_start = first.dts
        part = Part(
            packets=tuple(self._packets),
            video=self._video,
            anchor_us=self.anchor_us,
            starts_segment=new_segment,
            independent=first.keyframe,
            gap=self._gap,
        )
        self._packets, self._gap = [], ""
        return part

    def _ends_before(self, packet: Packet) -> bool:
        if not self._packets:
            return False
        return packet.keyframe or packet.dts + packet.duration - self._packets[0].dts > PART_MAX_TICKS

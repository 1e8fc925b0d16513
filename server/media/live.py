"""The time line of a live source: ticks that only grow, and the wall time that belongs to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av.packet

from server.clock import Clock
from server.domain.video import TICKS_PER_SECOND, Packet, Part, VideoFormat, ticks_to_us, us_to_ticks
from server.media.parts import PartBuilder
from server.media.timestamps import JUMP_TICKS, Arrival, Stamp, Timestamps, delay, fill_in
from server.media.wallclock import JUMP_US, WallClock

HOLD_S = 1.0
"""How long the beginning of a connection is held to see whether it is a burst of older pictures."""
HOLD_PACKETS = 2_000
HOLD_BYTES = 32 << 20
"""More than this is not held, however it comes."""
HELD_TICKS = 120 * TICKS_PER_SECOND
"""A timestamp further from the first than any burst is long says nothing of when the burst began."""
UNSTAMPED_PACKETS = 5
"""Demuxers may know the time of the first packets only later; if of none of so many, of none at all."""
STEADY_PACKETS = 3
"""A burst is over once this many packets in a row came no faster than twice their own pace."""
DATED_S = 90.0
"""A packet without a date is judged by its arrival only if none had one for this long."""
OVERLAP_US = 300_000_000
"""Pictures dated this long before what is known are not old: a clock is wrong."""
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class _Held:
    """A packet and the moment it came at. `seen_us` is its date if it has one."""

    stamp: Stamp
    keyframe: bool
    data: bytes
    video: VideoFormat
    lost: bool
    dated: bool
    seen_us: int
    mono_s: float

    @property
    def tick(self) -> int | None:
        """Its place on the camera's own line."""
        return self.stamp.pts if self.stamp.pts is not None else self.stamp.dts

    @property
    def order(self) -> int | None:
        """What grows from packet to packet."""
        return self.stamp.dts if self.stamp.dts is not None else self.stamp.pts


class LiveLine:
    """Puts the packets of one connection on the camera's line and cuts them into parts.

    anchor_us: wall time of tick 0 in microseconds since 1970, as an earlier connection knew it last.
    after: last presentation tick that is already known; no later picture gets this tick or one before.
    """

    def __init__(self, *, anchor_us: int, after: int | None, clock: Clock) -> None:
        self._clock = clock
        self._after = after
        self._wall = WallClock(anchor_us, clock.now_us(), clock.monotonic())
        self._times: Timestamps | None = None
        self._builder: PartBuilder | None = None
        self._video: VideoFormat | None = None
        self.holds = True
        """Whether packets wait until it is known how late the first came. Without, times may be wrong by as
        much as a burst is long."""
        self._held: list[_Held] = []
        self._front: tuple[int, float] | None = None
        self._steady = 0
        self._date_origin_us: int | None = None
        self._dated_s = -DATED_S
        self._judged_by_date: bool | None = None

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
        now_us, mono_s = self._clock.now_us(), self._clock.monotonic()
        stepped = self._wall.check_step(now_us, mono_s)
        dated = date_us is not None and abs(date_us - now_us) < _DAY_US
        held = _Held(
            stamp=_stamp(packet, time_base),
            keyframe=bool(packet.is_keyframe),
            data=bytes(packet),
            video=video,
            lost=lost,
            dated=dated,
            seen_us=date_us if dated and date_us is not None else now_us,
            mono_s=mono_s,
        )
        if dated:
            self._dated_s = mono_s
            self._date_origin_us = held.seen_us - ticks_to_us(held.tick or 0)
        if self._times is not None:
            return self._take(held, "clock" if stepped else "")
        self._held.append(held)
        return self._begin() if self._settled() else []

    def finish(self) -> list[Part]:
        """The parts that were begun: the connection has ended."""
        parts = self._begin() if self._held else []
        rest = self._builder.finish() if self._builder is not None else None
        return parts if rest is None else [*parts, rest]

    def _settled(self) -> bool:
        """Whether the burst of older pictures that a connection may begin with is over."""
        first, last = self._held[0], self._held[-1]
        if self._date_origin_us is not None or not self.holds:
            return True
        if last.tick is None and last.mono_s - first.mono_s < HOLD_S:
            return len(self._held) >= UNSTAMPED_PACKETS
        if len(self._held) >= HOLD_PACKETS or last.mono_s - first.mono_s >= HOLD_S:
            return True
        if sum(len(held.data) for held in self._held) > HOLD_BYTES:
            return True
        front = self._front
        if front is None or last.order is None or abs(last.order - front[0]) > JUMP_TICKS:
            self._front = (last.order, last.mono_s) if last.order is not None else front
            return front is not None and last.order is not None
        ahead = last.order - front[0]
        if ahead > 0:
            took_us = (last.mono_s - front[1]) * 1e6
            self._steady = self._steady + 1 if took_us * 2 >= ticks_to_us(ahead) else 0
            self._front = last.order, last.mono_s
        return self._steady >= STEADY_PACKETS

    def _begin(self) -> list[Part]:
        """Place the first packets: the last of them came when it was captured, those before it late."""
        held, self._held = self._held, []
        stamps = fill_in([one.stamp for one in held], held[0].video.rate)
        held = [replace(one, stamp=stamp) for one, stamp in zip(held, stamps, strict=True)]
        origin_us = self._date_origin_us
        if origin_us is None:
            first = held[0].tick or 0
            near = [one for one in held if abs((one.tick or 0) - first) <= HELD_TICKS]
            origin_us = min(one.seen_us - ticks_to_us(one.tick or 0) for one in near)
        held = held[self._known(held, origin_us) :]
        if not held:
            return []
        # A timestamp that is damaged may say anything, but no picture comes before it was taken.
        shown_us = min(origin_us + ticks_to_us(held[0].tick or 0), max(one.seen_us for one in held))
        ahead = delay(held[0].stamp)
        tick = us_to_ticks(shown_us - self._wall.anchor_us) - ahead
        least = 0 if self._after is None else self._after + 1
        if tick < least:
            tick = least
            self._wall.restart(shown_us - ticks_to_us(tick + ahead))
        self._wall.trust(held[-1].mono_s)
        self._times = Timestamps(tick, held[0].video.rate)
        gap = "lost" if self._after is not None else ""
        parts = []
        for one in held:
            parts += self._take(one, gap)
            gap = ""
        return parts

    def _known(self, held: list[_Held], origin_us: int) -> int:
        """How many packets at the beginning to pass over, since they were seen by the connection before.

        A burst is cut at a keyframe or not at all: an undated one is not known well enough to lose a
        group of pictures for.
        """
        if self._after is None:
            return 0
        known_us = self._wall.anchor_us + ticks_to_us(self._after)
        news = [origin_us + ticks_to_us(one.tick or 0) > known_us for one in held]
        if news[0] or origin_us + ticks_to_us(held[0].tick or 0) < known_us - OVERLAP_US:
            return 0
        if self._date_origin_us is not None:
            return news.index(True) if True in news else len(held)
        return next((index for index, one in enumerate(held) if news[index] and one.keyframe), 0)

    def _take(self, held: _Held, gap: str) -> list[Part]:
        assert self._times is not None
        arrival = None
        judged = held.dated or held.mono_s - self._dated_s >= DATED_S
        if judged:
            late = 0 if held.dated else us_to_ticks(self._wall.usual_lateness_us)
            arrival = Arrival(us_to_ticks(held.seen_us - self._wall.anchor_us), late)
        placed = self._times.place(held.stamp, arrival)
        if judged and self._measure(held, ticks_to_us(placed.pts)):
            gap = gap or "clock"
        if placed.lost or held.lost:
            gap = "lost"
        parts = []
        if self._builder is None or gap or held.video != self._video:
            rest = self._builder.finish() if self._builder is not None else None
            parts = [] if rest is None else [rest]
            self._builder = PartBuilder(held.video, self._wall.anchor_us, gap)
            self._video = held.video
        self._builder.anchor_us = self._wall.anchor_us
        done = self._builder.add(Packet(placed.pts, placed.dts, placed.duration, held.keyframe, held.data))
        return parts if done is None else [*parts, done]

    def _measure(self, held: _Held, media_us: int) -> bool:
        """Tell the wall clock; gives whether it jumped. Dates and arrivals do not measure the same."""
        if self._judged_by_date is not None and self._judged_by_date != held.dated:
            jump_us = abs(held.seen_us - media_us - self._wall.anchor_us)
            self._wall.restart(held.seen_us - media_us, media_us)
            self._judged_by_date = held.dated
            return jump_us > JUMP_US
        self._judged_by_date = held.dated
        return self._wall.measure(media_us, held.seen_us, held.mono_s)


def _stamp(packet: av.packet.Packet[Any], time_base: Fraction) -> Stamp:
    up, down = time_base.numerator * TICKS_PER_SECOND, time_base.denominator

    def ticks(value: int | None) -> int | None:
        return None if value is None else (2 * value * up + down) // (2 * down)

    return Stamp(ticks(packet.dts), ticks(packet.pts), ticks(packet.duration) or 0)

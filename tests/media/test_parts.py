"""Where parts and segments end."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from server.domain.video import PART_MAX_TICKS, TICKS_PER_SECOND, Packet, Part, VideoFormat
from server.media.parts import SEGMENT_MAX_TICKS, PartBuilder

VIDEO = VideoFormat("h264", b"", 64, 48)


def packets(durations: Iterable[int], keyframes: set[int]) -> list[Packet]:
    made, dts = [], 0
    for number, duration in enumerate(durations):
        made.append(Packet(dts, dts, duration, number in keyframes, b"%d" % number))
        dts += duration
    return made


def cut(run: Iterable[Packet]) -> list[Part]:
    builder = PartBuilder(VIDEO, 1_000_000)
    parts = [part for packet in run if (part := builder.add(packet)) is not None]
    rest = builder.finish()
    return parts if rest is None else [*parts, rest]


runs = st.builds(
    packets,
    st.lists(st.integers(1, 2 * PART_MAX_TICKS), max_size=80),
    st.sets(st.integers(1, 79)).map(lambda found: found | {0}),
)


@given(runs)
def test_parts_hold_every_packet_once_in_order(run: list[Packet]) -> None:
    assert [packet for part in cut(run) for packet in part.packets] == run


@given(runs)
def test_a_part_of_several_packets_is_never_longer_than_half_a_second(run: list[Packet]) -> None:
    assert all(part.end - part.start <= PART_MAX_TICKS or len(part.packets) == 1 for part in cut(run))


@given(runs)
def test_a_keyframe_always_begins_a_part_and_a_segment(run: list[Packet]) -> None:
    for part in cut(run):
        assert part.independent == part.packets[0].keyframe
        assert part.starts_segment or not part.independent
        assert not any(packet.keyframe for packet in part.packets[1:])


@given(runs, st.data())
def test_beginning_again_at_a_keyframe_cuts_as_before(run: list[Packet], data: st.DataObject) -> None:
    starts = [number for number, packet in enumerate(run) if packet.keyframe]
    if not starts:
        return
    begin = data.draw(st.sampled_from(starts))
    again = [part.packets for part in cut(run[begin:])]
    assert again == [part.packets for part in cut(run)][-len(again) :]


def test_a_segment_ends_after_a_while_even_without_a_keyframe() -> None:
    step = TICKS_PER_SECOND // 5
    parts = cut(packets([step] * 300, {0}))
    starts = [part.start for part in parts if part.starts_segment]
    assert len(starts) == 3
    gaps = [b - a for a, b in pairwise(starts)]
    assert all(SEGMENT_MAX_TICKS <= gap < SEGMENT_MAX_TICKS + PART_MAX_TICKS for gap in gaps)


def test_parts_begin_where_the_one_before_ends() -> None:
    parts = cut(packets([3600] * 100, {0, 40}))
    assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]
    assert parts[0].start_us == 1_000_000


def test_nothing_taken_gives_no_part() -> None:
    assert PartBuilder(VIDEO, 0).finish() is None

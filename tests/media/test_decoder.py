"""Decoding no more than is wanted, and going on after broken packets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from server.domain.video import TICKS_PER_SECOND, Packet, VideoFormat
from server.errors import DecodeError
from server.media.decoder import REFRESH_TICKS, Decoder
from tests.clips import H264, H265, MPEG4, make_clip
from tests.media.odd_clips import intra_refresh
from tests.media.playing import read, see

FRAMES = 60


@pytest.fixture(scope="module")
def h264(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("decoder") / "h264.mp4", codec=H264)


@pytest.mark.parametrize(("codec", "suffix"), [(H264, "mp4"), (H265, "mp4"), (MPEG4, "avi")])
def test_the_planes_are_those_libav_gives(tmp_path: Path, codec: str, suffix: str) -> None:
    path = make_clip(tmp_path / f"clip.{suffix}", codec=codec, frames=12)
    with av.open(str(path)) as container:
        reference = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    parts = read(path)
    decoder = Decoder(parts[0].video)
    frames = [frame for part in parts for frame in decoder.decode(part, lambda packet: True)]
    frames += decoder.flush()
    assert len(frames) == len(reference) == 12
    for frame, packed in zip(frames, reference, strict=True):
        assert np.array_equal(frame.y, packed[:96])
        assert np.array_equal(frame.u.ravel(), packed[96:120].ravel())
        assert np.array_equal(frame.v.ravel(), packed[120:].ravel())


def test_an_odd_size_in_full_colour_keeps_its_size(tmp_path: Path) -> None:
    parts = read(make_clip(tmp_path / "odd.mp4", size=(127, 95), frames=8))
    decoder = Decoder(parts[0].video)
    frames = [*decoder.decode(parts[0], lambda packet: True), *decoder.flush()]
    assert len(frames) == 8
    assert (frames[0].width, frames[0].height) == (127, 95)
    assert frames[0].u.shape == frames[0].v.shape == (48, 64)
    assert frames[0].picture().shape == (95, 127, 3)


@pytest.mark.parametrize("codec", [H264, H265])
def test_only_unneeded_pictures_that_no_other_refers_to_are_skipped(tmp_path: Path, codec: str) -> None:
    parts = read(make_clip(tmp_path / "clip.mp4", codec=codec))
    everything = see(parts)

    def wanted(packet: Packet) -> bool:
        return packet.pts // (TICKS_PER_SECOND // 5) % 2 == 0

    some = see(parts, wanted)
    assert len(some) < len(everything)
    assert set(some) <= set(everything)
    needed = {packet.pts for part in parts for packet in part.packets if wanted(packet)}
    assert needed <= {pts for pts, _, _ in some}


def test_what_nothing_refers_to_is_not_decoded_at_all_if_nobody_wants_it(h264: Path) -> None:
    parts = read(h264)
    none_wanted = see(parts, lambda packet: False)
    keyframes = {packet.pts for part in parts for packet in part.packets if packet.keyframe}
    assert len(none_wanted) <= FRAMES * 0.6
    assert keyframes <= {pts for pts, _, _ in none_wanted}


def test_frames_carry_wall_time(h264: Path) -> None:
    part = replace(read(h264)[0], anchor_us=1_000_000)
    decoder = Decoder(part.video)
    frames = [*decoder.decode(part, lambda packet: True), *decoder.flush()]
    assert [frame.ts_us for frame in frames[:3]] == [1_000_000, 1_040_000, 1_080_000]


def test_a_broken_packet_costs_only_pictures_up_to_the_next_keyframe(h264: Path) -> None:
    parts = read(h264)
    everything = see(parts)
    first = parts[0]
    damaged = replace(first.packets[1], data=b"\x00\x00\x00\x01" + b"\xff" * 40)
    broken = [replace(first, packets=(first.packets[0], damaged, *first.packets[2:])), *parts[1:]]
    decoder = Decoder(first.video)
    frames = [frame for part in broken for frame in decoder.decode(part, lambda packet: True)]
    frames += decoder.flush()
    assert decoder.broken >= 1
    second_group = [part for part in parts if part.independent][1].packets[0].pts
    later = [(f.pts, int(f.y.sum()), int(f.u.sum())) for f in frames if f.pts >= second_group]
    assert later == [frame for frame in everything if frame[0] >= second_group]


def test_a_codec_that_is_not_there_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="nonesuch cannot be decoded here"):
        Decoder(VideoFormat("nonesuch", b"", 64, 48))


@pytest.mark.parametrize(("codec", "suffix"), [(H264, "ts"), (H265, "ts"), (MPEG4, "avi")])
def test_nothing_comes_out_before_the_first_keyframe(tmp_path: Path, codec: str, suffix: str) -> None:
    parts = read(make_clip(tmp_path / f"clip.{suffix}", codec=codec))
    first = next(part for part in parts[1:] if part.starts_segment)
    everything = {pts: sums for pts, *sums in see(parts)}
    late = parts[1 : parts.index(first)]
    cut = [replace(late[0], packets=late[0].packets[3:]), *late[1:], *parts[parts.index(first) :]]
    decoder = Decoder(first.video)
    frames = [frame for part in cut for frame in decoder.decode(part, lambda packet: True)]
    frames += decoder.flush()
    assert min(frame.pts for frame in frames) == first.packets[0].pts
    for frame in frames:
        assert everything[frame.pts] == [int(frame.y.sum()), int(frame.u.sum())]


def test_a_stream_without_keyframes_comes_out_once_it_is_refreshed(tmp_path: Path) -> None:
    """H.264 says when that is."""
    parts = read(intra_refresh(tmp_path / "clip.ts", H264, frames=100))
    packets = [packet for part in parts for packet in part.packets]
    everything = {pts: sums for pts, *sums in see(parts)}
    decoder = Decoder(parts[0].video)
    cut = replace(parts[0], packets=tuple(packets[5:]))
    frames = [*decoder.decode(cut, lambda packet: True), *decoder.flush()]
    assert len(frames) > 60
    for frame in frames:
        assert everything[frame.pts] == [int(frame.y.sum()), int(frame.u.sum())]


def test_a_stream_that_does_not_say_when_it_is_refreshed_comes_out_after_a_while(tmp_path: Path) -> None:
    parts = read(intra_refresh(tmp_path / "clip.ts", H265, frames=160, fps=5))
    packets = [packet for part in parts for packet in part.packets]
    everything = {pts: sums for pts, *sums in see(parts)}
    assert sum(packet.keyframe for packet in packets) == 1
    decoder = Decoder(parts[0].video)
    cut = replace(parts[0], packets=tuple(packets[5:]))
    frames = [*decoder.decode(cut, lambda packet: True), *decoder.flush()]
    assert frames[0].pts - packets[5].pts == REFRESH_TICKS
    for frame in frames:
        assert everything[frame.pts] == [int(frame.y.sum()), int(frame.u.sum())]

"""Following a camera that changes its format while it sends."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.video import Part, VideoFormat
from server.errors import SourceError
from server.media.decoder import Decoder
from server.media.formats import MOST_FORMATS, Formats, signature
from server.media.libav import TICK
from server.media.live import LiveLine
from server.media.segments import SegmentWriter
from tests.clips import H264, H265, MPEG4, make_clip
from tests.media.livetime import HandClock
from tests.media.odd_clips import changing, without_its_beginning

UNHURRIED = settings(deadline=None)
"""A busy machine is no failure."""

PIECES = [
    b"\x00",
    b"\x00\x00\x01",
    b"\x67",
    b"\x42\x01",
    b"\xff",
    b"\xd8",
    b"\xc0",
    b"\x00\x02",
    b"\x65\x88",
    b"abcdefgh",
]
SMALL, LARGE = (128, 96), (192, 144)


def formats_in(path: Path, **options: str) -> Iterator[tuple[av.Packet, VideoFormat | None]]:
    """Packets and their formats."""
    with av.open(str(path), container_options=options) as container:
        stream = container.streams.video[0]
        with closing(Formats(stream, "clip")) as formats:
            for packet in container.demux(stream):
                if packet.size:
                    yield packet, formats.of(bytes(packet))


@contextmanager
def opened(file: Path | io.BytesIO, format: str | None = None) -> Iterator[Formats]:
    with (
        av.open(file if isinstance(file, io.BytesIO) else str(file), "r", format=format) as container,
        closing(Formats(container.streams.video[0], "door")) as formats,
    ):
        yield formats


def sizes(path: Path, **options: str) -> list[tuple[int, int] | None]:
    """Each size once for every time it was changed to."""
    found: list[tuple[int, int] | None] = []
    for _, video in formats_in(path, **options):
        size = None if video is None else (video.width, video.height)
        if not found or found[-1] != size:
            found.append(size)
    return found


@pytest.mark.parametrize("codec", [H264, H265])
def test_a_change_of_resolution_is_seen_in_the_packets(tmp_path: Path, codec: str) -> None:
    clip = changing(tmp_path / "clip.ts", codec, [SMALL, LARGE, SMALL])
    seen = [video for _, video in formats_in(clip)]
    assert sizes(clip) == [SMALL, LARGE, SMALL]
    assert [video.width for video in seen if video is not None] == [128] * 50 + [192] * 50 + [128] * 50
    assert len(set(filter(None, seen))) == 2


@pytest.mark.parametrize("codec", [H264, H265, MPEG4])
def test_a_format_that_stays_is_the_same_for_all_packets(tmp_path: Path, codec: str) -> None:
    for suffix in ("ts", "mkv"):
        clip = make_clip(tmp_path / f"clip.{suffix}", codec=codec)
        assert len({video for _, video in formats_in(clip)}) == 1


@pytest.mark.parametrize("codec", [H264, H265])
def test_pictures_and_segments_have_the_new_size(tmp_path: Path, codec: str) -> None:
    clip = changing(tmp_path / "clip.ts", codec, [SMALL, LARGE])
    line = LiveLine(anchor_us=0, after=None, clock=HandClock())
    parts: list[Part] = []
    shown: list[tuple[int, int]] = []
    written: dict[tuple[int, int], Path] = {}
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        with closing(Formats(stream, "clip")) as formats:
            for packet in container.demux(stream):
                if packet.size:
                    video = formats.of(bytes(packet))
                    assert video is not None
                    parts += line.add(packet, stream.time_base or TICK, video)
            parts += line.finish()
            for size in (SMALL, LARGE):
                run = [part for part in parts if (part.video.width, part.video.height) == size]
                assert run[0].starts_segment
                assert run[0].independent
                decoder = Decoder(run[0].video)
                for part in run:
                    shown += [(f.width, f.height) for f in decoder.decode(part, lambda packet: True)]
                shown += [(f.width, f.height) for f in decoder.flush()]
                writer = SegmentWriter(tmp_path / str(size[0]), 1, 1, run[0].video.template)  # type: ignore[arg-type]
                for part in run[:2]:
                    writer.write(part)
                last = writer.close()
                assert last is not None
                written[size] = last
    assert shown == [SMALL] * 50 + [LARGE] * 50
    for size, path in written.items():
        with av.open(str(path)) as again:
            stream = again.streams.video[0]
            assert (stream.width, stream.height) == size
            frame = next(again.decode(stream))
            assert (frame.width, frame.height) == size


def test_one_decoder_goes_on_through_a_change_too(tmp_path: Path) -> None:
    clip = changing(tmp_path / "clip.ts", H264, [SMALL, LARGE])
    line = LiveLine(anchor_us=0, after=None, clock=HandClock())
    parts: list[Part] = []
    first: VideoFormat | None = None
    for packet, video in formats_in(clip):
        assert video is not None
        first = first or video
        parts += line.add(packet, packet.time_base, first)
    parts += line.finish()
    assert first is not None
    decoder = Decoder(first)
    frames = [frame for part in parts for frame in decoder.decode(part, lambda packet: True)]
    frames += decoder.flush()
    assert [frame.width for frame in frames] == [128] * 50 + [192] * 50
    assert frames[-1].y.shape == (144, 192)
    assert frames[-1].u.shape == (72, 96)


@pytest.mark.parametrize("codec", [H264, H265])
def test_a_stream_that_does_not_begin_with_its_parameters_is_known_from_the_first_on(
    tmp_path: Path, codec: str
) -> None:
    whole = make_clip(tmp_path / "whole.ts", codec=codec, frames=100, gop=50)
    clip = without_its_beginning(whole, tmp_path / "clip.ts", 10)
    assert sizes(clip, probesize="2000", analyzeduration="10000") == [None, SMALL]


def test_a_format_that_changes_without_end_is_damage(tmp_path: Path) -> None:
    many = []
    for index in range(MOST_FORMATS + 1):
        other = make_clip(tmp_path / f"{index}.ts", frames=10, size=(64 + 2 * index, 48))
        with av.open(str(other)) as clip:
            many.append(bytes(next(clip.demux(video=0))))
    with opened(make_clip(tmp_path / "clip.ts", frames=5)) as formats:
        for data in many[:-1] * 2:
            formats.of(data)
        with pytest.raises(SourceError, match=r"^door: its picture format changes again and again$"):
            formats.of(many[-1])


def test_damaged_parameters_change_nothing(tmp_path: Path) -> None:
    with opened(make_clip(tmp_path / "clip.ts", frames=5)) as formats:
        before = formats.current
        for junk in (
            b"\x00\x00\x01\x67",
            b"\x00\x00\x01\x67\xff\xff\xff\x00\x00\x01\x65abc",
            b"",
            b"\x00\x00\x01",
        ):
            assert formats.of(junk) == before


def jpeg(width: int, height: int) -> bytes:
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = TICK
    picture = av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format="bgr24")
    picture = picture.reformat(format="yuvj420p")
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])


def test_jpegs_say_their_size(tmp_path: Path) -> None:
    small, large = jpeg(64, 48), jpeg(96, 64)
    assert signature("mjpeg", small) != signature("mjpeg", large)
    assert signature("mjpeg", small) == signature("mjpeg", jpeg(64, 48))
    assert signature("mjpeg", small[:20]) is None
    with opened(io.BytesIO(small * 3), format="mjpeg") as formats:
        found = [formats.of(data) for data in (small, small, large, small)]
    assert [video.width for video in found if video is not None] == [64, 64, 96, 64]


@UNHURRIED
@given(st.sampled_from(["h264", "hevc", "mjpeg", "mpeg4"]), st.lists(st.sampled_from(PIECES), max_size=12))
def test_no_bytes_are_too_odd_to_look_at(codec: str, pieces: list[bytes]) -> None:
    found = signature(codec, b"".join(pieces))
    assert found is None or found

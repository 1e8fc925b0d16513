"""Streams as few cameras send them, but some do."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import av.video.stream

from tests.clips import H264, H265, make_clip, scene

SIZE = (128, 96)


def intra_refresh(path: Path, codec: str, *, frames: int, fps: int = 25) -> Path:
    """A clip with one keyframe at its beginning; later pictures are refreshed column by column."""
    options = {
        H264: {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=15:bframes=0:threads=1"},
        H265: {
            "preset": "ultrafast",
            "x265-params": "intra-refresh=1:keyint=15:bframes=0:pools=1:frame-threads=1:log-level=none",
        },
    }[codec]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(scene(number, *SIZE), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def changing(path: Path, codec: str, sizes: list[tuple[int, int]], *, frames: int = 50) -> Path:
    """A clip in MPEG-TS whose size changes every `frames` pictures without a word outside of the video."""
    whole = b""
    for index, size in enumerate(sizes):
        times = [(index * frames + number) / 25 for number in range(frames)]
        piece = make_clip(
            path.with_name(f"{path.stem}-{index}.ts"), codec=codec, times=times, size=size, gop=25
        )
        whole += piece.read_bytes()
    path.write_bytes(whole)
    return path


def without_its_beginning(clip: Path, path: Path, first: int) -> Path:
    """The clip from packet `first` on, in MPEG-TS."""
    with av.open(str(clip)) as given, av.open(str(path), "w", format="mpegts") as container:
        template = given.streams.video[0]
        stream = container.add_stream_from_template(template)
        for number, packet in enumerate(given.demux(template)):
            if packet.size and number >= first:
                packet.stream = stream
                container.mux_one(packet)
    return path

"""Small clips of moving pictures, as cameras and programs write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import av.video.stream
import numpy as np

from server.domain.video import Picture

H264 = "libx264"
H265 = "libx265"
MPEG4 = "mpeg4"

_OPTIONS = {
    H264: {"preset": "ultrafast", "bf": "3", "b_strategy": "0", "sc_threshold": "0", "threads": "1"},
    H265: {
        "preset": "ultrafast",
        "x265-params": "bframes=3:b-adapt=0:scenecut=0:open-gop=0:pools=1:frame-threads=1:log-level=none",
    },
    MPEG4: {"bf": "2", "flags": "+cgop", "sc_threshold": "1000000000"},
}
_OPEN_GOP = {H264: {"x264-params": "open-gop=1"}, MPEG4: {"flags": "-cgop"}}


def scene(number: int, width: int, height: int) -> Picture:
    """Picture `number` of a clip: no two are the same; (number % 16) steps of grey, and a moving bar."""
    picture = np.full((height, width, 3), 40 + number % 16 * 10, np.uint8)
    left = number * 5 % (width - 8)
    picture[height // 4 : height // 2, left : left + 8] = (30, 60, 230)
    row = number // 16 * 4 % (height // 2 - 4) + height // 2
    picture[row : row + 4] = 250
    return picture


def make_clip(
    path: Path,
    *,
    codec: str = H264,
    frames: int = 60,
    fps: int = 25,
    size: tuple[int, int] = (128, 96),
    gop: int = 20,
    times: Iterable[float] | None = None,
    open_gop: bool = False,
    draw: Callable[[int, int, int], Picture] = scene,
) -> Path:
    """Write a clip with B-frames and give its path; the suffix chooses the container.

    times: when each picture is shown, in seconds, for a variable frame rate; default: `frames` at `fps`.
    open_gop: pictures shown before a keyframe may need those of the group before it (not for H.265).
    An odd size needs 4:4:4, which only H.264 is written in here.
    """
    odd = size[0] % 2 or size[1] % 2
    base = Fraction(1, 1000) if times is not None else Fraction(1, fps)
    ticks = [round(t * 1000) for t in times] if times is not None else list(range(frames))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=fps, options=_OPTIONS[codec] | (_OPEN_GOP[codec] if open_gop else {})
        )
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv444p" if odd else "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = base
        for number, pts in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(draw(number, *size), format="bgr24")
            frame.pts, frame.time_base = pts, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path

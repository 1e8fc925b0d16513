"""Reading clips with the source and the decoder under test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import av
import numpy as np

from server.domain.video import Packet, Part
from server.media.decoder import Decoder
from server.media.file_source import FileSource

Seen = tuple[int, int, int]
"""Presentation time in ticks, and sums of the luma and a colour plane: what a frame is known by."""


def read(path: Path, *, loop: bool = False, after: int | None = None, limit: int | None = None) -> list[Part]:
    """All parts, or as many as `limit` says."""
    source = FileSource(path, loop=loop)
    source.open()
    try:
        return list(islice(source.parts(threading.Event(), after), limit))
    finally:
        source.close()


def luma(frame: av.VideoFrame) -> int:
    """Sum of a frame's luma plane."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return int(rows[: frame.height, : frame.width].sum())


def see(parts: list[Part], wanted: Callable[[Packet], bool] = lambda packet: True) -> list[Seen]:
    """All frames of parts that begin at a keyframe."""
    decoder = Decoder(parts[0].video)
    frames = [frame for part in parts for frame in decoder.decode(part, wanted)]
    frames += decoder.flush()
    assert decoder.broken == 0
    return [(frame.pts, int(frame.y.sum()), int(frame.u.sum())) for frame in frames]

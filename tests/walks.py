"""A clip of bright blocks walking through the dark, and a detector that sees each as a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import av.video.stream
import cv2
import numpy as np

from server.domain.detections import Detections
from server.domain.video import Picture
from server.errors import DetectorError

FPS = 10
SECONDS = 12
WIDTH, HEIGHT = 160, 120
WALKS = ((1.0, 4.0), (7.0, 10.0))
"""When each walker comes in on the left and has gone out on the right, seconds."""


def make_walk(
    path: Path,
    keyframe_every: int = 250,
    seconds: int = SECONDS,
    walks: Sequence[tuple[float, float]] = WALKS,
) -> Path:
    """Write the clip, H.264, and give its path. keyframe_every: in pictures. walks: as WALKS."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "threads": "1"})
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = keyframe_every
        for number in range(FPS * seconds):
            frame = av.VideoFrame.from_ndarray(_picture(number / FPS, walks), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _picture(time: float, walks: Sequence[tuple[float, float]]) -> Picture:
    picture = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    for start, stop in walks:
        if start <= time < stop:
            left = round(-30 + (WIDTH + 30) * (time - start) / (stop - start))
            picture[40:100, max(0, left) : max(0, left + 30)] = 235
    return picture


class BrightBlocks:
    """Every bright block is a person, seen clearly. `fails` of the looks go wrong, the first ones."""

    name = "bright blocks"
    size = (WIDTH, HEIGHT)
    batch = 1

    def __init__(self, fails: int = 0) -> None:
        self._fails = fails

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """See `Detector.detect`."""
        if self._fails > 0:
            self._fails -= 1
            raise DetectorError("out of sight")
        return [_blocks(picture) for picture in pictures]


def _blocks(picture: Picture) -> Detections:
    mask = (picture[:, :, 0] > 128).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    boxes = [
        (x / WIDTH, y / HEIGHT, (x + w) / WIDTH, (y + h) / HEIGHT)
        for x, y, w, h, area in stats[1:count]
        if area > 40
    ]
    n = len(boxes)
    array = np.array(boxes, np.float32).reshape(n, 4)
    return Detections(array, np.full(n, 0.9, np.float32), np.zeros(n, np.int64))

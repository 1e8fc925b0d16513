"""What reading an RTSP camera costs before anybody decodes it.

Run from the top of the repository; needs GStreamer's RTSP server (see .ci/run):

    python -m bench.stream_cost [--seconds 20] [--transport tcp]

Plays a 1080p clip of moving noise at 25 frames a second and some 10 Mbit/s through StreamSource, and
measures this process's CPU time: packets received, put on the time line and cut into parts.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.clock import SystemClock
from server.media.stream_source import StreamSource
from tests.clips import make_clip
from tests.media.rtsp import RtspServer, video

_RNG = np.random.default_rng(1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="CPU time of reading a 1080p RTSP stream.")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--transport", default="tcp", choices=["tcp", "udp"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(
            Path(folder) / "clip.ts",
            frames=25 * (given.seconds + 5),
            size=(1920, 1080),
            gop=50,
            draw=_noisy,
        )
        with RtspServer({"/clip": video(clip)}) as server:
            _measure(server.url("/clip"), given.transport, given.seconds)


def _measure(url: str, transport: str, seconds: int) -> None:
    clock = SystemClock()
    camera = StreamSource(
        url,
        transport=transport,
        anchor_us=clock.now_us(),
        after=None,
        clock=clock,
        networks=frozenset({"loopback"}),
    )
    with contextlib.closing(camera):
        camera.open()
        parts = camera.parts(threading.Event())
        first = next(parts)
        started, before = time.monotonic(), _cpu()
        size, end = 0, first.end
        while end - first.end < seconds * 90_000:
            part = next(parts)
            size, end = size + part.size, part.end
        passed = (end - first.end) / 90_000
        spent = 1e3 * (_cpu() - before) / passed
        print(f"{transport}: {spent:.2f} ms a second of video", end=", ")
        print(f"{size * 8 / passed / 1e6:.1f} Mbit/s, {time.monotonic() - started:.1f} s")


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _noisy(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    picture = np.full((height, width, 3), 90, np.uint8)
    left = number * 8 % (width - 240)
    picture[300:500, left : left + 240] = _RNG.integers(0, 255, (200, 240, 3), np.uint8)
    return picture


if __name__ == "__main__":
    main()

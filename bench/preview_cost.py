"""What one preview costs, next to the analysis of the same pictures and to ffmpeg's encoding alone.

Run from the top of the repository:

    python -m bench.preview_cost [clip] [--seconds 20] [--width 960] [--fps 15] [--rounds 3]

Analyses the clip (default: moving shapes, 1920x1080 at 25 pictures a second, made for it) at 5 pictures a
second, first alone and then with a preview in real time; the difference is what the preview costs. Next to it
stands an ffmpeg that is given the same pictures ready to be encoded. All in CPU time, children included.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from server import processors
from server.clock import SystemClock
from server.config import Settings
from server.domain.tracks import Track
from server.domain.video import Frame
from server.log import CameraLogger
from server.media.ffmpeg import ffmpeg_binary, hls_abilities
from server.media.preview_encoder import Encoding, command
from server.services.analysis import Rule
from server.vision import weights
from server.vision.detector import Detector, fitting
from server.vision.tracker import Tracker
from server.vision.yolox import YoloxDetector
from server.watchers.plan import Plan, PreviewPlan
from server.watchers.preview import PreviewControl
from server.watchers.preview import fitting as preview_size
from tests.clips import make_clip

WATCH_FPS = 5.0


class _Always:
    def wanted_previews(self) -> frozenset[int]:
        return frozenset({1})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="CPU time of a preview.")
    parser.add_argument("clip", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--width", type=int, default=960)
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--kbps", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    detector = YoloxDetector(weights.path_of(weights.YOLOX_NANO, Settings().WEIGHTS_DIR))
    with tempfile.TemporaryDirectory() as folder:
        clip = given.clip or make_clip(
            Path(folder) / "clip.mp4", frames=round(25 * given.seconds), fps=25, size=(1920, 1080), gop=50
        )
        seconds = min(given.seconds, _length(clip))
        ratios = []
        print(
            "CPU ms a second of video\nround  analysis  preview  bare ffmpeg  preview/analysis  preview/bare"
        )
        for number in range(1, given.rounds + 1):
            alone = _analyse(clip, seconds, detector, None)
            encoding = Encoding(*_size(clip, given.width), given.fps, given.kbps)
            both = _analyse(clip, seconds, detector, _control(Path(folder), encoding))
            bare = _bare(clip, seconds, Path(folder) / "bare", encoding)
            preview = both - alone
            ratios.append((preview / alone, preview / bare))
            costs = (
                f"{1e3 * alone / seconds:8.0f}  {1e3 * preview / seconds:7.0f}  {1e3 * bare / seconds:11.0f}"
            )
            print(f"{number:5}  {costs}  {ratios[-1][0]:16.2f}  {ratios[-1][1]:12.2f}", flush=True)
        to_analysis, to_bare = (statistics.median(values) for values in zip(*ratios, strict=True))
        print(
            f"median: {to_analysis:.2f} of the analysis, {to_bare:.2f} of bare ffmpeg; {os.cpu_count()} CPUs"
        )


def _analyse(clip: Path, seconds: float, detector: Detector, control: PreviewControl | None) -> float:
    """CPU seconds of decoding everything and analysing WATCH_FPS a second, as a watcher does."""
    tracker, last = Tracker(), -1
    begun = _cpu()
    if control is not None:
        control.tick()
    rules = {1: processors.create("persons", zones=[], lines=[], options={}, confidence=0.5)}
    started = time.monotonic()
    first: int | None = None
    for frame in _frames(clip, seconds):
        first = frame.ts_us if first is None else first
        if control is not None:
            control.frame(frame)
        slot = int((frame.ts_us - first) / 1e6 * WATCH_FPS + 0.001)
        if slot > last:
            last = slot
            found = detector.detect([frame.picture(*fitting(frame.width, frame.height, detector.size))])
            tracks: list[Track] = tracker.update(found[0], frame.ts_us)
            if control is not None:
                control.judged(frame.ts_us, tracks, (), rules)
        if control is not None:
            # In real time: otherwise pictures would be dropped, and drawn and encoded for nothing.
            time.sleep(max(0.0, (frame.ts_us - first) / 1e6 - (time.monotonic() - started)))
    if control is not None:
        control.close()
    return _cpu() - begun


def _control(folder: Path, encoding: Encoding) -> PreviewControl:
    rule = Rule(1, 1, processors.create("persons", zones=[], lines=[], options={}, confidence=0.5))
    plan = Plan(
        camera_id=1, revision=1, enabled=True, address="", loop=False, transport="tcp", watch_fps=WATCH_FPS,
        grid=1, rules=(rule,), unusable=(), preview_fps=encoding.fps, preview_kbps=encoding.kbps,
        preview_width=encoding.width, previews=(PreviewPlan(1, "Bench", "persons", "always"),),
    )  # fmt: skip
    settings = Settings(PROCESSORS_PREVIEW_DIR=folder / "previews")
    log = CameraLogger(logging.getLogger("bench"), 1)
    return PreviewControl(plan, settings, _Always(), SystemClock(), log, lambda _: (0, 0, 0))  # type: ignore[arg-type]


def _bare(clip: Path, seconds: float, folder: Path, encoding: Encoding) -> float:
    """CPU seconds of an ffmpeg that is given the pictures ready to be encoded."""
    folder.mkdir(exist_ok=True)
    binary = ffmpeg_binary("")
    words = command(binary, encoding, hls_abilities(binary), 1_000_000, 1000)
    size = encoding.width, encoding.height
    packed = []
    step, due = 1e6 / encoding.fps, 0.0
    first: int | None = None
    for frame in _frames(clip, seconds):
        first = frame.ts_us if first is None else first
        if frame.ts_us - first >= due:
            due += step
            packed.append(_packed(frame, size))
    begun = _cpu()
    with subprocess.Popen(words, stdin=subprocess.PIPE, cwd=folder) as process:
        assert process.stdin is not None
        for picture in packed:
            process.stdin.write(picture)
    return _cpu() - begun


def _packed(frame: Frame, size: tuple[int, int]) -> bytes:
    picture = av.VideoFrame.from_ndarray(frame.picture(*size), format="bgr24")
    return np.ascontiguousarray(picture.to_ndarray(format="yuv420p")).tobytes()


def _frames(clip: Path, seconds: float) -> Iterator[Frame]:
    with av.open(str(clip)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for picture in container.decode(video=0):
            if (picture.time or 0) >= seconds:
                return
            planes = np.asarray(picture.reformat(format="yuv420p").to_ndarray(), np.uint8)
            high, wide = picture.height, picture.width
            chroma = planes[high:].reshape(-1)
            u, v = (np.asarray(half.reshape(high // 2, wide // 2), np.uint8) for half in np.split(chroma, 2))
            yield Frame(0, round((picture.time or 0) * 1e6) + 1, planes[:high], u, v)


def _size(clip: Path, width: int) -> tuple[int, int]:
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        return preview_size(video.width, video.height, width)


def _length(clip: Path) -> float:
    with av.open(str(clip)) as container:
        return float(container.duration or 0) / 1e6


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()

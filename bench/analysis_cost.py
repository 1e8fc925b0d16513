"""What analysing a clip costs, next to what cannot be saved: decoding and the model.

Run from the top of the repository:

    python -m bench.analysis_cost CLIP [--watch-fps 5] [--rounds 3] [--weights FILE]

A round is (a) the whole analysis, (b) a bare PyAV decode of every frame in one thread and a bare
one-thread ONNX Runtime on the same sampled frames, prepared beforehand. Both are measured in process CPU
time, a round of one after a round of the other, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import av
import numpy as np
import onnxruntime

from server.config import Settings
from server.services.recordings import Entry, Report, analyse
from server.vision import weights
from server.vision.detector import GREY, place
from server.vision.yolox import YoloxDetector

ENTRIES = (
    Entry("exit", "traffic", zones=[[[0.9, 0.0], [1, 0], [1, 1], [0.9, 1]]], lines=[[[0, 0.9], [1, 0.9]]]),
    Entry("room", "persons"),
)
GOAL = 1.25
"""Most that the analysis may cost, as a multiple of the bare work."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="CPU time of the analysis next to the bare work in it.")
    parser.add_argument("clip", type=Path)
    parser.add_argument("--watch-fps", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", type=Path)
    given = parser.parse_args()
    model = given.weights or weights.path_of("yolox-nano", Settings().WEIGHTS_DIR)
    detector, session = YoloxDetector(model), _session(model)
    ratios = []
    print("round  analysis s  decode s  model s  frames  ratio")
    for number in range(1, given.rounds + 1):
        report = analyse(given.clip, detector, ENTRIES, given.watch_fps)
        decode = _decode_cost(given.clip)
        model_cost, frames = _model_cost(given.clip, session, detector.size, given.watch_fps)
        _check_same_frames(report, frames)
        ratios.append(report.cpu_s / (decode + model_cost))
        costs = f"{report.cpu_s:10.2f}  {decode:8.2f}  {model_cost:7.2f}"
        print(f"{number:5}  {costs}  {frames:6}  {ratios[-1]:.3f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f}, goal {GOAL}")


def _session(model: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _decode_cost(clip: Path) -> float:
    """CPU seconds of decoding every frame and doing nothing with it."""
    started = time.process_time()
    with av.open(str(clip)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _ in container.decode(video=0):
            pass
    return time.process_time() - started


def _model_cost(
    clip: Path, session: onnxruntime.InferenceSession, size: tuple[int, int], watch_fps: float
) -> tuple[float, int]:
    """(CPU seconds inside ONNX Runtime, frames) for the frames that the analysis samples."""
    spent, frames, last = 0.0, 0, -1
    name = session.get_inputs()[0].name
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            slot = int(((frame.time or 0.0) + 0.001) * watch_fps)
            if slot <= last:
                continue
            last = slot
            canvas = np.full((size[1], size[0], 3), GREY, np.uint8)
            place(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8), canvas)
            tensor = np.ascontiguousarray(canvas.transpose(2, 0, 1), np.float32)[None]
            started = time.process_time()
            session.run(None, {name: tensor})
            spent += time.process_time() - started
            frames += 1
    return spent, frames


def _check_same_frames(report: Report, frames: int) -> None:
    """A comparison of different work would be none."""
    if report.analysed != frames:
        raise SystemExit(f"the analysis took {report.analysed} frames, the bare model {frames}")


if __name__ == "__main__":
    main()

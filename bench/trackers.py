"""Compares trackers on simulated crowds with known truth, and on the detections of real clips.

One tracker a run, because they do not all live in one environment; run from the top of the repository:

    python -m bench.trackers run ours --out ours.json
    python -m bench.trackers run bytetrack --out bytetrack.json     (needs `trackers`)
    python -m bench.trackers run norfair --out norfair.json         (needs `norfair`, `numpy<2`)
    python -m bench.trackers table ours.json bytetrack.json norfair.json
    python -m bench.trackers detect CLIP --fps 5 --out clip.json    (then: run … --detections clip.json)

bench/crowd.py says what the scenes are like.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.crowd import SCENARIOS, Rect, Sight, looks, overlap

LINES = ((0, 0.3), (0, 0.5), (0, 0.7), (1, 0.5), (1, 0.65))
"""Counting lines across the whole frame: axis (0 = at this x, 1 = at this y) and place."""
LINE_MARGIN = 0.015
"""A side counts from this far off the line, for the truth and for every tracker alike."""
Following = Callable[[int, list[tuple[Rect, float]]], list[tuple[int, Rect]]]
"""Takes one frame's time and detections, gives the tracks seen in it: (id, box)."""


def ours(fps: float) -> Following:
    """Hypersight's own, with the settings it has in service."""
    tracking = importlib.import_module("server.vision.tracker")
    domain = importlib.import_module("server.domain.detections")
    tracker = tracking.Tracker()

    def follow(ts_us: int, found: list[tuple[Rect, float]]) -> list[tuple[int, Rect]]:
        boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
        scores = np.array([score for _, score in found], np.float32)
        tracks = tracker.update(domain.Detections(boxes, scores, np.zeros(len(found), np.int64)), ts_us)
        return [(track.id, tuple(track.box)) for track in tracks if track.state.value == "seen"]

    return follow


def bytetrack(fps: float) -> Following:
    """Roboflow's ByteTrack, set by hand to the scores of a small detector: 2 s of memory, two frames to
    begin, told the time of each frame."""
    library, supervision = importlib.import_module("trackers"), importlib.import_module("supervision")
    tracker = library.ByteTrackTracker(
        lost_track_buffer=66,
        frame_rate=fps,
        track_activation_threshold=0.4,
        high_conf_det_threshold=0.35,
        minimum_consecutive_frames=2,
        minimum_iou_threshold=0.1,
    )

    def follow(ts_us: int, found: list[tuple[Rect, float]]) -> list[tuple[int, Rect]]:
        boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4) * [1920, 1080, 1920, 1080]
        scores = np.array([score for _, score in found], np.float32)
        detections = supervision.Detections(boxes, confidence=scores, class_id=np.zeros(len(found), int))
        tracked = tracker.update(detections, timestamp=ts_us / 1e6)
        if tracked.tracker_id is None:
            return []
        plain = (tracked.xyxy / [1920, 1080, 1920, 1080]).tolist()
        pairs = zip(tracked.tracker_id, plain, strict=True)
        return [(int(i), (b[0], b[1], b[2], b[3])) for i, b in pairs if i >= 0]

    return follow


def norfair(fps: float) -> Following:
    """Norfair, set by hand: the distances of box corners in box heights, 2 s of memory."""
    library = importlib.import_module("norfair")

    def distance(detection: Any, track: Any) -> float:
        (ax, ay), (bx, by) = detection.points
        difference = np.abs(detection.points - track.estimate) / max(by - ay, bx - ax, 1.0)
        return float(difference.mean())

    tracker = library.Tracker(
        distance_function=distance,
        distance_threshold=0.35,
        hit_counter_max=round(2 * fps),
        initialization_delay=1,
        detection_threshold=0.35,
    )

    def follow(ts_us: int, found: list[tuple[Rect, float]]) -> list[tuple[int, Rect]]:
        detections = [
            library.Detection(np.array(box).reshape(2, 2) * [1920, 1080], np.array([score, score]), data=box)
            for box, score in found
            if score >= 0.35
        ]
        fresh = {id(detection) for detection in detections}
        tracks = tracker.update(detections)
        return [(t.id, t.last_detection.data) for t in tracks if id(t.last_detection) in fresh]

    return follow


TRACKERS: dict[str, Callable[[float], Following]] = {"ours": ours, "bytetrack": bytetrack, "norfair": norfair}


class Crossings:
    """Counts each passage over `LINES` by the middle of a box."""

    def __init__(self) -> None:
        self.sides: dict[tuple[int, int], bool] = {}
        self.counts: dict[tuple[int, bool], int] = {}

    def see(self, name: int, box: Rect) -> None:
        """Where somebody is now."""
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        for line, (axis, place) in enumerate(LINES):
            offset = middle[axis] - place
            if abs(offset) < LINE_MARGIN:
                continue
            before = self.sides.get((name, line))
            if before is not None and before != (offset > 0):
                self.counts[line, offset > 0] = self.counts.get((line, offset > 0), 0) + 1
            self.sides[name, line] = offset > 0


class Score:
    """Judges the tracks of one scene."""

    def __init__(self) -> None:
        self.figures = dict.fromkeys(("switches", "missed", "false", "visible", "people", "tracks"), 0)
        self.owner: dict[int, int] = {}
        self.people: set[int] = set()
        self.ids: set[int] = set()
        self.true, self.counted = Crossings(), Crossings()

    def judge(self, truth: list[Sight], tracks: list[tuple[int, Rect]]) -> None:
        """One frame. A pair holds as long as it overlaps by 0.3; a switch is somebody whose track changes."""
        for sight in truth:
            self.true.see(sight.name, sight.box)
        for track, box in tracks:
            self.counted.see(track, box)
            self.ids.add(track)
        visible = [sight for sight in truth if sight.visible > 0.3]
        self.people |= {sight.name for sight in visible}
        pairs = sorted(
            ((self.owner.get(s.name) == i, overlap(s.box, b), s.name, i) for s in truth for i, b in tracks),
            reverse=True,
        )
        names: dict[int, int] = {}
        for _, shared, name, track in pairs:
            if shared >= 0.3 and name not in names and track not in names.values():
                names[name] = track
        for name, track in names.items():
            self.figures["switches"] += self.owner.get(name, track) != track
            self.owner[name] = track
        self.figures["visible"] += len(visible)
        self.figures["missed"] += sum(sight.name not in names for sight in visible)
        self.figures["false"] += len(tracks) - len(names)

    def result(self) -> dict[str, int]:
        """All figures of the scene."""
        keys = self.true.counts.keys() | self.counted.counts.keys()
        wrong = sum(abs(self.true.counts.get(key, 0) - self.counted.counts.get(key, 0)) for key in keys)
        own = {"people": len(self.people), "tracks": len(self.ids)}
        return {**self.figures, **own, "crossings": sum(self.true.counts.values()), "miscounted": wrong}


def simulate(name: str, seeds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Figures by scenario, summed over the seeds."""
    results: dict[str, dict[str, float]] = {}
    for scenario in SCENARIOS:
        total: dict[str, float] = {}
        spent, frames = 0.0, 0
        for seed in range(seeds):
            follow, score = TRACKERS[name](scenario.fps), Score()
            for look in looks(scenario, seed, seconds):
                began = time.perf_counter()
                tracks = follow(look.ts_us, look.found)
                spent += time.perf_counter() - began
                frames += 1
                score.judge(look.truth, tracks)
            for key, value in score.result().items():
                total[key] = total.get(key, 0) + value
        total["ms_a_frame"] = round(spent * 1000 / frames, 3)
        title = f"{scenario.name}, {scenario.fps:g} fps" + (", 20% dropped" if scenario.dropped else "")
        results[title] = total
    return results


def count_clip(name: str, path: Path) -> dict[str, dict[str, float]]:
    """Tracks and crossings on cached detections, where nobody knows the truth but the eye."""
    clip_file = json.loads(path.read_text())
    follow, counted, ids, spent = TRACKERS[name](clip_file["fps"]), Crossings(), set(), 0.0
    for frame in clip_file["frames"]:
        found = [((b[0], b[1], b[2], b[3]), s) for b, s in zip(frame["boxes"], frame["scores"], strict=True)]
        began = time.perf_counter()
        tracks = follow(frame["ts_us"], found)
        spent += time.perf_counter() - began
        for track, box in tracks:
            ids.add(track)
            counted.see(track, box)
    crossings = {
        f"{'xy'[LINES[line][0]]}={LINES[line][1]} {'up' if up else 'down'}": count
        for (line, up), count in sorted(counted.counts.items())
    }
    ms = round(spent * 1000 / len(clip_file["frames"]), 3)
    return {f"{path.stem}, {clip_file['fps']:g} fps": {"tracks": len(ids), "ms_a_frame": ms, **crossings}}


def detect(clip_path: Path, weights: Path, fps: float) -> dict[str, Any]:
    """People in a clip at `fps`, as `count_clip` reads them."""
    av, cv2 = importlib.import_module("av"), importlib.import_module("cv2")
    detector = importlib.import_module("server.vision.yolox").YoloxDetector(weights)
    frames: list[dict[str, Any]] = []
    due = 0.0
    with av.open(str(clip_path)) as container:
        for picture in container.decode(video=0):
            ts = float(picture.time or 0.0)
            if ts + 1e-3 < due:
                continue
            due = max(due + 1 / fps, ts)
            image = picture.to_ndarray(format="bgr24")
            width, height = detector.size
            shrink = min(width / image.shape[1], height / image.shape[0])
            small = cv2.resize(image, (round(image.shape[1] * shrink), round(image.shape[0] * shrink)))
            found = detector.detect([small])[0]
            people = found.where(found.labels == 0)
            boxes, scores = people.boxes.tolist(), people.scores.tolist()
            frames.append({"ts_us": round(ts * 1e6), "boxes": boxes, "scores": scores})
    return {"fps": fps, "frames": frames}


def table(paths: list[Path]) -> str:
    """Side by side, as Markdown; the results of each run are one column."""
    runs = [json.loads(path.read_text()) for path in paths]
    rows = [["scene", "figure", *(f"{run['tracker']} {run['version']}" for run in runs)]]
    rows.append(["---"] * len(rows[0]))
    for scene in runs[0]["results"]:
        for figure in runs[0]["results"][scene]:
            values = [str(run["results"].get(scene, {}).get(figure, "-")) for run in runs]
            rows.append([scene, figure, *values])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def version_of(name: str) -> str:
    """The version of the package behind a tracker; empty for ours."""
    package = {"bytetrack": "trackers", "norfair": "norfair"}.get(name)
    return importlib.metadata.version(package) if package else ""


def main() -> None:
    """The command line; see the module's text."""
    parser = argparse.ArgumentParser(description="compare trackers")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="one tracker over simulated scenes or cached detections")
    run.add_argument("tracker", choices=TRACKERS)
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--seeds", type=int, default=6, help="scenes of each kind")
    run.add_argument("--seconds", type=float, default=60.0, help="length of a scene")
    run.add_argument("--detections", type=Path, help="what `detect` wrote, instead of simulated scenes")
    look = commands.add_parser("detect", help="find the people in a clip")
    look.add_argument("clip", type=Path)
    look.add_argument("--weights", type=Path, required=True, help="a YOLOX ONNX file")
    look.add_argument("--fps", type=float, default=5.0)
    look.add_argument("--out", type=Path, required=True)
    show = commands.add_parser("table", help="results side by side")
    show.add_argument("results", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "table":
        print(table(options.results))
        return
    if options.command == "detect":
        options.out.write_text(json.dumps(detect(options.clip, options.weights, options.fps)))
        return
    try:
        if options.detections:
            results = count_clip(options.tracker, options.detections)
        else:
            results = simulate(options.tracker, options.seeds, options.seconds)
    except ModuleNotFoundError as error:
        raise SystemExit(f"{options.tracker} is left out: this environment has no {error.name}") from error
    document = {"tracker": options.tracker, "version": version_of(options.tracker), "results": results}
    options.out.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()

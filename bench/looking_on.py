"""What masks, shots and pictures of events cost a camera, in CPU time.

Run from the top of the repository:

    python -m bench.looking_on [--width 1920] [--height 1080] [--rounds 200]

Everything is measured on made-up frames of that size: a mask of three polygons, the JPEG that is made every
two seconds, a picture of an event, and what the witness of events costs with a frame in which so many
people are seen, with nothing happening and with one of them lost.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from server.clock import SystemClock
from server.config import Settings
from server.domain.events import Event
from server.domain.geometry import Box, Point, Polygon
from server.domain.masks import Masker
from server.domain.tracks import Track, TrackState
from server.domain.video import Frame
from server.media.stills import cut, jpeg
from server.services.analysis import Outcome
from server.watchers.crop_keeper import LONGEST_SIDE, MARGIN, CropKeeper
from server.watchers.eyes import SHOT_WIDTH

MASKS = (
    Polygon((Point(0.0, 0.0), Point(0.3, 0.0), Point(0.2, 0.25), Point(0.0, 0.3))),
    Polygon((Point(0.7, 0.1), Point(0.95, 0.2), Point(0.9, 0.6), Point(0.6, 0.5))),
    Polygon((Point(0.4, 0.8), Point(0.6, 0.8), Point(0.5, 1.0))),
)
PEOPLE = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="CPU time of masks, shots and pictures of events.")
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    frame = _frame(given.width, given.height)
    masker = Masker(MASKS)
    box = Box(0.4, 0.3, 0.5, 0.8)
    with tempfile.TemporaryDirectory() as directory:
        calls: dict[str, Callable[[], object]] = {
            "masks, a frame": lambda: masker.apply(frame),
            "shot, every 2 s": lambda: jpeg(frame, width=SHOT_WIDTH),
            "picture of somebody": lambda: jpeg(cut(frame, box, MARGIN), longest=LONGEST_SIDE),
            "small whole picture": lambda: jpeg(frame, longest=LONGEST_SIDE),
            **_witness(frame, Path(directory)),
        }
        print(f"{given.width} x {given.height}: median CPU milliseconds of {given.rounds}")
        for name, call in calls.items():
            print(f"{name:45} {_cost(call, given.rounds):7.3f}")


def _frame(width: int, height: int) -> Frame:
    """Noise over a slope: neither the easiest nor the hardest to encode."""
    random = np.random.default_rng(1)
    slope = np.linspace(30, 200, width)[None, :] + random.normal(0, 6, (height, width))
    half = (height // 2, width // 2)
    y = np.clip(slope, 0, 255).astype(np.uint8)
    return Frame(0, 0, y, np.full(half, 120, np.uint8), np.full(half, 140, np.uint8))


def _witness(frame: Frame, directory: Path) -> dict[str, Callable[[], object]]:
    keeper = CropKeeper(dataclasses.replace(Settings(), CROPS_DIR=directory), 1, SystemClock())
    everybody = [_track(number, TrackState.SEEN) for number in range(PEOPLE)]
    lost = [_track(0, TrackState.HIDDEN), *everybody[1:]]
    event = (1, Event(0, "k", "in", 1, track=3))

    def lose() -> None:
        keeper.saw(frame, 0, everybody, [])
        keeper.saw(frame, 0, lost, [])

    def happen() -> None:
        keeper.saw(frame, 0, everybody, [event])
        keeper.write(Outcome(events=[event]))

    return {
        f"witness, {PEOPLE} people, nothing happens": lambda: keeper.saw(frame, 0, everybody, []),
        f"witness, {PEOPLE} people, one of them is lost": lose,
        f"witness, {PEOPLE} people, an event, written": happen,
    }


def _track(number: int, state: TrackState) -> Track:
    left = number / PEOPLE * 0.9
    box = Box(left, 0.3, left + 0.08, 0.8)
    return Track(
        id=number,
        label="person",
        state=state,
        box=box,
        velocity=Point(0.0, 0.0),
        score=0.9,
        best_score=0.9,
        first_us=0,
        first_box=box,
        seen_us=0,
        seen_box=box,
    )


def _cost(call: Callable[[], object], rounds: int) -> float:
    """Median CPU milliseconds of a call."""
    call()
    spent = []
    for _ in range(rounds):
        started = time.process_time()
        call()
        spent.append(time.process_time() - started)
    return 1000 * statistics.median(spent)


if __name__ == "__main__":
    main()

"""The demo clip: what it is, and that the real detector and counters see in it what was drawn."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import pytest

from server.domain.geometry import Box
from server.errors import ModelError, StorageError
from server.media.demo.choreography import DURATION, VISITS, Visit, truth
from server.media.demo.clip import FPS, KEYFRAME_SECONDS, make_clip
from server.media.demo.scene import HEIGHT, WIDTH
from server.media.file_source import FileSource
from server.processors import create
from server.services.analysis import Analysis, Rule
from server.services.demo import MIDDLE_LINE, RIGHT_EDGE
from server.vision.weights import DEMO_ADMIRAL, DEMO_ASTRONAUT, YOLOX_NANO
from server.vision.yolox import YoloxDetector
from tests.assets import asset

CONFIRMATION_S = 1.0
"""How long after the true moment a crossing may be told: a box lags behind by its margin."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.mp4"
    make_clip(path, asset(DEMO_ASTRONAUT), asset(DEMO_ADMIRAL))
    return path


@pytest.fixture(scope="module")
def detector() -> YoloxDetector:
    return YoloxDetector(asset(YOLOX_NANO))


def test_nobody_is_there_when_the_clip_begins_and_ends() -> None:
    for visit in VISITS:
        way = visit.way()
        assert way[0][0] > 0 and way[-1][0] < DURATION - 1


def test_the_truth_adds_up() -> None:
    told = truth()
    assert sum(told.entered.values()) == sum(told.left.values()) == len(VISITS)
    assert len(told.rightward) == told.left["right"] and len(told.leftward) == told.left["left"]


def test_the_clip_is_h264_with_a_keyframe_every_two_seconds(clip: Path) -> None:
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        keyframes = [
            float(packet.pts * stream.time_base) for packet in container.demux(stream) if packet.is_keyframe
        ]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", WIDTH, HEIGHT)
        assert stream.average_rate == FPS
        assert stream.frames == DURATION * FPS
    assert keyframes == [KEYFRAME_SECONDS * n for n in range(round(DURATION / KEYFRAME_SECONDS))]


def test_the_detector_sees_everybody_who_is_not_hidden(clip: Path, detector: YoloxDetector) -> None:
    scores: list[float] = []
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 5:
                continue
            (found,) = detector.detect([frame.to_ndarray(format="bgr24")])
            boxes = found.as_list()
            assert {label for label, _, _ in boxes} <= {"person"}
            for x in _unhidden(number / FPS):
                here = [score for _, score, box in boxes if _covers(box, x)]
                assert here, f"nobody is seen at {x:.2f}, {number / FPS:.1f} s"
                scores.append(max(here))
    assert len(scores) > 100
    assert sum(score > 0.6 for score in scores) > 0.97 * len(scores)


def test_what_is_counted_is_what_was_drawn(clip: Path, detector: YoloxDetector) -> None:
    rule = Rule(1, 1, create("traffic", zones=[RIGHT_EDGE], lines=[MIDDLE_LINE]))
    room = Rule(2, 1, create("persons"))
    analysis = Analysis(detector, [rule, room], 5)
    source = FileSource(clip)
    source.open()
    events = [item for part in source.parts(threading.Event()) for item in analysis.feed(part).events]
    events += analysis.finish(round(DURATION * 1e6), "the end").events
    source.close()
    told = truth()
    passed = [event for rule_id, event in events if rule_id == 1]
    for direction, expected in (("out", told.rightward), ("in", told.leftward)):
        times = [event.ts_us / 1e6 for event in passed if event.direction == direction]
        assert len(times) == len(expected)
        assert all(abs(time - true) < CONFIRMATION_S for time, true in zip(times, expected, strict=True))
    assert sum(event.passes for event in passed) == told.left["right"]
    counts = [event.count for rule_id, event in events if rule_id == 2]
    assert max(count for count in counts if count is not None) == 2 and counts[-1] == 0


def test_a_clip_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "demo.mp4"
    path.write_bytes(b"mine")
    make_clip(path, tmp_path / "none", tmp_path / "none")
    assert path.read_bytes() == b"mine"


def test_an_interrupted_drawing_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_clip(tmp_path / "demo.mp4", asset(DEMO_ASTRONAUT), asset(DEMO_ADMIRAL), interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a file where the directory should be")
    with pytest.raises(StorageError, match=r"demo\.mp4 cannot be written"):
        make_clip(tmp_path / "demo" / "demo.mp4", asset(DEMO_ASTRONAUT), asset(DEMO_ADMIRAL))


def test_a_picture_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ModelError, match=r"a\.png is no picture"):
        make_clip(tmp_path / "demo.mp4", tmp_path / "a.png", asset(DEMO_ADMIRAL))


def _unhidden(time: float) -> list[float]:
    """Positions of those who are well inside the picture and have nobody in front of them."""
    here = [(visit, x) for visit in VISITS if (x := visit.at(time)) is not None]
    return [x for visit, x in here if 0.1 < x < 0.9 and not _hidden(visit, x, here)]


def _hidden(visit: Visit, x: float, here: list[tuple[Visit, float]]) -> bool:
    return visit.far and any(not other.far and abs(x - at) < 0.25 for other, at in here)


def _covers(box: Box, x: float) -> bool:
    return box.x1 < x < box.x2 and abs(box.centre.x - x) < 0.12

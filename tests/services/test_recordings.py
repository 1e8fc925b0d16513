"""Recordings: what is counted in them, and the figures on real footage where it is there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import av.video.stream
import numpy as np
import pytest

from server.config import PROJECT_DIR
from server.errors import DetectorError, InvalidInput, SourceError
from server.services.recordings import Entry, analyse, check_clip, length_of, parse_entries, read_entries
from server.vision.weights import YOLOX_NANO
from server.vision.yolox import YoloxDetector
from tests.assets import asset
from tests.walks import SECONDS, WALKS, BrightBlocks, make_walk

ENTRIES = [
    Entry("exit", "traffic", zones=[[[0.9, 0], [1, 0], [1, 1], [0.9, 1]]]),
    Entry("middle", "traffic", lines=[[[0.5, 1], [0.5, 0]]]),
    Entry("room", "persons"),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_walk(tmp_path_factory.mktemp("walk") / "walk.mp4")


def _told(report: Any) -> dict[str, Any]:
    told = report.to_json("walk.mp4")
    return {"clip": told} | {item["name"]: item for item in told["processors"]}


@pytest.mark.parametrize("watch_fps", [5.0, 10.0, 30.0])
def test_a_clip_is_counted_from_its_first_picture_to_its_last(clip: Path, watch_fps: float) -> None:
    reached: list[float] = []
    told = _told(analyse(clip, BrightBlocks(), ENTRIES, watch_fps, progress=reached.append))
    assert told["clip"]["duration_s"] == pytest.approx(SECONDS)
    assert told["clip"]["frames_analysed"] == SECONDS * min(watch_fps, 10)
    assert reached == sorted(reached) and reached[-1] == pytest.approx(SECONDS)
    exits, middle, room = told["exit"], told["middle"], told["room"]
    assert (exits["total"], exits["in"], exits["out"], exits["net"]) == (2, 0, 2, -2)
    assert middle["total"] == 2 and abs(middle["net"]) == 2
    assert (room["total"], room["in"], room["out"], room["net"]) == (1, 0, 0, 0)
    assert [event["count"] for event in room["events"]] == [1, 0, 1, 0]
    times = [event["t"] for event in room["events"]]
    assert times == pytest.approx([moment for walk in WALKS for moment in walk], abs=0.6)
    assert all(item["observed"] > 0.95 for item in told["clip"]["processors"])
    json.dumps(told["clip"], allow_nan=False)


def test_when_the_clip_was_recorded_changes_nothing_in_the_report(clip: Path) -> None:
    plain = _told(analyse(clip, BrightBlocks(), ENTRIES, 5.0))["clip"]["processors"]
    dated = analyse(clip, BrightBlocks(), ENTRIES, 5.0, anchor_us=1_770_000_000_123_457)
    assert _told(dated)["clip"]["processors"] == plain


def test_frames_that_the_detector_did_not_answer_for_are_unobserved(clip: Path) -> None:
    report = analyse(clip, BrightBlocks(fails=12), ENTRIES, 5.0)
    assert "out of sight" in report.blind
    assert 0.7 < report.observed(None) < 0.85
    assert report.analysed == SECONDS * 5 - 12


def test_a_detector_that_never_answers_is_an_error(clip: Path) -> None:
    with pytest.raises(DetectorError, match="out of sight"):
        analyse(clip, BrightBlocks(fails=10_000), ENTRIES, 5.0)


def test_the_length_is_known_before_the_analysis(clip: Path) -> None:
    assert length_of(clip) == pytest.approx(SECONDS)


@pytest.mark.parametrize(
    "name, content", [("a.mp4", b""), ("a.txt", b"hello\n" * 50), ("a.mp4", b"\0" * 5000)]
)
def test_what_is_no_video_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=name):
        check_clip(tmp_path / name)


def test_a_missing_clip_a_directory_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, said in (
        (tmp_path / "gone.mp4", "no such file"),
        (tmp_path, "directory"),
        (tmp_path / "pipe", "regular"),
    ):
        with pytest.raises(SourceError, match=said):
            check_clip(path)


ROOM = {"name": "room", "kind": "persons"}


@pytest.mark.parametrize(
    "values, said",
    [
        ({}, "processors: a list"),
        ([], "processors: the list is empty"),
        ([ROOM, 5], "processors[1]: an object"),
        ([{"kind": "persons"}], "processors[0].name: is missing"),
        ([{"name": 5, "kind": "persons"}], "processors[0].name: 5 is not text"),
        ([{"name": " ", "kind": "persons"}], "processors[0].name: a name is needed"),
        ([ROOM, {"name": "b", "kind": "magic"}], "processors[1].kind: 'magic'"),
        ([ROOM, {"name": " room ", "kind": "persons"}], "processors[1].name: 'room' is taken"),
        ([ROOM, {"name": "b", "kind": "traffic"}], "processors[1].zones: "),
        ([ROOM, ROOM | {"name": "b", "zones": [[[0, 0]]]}], "processors[1].zones: number 1: "),
        ([ROOM | {"lines": [[[0, 0], [1, 1]]]}], "processors[0].lines: "),
        ([ROOM | {"confidence": "high"}], "processors[0].confidence: "),
        ([ROOM | {"options": {"colour": 1}}], "processors[0].options: "),
        ([ROOM | {"zone": []}], "processors[0].zone: is not one of"),
    ],
)
def test_an_entry_that_is_wrong_is_named_with_its_field(values: object, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_entries(values)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "content, said",
    [
        (b'[\n {"name": }]', "line 2 column 11"),
        (b"\xff\xfe[", "UTF-8"),
        (b'[{"name": "a", "kind": "persons", "confidence": NaN}]', "NaN"),
        (b"[" * 200_000, "not JSON"),
        (b"", "line 1 column 1"),
    ],
)
def test_a_file_that_is_not_json_is_told_where(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=said):
        read_entries(path)


# --- Real footage: six visitors, counted by eye, frame by frame at 10 frames a second. ---

FOOTAGE = (
    Path(os.environ.get("HYPERSIGHT_FOOTAGE", PROJECT_DIR.parent / "shared" / "footage"))
    / "one-by-one-person-detection.mp4"
)
VISITS = ((61, 196), (228, 449), (506, 702), (745, 868), (925, 1199), (1235, 1358))
"""First and last frame in which each visitor is seen."""
Footage = Callable[[bool, float], dict[str, Any]]


def _mirror(source: Path, path: Path) -> Path:
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        video = given.streams.video[0]
        stream = container.add_stream("libx264", rate=video.average_rate, options={"preset": "ultrafast"})
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        for frame in given.decode(video):
            flipped = np.ascontiguousarray(frame.to_ndarray(format="bgr24")[:, ::-1])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(flipped, format="bgr24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    if not FOOTAGE.is_file():
        pytest.skip("no footage: HYPERSIGHT_FOOTAGE names the directory of one-by-one-person-detection.mp4")
    detector = YoloxDetector(asset(YOLOX_NANO))
    directory = tmp_path_factory.mktemp("footage")

    @lru_cache
    def clip(mirrored: bool) -> Path:
        return _mirror(FOOTAGE, directory / "mirrored.mp4") if mirrored else FOOTAGE

    @lru_cache
    def told(mirrored: bool, watch_fps: float) -> dict[str, Any]:
        edge = [[0.0, 0.0], [0.1, 0], [0.1, 1], [0.0, 1]] if mirrored else ENTRIES[0].zones[0]
        entries = [
            Entry("exit", "traffic", zones=[edge]),
            Entry("entry", "traffic", lines=[[[0, 0.9], [1, 0.9]]]),
            Entry("room", "persons"),
        ]
        return _told(analyse(clip(mirrored), detector, entries, watch_fps))

    return told


@pytest.mark.parametrize("mirrored", [False, True], ids=["as it is", "mirrored"])
@pytest.mark.parametrize("watch_fps", [5.0, 10.0])
class TestFootage:
    """Six visitors, one at a time."""

    def test_six_leave_over_the_side(self, footage: Footage, watch_fps: float, mirrored: bool) -> None:
        exits = footage(mirrored, watch_fps)["exit"]
        assert (exits["total"], exits["in"], exits["out"]) == (6, 0, 6)

    def test_six_come_in_at_the_bottom(self, footage: Footage, watch_fps: float, mirrored: bool) -> None:
        assert footage(mirrored, watch_fps)["entry"]["in"] == 6

    def test_the_room_holds_who_is_in_it(self, footage: Footage, watch_fps: float, mirrored: bool) -> None:
        room = footage(mirrored, watch_fps)["room"]
        wanted = [edge for first, last in VISITS for edge in (first / 10, (last + 1) / 10)]
        assert [event["count"] for event in room["events"]] == [1, 0] * len(VISITS)
        assert [event["t"] for event in room["events"]] == pytest.approx(wanted, abs=0.5)

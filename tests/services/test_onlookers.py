"""Masks and viewers of an analysis: what is hidden reaches nobody, and who looks on changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from server.domain.detections import Detections
from server.domain.events import Event
from server.domain.geometry import Point, Polygon
from server.domain.masks import Masker
from server.domain.tracks import Track
from server.domain.video import Frame, Picture
from server.processors.base import BaseProcessor
from server.services.analysis import Analysis, Outcome, Viewer, Witness
from tests.clips import make_clip
from tests.services.test_analysis import FPS, FRAMES, HEIGHT, WATCH_FPS, WIDTH, Seer, figures, parts_of, rules

MASK = Polygon((Point(0.1, 0.1), Point(0.6, 0.2), Point(0.4, 0.9), Point(0.15, 0.7)))


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds in which every pixel is light and coloured."""

    def draw(number: int, width: int, height: int) -> Picture:
        return np.full((height, width, 3), (90, 160 + number, 220), np.uint8)

    path = tmp_path_factory.mktemp("onlookers") / "bright.mp4"
    return make_clip(path, frames=50, size=(WIDTH, HEIGHT), draw=draw)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onlookers") / "figures.mp4"
    return make_clip(path, frames=FRAMES, fps=FPS, size=(WIDTH, HEIGHT), gop=50, draw=figures)


class Recording(Seer):
    """Keeps every picture that it is shown."""

    def __init__(self, size: tuple[int, int], batch: int) -> None:
        super().__init__(batch)
        self.size = size
        self.seen: list[Picture] = []

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        self.seen += pictures
        return [Detections.empty() for _ in pictures]


@dataclass
class Looker:
    """A viewer and a witness that write down what they are told."""

    every: bool = False
    frames: list[Frame] = field(default_factory=list)
    calls: list[tuple[str, int]] = field(default_factory=list)
    told: list[tuple[int, Event]] = field(default_factory=list)
    witnessed: list[tuple[Frame | None, int, list[tuple[int, Event]]]] = field(default_factory=list)

    def frame(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.calls.append(("frame", frame.ts_us))

    def judged(
        self,
        ts_us: int,
        tracks: Sequence[Track],
        events: Sequence[tuple[int, Event]],
        rules: Mapping[int, BaseProcessor],
    ) -> None:
        assert list(rules) == [1, 2, 3]
        self.calls.append(("judged", ts_us))
        self.told += events

    def wants_every_frame(self) -> bool:
        return self.every

    def saw(
        self,
        frame: Frame | None,
        ts_us: int,
        tracks: Sequence[Track],
        events: Sequence[tuple[int, Event]],
    ) -> None:
        self.witnessed.append((frame, ts_us, list(events)))


def _play(analysis: Analysis, clip: Path, rotation: int = 0) -> list[Outcome]:
    parts = [replace(part, video=replace(part.video, rotation=rotation)) for part in parts_of(clip)]
    outcomes = [analysis.feed(part) for part in parts]
    return [*outcomes, analysis.finish(parts[-1].end_us, "end")]


def _hidden(picture: Picture) -> np.ndarray:
    """Whether each pixel whose middle lies well inside the mask is black."""
    height, width = picture.shape[:2]
    inside = [
        (y, x)
        for y in range(height)
        for x in range(width)
        if MASK.contains(Point((x + 0.5) / width, (y + 0.5) / height))
    ]
    assert len(inside) > 1000
    return np.array([picture[where].max() == 0 for where in inside])


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_what_is_masked_reaches_neither_detector_nor_viewer(bright: Path, rotation: int, batch: int) -> None:
    size = (HEIGHT, WIDTH) if rotation in (90, 270) else (WIDTH, HEIGHT)
    seer, looker = Recording(size, batch), Looker(every=True)
    analysis = Analysis(seer, rules(), WATCH_FPS, [MASK])
    analysis.viewers.append(looker)
    analysis.onlookers.witness = looker
    _play(analysis, bright, rotation)
    assert len(seer.seen) >= 18
    assert len(looker.frames) == 50
    witnessed = [frame for frame, *_ in looker.witnessed if frame is not None]
    assert len(witnessed) == len(seer.seen)
    shown = [frame.picture() for frame in (looker.frames[7], witnessed[-1])]
    for picture in [*seer.seen[::6], *shown]:
        assert picture.shape[1::-1] == size
        assert _hidden(picture).all()
        assert picture[-1, -1].min() > 60, "what is not masked is seen"


def test_a_mask_counts_at_once_for_frames_that_wait_too(bright: Path) -> None:
    seer, later = Recording((WIDTH, HEIGHT), batch=16), Recording((WIDTH, HEIGHT), batch=16)
    looker = Looker()
    analysis = Analysis(seer, rules(), WATCH_FPS)
    analysis.onlookers.witness = looker
    parts = parts_of(bright)
    analysis.feed(parts[0])
    analysis.feed(parts[1])
    assert not seer.seen, "they wait for the batch to fill"
    analysis.configure(later, rules(), WATCH_FPS, [MASK])
    for part in parts[2:]:
        analysis.feed(part)
    analysis.finish(parts[-1].end_us, "end")
    assert not seer.seen
    assert len(later.seen) >= 18
    assert all(_hidden(picture).all() for picture in later.seen[::4])
    frames = [frame for frame, *_ in looker.witnessed if frame is not None]
    assert _hidden(frames[0].picture()).all()
    analysis.configure(later, rules(), WATCH_FPS, [])
    assert _unmasked(analysis, parts[0].video.width)


def _unmasked(analysis: Analysis, width: int) -> bool:
    planes = np.full((HEIGHT, width), 200, np.uint8), *(np.full((HEIGHT // 2, width // 2), 90, np.uint8),) * 2
    frame = Frame(0, 0, *planes)
    masker: Masker = analysis._masker
    return masker.apply(frame) is frame


def test_a_mask_hides_who_walks_behind_it_from_the_count(clip: Path) -> None:
    everywhere = Polygon((Point(0.0, 0.0), Point(1.0, 0.0), Point(1.0, 1.0), Point(0.0, 1.0)))
    assert [e for outcome in _play(Analysis(Seer(), rules(), WATCH_FPS), clip) for e in outcome.events]
    masked = Analysis(Seer(), rules(), WATCH_FPS, [everywhere])
    assert not [e for outcome in _play(masked, clip) for e in outcome.events]


@pytest.mark.parametrize("batch", [1, 4])
def test_viewers_are_told_in_order_and_change_nothing(clip: Path, batch: int) -> None:
    alone = _play(Analysis(Seer(batch), rules(), WATCH_FPS), clip)
    for every in (False, True):
        looker = Looker(every)
        analysis = Analysis(Seer(batch), rules(), WATCH_FPS)
        analysis.viewers.append(looker)
        analysis.onlookers.witness = looker
        watched = _play(analysis, clip)
        events = [e for outcome in watched for e in outcome.events]
        assert events == [e for outcome in alone for e in outcome.events]
        assert events == looker.told == [e for *_, told in looker.witnessed for e in told]
        shown = [ts for what, ts in looker.calls if what == "frame"]
        judged = [ts for what, ts in looker.calls if what == "judged"]
        assert shown == sorted(set(shown))
        assert judged[:-1] == sorted(set(judged[:-1]))
        assert judged[-1] >= judged[-2], "the end is told as well"
        assert set(judged[:-1]) <= set(shown)
        assert (len(shown) == FRAMES) if every else (len(shown) <= FRAMES)
        for ts_us in judged[:-1]:
            assert looker.calls.index(("frame", ts_us)) < looker.calls.index(("judged", ts_us))
        assert [frame.ts_us for frame, *_ in looker.witnessed if frame is not None] == judged[:-1]


def test_large_frames_wait_in_little_room(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.services.analysis.WAITING_BYTES", 4 * 1000)
    looker = Looker()
    analysis = Analysis(Seer(4), rules(), WATCH_FPS)
    analysis.onlookers.witness = looker
    watched = _play(analysis, clip)
    alone = _play(Analysis(Seer(4), rules(), WATCH_FPS), clip)
    assert [o.events for o in watched] == [o.events for o in alone]
    sizes = {frame.width * frame.height for frame, *_ in looker.witnessed if frame is not None}
    assert max(sizes) <= 800


class Failing(Looker):
    """Raises in one of its calls."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where
        setattr(self, where, self._fail)

    def _fail(self, *_: object) -> None:
        raise RuntimeError(f"no {self._where} today")


@pytest.mark.parametrize("where", ["frame", "judged", "wants_every_frame", "saw"])
def test_a_viewer_that_raises_is_dropped_and_nothing_else_happens(
    clip: Path, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    alone = _play(Analysis(Seer(), rules(), WATCH_FPS), clip)
    failing, other = Failing(where), Looker()
    first: Viewer = failing
    witness: Witness = failing
    analysis = Analysis(Seer(), rules(), WATCH_FPS)
    analysis.viewers[:] = [first, other]
    if where == "saw":
        analysis.onlookers.witness = witness
    with caplog.at_level(logging.ERROR):
        watched = _play(analysis, clip)
    assert [o.events for o in watched] == [o.events for o in alone]
    assert analysis.onlookers.errors == 1
    assert len(caplog.records) == 1
    assert analysis.viewers == ([first, other] if where == "saw" else [other])
    assert analysis.onlookers.witness is None
    assert other.told == [e for o in alone for e in o.events]


def test_occupancy_is_told_for_kinds_that_have_one(clip: Path) -> None:
    analysis = Analysis(Seer(), rules(), WATCH_FPS)
    counts = []
    for part in parts_of(clip):
        analysis.feed(part)
        counts.append(analysis.occupancy())
    assert all(set(count) == {3} for count in counts)
    assert {count[3] for count in counts} == {0, 1}

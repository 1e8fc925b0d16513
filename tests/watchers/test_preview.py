"""When previews begin and end, and what is drawn into them. Encoders are real where files are looked at."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from server import processors
from server.clock import SystemClock
from server.config import Settings
from server.domain.events import Event
from server.domain.geometry import Box, Point
from server.domain.tracks import Track, TrackState
from server.domain.video import Frame, Picture, datetime_to_us
from server.errors import StorageError
from server.log import CameraLogger
from server.media import overlay
from server.services.analysis import Rule
from server.services.live import LiveBoard
from server.watchers import preview
from server.watchers.plan import Plan, PreviewPlan
from server.watchers.preview import PreviewControl, Tally, fitting
from tests.factories import NOON

NOON_US = datetime_to_us(NOON)
TRAFFIC, PERSONS = 4, 5
WITHIN_S = 20.0


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_us(self) -> int:
        return NOON_US + round(self.seconds * 1e6)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        return stop.wait(seconds)


class Board:
    """What is looked at: each look is good for 30 s, as in Redis."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[int, float] = {}

    def look(self, processor_id: int) -> None:
        self._until[processor_id] = self._clock.monotonic() + 30

    def wanted_previews(self) -> frozenset[int]:
        return frozenset(id_ for id_, until in self._until.items() if until > self._clock.monotonic())


class Encoder:
    """An encoder that keeps the pictures."""

    made: list[Encoder] = []  # noqa: RUF012

    def __init__(self, binary: str, directory: Path, encoding: Any, clock: Any, log: Any) -> None:
        self.directory, self.encoding = directory, encoding
        self.pictures: list[Picture] = []
        self.started = self.stopped = False
        self.ended = False
        Encoder.made.append(self)

    def start(self) -> None:
        self.started = True

    def place(self, ts_us: int) -> int | None:
        return ts_us

    def offer(self, place: int, draw: Callable[[], Picture]) -> None:
        self.pictures.append(draw())

    def tend(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.stopped = self.ended = True


@pytest.fixture
def encoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Encoder]]:
    """All that were made, in place of real ones."""
    Encoder.made = []
    monkeypatch.setattr(preview, "PreviewEncoder", Encoder)
    yield Encoder.made


def rule(id_: int, kind: str, **values: Any) -> Rule:
    given: dict[str, Any] = {"zones": [], "lines": [], "options": {}, "confidence": 0.5}
    return Rule(id_, 1, processors.create(kind, **(given | values)))


def plan(traffic: str = "watched", persons: str = "off", **values: Any) -> Plan:
    rules = (
        rule(TRAFFIC, "traffic", lines=[[[0, 0.5], [1, 0.5]]]),
        rule(PERSONS, "persons"),
    )
    given: dict[str, Any] = {
        "camera_id": 1,
        "revision": 1,
        "enabled": True,
        "address": "/clip.mp4",
        "loop": False,
        "transport": "tcp",
        "watch_fps": 5.0,
        "grid": 1,
        "rules": rules,
        "unusable": (),
        "previews": (
            PreviewPlan(TRAFFIC, "Door", "traffic", traffic),
            PreviewPlan(PERSONS, "Room", "persons", persons),
        ),
    }
    return Plan(**(given | values))


class Camera:
    """A control with a clock and a board of its own."""

    def __init__(self, tmp_path: Path, first: Plan, counted: Any = None, clock: Any = None) -> None:
        self.clock = clock or Clock()
        self.board = Board(self.clock)
        self.plan = first
        self.asked: list[int] = []

        def count(id_: int) -> tuple[int, int, int]:
            self.asked.append(id_)
            return 20, 12, 9

        settings = Settings(PROCESSORS_PREVIEW_DIR=tmp_path / "previews", TIMEZONE="UTC")
        board: LiveBoard = self.board  # type: ignore[assignment]
        log = CameraLogger(logging.getLogger("test"), 1)
        self.control = PreviewControl(first, settings, board, self.clock, log, counted or count)

    def pictures(self, count: int, width: int = 320, height: int = 180) -> None:
        """So many pictures at 15 a second."""
        for _ in range(count):
            self.control.frame(frame(self.clock.now_us(), width, height))
            self.clock.seconds += 1 / 15

    def judged(self, *tracks: Track, events: tuple[tuple[int, Event], ...] = ()) -> None:
        rules = {one.id: one.processor for one in self.plan.rules}
        self.control.judged(self.clock.now_us(), tracks, events, rules)


def frame(ts_us: int, width: int = 320, height: int = 180) -> Frame:
    grey = np.full((height, width), 120, np.uint8)
    half = np.full((height // 2, width // 2), 128, np.uint8)
    return Frame(pts=0, ts_us=ts_us, y=grey, u=half, v=half)


BOX = Box(0.2, 0.2, 0.4, 0.8)


def track(id_: int = 1, box: Box = BOX, **values: Any) -> Track:
    given: dict[str, Any] = {
        "label": "person",
        "state": TrackState.SEEN,
        "score": 0.9,
        "best_score": 0.9,
        "velocity": Point(0, 0),
        "first_us": NOON_US,
        "first_box": box,
        "seen_us": NOON_US,
        "seen_box": box,
    }
    return Track(id=id_, box=box, **(given | values))


def test_while_nobody_looks_nothing_is_made(tmp_path: Path, encoders: list[Encoder]) -> None:
    camera = Camera(tmp_path, plan())
    for _ in range(5):
        camera.control.tick()
        camera.pictures(15)
    assert not encoders and not camera.control.wants_every_frame() and camera.asked == []


def test_it_begins_with_the_first_look_and_ends_thirty_seconds_after_the_last(
    tmp_path: Path, encoders: list[Encoder]
) -> None:
    camera = Camera(tmp_path, plan())
    camera.board.look(TRAFFIC)
    camera.control.tick()
    assert camera.control.wants_every_frame() and camera.asked == [TRAFFIC]
    camera.pictures(15)
    (encoder,) = encoders
    assert encoder.started and encoder.directory == tmp_path / "previews" / str(TRAFFIC)
    camera.clock.seconds = 20
    camera.board.look(TRAFFIC)
    for camera.clock.seconds in (31, 49):
        camera.control.tick()
        assert not encoder.stopped
    camera.clock.seconds = 50
    camera.control.tick()
    assert encoder.stopped and not camera.control.wants_every_frame()
    assert len(encoder.pictures) >= 14


def test_a_new_one_begins_only_once_the_old_one_has_ended(tmp_path: Path, encoders: list[Encoder]) -> None:
    camera = Camera(tmp_path, plan())
    camera.board.look(TRAFFIC)
    camera.control.tick()
    camera.pictures(2)
    camera.clock.seconds = 40
    camera.control.tick()
    camera.board.look(TRAFFIC)
    camera.control.tick()
    camera.pictures(2)
    assert len(encoders) == 1
    encoders[0].ended = True
    camera.control.tick()
    camera.pictures(2)
    assert len(encoders) == 2 and encoders[1].started


def test_always_needs_nobody_and_off_heeds_nobody(tmp_path: Path, encoders: list[Encoder]) -> None:
    camera = Camera(tmp_path, plan(traffic="off", persons="always"))
    camera.board.look(TRAFFIC)
    camera.control.tick()
    camera.pictures(2)
    assert [encoder.directory.name for encoder in encoders] == [str(PERSONS)]


def test_changed_settings_are_taken_over(tmp_path: Path, encoders: list[Encoder]) -> None:
    camera = Camera(tmp_path, plan(traffic="always"))
    camera.control.tick()
    camera.pictures(2)
    camera.control.configure(plan(traffic="always", revision=2))
    assert not encoders[0].stopped
    camera.control.configure(plan(traffic="always", preview_width=200, preview_fps=10))
    assert encoders[0].stopped
    encoders[0].ended = True
    camera.control.tick()
    camera.pictures(2)
    assert (encoders[1].encoding.width, encoders[1].encoding.fps) == (200, 10)
    camera.control.configure(plan(traffic="off"))
    assert encoders[1].stopped


def test_a_source_that_changes_its_size_gets_another_encoder(tmp_path: Path, encoders: list[Encoder]) -> None:
    camera = Camera(tmp_path, plan(traffic="always"))
    camera.control.tick()
    camera.pictures(2)
    camera.pictures(2, width=640, height=480)
    assert len(encoders) == 1 and encoders[0].stopped
    encoders[0].ended = True
    camera.pictures(2, width=640, height=480)
    assert (encoders[1].encoding.width, encoders[1].encoding.height) == (640, 480)


def test_closing_ends_all(tmp_path: Path, encoders: list[Encoder]) -> None:
    camera = Camera(tmp_path, plan(traffic="always", persons="always"))
    camera.control.tick()
    camera.pictures(2)
    camera.control.close()
    assert len(encoders) == 2 and all(encoder.ended for encoder in encoders)
    assert not camera.control.wants_every_frame()


def test_what_was_analysed_is_drawn_where_it_was_seen(tmp_path: Path, encoders: list[Encoder]) -> None:
    camera = Camera(tmp_path, plan(persons="always"))
    camera.control.tick()
    camera.control.frame(frame(camera.clock.now_us()))
    camera.judged(track(velocity=Point(1.0, 0)))
    camera.clock.seconds += 0.1
    camera.control.frame(frame(camera.clock.now_us()))
    camera.clock.seconds += 0.1
    camera.control.frame(frame(camera.clock.now_us()))
    first, second = encoders[0].pictures
    # Its own picture shows the box itself, the next one where it has gone since: a tenth to the right.
    assert is_drawn(first, round(0.2 * 319), 90) and not is_drawn(first, round(0.3 * 319), 90)
    assert is_drawn(second, round(0.3 * 319), 90) and not is_drawn(second, round(0.2 * 319), 90)


def is_drawn(picture: Picture, x: int, y: int) -> bool:
    return bool(np.abs(picture[y, x].astype(int) - overlay.SEEN).max() < 60)


def test_two_previews_of_a_camera_do_not_draw_over_each_other(
    tmp_path: Path, encoders: list[Encoder]
) -> None:
    camera = Camera(tmp_path, plan(traffic="always", persons="always"))
    camera.control.tick()
    camera.pictures(2)
    door, room = (encoder.pictures[0] for encoder in encoders)
    assert np.abs(door[90, 100].astype(int) - overlay.LINE).max() < 60
    assert np.abs(room[90, 100].astype(int) - room[60, 300]).max() < 10


@pytest.fixture
def captions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[overlay.Caption]]:
    """What is written over the pictures."""
    seen: list[overlay.Caption] = []
    real = preview.Overlay.draw

    def draw(self: Any, picture: Picture, marks: Any, ahead_s: float, caption: overlay.Caption) -> Picture:
        seen.append(caption)
        return real(self, picture, marks, ahead_s, caption)

    monkeypatch.setattr(preview.Overlay, "draw", draw)
    yield seen


def test_the_count_runs_on_from_what_there_was_today(
    tmp_path: Path, encoders: list[Encoder], captions: list[overlay.Caption]
) -> None:
    camera = Camera(tmp_path, plan(traffic="always", persons="always"))
    camera.control.tick()
    crossing = Event(ts_us=camera.clock.now_us(), key="1", direction="out", track=1)
    camera.judged(track(), events=((TRAFFIC, crossing),))
    camera.pictures(2)
    door, room = captions[:2]
    assert door.title == "Door" and door.values == (("in", "12"), ("out", "10"), ("net", "+2"))
    assert door.note == "today" and door.time == "2026-03-27 12:00:00"
    assert room.values == (("people", "0"),) and room.note == "now"


ZONE = [[0.9, 0], [1, 0], [1, 1], [0.9, 1]]
LINE = [[0, 0.5], [1, 0.5]]


@pytest.mark.parametrize(
    ("zones", "lines", "values"),
    [
        ([ZONE], [], (("passed", "21"),)),
        ([ZONE], [LINE], (("passed", "21"), ("in", "12"), ("out", "9"), ("net", "+3"))),
        ([], [LINE], (("in", "12"), ("out", "9"), ("net", "+3"))),
    ],
)
def test_what_is_counted_there_is_what_is_drawn(
    tmp_path: Path,
    encoders: list[Encoder],
    captions: list[overlay.Caption],
    zones: list[Any],
    lines: list[Any],
    values: tuple[tuple[str, str], ...],
) -> None:
    """Passes through zones, in and out over lines: as the processor's page says it."""
    rules = (rule(TRAFFIC, "traffic", zones=zones, lines=lines), rule(PERSONS, "persons"))
    camera = Camera(tmp_path, plan(traffic="always", rules=rules))
    camera.control.tick()
    through = Event(ts_us=camera.clock.now_us(), key="1", passes=1, track=1)
    camera.judged(track(), events=((TRAFFIC, through),))
    camera.pictures(2)
    assert captions[0].values == values


def test_a_database_that_is_away_only_costs_the_counts_of_before(
    tmp_path: Path, encoders: list[Encoder], captions: list[overlay.Caption]
) -> None:
    def away(id_: int) -> tuple[int, int, int]:
        raise StorageError("the database is away")

    camera = Camera(tmp_path, plan(traffic="always"), away)
    camera.control.tick()
    camera.pictures(2)
    assert captions[0].values == (("in", "0"), ("out", "0"), ("net", "0"))
    assert captions[0].note == "since 12:00"


def test_a_new_day_begins_with_nothing() -> None:
    settings = Settings(TIMEZONE="Europe/Berlin")
    tally = Tally(settings, NOON_US)
    tally.begin(9, 5, 3)
    hour = 3_600_000_000
    tally.add(Event(ts_us=NOON_US + 11 * hour - 1, key="1", direction="in", passes=1))
    assert (tally.passes, tally.into, tally.out, tally.since) == (10, 6, 3, "today")
    # 23:00 UTC is midnight in Berlin in winter.
    tally.add(Event(ts_us=NOON_US + 11 * hour, key="2", direction="in"))
    assert (tally.passes, tally.into, tally.out, tally.since) == (0, 1, 0, "today")


@pytest.mark.parametrize(
    ("source", "most", "expected"),
    [
        ((1920, 1080), 960, (960, 540)),
        ((640, 360), 960, (640, 360)),
        ((1080, 1920), 960, (960, 1706)),
        ((767, 431), 960, (766, 430)),
        ((2, 2), 160, (2, 2)),
    ],
)
def test_the_size_is_even_and_no_larger_than_the_source(
    source: tuple[int, int], most: int, expected: tuple[int, int]
) -> None:
    assert fitting(*source, most) == expected


def test_what_a_killed_worker_left_goes_when_the_camera_is_watched_again(
    tmp_path: Path, encoders: list[Encoder]
) -> None:
    left = tmp_path / "previews" / str(TRAFFIC)
    left.mkdir(parents=True)
    for name in ("index.m3u8", "init-1.mp4", "1-1.m4s"):
        (left / name).write_text("old")
    Camera(tmp_path, plan())
    assert not left.exists() and not encoders


def test_from_frames_to_files(tmp_path: Path) -> None:
    """All of it with a real encoder and a real clock."""
    camera = Camera(tmp_path, plan(traffic="always"), clock=SystemClock())
    camera.board._until[TRAFFIC] = float("inf")
    directory = tmp_path / "previews" / str(TRAFFIC)
    end = time.monotonic() + WITHIN_S
    while len(list(directory.glob("*.m4s"))) < 2:
        assert time.monotonic() < end, "no segment"
        camera.control.tick()
        camera.control.frame(frame(time.time_ns() // 1000))
        time.sleep(0.02)
    whole = tmp_path / "whole.mp4"
    first = min(directory.glob("*.m4s"))
    whole.write_bytes(next(directory.glob("init-*.mp4")).read_bytes() + first.read_bytes())
    with av.open(str(whole)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="bgr24")
    assert picture.shape == (180, 320, 3)
    assert np.abs(picture[90, 100].astype(int) - overlay.LINE).max() < 90
    camera.control.close()
    assert not directory.exists()

"""From parts to events, with a detector that sees white figures: what a crash or a gap must not change."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.domain.detections import Detections
from server.domain.events import Event
from server.domain.video import Part, Picture, VideoFormat, us_to_ticks
from server.errors import CheckpointError, DecodeError, DetectorError
from server.media.file_source import FileSource
from server.processors import create
from server.services.analysis import TRACKS_OUTLIVE_US, Analysis, Begin, End, Extend, Outcome, Rule
from tests.clips import make_clip

FPS, FRAMES, WIDTH, HEIGHT = 25, 200, 160, 96
WATCH_FPS = 10.0
MIDDLE = [[0.5, 1.0], [0.5, 0.0]]
RIGHT_THIRD = [[0.66, 0.0], [1.0, 0.0], [1.0, 1.0], [0.66, 1.0]]
Told = list[tuple[int, Event]]


def figures(number: int, width: int, height: int) -> Picture:
    """Two figures cross the picture one after the other, from left to right, in three seconds each."""
    picture = np.zeros((height, width, 3), np.uint8)
    for begins in (10, 105):
        left = (number - begins) * 2 - 20
        if -20 < left < width:
            picture[24:72, max(0, left) : left + 20] = 255
    return picture


class Seer:
    """Finds what is white. Fails where `trouble` is set."""

    name, size = "seer", (WIDTH, HEIGHT)

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self.trouble = ""
        self.looks: list[int] = []

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        if self.trouble:
            raise DetectorError(self.trouble)
        self.looks.append(len(pictures))
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: Picture) -> Detections:
        columns = np.flatnonzero(picture[HEIGHT // 2, :, 0] > 128)
        if not len(columns):
            return Detections.empty()
        groups = np.split(columns, np.flatnonzero(np.diff(columns) > 2) + 1)
        boxes = [(g[0] / WIDTH, 0.25, (g[-1] + 1) / WIDTH, 0.75) for g in groups if len(g) > 3]
        n = len(boxes)
        return Detections(
            np.array(boxes, np.float32).reshape(n, 4), np.full(n, 0.9, np.float32), np.zeros(n, np.int64)
        )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(
        tmp_path_factory.mktemp("analysis") / "figures.mp4",
        frames=FRAMES,
        fps=FPS,
        size=(WIDTH, HEIGHT),
        gop=50,
        draw=figures,
    )


def parts_of(clip: Path, after: int | None = None) -> list[Part]:
    source = FileSource(clip)
    source.open()
    parts = list(source.parts(threading.Event(), after))
    source.close()
    return parts


def rules() -> list[Rule]:
    return [
        Rule(1, 1, create("traffic", lines=[MIDDLE])),
        Rule(2, 1, create("traffic", zones=[RIGHT_THIRD])),
        Rule(3, 1, create("persons")),
    ]


def spans_of(outcomes: Sequence[Outcome]) -> list[Begin | Extend | End]:
    """All spans; of extensions that follow each other, only the last."""
    merged: list[Begin | Extend | End] = []
    for span in (span for outcome in outcomes for span in outcome.spans):
        if isinstance(span, Extend) and merged and isinstance(merged[-1], Extend):
            merged.pop()
        merged.append(span)
    return merged


def events_of(outcomes: Sequence[Outcome]) -> Told:
    return [event for outcome in outcomes for event in outcome.events]


def play(analysis: Analysis, parts: Sequence[Part], *, end: bool = True) -> list[Outcome]:
    outcomes = [analysis.feed(part) for part in parts]
    if end:
        outcomes.append(analysis.finish(parts[-1].end_us, "the end"))
    return outcomes


def counted(events: Told, rule: int) -> list[Any]:
    return [event.count if rule == 3 else event.direction for id_, event in events if id_ == rule]


@pytest.mark.parametrize("batch", [1, 4])
def test_everybody_in_the_clip_is_counted_once(clip: Path, batch: int) -> None:
    outcomes = play(Analysis(Seer(batch), rules(), WATCH_FPS), parts_of(clip))
    events = events_of(outcomes)
    assert [counted(events, rule) for rule in (1, 2, 3)] == [["out", "out"], ["out", "out"], [1, 0, 1, 0]]
    assert sum(outcome.decoded for outcome in outcomes) <= FRAMES
    assert sum(outcome.analysed for outcome in outcomes) == pytest.approx(FRAMES / FPS * WATCH_FPS, abs=1)
    spans = spans_of(outcomes)
    assert spans[0] == Begin(0, (None, 1, 2, 3))
    assert spans[1:] == [Extend(parts_of(clip)[-1].end_us), End("the end")]


@pytest.mark.parametrize("batch", [1, 4])
def test_going_on_after_any_part_is_as_if_nothing_had_happened(clip: Path, batch: int) -> None:
    parts = parts_of(clip)
    unbroken = play(Analysis(Seer(batch), rules(), WATCH_FPS), parts)
    for cut in range(len(parts)):
        first = Analysis(Seer(batch), rules(), WATCH_FPS)
        before = play(first, parts[:cut], end=False)
        written = json.dumps(first.state())
        second = Analysis(Seer(batch), rules(), WATCH_FPS)
        second.restore(json.loads(written))
        assert json.dumps(second.state()) == written
        after = play(second, parts_of(clip, second.cursor))
        assert events_of(before) + events_of(after) == events_of(unbroken), cut
        assert spans_of([*before, *after]) == spans_of(unbroken), cut


def test_a_source_slower_than_wanted_is_analysed_whole(clip: Path) -> None:
    outcomes = play(Analysis(Seer(), [], 1000.0), parts_of(clip))
    assert sum(outcome.analysed for outcome in outcomes) == FRAMES


def test_the_batch_is_filled_and_finishing_looks_at_the_rest(clip: Path) -> None:
    seer = Seer(batch=7)
    analysis = Analysis(seer, rules(), WATCH_FPS)
    parts = parts_of(clip)
    play(analysis, parts, end=False)
    assert set(seer.looks) == {7}
    before = sum(seer.looks)
    last = analysis.finish(parts[-1].end_us, "over")
    assert last.analysed == sum(seer.looks) - before > 0
    assert last.spans[-2:] == [Extend(parts[-1].end_us), End("over")]


def test_finishing_ends_the_tracks_that_were_still_there(clip: Path) -> None:
    analysis = Analysis(Seer(), rules(), WATCH_FPS)
    parts = [part for part in parts_of(clip) if part.end_us <= 2_500_000]
    play(analysis, parts, end=False)
    analysis.finish(parts[-1].end_us, "over")
    assert analysis.state()["observing"] == []


def split(parts: Sequence[Part], *moments_us: int) -> list[list[Part]]:
    edges = [-(10**12), *moments_us, 10**12]
    return [[part for part in parts if low <= part.start_us < high] for low, high in pairwise(edges)]


def test_a_detector_that_fails_for_a_while_leaves_a_gap_that_says_why(clip: Path) -> None:
    seer = Seer()
    analysis = Analysis(seer, rules(), WATCH_FPS)
    before, blind, after = split(parts_of(clip), 1_500_000, 2_500_000)
    outcomes = play(analysis, before, end=False)
    assert outcomes[-1].blind == ""
    seer.trouble = "the detector has gone home"
    dark = play(analysis, blind, end=False)
    assert all(outcome.blind == "the detector has gone home" for outcome in dark[1:])
    assert events_of(dark) == []
    assert sum(outcome.analysed for outcome in dark) == 0
    seer.trouble = ""
    rest = play(analysis, after)
    begin, seen, ended, again, *_ = spans_of([*outcomes, *dark, *rest])
    assert begin == Begin(0, (None, 1, 2, 3))
    assert isinstance(seen, Extend)
    assert seen.ts_us < blind[1].start_us
    assert ended == End("detector")
    assert isinstance(again, Begin)
    assert again.rules == (None, 1, 2, 3)
    assert again.ts_us > blind[-1].start_us
    assert rest[-1].blind == ""
    # The gap was short: whoever was there goes on as the same track, and is told to be there.
    tracks = {event.track for id_, event in events_of([*outcomes, *rest]) if id_ in (1, 2)}
    assert len(tracks) == 2
    assert [e.count for id_, e in events_of(rest) if id_ == 3][:1] == [1]


def test_after_a_long_gap_all_tracks_are_void(clip: Path) -> None:
    seer = Seer()
    analysis = Analysis(seer, rules(), WATCH_FPS)
    before, blind, after = split(parts_of(clip), 1_500_000, 1_500_000 + TRACKS_OUTLIVE_US + 1_000_000)
    told = events_of(play(analysis, before, end=False))
    assert counted(told, 3) == [1]
    seer.trouble = "gone"
    play(analysis, blind, end=False)
    seer.trouble = ""
    (first, *_) = [outcome for outcome in play(analysis, after, end=False) if outcome.analysed]
    assert End("detector") in first.spans
    assert all(event.ts_us > blind[-1].start_us for _, event in first.events)
    # Nobody of before the gap is left: a count that is told is of somebody seen since.
    assert counted(first.events, 3) in ([], [1])
    known = {track for _, _, memory in analysis.state()["rules"][2:] for track, _ in memory["inside"]}
    assert 1 not in known


def test_a_detector_that_fails_from_the_start_is_waited_for(clip: Path) -> None:
    seer = Seer()
    seer.trouble = "not up yet"
    analysis = Analysis(seer, rules(), WATCH_FPS)
    dark, after = split(parts_of(clip), 4_000_000)
    assert spans_of(play(analysis, dark, end=False)) == []
    seer.trouble = ""
    outcomes = play(analysis, after)
    assert isinstance(spans_of(outcomes)[0], Begin)
    assert counted(events_of(outcomes), 1) == ["out"]


def test_passing_parts_over_leaves_a_gap_with_its_reason(clip: Path) -> None:
    seer = Seer()
    analysis = Analysis(seer, rules(), WATCH_FPS)
    before, skipped, after = split(parts_of(clip), 1_500_000, 2_500_000)
    play(analysis, before, end=False)
    looks = len(seer.looks)
    analysis.pass_over(skipped)
    analysis.interrupt("behind")
    assert len(seer.looks) == looks
    assert analysis.cursor is not None
    assert analysis.cursor >= us_to_ticks(2_200_000)
    spans = spans_of(play(analysis, after, end=False))
    assert spans[0] == End("behind")
    assert isinstance(spans[1], Begin)
    assert spans[1].ts_us >= 2_300_000


def test_changing_one_rule_leaves_the_memory_of_the_others(clip: Path) -> None:
    analysis = Analysis(Seer(), rules(), WATCH_FPS)
    before, after = split(parts_of(clip), 2_000_000)
    play(analysis, before, end=False)
    kept = {id_: memory for id_, _, memory in analysis.state()["rules"]}
    changed = rules()
    changed[1] = Rule(2, 2, create("traffic", zones=[RIGHT_THIRD, [*MIDDLE, [0.6, 0.0]]]))
    changed.append(Rule(4, 1, create("persons")))
    outcome = analysis.configure(Seer(), changed, WATCH_FPS)
    assert outcome.spans == [End("changed", (2,))]
    now = {id_: memory for id_, _, memory in analysis.state()["rules"]}
    assert (now[1], now[3]) == (kept[1], kept[3])
    assert now[2]["courses"] == []
    outcomes = play(analysis, after)
    begins = [span for span in spans_of(outcomes) if isinstance(span, Begin)]
    assert [span.rules for span in begins] == [(2, 4)]
    assert counted(events_of(outcomes), 3)[0] == 0


def test_changing_nothing_changes_nothing(clip: Path) -> None:
    parts = parts_of(clip)
    unbroken = play(Analysis(Seer(), rules(), WATCH_FPS), parts)
    analysis = Analysis(Seer(), rules(), WATCH_FPS)
    before = play(analysis, parts[:5], end=False)
    assert analysis.configure(Seer(), rules(), WATCH_FPS).spans == []
    after = play(analysis, parts[5:])
    assert events_of([*before, *after]) == events_of(unbroken)


def test_a_removed_rule_is_ended_and_told_nothing_more(clip: Path) -> None:
    analysis = Analysis(Seer(), rules(), WATCH_FPS)
    before, after = split(parts_of(clip), 2_000_000)
    play(analysis, before, end=False)
    assert analysis.configure(Seer(), rules()[:1], WATCH_FPS).spans == [End("changed", (2, 3))]
    assert {id_ for id_, _ in events_of(play(analysis, after))} == {1}


def test_a_rule_changed_since_the_checkpoint_starts_afresh(clip: Path) -> None:
    first = Analysis(Seer(), rules(), WATCH_FPS)
    before, _ = split(parts_of(clip), 2_000_000)
    play(first, before, end=False)
    changed = [*rules()[:2], Rule(3, 2, create("persons"))]
    second = Analysis(Seer(), changed, WATCH_FPS)
    second.restore(first.state())
    assert second.state()["observing"] == [1, 2]
    begins = [s for s in spans_of(play(second, parts_of(clip, second.cursor))) if isinstance(s, Begin)]
    assert [begin.rules for begin in begins] == [(3,)]


Spoil = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda state: state.update(version=99), "version 99"),
        (lambda state: state.pop("version"), "damaged"),
        (lambda state: state.pop("tracker"), "damaged"),
        (lambda state: state.update(tracker=None), "damaged"),
        (lambda state: state.update(rules=[[1]]), "damaged"),
        (lambda state: state.update(rules=[[1, 1, {}]]), "damaged"),
        (lambda state: state.update(observing=None), "damaged"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_refused(clip: Path, spoil: Spoil, words: str) -> None:
    first = Analysis(Seer(), rules(), WATCH_FPS)
    play(first, parts_of(clip)[:4], end=False)
    state = json.loads(json.dumps(first.state()))
    spoil(state)
    with pytest.raises(CheckpointError, match=words):
        Analysis(Seer(), rules(), WATCH_FPS).restore(state)


def test_a_codec_that_is_not_there_is_told(clip: Path) -> None:
    part = replace(parts_of(clip)[0], video=VideoFormat("nonesuch", b"", WIDTH, HEIGHT))
    with pytest.raises(DecodeError):
        Analysis(Seer(), rules(), WATCH_FPS).feed(part)

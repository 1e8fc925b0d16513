"""Recordings: a clip goes through the same analysis as a camera's stream, as fast as the machine allows."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from server.domain.events import Event
from server.domain.geometry import Polygon
from server.domain.video import TICKS_PER_SECOND, Part, ticks_to_us
from server.errors import DetectorError, InvalidInput, SourceError
from server.media.file_source import FileSource
from server.processors import KINDS, create
from server.services.analysis import Analysis, Begin, End, Extend, Outcome, Rule
from server.services.naming import clean_name
from server.vision.detector import Detector

ANCHOR_US = 10**15
"""Wall time (microseconds since 1970) given to a clip's first picture where nobody says when it was."""
MAX_FILE_BYTES = 10_000_000
"""Largest file of processors; anything larger is some other file."""
_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}
"""Formats in which libav reads any text or data as a picture of letters."""
_FIELDS = ("name", "kind", "zones", "lines", "options", "confidence")

Progress = Callable[[float], None]
"""Told how far the analysis is, in seconds into the clip."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A processor that a recording goes through: JSON values as `processors.create` takes them."""

    name: str
    kind: str
    zones: Any = field(default_factory=list)
    lines: Any = field(default_factory=list)
    options: Any = field(default_factory=dict)
    confidence: Any = 0.5

    def rule(self, number: int) -> Rule:
        """The processor itself, anew. Raises InvalidInput naming the field."""
        processor = create(
            self.kind,
            zones=self.zones,
            lines=self.lines,
            options=self.options,
            confidence=self.confidence,
        )
        return Rule(number, 1, processor)


@dataclass(slots=True)
class Span:
    """Observed without a break, in microseconds since 1970. `rule`: index of an entry, None: the camera."""

    rule: int | None
    start_us: int
    stop_us: int


@dataclass(slots=True)
class Report:
    """What a recording came to. Times of events and spans are the clip's plus `anchor_us`."""

    entries: Sequence[Entry]
    anchor_us: int
    end_us: int = 0
    decoded: int = 0
    analysed: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    blind: str = ""
    """The detector's trouble, where it could not answer for some frames."""
    events: list[tuple[int, Event]] = field(default_factory=list)
    """(index of the entry, event) in the order they came."""
    spans: list[Span] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        """From the first picture to the end of the last one, in seconds."""
        return (self.end_us - self.anchor_us) / 1e6

    def observed(self, rule: int | None) -> float:
        """Share of the clip (0..1) that an entry, or the camera (None), saw."""
        seen = sum(span.stop_us - span.start_us for span in self.spans if span.rule == rule)
        return min(1.0, seen / max(1, self.end_us - self.anchor_us))

    def to_json(self, clip: str) -> dict[str, Any]:
        """The report as docs/analyze.md describes it."""
        return {
            "clip": clip,
            "duration_s": round(self.duration_s, 6),
            "frames_decoded": self.decoded,
            "frames_analysed": self.analysed,
            "cpu_s": round(self.cpu_s, 3),
            "wall_s": round(self.wall_s, 3),
            "observed": round(self.observed(None), 6),
            "processors": [self._processor(index, entry) for index, entry in enumerate(self.entries)],
        }

    def _processor(self, index: int, entry: Entry) -> dict[str, Any]:
        events = sorted((e for rule, e in self.events if rule == index), key=lambda event: event.ts_us)
        into = sum(event.direction == "in" for event in events)
        out = sum(event.direction == "out" for event in events)
        if KINDS[entry.kind].metric == "objects":
            total = max((event.count or 0 for event in events), default=0)
        else:
            total = sum(event.passes for event in events)
        return {
            "name": entry.name,
            "kind": entry.kind,
            "total": total,
            "in": into,
            "out": out,
            "net": into - out,
            "observed": round(self.observed(index), 6),
            "events": [self._event(event) for event in events],
        }

    def _event(self, event: Event) -> dict[str, Any]:
        told: dict[str, Any] = {"t": max(0.0, round((event.ts_us - self.anchor_us) / 1e6, 6))}
        if event.count is not None:
            told["count"] = event.count
        else:
            told["passes"] = event.passes
        told |= {"direction": event.direction, "zone": event.zone, "track": event.track}
        told["score"] = None if event.score is None else round(float(event.score), 4)
        if event.data:
            told["data"] = event.data
        return told


def read_entries(path: Path) -> list[Entry]:
    """The processors that a JSON file describes. Raises InvalidInput naming the entry and its field."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidInput(path.name, f"more than {MAX_FILE_BYTES} bytes: this is no list of processors")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InvalidInput(path.name, "there is no such file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(path.name, "this is not JSON: it is not UTF-8 text") from error
    except OSError as error:
        raise InvalidInput(path.name, f"cannot be read: {error.strerror}") from error
    try:
        values = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InvalidInput(path.name, f"this is not JSON: {where}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(path.name, f"this is not JSON: {error}") from error
    return parse_entries(values)


def parse_entries(values: object) -> list[Entry]:
    """Processors from JSON values. Raises InvalidInput; entries are numbered from 0, as JSON paths are."""
    if not isinstance(values, list):
        raise InvalidInput("processors", 'a list such as [{"name": "room", "kind": "persons"}]')
    if not values:
        raise InvalidInput("processors", "the list is empty; at least one processor is needed")
    entries: list[Entry] = []
    for index, value in enumerate(values):
        try:
            entry = _entry(value)
            if any(entry.name == other.name for other in entries):
                raise InvalidInput("name", f"{entry.name!r} is taken by an entry before")
        except InvalidInput as error:
            dot = f".{error.field}" if error.field else ""
            raise InvalidInput(f"processors[{index}]{dot}", error.message) from error
        entries.append(entry)
    return entries


def check_clip(clip: Path) -> None:
    """Raises SourceError, in words, where a path is not that of a video file with a picture in it."""
    if clip.exists() and not clip.is_dir() and not clip.is_file():
        raise SourceError(f"{clip.name}: this is not a regular file", retryable=False)
    source = _open(clip)
    source.close()


def length_of(clip: Path) -> float:
    """Seconds that the container says it lasts, else that its packets do: for a progress bar."""
    source = _open(clip)
    try:
        stream = source.template
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return source.survey().duration / TICKS_PER_SECOND
    finally:
        source.close()


def digest_of(clip: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises SourceError."""
    try:
        with clip.open("rb") as file:
            hashed = hashlib.sha256()
            while chunk := file.read(1 << 20):
                hashed.update(chunk)
    except OSError as error:
        raise SourceError(f"{clip.name}: {error.strerror}", retryable=False) from error
    return hashed.hexdigest()


def analyse(
    clip: Path,
    detector: Detector,
    entries: Sequence[Entry],
    watch_fps: float,
    *,
    anchor_us: int = ANCHOR_US,
    progress: Progress | None = None,
    masks: Sequence[Polygon] = (),
) -> Report:
    """Analyse a whole clip at watch_fps frames a second.

    anchor_us: wall time of its first picture. masks: what the detector is not to see. Raises SourceError,
    DecodeError, InvalidInput; and DetectorError where the detector could not answer for a single frame.
    """
    cpu, wall = time.process_time(), time.perf_counter()
    analysis = Analysis(detector, [entry.rule(i) for i, entry in enumerate(entries)], watch_fps, masks)
    collector = _Collector(Report(entries, anchor_us, end_us=anchor_us))
    source = _open(clip, anchor_us)
    try:
        for part in source.parts(threading.Event()):
            collector.take(analysis.feed(part))
            collector.reach(part)
            if progress is not None:
                progress(collector.report.duration_s)
    finally:
        source.close()
    report = collector.report
    collector.take(analysis.finish(report.end_us, "end"))
    if not report.decoded:
        raise SourceError(f"{clip.name}: not one picture could be decoded", retryable=False)
    if not report.analysed:
        raise DetectorError(f"no frame could be analysed: {report.blind}")
    report.cpu_s = time.process_time() - cpu
    report.wall_s = time.perf_counter() - wall
    return report


class _Collector:
    """Gathers outcomes into a report."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._open: dict[int | None, Span] = {}

    def take(self, outcome: Outcome) -> None:
        """Add what came of a part."""
        report = self.report
        report.events += outcome.events
        report.decoded += outcome.decoded
        report.analysed += outcome.analysed
        report.blind = outcome.blind or report.blind
        for step in outcome.spans:
            if isinstance(step, Begin):
                for rule in step.rules:
                    self._open[rule] = Span(rule, step.ts_us, step.ts_us)
                    report.spans.append(self._open[rule])
            elif isinstance(step, Extend):
                for span in self._open.values():
                    span.stop_us = max(span.stop_us, step.ts_us)
            else:
                self._close(step)

    def reach(self, part: Part) -> None:
        """The clip lasts at least to the end of the last picture of a part."""
        end = max(packet.pts + packet.duration for packet in part.packets)
        self.report.end_us = max(self.report.end_us, part.anchor_us + ticks_to_us(end))

    def _close(self, end: End) -> None:
        for rule in list(self._open) if end.rules is None else end.rules:
            self._open.pop(rule, None)


def _open(clip: Path, anchor_us: int = ANCHOR_US) -> FileSource:
    source = FileSource(clip, anchor_us=anchor_us)
    try:
        source.open()
        if source.template.container.format.name in _TEXT_FORMATS:
            raise SourceError(f"{clip.name}: this is not a video that can be read", retryable=False)
    except SourceError:
        source.close()
        raise
    return source


def _entry(value: object) -> Entry:
    if not isinstance(value, dict):
        raise InvalidInput("", 'an object such as {"name": "room", "kind": "persons"}')
    for key in ("name", "kind"):
        if key not in value:
            raise InvalidInput(key, "is missing")
        if not isinstance(value[key], str):
            raise InvalidInput(key, f"{value[key]!r} is not text")
    for key in value:
        if key not in _FIELDS:
            raise InvalidInput(key, f"is not one of {', '.join(_FIELDS)}")
    entry = Entry(**(value | {"name": clean_name(value["name"])}))
    entry.rule(0)
    return entry


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number in JSON")

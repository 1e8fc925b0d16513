"""Recordings: analysed as fast as the machine allows, printed, written, or saved for a camera."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext
from tqdm import tqdm

from server.config import Settings
from server.domain.video import datetime_to_us
from server.errors import HypersightError, InvalidInput, SourceError
from server.services import clip_imports, recordings
from server.services.audit import COMMAND_LINE, acting
from server.services.cameras import MAX_FPS, MAX_GRID, MIN_FPS
from server.services.clocktime import parse_time
from server.services.detection import detector_for
from server.services.recordings import Entry, Report

DEFAULT_FPS = 5.0
_YEARS = range(1970, 3000)
"""Years a recording may be from; another one is a slip of the keyboard."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What is asked for, checked."""

    clip: Path
    entries: Sequence[Entry]
    watch_fps: float
    grid: int
    out: str | None
    target: clip_imports.Target | None
    anchor_us: int


class _Refusal(click.ClickException):
    """What was asked for cannot be done as it was asked."""

    exit_code = 2


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Errors as one line: exit code 2 where the call is wrong, 1 where something failed meanwhile."""
    try:
        with acting(COMMAND_LINE):
            yield
    except HypersightError as error:
        passing = error.retryable and not isinstance(error, SourceError)
        raise (click.ClickException if passing else _Refusal)(str(error)) from error


@click.command("analyze")
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("--processors", type=click.Path(path_type=Path), help="JSON file that describes them.")
@click.option("--watch-fps", type=float, help="Frames analysed a second (default: the camera's, else 5).")
@click.option("--grid", type=int, help="n: n x n frames in one detection (default: the camera's, else 1).")
@click.option("--json", "out", help="Write the report to this file; - prints it.")
@click.option("--save", "camera_id", type=int, help="Store the events for the camera of this id.")
@click.option("--start", help="When the recording began; needed with --save.")
@with_appcontext
def analyze(
    clip: Path,
    processors: Path | None,
    watch_fps: float | None,
    grid: int | None,
    out: str | None,
    camera_id: int | None,
    start: str | None,
) -> None:
    """Count what a recording shows, as fast as this machine can."""
    settings: Settings = current_app.extensions["hypersight"]
    with _in_one_line():
        anchor_us = _anchor(settings, camera_id, start)
        recordings.check_clip(clip)
        _check_out(out, clip, processors)
        target = None if camera_id is None else clip_imports.load_target(camera_id)
        job = _Job(
            clip,
            _entries(processors, target),
            _fps(watch_fps, target),
            _grid(grid, target),
            out,
            target,
            anchor_us,
        )
        _run(job, settings)


def _run(job: _Job, settings: Settings) -> None:
    if job.target is not None:
        clip_imports.missing_from(job.target.kinds, job.entries)
    digest = recordings.digest_of(job.clip) if job.target is not None else ""
    report = _analyse(job, settings)
    if report.blind:
        click.echo(f"Warning: {report.observed(None):.1%} of the clip observed: {report.blind}", err=True)
    if job.target is not None:
        _store(job, job.target, digest, report)
    told = report.to_json(str(job.clip))
    if job.out == "-":
        click.echo(json.dumps(told, indent=2))
        return
    if job.out is not None:
        _write(Path(job.out), told)
    click.echo(_summary(told))


def _analyse(job: _Job, settings: Settings) -> Report:
    detector = detector_for(settings, job.grid)
    total = recordings.length_of(job.clip)
    with tqdm(
        total=max(0.1, round(total, 1)),
        desc=job.clip.name,
        unit="s",
        file=sys.stderr,
        # A file that catches the output is not filled with hundreds of bars.
        mininterval=0.1 if sys.stderr.isatty() else 10,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]",
    ) as bar:

        def progress(seconds: float) -> None:
            bar.update(min(seconds, bar.total or seconds) - bar.n)

        return recordings.analyse(
            job.clip,
            detector,
            job.entries,
            job.watch_fps,
            anchor_us=job.anchor_us,
            progress=progress,
            masks=job.target.masks if job.target is not None else (),
        )


def _store(job: _Job, target: clip_imports.Target, digest: str, report: Report) -> None:
    stored = clip_imports.store(target.camera_id, job.clip.name, digest, report)
    for name in stored.created:
        click.echo(f"Processor {name!r} was missing from camera {target.name}: made, disabled.", err=True)
    what = "replaced the earlier import of this file" if stored.replaced else "saved"
    click.echo(f"Camera {target.name}: {stored.events} events {what}.", err=True)


def _anchor(settings: Settings, camera_id: int | None, start: str | None) -> int:
    """Wall time of the first picture, in microseconds since 1970."""
    if camera_id is None and start is None:
        return recordings.ANCHOR_US
    if camera_id is None:
        raise InvalidInput("--start", "says when the events were; it needs --save CAMERA_ID")
    if start is None:
        raise InvalidInput("--save", "needs --start TIME: when the recording began")
    moment: datetime = parse_time("--start", start, settings.timezone).utc
    if moment.year not in _YEARS:
        raise InvalidInput("--start", f"the year must be from {_YEARS[0]} to {_YEARS[-1]}")
    return datetime_to_us(moment)


def _entries(processors: Path | None, target: clip_imports.Target | None) -> Sequence[Entry]:
    if processors is not None:
        return recordings.read_entries(processors)
    if target is None:
        raise InvalidInput("--processors", "a JSON file that says what to count is needed")
    if not target.entries:
        raise InvalidInput("--processors", f"camera {target.name} has no enabled processor; name a file")
    return target.entries


def _fps(given: float | None, target: clip_imports.Target | None) -> float:
    if given is None:
        return DEFAULT_FPS if target is None else target.watch_fps
    if not MIN_FPS <= given <= MAX_FPS:
        raise InvalidInput("--watch-fps", f"from {MIN_FPS} to {MAX_FPS:g} frames a second")
    return given


def _grid(given: int | None, target: clip_imports.Target | None) -> int:
    if given is None:
        return 1 if target is None else target.detection_grid
    if not 1 <= given <= MAX_GRID:
        raise InvalidInput("--grid", f"from 1 to {MAX_GRID}")
    return given


def _check_out(out: str | None, clip: Path, processors: Path | None) -> None:
    """Find out before the long work that its result cannot be written."""
    if out is None or out == "-":
        return
    path = Path(out)
    # A device or a pipe is written to; a file is replaced, which its directory has to allow.
    place = path if path.exists() and not path.is_file() else path.parent
    if path.is_dir() or not os.access(place, os.W_OK):
        raise InvalidInput("--json", f"{out} cannot be written")
    for name, other in (("clip", clip), ("file of processors", processors)):
        if other is not None and path.exists() and other.exists() and path.samefile(other):
            raise InvalidInput("--json", f"{out} is the {name} itself")


def _write(path: Path, told: dict[str, Any]) -> None:
    """Whole or not at all: whoever waits for the file never reads half of it."""
    if path.exists() and not path.is_file():
        path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        return
    half: Path | None = None
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            half = Path(file.name)
            file.write(json.dumps(told, indent=2) + "\n")
        half.chmod(0o644)
        half.replace(path)
    except OSError as error:
        if half is not None:
            half.unlink(missing_ok=True)
        raise InvalidInput("--json", f"{path} cannot be written: {error.strerror}") from error


def _summary(told: dict[str, Any]) -> str:
    rows = [("processor", "kind", "total", "in", "out", "net", "events", "observed")]
    for item in told["processors"]:
        numbers = (str(item[key]) for key in ("total", "in", "out", "net"))
        rows.append(
            (item["name"], item["kind"], *numbers, str(len(item["events"])), f"{item['observed']:.1%}")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    speed = told["duration_s"] / max(told["wall_s"], 1e-3)
    lines.append(
        f"{told['duration_s']:.1f} s of video, {told['frames_analysed']} of {told['frames_decoded']} decoded"
        f" frames analysed in {told['wall_s']:.1f} s ({speed:.0f} times real time),"
        f" {told['cpu_s']:.1f} s of CPU"
    )
    return "\n".join(lines)


COMMANDS = (analyze,)

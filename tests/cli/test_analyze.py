"""The command: what it prints, writes, saves and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import func, select

from server.cli import analyze
from server.extensions import db
from server.models import ClipImport, ProcessorEvent
from tests import factories
from tests.walks import SECONDS, BrightBlocks, make_walk

EXIT = {"name": "exit", "kind": "traffic", "zones": [[[0.9, 0], [1, 0], [1, 1], [0.9, 1]]]}
ROOM = {"name": "room", "kind": "persons"}
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_walk(tmp_path_factory.mktemp("walk") / "walk.mp4")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "processors.json"
    path.write_text(json.dumps([EXIT, ROOM]))
    return path


@pytest.fixture
def run(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(analyze, "detector_for", lambda settings, grid: BrightBlocks())

    def invoke(*arguments: object) -> Result:
        return app.test_cli_runner().invoke(args=["analyze", *map(str, arguments)])

    return invoke


def _refused(result: Result, said: str) -> None:
    assert result.exit_code == 2, result.output
    assert said in result.output and "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_the_report_is_written(run: Run, clip: Path, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = run(clip, "--processors", file, "--json", out, "--watch-fps", 5)
    assert result.exit_code == 0, result.output
    told = json.loads(out.read_text())
    assert told["clip"] == str(clip) and told["duration_s"] == pytest.approx(SECONDS)
    assert told["frames_analysed"] == SECONDS * 5 <= told["frames_decoded"] <= SECONDS * 10
    assert told["cpu_s"] > 0 and told["wall_s"] > 0
    exits, room = told["processors"]
    assert (exits["name"], exits["kind"], exits["total"], exits["net"]) == ("exit", "traffic", 2, -2)
    assert [event["count"] for event in room["events"]] == [1, 0, 1, 0]
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["out.json", "processors.json"]


def test_the_report_alone_is_on_standard_output(run: Run, clip: Path, file: Path) -> None:
    result = run(clip, "--processors", file, "--json", "-")
    assert json.loads(result.stdout)["processors"][0]["total"] == 2
    assert "100%" in result.stderr


def test_without_a_file_a_table_is_printed(run: Run, clip: Path, file: Path) -> None:
    lines = run(clip, "--processors", file).stdout.splitlines()
    assert lines[0].split()[:3] == ["processor", "kind", "total"]
    assert lines[1].split()[:6] == ["exit", "traffic", "2", "0", "2", "-2"]
    assert lines[2].split()[:3] == ["room", "persons", "1"]


def test_a_recording_is_saved_and_saved_again(run: Run, app: Flask, clip: Path, file: Path) -> None:
    with app.app_context():
        camera_id = factories.camera().id
    save = ("--save", camera_id, "--start", "2026-03-27 12:00")
    first = run(clip, "--processors", file, *save)
    assert first.exit_code == 0 and "'exit' was missing" in first.stderr and "saved" in first.stderr
    again = run(clip, "--processors", file, *save)
    assert again.exit_code == 0 and "replaced" in again.stderr and "missing" not in again.stderr
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(ProcessorEvent)) == 6
        assert db.session.scalars(select(ClipImport.start)).one() == factories.NOON


def test_the_cameras_own_processors_serve_without_a_file(run: Run, app: Flask, clip: Path) -> None:
    with app.app_context():
        camera = factories.camera(watch_fps=10.0)
        camera_id = camera.id
        factories.processor("persons", camera, name="hall")
    result = run(clip, "--save", camera_id, "--start", "2026-03-27T13:00:00+01:00", "--json", "-")
    told = json.loads(result.stdout)
    assert [item["name"] for item in told["processors"]] == ["hall"]
    assert told["frames_analysed"] == SECONDS * 10
    with app.app_context():
        assert db.session.scalars(select(ClipImport.start)).one() == factories.NOON


@pytest.mark.parametrize(
    "options, said",
    [
        ((), "--processors: a JSON file"),
        (("--start", "2026-03-27"), "--start: "),
        (("--save", 1), "--save: needs --start"),
        (("--save", 77, "--start", "2026-03-27"), "there is no camera 77"),
        (("--save", 1, "--start", "yesterday"), "--start: 'yesterday' is not a time"),
        (("--save", 1, "--start", "0026-03-27"), "--start: the year"),
        (("--processors", "gone.json"), "gone.json: there is no such file"),
    ],
)
def test_a_call_that_cannot_be_right_is_refused(
    run: Run, clip: Path, options: tuple[str, ...], said: str
) -> None:
    _refused(run(clip, *options), said)


@pytest.mark.parametrize(
    "options, said",
    [
        (("--watch-fps", 0.1), "--watch-fps: from 0.2 to 30"),
        (("--watch-fps", 31), "--watch-fps: "),
        (("--watch-fps", "nan"), "--watch-fps: "),
        (("--grid", 0), "--grid: from 1 to"),
        (("--json", "/no/such/directory/out.json"), "--json: "),
    ],
)
def test_an_option_out_of_range_is_named(
    run: Run, clip: Path, file: Path, options: tuple[object, ...], said: str
) -> None:
    _refused(run(clip, "--processors", file, *options), said)


def test_the_report_never_overwrites_what_it_was_made_from(run: Run, clip: Path, file: Path) -> None:
    content = clip.read_bytes()
    _refused(run(clip, "--processors", file, "--json", clip), "is the clip itself")
    _refused(run(clip, "--processors", file, "--json", file), "is the file of processors itself")
    assert clip.read_bytes() == content and json.loads(file.read_text()) == [EXIT, ROOM]


def test_a_clip_that_is_none_is_refused_in_one_line(run: Run, file: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    _refused(run(tmp_path / "gone.mp4", "--processors", file), "gone.mp4: there is no such file")
    _refused(run(empty, "--processors", file), "empty.mp4: ")
    _refused(run(file, "--processors", file), "processors.json: ")


def test_a_wrong_entry_is_named_with_its_field(run: Run, clip: Path, file: Path) -> None:
    file.write_text(json.dumps([ROOM, EXIT | {"zones": [[[0, 0], [2, 0], [1, 1]]]}]))
    _refused(run(clip, "--processors", file), "processors[1].zones: number 1: ")


def test_the_cameras_masks_hide_from_the_detector_here_too(run: Run, app: Flask, clip: Path) -> None:
    everything = [[[0, 0], [1, 0], [1, 1], [0, 1]]]
    with app.app_context():
        seen = [factories.camera(watch_fps=10.0, masks=masks) for masks in ([], everything, [[[0, 0]]])]
        ids = [camera.id for camera in seen]
        for camera in seen:
            factories.processor("persons", camera, name="hall")
    told = [run(clip, "--save", id_, "--start", "2026-03-27T13:00Z", "--json", "-") for id_ in ids]
    totals = [json.loads(result.stdout)["processors"][0]["total"] for result in told[:2]]
    assert totals == [1, 0]
    _refused(told[2], "masks: ")

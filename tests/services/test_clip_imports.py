"""Recordings that are saved: stored whole, replaced whole, answered for by the metrics."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import scoped_session

from server.domain.video import datetime_to_us
from server.errors import InvalidInput, NotFound
from server.extensions import db
from server.models import Camera, ClipImport, Observation, Processor, ProcessorEvent
from server.services import clip_imports, metrics
from server.services.cameras import delete_camera
from server.services.recordings import Entry, Report, analyse, digest_of
from tests import factories
from tests.databases import every_database
from tests.factories import NOON, at
from tests.walks import SECONDS, BrightBlocks, make_walk

ENTRIES = [
    Entry("exit", "traffic", zones=[[[0.9, 0], [1, 0], [1, 1], [0.9, 1]]]),
    Entry("room", "persons"),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_walk(tmp_path_factory.mktemp("walk") / "walk.mp4")


@pytest.fixture(scope="module")
def report(clip: Path) -> Report:
    return analyse(clip, BrightBlocks(), ENTRIES, 5.0, anchor_us=datetime_to_us(NOON))


def _store(camera: Camera, clip: Path, report: Report) -> clip_imports.Stored:
    camera_id = camera.id
    # SQLite refuses a test session that read before somebody else wrote and then writes itself.
    db.session.rollback()
    return clip_imports.store(camera_id, clip.name, digest_of(clip), report)


def _count(session: scoped_session, model: Any) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(model)) or 0


def _ids(session: scoped_session) -> dict[str, int]:
    session.rollback()
    return {row.name: row.id for row in session.scalars(select(Processor))}


@every_database
def test_the_metrics_answer_for_a_saved_recording(
    session: scoped_session, clip: Path, report: Report
) -> None:
    stored = _store(factories.camera(), clip, report)
    assert stored.created == ("exit", "room") and not stored.replaced
    assert stored.events == len(report.events) == 6 and stored.observations == 3
    ids = _ids(session)
    now = at(10_000)
    traffic = metrics.traffic(ids["exit"], NOON, at(SECONDS), now=now)
    assert (traffic.passes, traffic.into, traffic.out) == (2, 0, 2) and traffic.observed > 0.95
    assert metrics.occupancy(ids["room"], at(3), now=now).count == 1
    assert metrics.occupancy(ids["room"], at(6), now=now).count == 0
    with pytest.raises(NotFound, match="No records found"):
        metrics.traffic(ids["exit"], at(SECONDS + 1), at(SECONDS + 60), now=now)
    spans = session.scalars(select(Observation)).all()
    assert {span.processor_id for span in spans} == {None, *ids.values()}
    assert {span.ended for span in spans} == {"import"}
    keys = session.scalars(select(ProcessorEvent.key)).all()
    assert all(key.startswith("clip") and len(key) <= 80 for key in keys)
    assert session.scalar(select(func.count()).where(ProcessorEvent.data.is_not(None))) == 0


@every_database
def test_the_same_file_again_replaces_its_first_import(
    session: scoped_session, clip: Path, report: Report
) -> None:
    camera = factories.camera()
    live = factories.processor("traffic", camera, name="exit", zones=ENTRIES[0].zones)
    factories.event(live, at(2), passes=1)
    _store(camera, clip, report)
    before = _count(session, ProcessorEvent), _count(session, Observation)
    later = analyse(clip, BrightBlocks(), ENTRIES, 5.0, anchor_us=datetime_to_us(NOON + timedelta(hours=1)))
    stored = _store(camera, clip, later)
    assert stored.replaced and stored.created == ()
    assert (_count(session, ProcessorEvent), _count(session, Observation)) == before
    assert _count(session, ClipImport) == 1
    session.rollback()
    first = session.scalars(
        select(ProcessorEvent.ts)
        .where(ProcessorEvent.clip_import_id.is_not(None))
        .order_by(ProcessorEvent.ts)
    ).first()
    assert first is not None and first > NOON + timedelta(hours=1)


@every_database
def test_a_camera_is_deleted_with_its_imports(session: scoped_session, clip: Path, report: Report) -> None:
    camera = factories.camera()
    camera_id = camera.id
    _store(camera, clip, report)
    session.rollback()
    delete_camera(camera_id)
    assert [_count(session, model) for model in (ClipImport, ProcessorEvent, Observation)] == [0, 0, 0]


@every_database
def test_two_cameras_may_have_seen_the_same_file(session: scoped_session, clip: Path, report: Report) -> None:
    for _ in range(2):
        assert not _store(factories.camera(), clip, report).replaced
    assert _count(session, ClipImport) == 2


@every_database
def test_processors_that_were_missing_are_made_disabled(
    session: scoped_session, clip: Path, report: Report
) -> None:
    camera = factories.camera()
    camera_id, revision = camera.id, camera.revision
    factories.processor("persons", camera, name="room")
    assert _store(camera, clip, report).created == ("exit",)
    session.rollback()
    made = session.scalars(select(Processor).where(Processor.name == "exit")).one()
    assert not made.enabled and made.zones == ENTRIES[0].zones and made.camera_id == camera_id
    assert session.get_one(Camera, camera_id).revision == revision + 1


@every_database
def test_one_of_the_name_but_another_kind_is_refused_and_nothing_stored(
    session: scoped_session, clip: Path, report: Report
) -> None:
    camera = factories.camera()
    factories.processor("persons", camera, name="exit")
    with pytest.raises(InvalidInput, match=r"processors\[0\]\.kind: .*'exit'.*persons, not traffic"):
        _store(camera, clip, report)
    assert _count(session, Processor) == 1 and _count(session, ClipImport) == 0


@every_database
def test_a_failure_while_storing_leaves_the_first_import_whole(
    session: scoped_session, clip: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = factories.camera()
    _store(camera, clip, report)
    before = _count(session, ProcessorEvent)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(clip_imports, "us_to_datetime", fail)
        _store(camera, clip, report)
    assert _count(session, ProcessorEvent) == before and _count(session, ClipImport) == 1


@pytest.mark.parametrize("camera_id", [0, -1, 99, 2**40])
def test_an_unknown_camera_is_named(session: scoped_session, camera_id: int) -> None:
    with pytest.raises(NotFound, match=str(camera_id)):
        clip_imports.load_target(camera_id)


@every_database
def test_only_enabled_processors_are_taken_over_from_the_camera(session: scoped_session) -> None:
    camera = factories.camera(watch_fps=7.0, detection_grid=2)
    camera_id = camera.id
    factories.processor("persons", camera, name="on")
    factories.processor("persons", camera, name="off", enabled=False)
    target = clip_imports.load_target(camera_id)
    assert [entry.name for entry in target.entries] == ["on"] and set(target.kinds) == {"on", "off"}
    assert (target.watch_fps, target.detection_grid) == (7.0, 2)


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_name_that_the_database_takes_for_another_is_refused_in_words(
    session: scoped_session, clip: Path, report: Report
) -> None:
    camera = factories.camera()
    factories.processor("traffic", camera, name="Exit")
    with pytest.raises(InvalidInput, match=r"processors: .*exit.* is taken"):
        _store(camera, clip, report)
    assert _count(session, ClipImport) == 0

"""The demo camera: made whole, once."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import scoped_session

from server.models import Camera, Processor
from server.processors import KINDS, create
from server.services.cameras import CameraInput, create_camera, delete_processor
from server.services.demo import NAME, add_demo_camera
from tests.databases import every_database


def _clip(tmp_path: Path) -> Path:
    clip = tmp_path / "demo.mp4"
    clip.write_bytes(b"")
    return clip


@every_database
def test_the_demo_camera_has_one_processor_of_each_kind(session: scoped_session, tmp_path: Path) -> None:
    camera_id = add_demo_camera(_clip(tmp_path))
    camera = session.get(Camera, camera_id)
    assert camera is not None and camera.loop and camera.enabled
    processors = session.scalars(select(Processor).where(Processor.camera_id == camera_id)).all()
    assert sorted(processor.kind for processor in processors) == sorted(KINDS)
    for processor in processors:
        create(processor.kind, zones=processor.zones, lines=processor.lines, options=processor.options)


@every_database
def test_a_second_call_adds_only_what_is_missing(session: scoped_session, tmp_path: Path) -> None:
    clip = _clip(tmp_path)
    first = add_demo_camera(clip)
    delete_processor(session.scalars(select(Processor.id)).first() or 0)
    assert add_demo_camera(clip) == first
    session.rollback()
    assert len(session.scalars(select(Camera)).all()) == 1
    assert sorted(session.scalars(select(Processor.kind))) == sorted(KINDS)


@every_database
def test_somebody_elses_camera_of_that_name_is_left_alone(session: scoped_session, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(b"")
    create_camera(CameraInput(NAME, str(other)))
    assert add_demo_camera(_clip(tmp_path)) is None
    assert len(session.scalars(select(Camera)).all()) == 1

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from server.errors import InvalidInput, NotFound
from server.extensions import db
from server.models import Camera, Lease, Observation, Processor, ProcessorEvent
from server.services import cameras
from server.services.cameras import CameraInput, ProcessorInput
from tests.databases import every_database
from tests.factories import at, event, lease, observation

pytestmark = pytest.mark.usefixtures("session")
DOOR = CameraInput("Door", "/clips/door.mp4")
LINE = ProcessorInput("Line", lines=[[[0, 0.5], [1, 0.5]]])
ZONE = ProcessorInput("Room", zones=[[[0, 0], [1, 0], [1, 1]]])


def stored(model: Any, key: int) -> Any:
    db.session.rollback()
    return db.session.get(model, key)


@every_database
def test_a_camera_is_stored_as_described() -> None:
    key = cameras.create_camera(CameraInput("  Front   door ", " /clips/a.mp4 ", True, False, 0.5, 2))
    camera = stored(Camera, key)
    assert (camera.name, camera.stream_url, camera.loop) == ("Front door", "/clips/a.mp4", True)
    assert (camera.enabled, camera.watch_fps, camera.detection_grid) == (False, 0.5, 2)


@every_database
def test_masks_and_previews_are_stored_as_described() -> None:
    plain, named = [[0, 0], [0.5, 0], [0.5, 1]], {"name": "Till", "points": [[0.5, 0], [1, 0], [1, 1]]}
    wanted = replace(DOOR, masks=[plain, named], preview_fps=5, preview_kbps=300, preview_width=640)
    key = cameras.create_camera(wanted)
    camera = stored(Camera, key)
    assert camera.masks == [plain, named]
    assert (camera.preview_fps, camera.preview_kbps, camera.preview_width) == (5, 300, 640)
    seen = cameras.fingerprint(camera)
    cameras.update_camera(key, replace(wanted, masks=[]))
    assert stored(Camera, key).masks == []
    with pytest.raises(InvalidInput, match="somebody else"):
        cameras.update_camera(key, wanted, seen)
    bare = stored(Camera, key)
    before, bare.masks = cameras.fingerprint(bare), None
    assert cameras.fingerprint(bare) == before
    processor = cameras.create_processor(key, "traffic", replace(LINE, preview="always"))
    assert stored(Processor, processor).preview == "always"
    with pytest.raises(InvalidInput) as caught:
        cameras.update_processor(processor, replace(LINE, preview="now and then"))
    assert caught.value.field == "preview"


@every_database
def test_a_deleted_cameras_number_is_never_given_again() -> None:
    """Its last picture may still be in Redis, and its entries in the audit log."""
    first = cameras.create_camera(DOOR)
    line = cameras.create_processor(first, "traffic", LINE)
    cameras.delete_camera(first)
    second = cameras.create_camera(DOOR)
    assert second > first
    assert cameras.create_processor(second, "traffic", LINE) > line


@every_database
def test_every_change_of_a_camera_or_its_processors_raises_the_cameras_revision() -> None:
    key = cameras.create_camera(DOOR)
    other = cameras.create_camera(replace(DOOR, name="Other"))
    seen = [stored(Camera, key).revision]

    def note() -> None:
        seen.append(stored(Camera, key).revision)

    cameras.update_camera(key, replace(DOOR, watch_fps=10))
    note()
    processor = cameras.create_processor(key, "traffic", LINE)
    note()
    cameras.update_processor(processor, replace(LINE, enabled=False))
    note()
    assert stored(Processor, processor).revision == 2
    cameras.delete_processor(processor)
    note()
    assert seen == sorted(set(seen))
    assert stored(Camera, other).revision == 1


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({"name": "Another"}, False),
        ({"preview": "always"}, False),
        ({"lines": [{"name": "Door", "points": [[0, 0.5], [1, 0.5]]}]}, True),
        ({"confidence": 0.6}, True),
        ({"options": {"anchor": "foot"}}, True),
    ],
)
def test_only_what_a_processor_counts_by_makes_it_begin_anew(change: dict[str, Any], anew: bool) -> None:
    camera = cameras.create_camera(DOOR)
    key = cameras.create_processor(camera, "traffic", LINE)
    before = stored(Camera, camera).revision
    cameras.update_processor(key, replace(LINE, **change))
    assert stored(Processor, key).revision == (2 if anew else 1)
    assert stored(Camera, camera).revision > before, "the preview's plan is read again"


@pytest.mark.parametrize(
    "change, field",
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"stream_url": ""}, "stream_url"),
        ({"stream_url": "relative.mp4"}, "stream_url"),
        ({"stream_url": "gopher://example.com/"}, "stream_url"),
        ({"stream_url": "/" + "x" * 2000}, "stream_url"),
        ({"watch_fps": 0.1}, "watch_fps"),
        ({"watch_fps": 31}, "watch_fps"),
        ({"watch_fps": float("nan")}, "watch_fps"),
        ({"detection_grid": 0}, "detection_grid"),
        ({"detection_grid": 9}, "detection_grid"),
        ({"preview_fps": 0.9}, "preview_fps"),
        ({"preview_fps": 31}, "preview_fps"),
        ({"preview_fps": float("nan")}, "preview_fps"),
        ({"preview_kbps": 99}, "preview_kbps"),
        ({"preview_kbps": 8001}, "preview_kbps"),
        ({"preview_width": 159}, "preview_width"),
        ({"preview_width": 1921}, "preview_width"),
        ({"masks": "left"}, "masks"),
        ({"masks": {"points": []}}, "masks"),
        ({"masks": [[[0, 0], [1, 1]]]}, "masks"),
        ({"masks": [[[0, 0], [1, 0], [1, 2]]]}, "masks"),
        ({"masks": [[[0, 0], [1, 1], [1, 0], [0, 1]]]}, "masks"),
        ({"masks": [{"name": "x" * 41, "points": [[0, 0], [1, 0], [1, 1]]}]}, "masks"),
        ({"masks": [{"name": "Till"}]}, "masks"),
        ({"masks": [[[0, 0], [1, 0], [1, 1]]] * 65}, "masks"),
    ],
)
def test_a_camera_that_cannot_be_is_refused_by_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        cameras.create_camera(replace(DOOR, **change))
    assert caught.value.field == field
    key = cameras.create_camera(DOOR)
    with pytest.raises(InvalidInput) as caught:
        cameras.update_camera(key, replace(DOOR, **change))
    assert caught.value.field == field
    assert stored(Camera, key).revision == 1


@every_database
def test_a_name_is_given_once() -> None:
    cameras.create_camera(DOOR)
    key = cameras.create_camera(replace(DOOR, name="Gate"))
    with pytest.raises(InvalidInput, match="taken") as caught:
        cameras.create_camera(DOOR)
    assert caught.value.field == "name"
    with pytest.raises(InvalidInput, match="taken"):
        cameras.update_camera(key, DOOR)
    cameras.create_processor(key, "traffic", LINE)
    with pytest.raises(InvalidInput, match="taken") as caught:
        cameras.create_processor(key, "persons", replace(ZONE, name="Line"))
    assert caught.value.field == "name"


@every_database
def test_an_address_shown_without_its_password_keeps_it_when_it_comes_back_unchanged() -> None:
    key = cameras.create_camera(DOOR)
    camera = stored(Camera, key)
    secret = "file://user:secret@localhost/clips/door.mp4?token=abc"
    camera.stream_url = secret
    db.session.commit()
    shown = "file://***@localhost/clips/door.mp4?token=***"
    with pytest.raises(InvalidInput) as caught:
        cameras.update_camera(key, replace(DOOR, stream_url=shown.replace("door", "gate")))
    assert caught.value.field == "stream_url" and "password" in caught.value.message
    assert cameras.address_meant(f" {shown} ", secret) == secret
    assert cameras.address_meant("/clips/new.mp4", secret) == "/clips/new.mp4"
    assert cameras.address_meant("/clips/***.mp4", "/clips/a.mp4") == "/clips/***.mp4"


@every_database
def test_a_change_over_somebody_elses_change_is_refused() -> None:
    key = cameras.create_camera(DOOR)
    processor = cameras.create_processor(key, "traffic", LINE)
    seen = cameras.fingerprint(stored(Camera, key))
    seen_processor = cameras.fingerprint(stored(Processor, processor))
    cameras.update_camera(key, replace(DOOR, watch_fps=7), seen)
    cameras.update_processor(processor, replace(LINE, confidence=0.7), seen_processor)
    with pytest.raises(InvalidInput, match="somebody else"):
        cameras.update_camera(key, replace(DOOR, name="Gate"), seen)
    with pytest.raises(InvalidInput, match="somebody else"):
        cameras.update_processor(processor, LINE, seen_processor)
    assert stored(Camera, key).name == "Door"


@every_database
def test_a_changed_processor_does_not_stand_in_the_way_of_a_change_of_its_camera() -> None:
    key = cameras.create_camera(DOOR)
    seen = cameras.fingerprint(stored(Camera, key))
    cameras.create_processor(key, "traffic", LINE)
    cameras.update_camera(key, replace(DOOR, watch_fps=7), seen)
    assert stored(Camera, key).watch_fps == 7


@pytest.mark.parametrize(
    "kind, change, field",
    [
        ("traffic", {"name": " "}, "name"),
        ("nonsense", {}, "kind"),
        ("", {}, "kind"),
        ("traffic", {"zones": [[[0, 0], [1, 1], [1, 0], [0, 1]]]}, "zones"),
        ("traffic", {"zones": {"a": 1}}, "zones"),
        ("traffic", {"lines": [[[0, 0], [2, 0]]]}, "lines"),
        ("traffic", {"confidence": 1.5}, "confidence"),
        ("traffic", {"confidence": float("nan")}, "confidence"),
        ("traffic", {"options": {"colour": "red"}}, "options"),
        ("traffic", {"options": []}, "options"),
        ("persons", {}, "lines"),
    ],
)
def test_a_processor_that_cannot_be_is_refused_by_its_field(
    kind: str, change: dict[str, Any], field: str
) -> None:
    key = cameras.create_camera(DOOR)
    with pytest.raises(InvalidInput) as caught:
        cameras.create_processor(key, kind, replace(LINE, **change))
    assert caught.value.field == field
    assert stored(Camera, key).revision == 1


@every_database
def test_a_processor_of_no_camera_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        cameras.create_processor(99, "traffic", LINE)
    assert caught.value.field == "camera"


@every_database
def test_a_deleted_camera_takes_everything_with_it_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "_BATCH", 3)
    kept, gone = cameras.create_camera(DOOR), cameras.create_camera(replace(DOOR, name="Gate"))
    for key in (kept, gone):
        processor = stored(Processor, cameras.create_processor(key, "traffic", LINE))
        observation(processor, at(0), at(9))
        for second in range(6):
            event(processor, at(second), passes=1)
        lease(stored(Camera, key), 10)
    cameras.delete_camera(gone)
    db.session.rollback()
    assert [camera.id for camera in db.session.query(Camera)] == [kept]
    assert db.session.query(Processor).count() == 1
    assert db.session.query(ProcessorEvent).count() == 6
    assert db.session.query(Observation).count() == 1
    assert db.session.query(Lease).count() == 1


@every_database
def test_a_deleted_processor_takes_its_events_with_it() -> None:
    key = cameras.create_camera(DOOR)
    kept = stored(Processor, cameras.create_processor(key, "traffic", LINE))
    gone = stored(Processor, cameras.create_processor(key, "persons", ZONE))
    for processor in (kept, gone):
        event(processor, at(0))
    cameras.delete_processor(gone.id)
    assert stored(Processor, gone.id) is None
    assert [row.processor_id for row in db.session.query(ProcessorEvent)] == [kept.id]


@every_database
def test_what_is_gone_is_not_found() -> None:
    for call in (
        lambda: cameras.update_camera(99, DOOR),
        lambda: cameras.delete_camera(99),
        lambda: cameras.update_processor(99, LINE),
        lambda: cameras.delete_processor(99),
    ):
        with pytest.raises(NotFound, match="99"):
            call()

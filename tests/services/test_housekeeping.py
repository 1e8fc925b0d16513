"""What is swept away, and what stays."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from server.config import load_settings
from server.domain.video import datetime_to_us
from server.extensions import db
from server.models import CameraState
from server.services.crops import crop_path, day_of, read_crop
from server.services.housekeeping import STATES_AT_LEAST, forget_states, sweep_crops
from tests.databases import every_database
from tests.factories import NOON, camera, event, processor

pytestmark = pytest.mark.usefixtures("session")
NOON_US = datetime_to_us(NOON)


def _put(directory: Path, camera_id: int, ts: datetime, key: str = "k") -> Path:
    settings = load_settings(directory, {"SECRET_KEY": "0123456789abcdef"})
    path = crop_path(settings, camera_id, ts, 1, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"jpeg")
    return path


def _sweep(directory: Path, days: int, max_bytes: int = 10**9) -> int:
    db.session.rollback()
    return sweep_crops(db.engine, directory / "crops", days, max_bytes, NOON_US)


def test_pictures_of_events_are_kept_for_their_days(app: Flask, tmp_path: Path) -> None:
    id_ = camera().id
    kept = [_put(tmp_path, id_, NOON - timedelta(days=days)) for days in (0, 1, 3)]
    old = [_put(tmp_path, id_, NOON - timedelta(days=days)) for days in (4, 400)]
    strange = tmp_path / "crops" / str(id_) / "notes"
    strange.mkdir()
    (tmp_path / "crops" / "readme").write_text("mine")
    assert _sweep(tmp_path, 3) == 2
    assert all(path.exists() for path in [*kept, strange, tmp_path / "crops" / "readme"])
    assert not any(path.parent.exists() for path in old)
    assert _sweep(tmp_path, 0) == 3
    assert not any(path.exists() for path in kept)


def test_pictures_of_deleted_cameras_go(app: Flask, tmp_path: Path) -> None:
    kept, gone = _put(tmp_path, camera().id, NOON), _put(tmp_path, 4711, NOON)
    assert _sweep(tmp_path, 30) == 1
    assert kept.exists() and not gone.exists()
    assert sweep_crops(db.engine, tmp_path / "nothing", 30, 10**9, NOON_US) == 0


def test_the_oldest_pictures_make_room(app: Flask, tmp_path: Path) -> None:
    """Four bytes each: two cameras, three days, and today two pictures of each."""
    ids = camera().id, camera().id
    before = [_put(tmp_path, id_, NOON - timedelta(days=days)) for days in (2, 1) for id_ in ids]
    today = [_put(tmp_path, id_, NOON, key) for key in ("a", "b") for id_ in ids]
    for age, path in enumerate(reversed(today)):
        os.utime(path, (NOON.timestamp() - age, NOON.timestamp() - age))
    _sweep(tmp_path, 30, max_bytes=32)
    assert all(path.exists() for path in [*before, *today])
    _sweep(tmp_path, 30, max_bytes=31)
    assert [path.exists() for path in before] == [False, False, True, True]
    _sweep(tmp_path, 30, max_bytes=12)
    assert not any(path.parent.exists() for path in before)
    assert [path.exists() for path in today] == [False, True, True, True]


def test_days_are_told_by_their_names() -> None:
    assert day_of(Path("20260327")) == NOON.date()
    assert day_of(Path("20261301")) is day_of(Path("notes")) is None


def test_an_events_picture_is_read(app: Flask) -> None:
    rule = processor()
    with_picture = event(rule, NOON, key="one", crop_node="here")
    without = event(rule, NOON, key="two")
    lost = event(rule, NOON, key="three", crop_node="elsewhere")
    settings = app.extensions["hypersight"]
    for row in (with_picture, without):
        path = crop_path(settings, rule.camera_id, row.ts, rule.id, row.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"jpeg of " + row.key.encode())
    assert read_crop(with_picture) == b"jpeg of one"
    assert read_crop(without) is None
    assert read_crop(lost) is None


def _states(camera_id: int, count: int, age: timedelta) -> None:
    db.session.add_all(
        CameraState(camera_id=camera_id, ts=NOON - age - timedelta(seconds=n), state="watching", reason="")
        for n in range(count)
    )
    db.session.commit()


@every_database
def test_states_are_kept_for_thirty_days_and_the_newest_however_old(app: Flask) -> None:
    few, many, busy = (camera().id for _ in range(3))
    _states(few, 50, timedelta(days=300))
    _states(many, STATES_AT_LEAST - 10, timedelta(days=5))
    _states(many, 1200, timedelta(days=40))
    _states(busy, STATES_AT_LEAST + 300, timedelta(days=2))
    assert forget_states(db.engine, NOON_US) == 1190
    left = {id_: db.session.query(CameraState).filter_by(camera_id=id_).count() for id_ in (few, many, busy)}
    assert left == {few: 50, many: STATES_AT_LEAST, busy: STATES_AT_LEAST + 300}
    assert forget_states(db.engine, NOON_US) == 0

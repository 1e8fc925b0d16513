"""A camera's last picture: live from Redis, else what was kept, masked as it is to be masked now."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import redis as redis_client
from flask import Flask
from sqlalchemy import Engine

from server.clock import SystemClock
from server.domain.video import Picture, datetime_to_us
from server.extensions import db
from server.models import CameraShot
from server.services.live import SHOT_SECONDS, LiveBoard, Shot
from server.services.shots import LIVE_SECONDS, latest_shot, store_shot
from tests.conftest import AppMaker
from tests.databases import every_database
from tests.factories import NOON, at, camera
from tests.private_redis import PrivateRedis

NOON_US = datetime_to_us(NOON)
LEFT_HALF = [[[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]]


@pytest.fixture(scope="module")
def redis() -> Iterator[PrivateRedis]:
    with PrivateRedis() as made:
        yield made


@pytest.fixture
def app(make_app: AppMaker, redis: PrivateRedis) -> Iterator[Flask]:
    redis_client.Redis.from_url(redis.url).flushall()
    made = make_app(REDIS_URL=redis.url)
    with made.app_context():
        yield made


def _shot(ts_us: int = NOON_US, value: int = 200) -> Shot:
    picture = np.full((60, 80, 3), value, np.uint8)
    _, data = cv2.imencode(".jpg", picture)
    return Shot(ts_us, 80, 60, data.tobytes())


def _picture(shot: Shot) -> Picture:
    decoded = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded, np.uint8)


def _post(redis: PrivateRedis, camera_id: int, shot: Shot, age: float = 0) -> None:
    board = LiveBoard(redis.url, SystemClock())
    board.post_shot(camera_id, shot)
    board.post()
    if age:
        client = redis_client.Redis.from_url(redis.url)
        client.pexpire(f"hypersight:shot:{camera_id}", int((SHOT_SECONDS - age) * 1000))


def _engine() -> Engine:
    db.session.rollback()
    return db.engine


def test_a_camera_that_was_never_seen_has_none(app: Flask) -> None:
    assert latest_shot(camera().id) is None
    assert latest_shot(4711) is None


def test_a_watched_cameras_is_live(app: Flask, redis: PrivateRedis) -> None:
    id_ = camera().id
    store_shot(_engine(), id_, _shot(NOON_US - 5))
    _post(redis, id_, _shot())
    assert latest_shot(id_) == (_shot(), True)


def test_the_newer_of_what_was_kept_is_taken(app: Flask, redis: PrivateRedis) -> None:
    id_ = camera().id
    store_shot(_engine(), id_, _shot())
    assert latest_shot(id_) == (_shot(), False)
    _post(redis, id_, _shot(NOON_US - 9), age=LIVE_SECONDS + 1)
    assert latest_shot(id_) == (_shot(), False)
    _post(redis, id_, _shot(NOON_US + 9), age=LIVE_SECONDS + 1)
    assert latest_shot(id_) == (_shot(NOON_US + 9), False)


def test_without_redis_what_was_kept_is_shown(make_app: AppMaker, tmp_path: object) -> None:
    with make_app(REDIS_URL=f"unix://{tmp_path}/nobody.sock").app_context():
        id_ = camera().id
        store_shot(_engine(), id_, _shot())
        assert latest_shot(id_) == (_shot(), False)


@pytest.mark.parametrize("kept_in", ["redis", "database"])
def test_a_mask_of_today_hides_what_was_seen_before_it(app: Flask, redis: PrivateRedis, kept_in: str) -> None:
    id_ = camera(masks=LEFT_HALF).id
    if kept_in == "redis":
        _post(redis, id_, _shot(), age=LIVE_SECONDS + 1)
    else:
        store_shot(_engine(), id_, _shot())
    found = latest_shot(id_)
    assert found is not None
    shot, live = found
    assert not live and (shot.width, shot.height, shot.ts_us) == (80, 60, NOON_US)
    picture = _picture(shot)
    assert picture[:, :36].max() < 12
    assert picture[:, 46:].min() > 180


def test_masks_that_cannot_be_read_hide_everything(app: Flask) -> None:
    id_ = camera(masks=[[[0, 0]]]).id
    store_shot(_engine(), id_, _shot())
    found = latest_shot(id_)
    assert found is not None and _picture(found[0]).max() < 12


@every_database
def test_one_row_a_camera_and_none_for_one_that_is_gone(app: Flask) -> None:
    id_ = camera().id
    for second in (1, 2):
        store_shot(_engine(), id_, Shot(NOON_US + second * 1_000_000, 8, 6, bytes(100_000)))
    store_shot(_engine(), 4711, _shot())
    (row,) = db.session.query(CameraShot).all()
    assert (row.camera_id, row.ts, row.width, row.height) == (id_, at(2), 8, 6)
    assert len(row.jpeg) == 100_000

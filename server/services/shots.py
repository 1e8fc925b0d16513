"""A camera's last picture: from Redis while it is watched, from the database otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from flask import current_app
from sqlalchemy import insert, update
from sqlalchemy.engine import CursorResult, Engine
from sqlalchemy.exc import IntegrityError

from server.domain.geometry import Polygon
from server.domain.masks import EVERYTHING, black_out, parse_masks
from server.domain.video import datetime_to_us, us_to_datetime
from server.extensions import db
from server.models import Camera, CameraShot
from server.services.live import LiveReader, Shot
from server.services.transactions import translated, writing

LIVE_SECONDS = 15.0
"""A picture that was posted this recently shows what is there now."""


def latest_shot(camera_id: int) -> tuple[Shot, bool] | None:
    """A camera's last picture, and whether it is live; None where there is none, or no such camera.

    One that is not live is masked by the masks of today, whatever they were when it was taken. Needs an
    application context. Raises StorageError.
    """
    found = LiveReader.of(current_app).shot_and_age(camera_id)
    if found is not None and found[1] < LIVE_SECONDS:
        return found[0], True
    with translated():
        camera = db.session.get(Camera, camera_id)
        row = db.session.get(CameraShot, camera_id)
        if camera is None or (row is None and found is None):
            return None
        masks = _masks_of(camera)
        if found is not None and (row is None or found[0].ts_us >= datetime_to_us(row.ts)):
            shot = found[0]
        else:
            assert row is not None
            shot = Shot(datetime_to_us(row.ts), row.width, row.height, row.jpeg)
    return (_masked(shot, masks) if masks else shot), False


def store_shot(engine: Engine, camera_id: int, shot: Shot) -> None:
    """Keep a picture for when nobody watches the camera; one that has been deleted has no use for it.

    Raises StorageError.
    """
    values = {
        "ts": us_to_datetime(shot.ts_us),
        "width": shot.width,
        "height": shot.height,
        "jpeg": shot.jpeg,
    }
    try:
        with writing(engine) as session:
            done = session.execute(
                update(CameraShot).where(CameraShot.camera_id == camera_id).values(**values)
            )
            assert isinstance(done, CursorResult)
            if done.rowcount == 0:
                session.execute(insert(CameraShot).values(camera_id=camera_id, **values))
    except IntegrityError:
        # The camera is gone, or another host has just made the row: its picture is as good.
        return


def _masks_of(camera: Camera) -> Sequence[Polygon]:
    try:
        return parse_masks(camera.masks)
    except ValueError:
        # As the watcher does it: what they were to hide is nobody's to see.
        return (EVERYTHING,)


def _masked(shot: Shot, masks: Sequence[Polygon]) -> Shot:
    picture = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return shot
    _, data = cv2.imencode(
        ".jpg", black_out(np.asarray(picture, np.uint8), masks), [cv2.IMWRITE_JPEG_QUALITY, 80]
    )
    return replace(shot, jpeg=data.tobytes())

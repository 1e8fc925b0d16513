"""An installation that looks lived in: cameras in every state, counts of two days, people, tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import cv2
import numpy as np
from flask import Flask

from server.config import Settings
from server.domain.video import Picture
from server.extensions import db
from server.models import (
    AuditEntry,
    Camera,
    CameraShot,
    CameraState,
    Processor,
    ProcessorEvent,
    User,
    UserCamera,
)
from server.services.accounts import create_user
from server.services.crops import crop_path
from server.services.tokens import create_token, revoke_token
from tests.factories import camera, lease, observation, processor, save
from tests.web.browser import PASSWORD

DOOR = {"name": "Door", "points": [[0.15, 0.75], [0.85, 0.75]]}
TILL = {"name": "Till", "points": [[0.1, 0.3], [0.6, 0.25], [0.65, 0.95], [0.1, 0.95]]}


@dataclass(frozen=True, slots=True)
class Ids:
    """Rows to visit: one of each, by the endpoint of its pages."""

    camera: int
    processor: int
    event: int
    user: int
    audit: int
    room: int
    """The processor that counts who is there; `processor` counts who passes."""


def hall(number: int = 0) -> Picture:
    """A drawn room with somebody in it, BGR, 360 x 640: enough to see that it is a picture."""
    picture = np.full((360, 640, 3), (150, 165, 175), np.uint8)
    cv2.rectangle(picture, (0, 250), (640, 360), (110, 120, 128), -1)
    cv2.rectangle(picture, (430, 60), (530, 260), (90, 110, 135), -1)
    x = 80 + 47 * (number % 8)
    cv2.rectangle(picture, (x - 22, 150), (x + 22, 290), (120, 70, 40), -1)
    cv2.circle(picture, (x, 125), 24, (140, 170, 215), -1)
    return picture


def furnish(app: Flask, pictures: Sequence[Picture] = ()) -> Ids:
    """Fill an empty database. `pictures`: what cameras have seen, instead of drawn rooms."""
    seen = pictures or [hall(number) for number in range(8)]
    settings: Settings = app.extensions["hypersight"]
    now = datetime.now(timezone.utc).replace(microsecond=0)
    with app.app_context():
        entrance, _ = _cameras(seen, now)
        door = processor("traffic", entrance, name="Front door", lines=[DOOR])
        room = processor("persons", entrance, name="At the till", zones=[TILL])
        _days(door, room, now)
        events = db.session.query(ProcessorEvent).order_by(ProcessorEvent.ts.desc()).limit(60).all()
        for number, one in enumerate(events):
            _crop(settings, one, seen[number % len(seen)])
        newest = max(one.id for one in events if one.processor_id == door.id)
        db.session.commit()
        user = _people(entrance)
        audit = _log(entrance, user, now)
        return Ids(entrance.id, door.id, newest, user, audit, room.id)


def _cameras(seen: Sequence[Picture], now: datetime) -> tuple[Camera, Camera]:
    since = now - timedelta(hours=3)
    entrance = camera(name="Entrance", stream_url="rtsp://cam:hidden@192.168.1.20/stream1")
    entrance.masks = [[[0, 0], [0.2, 0], [0.2, 0.1], [0, 0.1]]]
    lease(entrance, 3600, since=since, node="shop-1")
    park = camera(name="Car park", stream_url="rtsp://192.168.1.21/stream1", watch_fps=2.0)
    why = "The camera refuses the connection; the next attempt is in 30 s."
    lease(park, 3600, "unreachable", reason=why, since=now - timedelta(minutes=12), node="shop-1")
    camera(name="Storage", stream_url="/dev/video0", enabled=False)
    store = camera(
        name="Warehouse, gate 3 beside the loading ramp", stream_url="http://192.168.1.22/hls.m3u8"
    )
    lease(store, 3600, "starting", since=now, node="shop-2")
    processor("traffic", park, name="Cars", zones=[[[0, 0], [1, 0], [1, 1], [0, 1]]], enabled=False)
    for number, one in enumerate((entrance, park)):
        picture = seen[(3 + number) % len(seen)]
        high, wide = picture.shape[:2]
        save(CameraShot(camera_id=one.id, ts=now, width=wide, height=high, jpeg=_jpeg(picture)))
    for minutes, state, reason in (
        (600, "starting", ""),
        (599, "watching", ""),
        (190, "unreachable", "The camera has sent nothing for 10 s."),
        (180, "watching", ""),
    ):
        ts = now - timedelta(minutes=minutes)
        save(CameraState(camera_id=entrance.id, ts=ts, state=state, reason=reason, node="shop-1"))
    return entrance, park


def _days(door: Processor, room: Processor, now: datetime) -> None:
    """Two days of counts, with a gap in each."""
    start = now - timedelta(hours=48)
    for since, until in ((0, 30), (32, 44.8), (45, 48)):
        for one in (None, door, room):
            values = {"ended": None} if until == 48 else {}
            begun, ended = start + timedelta(hours=since), start + timedelta(hours=until)
            row = observation(door, begun, ended, **values)
            row.processor_id = one.id if one else None
    rows = []
    for number in range(600):
        ts = now - timedelta(minutes=4.8 * number, seconds=20)
        # Days have their rhythm: nobody at night, most in the early afternoon.
        if number % 11 > 10 * math.sin(math.pi * ts.hour / 24) ** 4 and number > 12:
            continue
        way = "in" if number % 7 in (0, 1, 3, 5) else "out"
        values = {"direction": way, "passes": 1, "track": 900 - number, "zone": "Door", "crop_node": "shop-1"}
        score = 0.55 + number % 40 / 100
        rows.append(ProcessorEvent(processor_id=door.id, ts=ts, key=f"door {number}", score=score, **values))
        values = {"count": number * 7 % 5, "crop_node": ("shop-1", None, "shop-2")[number % 3]}
        rows.append(
            ProcessorEvent(
                processor_id=room.id, ts=ts - timedelta(minutes=1), key=f"room {number}", passes=0, **values
            )
        )
    db.session.add_all(rows)
    db.session.commit()


def _crop(settings: Settings, one: ProcessorEvent, picture: Picture) -> None:
    if one.crop_node != settings.NODE_NAME:
        return
    path = crop_path(settings, one.processor.camera_id, one.ts, one.processor_id, one.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    wide = picture.shape[1]
    path.write_bytes(_jpeg(picture[:, wide // 3 : wide * 2 // 3]))


def _people(entrance: Camera) -> int:
    """bea, who may do everything, and two who may not."""
    bea = create_user("bea", PASSWORD)
    viewer = create_user("vic", PASSWORD, "viewer")
    create_user("olga", PASSWORD, "operator")
    db.session.get_one(User, viewer).all_cameras = False
    save(UserCamera(user_id=viewer, camera_id=entrance.id))
    create_token("office display", bea)
    create_token("old till", bea)
    revoke_token("old till")
    return bea


def _log(entrance: Camera, user: int, now: datetime) -> int:
    """What people did, for the audit log; gives its last entry."""
    last = 0
    of_camera = {"kind": "camera", "object_id": entrance.id, "name": "Entrance"}
    for minutes, values in (
        (50, {"action": "signed in", "kind": "session", "name": "bea"}),
        (45, {"action": "created", "after": {"name": "Entrance", "watch_fps": 5.0}, **of_camera}),
        (30, {"action": "changed", "before": {"watch_fps": 5.0}, "after": {"watch_fps": 8.0}, **of_camera}),
    ):
        who = {"user_id": user, "who": "bea", "address": "192.168.1.77"}
        last = save(AuditEntry(ts=now - timedelta(minutes=minutes), **who, **values)).id
    return last


def _jpeg(picture: Picture) -> bytes:
    _, encoded = cv2.imencode(".jpg", picture)
    return encoded.tobytes()

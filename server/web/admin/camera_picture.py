"""What there is to draw on: a camera's last picture, and how old it is in words."""

from __future__ import annotations

from datetime import datetime, timezone

from flask import current_app, url_for
from sqlalchemy import select

from server.domain.video import us_to_datetime
from server.extensions import db
from server.models import CameraShot
from server.services.live import LiveReader
from server.services.status import camera_statuses
from server.web.admin.page import local_time

FRESH_SECONDS = 15
"""A picture that was posted less than this ago shows what is there now."""


def camera_picture(camera_id: int) -> dict[str, str | None]:
    """`shot`: address of the picture, or None where there is none; `note`: what is to be said of it."""
    found = LiveReader.of(current_app).shot_and_age(camera_id)
    if found is not None and found[1] < FRESH_SECONDS:
        return {"shot": _address(camera_id), "note": ""}
    taken = us_to_datetime(found[0].ts_us) if found is not None else _stored(camera_id)
    status = camera_statuses().get(camera_id)
    reason = _why(status.state, status.reason) if status is not None else ""
    if taken is None:
        return {
            "shot": None,
            "note": f"There is no picture of this camera yet. {reason} Draw on the grid, which is the whole "
            "picture, or come back once the camera is watched.",
        }
    return {"shot": _address(camera_id), "note": f"Last seen {_when(taken)}. {reason}".strip()}


def _stored(camera_id: int) -> datetime | None:
    return db.session.scalar(select(CameraShot.ts).where(CameraShot.camera_id == camera_id))


def _address(camera_id: int) -> str:
    return url_for("camera.shot", key=camera_id)


def _why(state: str, reason: str) -> str:
    words = reason or f"The camera is {state}."
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _when(moment: datetime) -> str:
    """The time of day, with the date where that is not today's."""
    day, _, time = local_time(moment, "minutes").partition(" ")
    return time if day == local_time(datetime.now(timezone.utc), "minutes").split(" ")[0] else f"{day} {time}"

"""What is left to do on a fresh installation, and what stands in its way."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app
from sqlalchemy import func, select

from server.config import Settings
from server.errors import ModelError
from server.extensions import db
from server.models import ApiToken, ProcessorEvent, User
from server.services.dashboard import Dashboard
from server.services.fleet import worker_standings
from server.services.live import LiveReader
from server.services.transactions import translated
from server.vision import weights


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What has been done so far. `camera_id`: of the first camera, `processor_id`: of the first processor,
    where there is one: where the next step leads."""

    camera: bool
    picture: bool
    processor: bool
    number: bool
    people: bool
    camera_id: int | None
    processor_id: int | None

    @property
    def mark(self) -> str:
        """Stands for what is done, so that a page notices when that changes."""
        done = (self.camera, self.picture, self.processor, self.number, self.people)
        return "".join("1" if one else "0" for one in done)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something without which nothing is counted, and what to do about it."""

    problem: str
    remedy: str


def first_steps(shown: Dashboard) -> FirstSteps | None:
    """How far somebody has come with the cameras that they see; None once one of those has counted
    something, whenever that was. Raises StorageError."""
    rules = sorted(one.rule.id for glance in shown.glances for one in glance.counted)
    with translated():
        counted = select(ProcessorEvent.id).where(ProcessorEvent.processor_id.in_(rules)).limit(1)
        if rules and db.session.scalar(counted) is not None:
            return None
        accounts = db.session.scalar(select(func.count()).select_from(User)) or 0
        tokens = db.session.scalar(select(ApiToken.id).limit(1))
    ids = sorted(glance.status.id for glance in shown.glances)
    return FirstSteps(
        camera=bool(ids),
        picture=any(glance.shot_us is not None for glance in shown.glances),
        processor=bool(rules),
        number=any(glance.people is not None for glance in shown.glances),
        people=accounts > 1 or tokens is not None,
        camera_id=ids[0] if ids else None,
        processor_id=rules[0] if rules else None,
    )


def obstacles() -> list[Obstacle]:
    """What keeps cameras from being watched at all. Raises StorageError."""
    settings: Settings = current_app.extensions["hypersight"]
    found = []
    with translated():
        workers = worker_standings(db.session(), settings.LEASE_SECONDS)
    if not any(worker.open for worker in workers):
        found.append(
            Obstacle(
                "No worker is running: no camera is watched.",
                "./start runs one along with these pages; where systemd runs the system, it is "
                "systemctl start hypersight.target.",
            )
        )
    if LiveReader.of(current_app).away:
        found.append(
            Obstacle(
                "Redis does not answer: no watcher can be started, and nothing here is live.",
                "./start runs one by itself; otherwise see that the server at REDIS_URL runs.",
            )
        )
    lacking = _weights_lacking(settings)
    if lacking:
        found.append(
            Obstacle("The detector's weights are missing: nobody can be found in a picture.", lacking)
        )
    return found


def _weights_lacking(settings: Settings) -> str:
    """What to do to have the detector's file here; empty where it is, or another server detects."""
    if settings.OBJECT_DETECTOR_URL or settings.DETECTOR_MODEL:
        return ""
    try:
        weights.path_of(weights.YOLOX_NANO, settings.WEIGHTS_DIR)
    except ModelError as error:
        return f"{error}."
    return ""

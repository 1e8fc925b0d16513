"""Clearing away what nobody owns any more."""

from __future__ import annotations

import logging
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.engine import CursorResult, Engine
from sqlalchemy.orm import Session

from server.domain.video import us_to_datetime
from server.models import Camera, CameraState, Worker
from server.models.base import db_now_ms
from server.services.crop_budget import make_room
from server.services.crops import day_of
from server.services.transactions import translated, writing

log = logging.getLogger(__name__)

_UNTOUCHED_S = 3600
"""A directory is left alone while something in it is younger than this many seconds."""
STATES_KEPT = timedelta(days=30)
STATES_AT_LEAST = 200
"""A camera's states are kept for this long, and so many of them however old they are."""
_BATCH = 500
"""Rows deleted in one transaction: others are to come in between."""
_SILENT_MS = 86_400_000
"""A worker's row is kept for a day after its last report, so that it can be seen that it is gone."""


def sweep_segments(engine: Engine, directory: Path) -> int:
    """Delete the segments of cameras that no longer exist; gives how many cameras' there were."""
    if not directory.is_dir():
        return 0
    with translated(), Session(engine) as session:
        known = {str(id_) for id_ in session.scalars(select(Camera.id))}
    gone = [path for path in directory.iterdir() if path.name.isdigit() and path.name not in known]
    for path in gone:
        newest = max((entry.stat().st_mtime for entry in path.iterdir()), default=0.0)
        if time.time() - newest > _UNTOUCHED_S:
            shutil.rmtree(path, ignore_errors=True)
            log.info("segments of deleted camera %s are gone", path.name)
    return len(gone)


def forget_workers(engine: Engine) -> int:
    """Delete the rows of workers that have not been heard from for a day; gives how many."""
    with writing(engine) as session:
        done = session.execute(delete(Worker).where(Worker.beat_ms < db_now_ms() - _SILENT_MS))
    assert isinstance(done, CursorResult)
    return done.rowcount


def sweep_crops(engine: Engine, directory: Path, keep_days: int, max_bytes: int, now_us: int) -> int:
    """Delete the pictures of events whose days are over, and those of cameras that no longer exist.

    keep_days: 0 keeps none. max_bytes: where the rest takes more, the oldest go too. Gives how many days'
    and cameras' directories are gone, without those. Raises StorageError.
    """
    if not directory.is_dir():
        return 0
    with translated(), Session(engine) as session:
        known = {str(id_) for id_ in session.scalars(select(Camera.id))}
    today = us_to_datetime(now_us).date()
    gone = []
    for camera in directory.iterdir():
        if not camera.name.isdigit() or not camera.is_dir():
            continue
        if camera.name not in known:
            gone.append(camera)
            continue
        for path in camera.iterdir():
            day = day_of(path)
            if day is not None and (keep_days == 0 or (today - day).days > keep_days):
                gone.append(path)
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    if gone:
        log.info("pictures of events: %d directories whose time is over are gone", len(gone))
    make_room(directory, max_bytes)
    return len(gone)


def forget_states(engine: Engine, now_us: int) -> int:
    """Delete states older than 30 days, but for the newest 200 of each camera; gives how many."""
    with translated(), Session(engine) as session:
        cameras = session.scalars(select(CameraState.camera_id).distinct()).all()
    return sum(_forget_states_of(engine, id_, us_to_datetime(now_us) - STATES_KEPT) for id_ in cameras)


def _forget_states_of(engine: Engine, camera_id: int, until: datetime) -> int:
    mine = CameraState.camera_id == camera_id
    with translated(), Session(engine) as session:
        newest_first = select(CameraState.ts).where(mine).order_by(CameraState.ts.desc())
        kept_from = session.scalar(newest_first.offset(STATES_AT_LEAST - 1).limit(1))
    if kept_from is None:
        return 0
    old = select(CameraState.id).where(mine, CameraState.ts < min(until, kept_from)).limit(_BATCH)
    done = 0
    while True:
        with writing(engine) as session:
            ids = session.scalars(old).all()
            if ids:
                session.execute(delete(CameraState).where(CameraState.id.in_(ids)))
        done += len(ids)
        if len(ids) < _BATCH:
            return done

"""Clearing away what nobody owns any more."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.engine import CursorResult, Engine
from sqlalchemy.orm import Session

from server.models import Camera, Worker
from server.models.base import db_now_ms
from server.services.transactions import translated, writing

log = logging.getLogger(__name__)

_UNTOUCHED_S = 3600
"""A directory is left alone while something in it is younger than this many seconds."""
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

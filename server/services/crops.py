"""Pictures of events: where they lie, and reading them. Watchers write them, docs/adr/0009."""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timezone
from pathlib import Path

from flask import current_app

from server.config import Settings
from server.models import ProcessorEvent


def crop_path(settings: Settings, camera_id: int, ts: datetime, processor_id: int, key: str) -> Path:
    """Where the picture of an event lies on the host that keeps it.

    The same whenever the same event is found again, so that a repeated part writes the same file.
    """
    name = f"{processor_id}-{hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()[:16]}.jpg"
    day = ts.astimezone(timezone.utc).strftime("%Y%m%d")
    return settings.CROPS_DIR / str(camera_id) / day / name


def day_of(directory: Path) -> date | None:
    """The day whose pictures lie in a directory; None where it is none of ours."""
    try:
        return datetime.strptime(directory.name, "%Y%m%d").replace(tzinfo=timezone.utc).date()
    except ValueError:
        return None


def read_crop(event: ProcessorEvent) -> bytes | None:
    """The JPEG of an event from this host's disk; None where there is none, or not here.

    Needs an application context.
    """
    if not event.crop_node:
        return None
    settings: Settings = current_app.extensions["hypersight"]
    path = crop_path(settings, event.processor.camera_id, event.ts, event.processor_id, event.key)
    try:
        return path.read_bytes()
    except OSError:
        return None

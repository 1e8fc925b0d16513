"""How much of a host's disk the pictures of events may take: the oldest make room."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from server.services.crops import day_of

log = logging.getLogger(__name__)


def make_room(directory: Path, max_bytes: int) -> int:
    """Delete the oldest pictures below CROPS_DIR until the rest takes no more than `max_bytes`.

    Whole days of all cameras go first; of the newest day its oldest pictures. Gives the bytes that are gone.
    """
    days: dict[date, list[Path]] = {}
    for day, path in _days(directory):
        days.setdefault(day, []).append(path)
    sizes = {day: sum(_size(file) for path in paths for file in _files(path)) for day, paths in days.items()}
    over = sum(sizes.values()) - max_bytes
    gone = 0
    for day in sorted(days):
        if gone >= over:
            break
        if gone + sizes[day] <= over or day != max(days):
            for path in days[day]:
                shutil.rmtree(path, ignore_errors=True)
            gone += sizes[day]
        else:
            gone += _thin(days[day], over - gone)
    if gone > 0:
        log.warning("pictures of events take more than CROPS_MAX_BYTES: the oldest %d bytes are gone", gone)
    return gone


def _thin(paths: list[Path], over: int) -> int:
    """Delete the oldest files until `over` bytes are gone."""
    gone = 0
    for file in sorted((file for path in paths for file in _files(path)), key=_written):
        if gone >= over:
            break
        size = _size(file)
        try:
            Path(file.path).unlink()
        except OSError:
            continue
        gone += size
    return gone


def _days(directory: Path) -> Iterator[tuple[date, Path]]:
    for camera in directory.iterdir() if directory.is_dir() else ():
        if camera.name.isdigit() and camera.is_dir():
            for path in camera.iterdir():
                day = day_of(path)
                if day is not None:
                    yield day, path


def _files(path: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            yield from found
    except OSError:
        return


def _size(file: os.DirEntry[str]) -> int:
    """Bytes; 0 for one that has just gone."""
    try:
        return file.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def _written(file: os.DirEntry[str]) -> float:
    try:
        return file.stat(follow_symlinks=False).st_mtime
    except OSError:
        return 0.0

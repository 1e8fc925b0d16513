"""Which detector a process uses. One of each, however many cameras there are."""

from __future__ import annotations

import threading
from pathlib import Path

from server.clock import SystemClock
from server.config import Settings
from server.vision import weights
from server.vision.detector import Detector, GridDetector
from server.vision.remote import RemoteDetector
from server.vision.yolox import YoloxDetector

_lock = threading.Lock()
_local: dict[Path, Detector] = {}
_remote: dict[str, Detector] = {}


def local_detector(settings: Settings) -> Detector:
    """The detector on this machine's CPU, loaded at the first call. Raises ModelError."""
    named = settings.DETECTOR_MODEL
    path = Path(named) if named else weights.path_of(weights.YOLOX_NANO, settings.WEIGHTS_DIR)
    with _lock:
        if path not in _local:
            _local[path] = YoloxDetector(path)
        return _local[path]


def detector_for(settings: Settings, grid: int = 1) -> Detector:
    """What cameras use: the server at OBJECT_DETECTOR_URL, else the local one. Raises ModelError.

    grid: n glues n x n frames into one picture.
    """
    url = settings.OBJECT_DETECTOR_URL
    if not url:
        detector = local_detector(settings)
    else:
        with _lock:
            if url not in _remote:
                _remote[url] = RemoteDetector(
                    url,
                    timeout=settings.OBJECT_DETECTOR_TIMEOUT,
                    token=settings.OBJECT_DETECTOR_TOKEN,
                    clock=SystemClock(),
                )
            detector = _remote[url]
    return detector if grid == 1 else GridDetector(detector, grid)

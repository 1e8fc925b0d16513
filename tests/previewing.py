"""Real previews for tests: an encoder fed with moving pictures in real time."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from server.clock import SystemClock
from server.log import CameraLogger
from server.media.preview_encoder import Encoding, PreviewEncoder
from tests.clips import scene

SMALL = Encoding(width=320, height=180, fps=15, kbps=300)


@contextlib.contextmanager
def showing(directory: Path, encoding: Encoding = SMALL) -> Iterator[PreviewEncoder]:
    """A preview in `directory` for as long as the block lasts."""
    log = CameraLogger(logging.getLogger("test"), 1)
    encoder = PreviewEncoder("", directory, encoding, SystemClock(), log)
    ended = threading.Event()

    def feed() -> None:
        number = 0
        while not ended.wait(1 / 30):
            place = encoder.place(time.time_ns() // 1000)
            if place is not None:
                picture = scene(number, encoding.width, encoding.height)
                encoder.offer(place, lambda picture=picture: picture)
                number += 1

    feeder = threading.Thread(target=feed, daemon=True)
    encoder.start()
    feeder.start()
    try:
        yield encoder
    finally:
        ended.set()
        feeder.join()
        encoder.close()

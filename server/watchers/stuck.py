"""Threads that a library does not give back: left to themselves and counted, so that somebody sees them.

A reading thread is given up by its watcher. A watcher's own thread that hangs in a decoder or a detector
cannot say so: it is counted once it has stored nothing for long, and its camera is somebody else's by then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SILENT_SECONDS = 60.0
"""A watcher that stores nothing for this long hangs: it renews its lease every second otherwise."""

_lock = threading.Lock()
_abandoned: list[threading.Thread] = []
_watchers: dict[int, float] = {}
"""When the watcher in a thread stored something last, by the thread's identifier."""


def abandon(thread: threading.Thread) -> None:
    """Wait for this thread no longer. It counts until it ends by itself."""
    with _lock:
        _forget_ended()
        _abandoned.append(thread)


@contextmanager
def watching() -> Iterator[None]:
    """Around a watcher: it counts while it hangs."""
    progress(begin=True)
    try:
        yield
    finally:
        with _lock:
            _watchers.pop(threading.get_ident(), None)


def progress(*, begin: bool = False) -> None:
    """The watcher in this thread has stored something."""
    with _lock:
        if begin or threading.get_ident() in _watchers:
            _watchers[threading.get_ident()] = time.monotonic()


def count() -> int:
    """How many abandoned threads and hanging watchers of this process there are."""
    with _lock:
        _forget_ended()
        silent = sum(time.monotonic() - at > SILENT_SECONDS for at in _watchers.values())
        return len(_abandoned) + silent


def _forget_ended() -> None:
    _abandoned[:] = [thread for thread in _abandoned if thread.is_alive()]

"""Threads that a library does not give back: left to themselves and counted, so that somebody sees them."""

from __future__ import annotations

import threading

_lock = threading.Lock()
_abandoned: list[threading.Thread] = []


def abandon(thread: threading.Thread) -> None:
    """Wait for this thread no longer. It counts until it ends by itself."""
    with _lock:
        _forget_ended()
        _abandoned.append(thread)


def count() -> int:
    """How many abandoned threads of this process are still alive."""
    with _lock:
        _forget_ended()
        return len(_abandoned)


def _forget_ended() -> None:
    _abandoned[:] = [thread for thread in _abandoned if thread.is_alive()]

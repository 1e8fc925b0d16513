"""Ends the children of a launcher that was killed, so that none of them outlives it.

A small process of its own. Each line of its standard input is the number of a process group that has
begun, or with a minus of one that has ended; its end means that the launcher is gone. It inherits the
instance's lock, so that nobody starts anew while children of the last run are still there.

Only the standard library, and run as a file: it stays small, and nothing of ours can make it fail.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

PATIENCE_SECONDS = 3.5
"""How long children may take to end by themselves."""
KILL_SECONDS = 0.7
"""How long the kernel may take to clear away what was killed, before nobody waits for it any more."""
_POLL_SECONDS = 0.05


def send(group: int, number: int) -> bool:
    """Send a signal (0: none) to a process group; whether there is one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end_all(groups: set[int], patience: float = PATIENCE_SECONDS) -> None:
    """Ask all groups to end, and kill those that have not after `patience` seconds."""
    for group in groups:
        send(group, signal.SIGTERM)
    for seconds in (patience, KILL_SECONDS):
        deadline = time.monotonic() + seconds
        while any(send(group, 0) for group in groups) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        for group in groups:
            send(group, signal.SIGKILL)


def watch() -> None:
    """Follow the launcher until it is gone, then end what it left."""
    # A Ctrl-C in the terminal is the launcher's to answer.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        with contextlib.suppress(ValueError):
            group = int(line)
            groups.add(group) if group > 0 else groups.discard(-group)
    end_all(groups)


if __name__ == "__main__":
    watch()

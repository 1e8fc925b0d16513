"""Ends every watcher and asks for new ones; what systemd runs once after a reboot."""

from __future__ import annotations

import threading
import time

import click

from server import create_app
from server.clock import SystemClock
from server.config import Settings
from server.extensions import db
from server.tasks import supervisor
from server.watchers.supervisor import restart, unwatched


def main() -> None:
    """Tell the watchers to end, wait until they have, and ask for new ones."""
    app = create_app()
    settings: Settings = app.extensions["hypersight"]
    with app.app_context():
        told = restart(db.engine)
        clock, stop = SystemClock(), threading.Event()
        deadline = time.monotonic() + settings.LEASE_SECONDS + 1
        while len(unwatched(db.engine)) < told and time.monotonic() < deadline:
            clock.wait(stop, 0.2)
        asked = supervisor().look()
    click.echo(f"{told} watchers were told to end; {len(asked)} cameras were asked for.")


if __name__ == "__main__":
    main()

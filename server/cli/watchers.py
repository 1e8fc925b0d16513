"""Watching: the reconciler's process."""

from __future__ import annotations

import signal
import threading

import click
from flask.cli import with_appcontext

from server.tasks import supervisor


@click.command("reconcile")
@with_appcontext
def reconcile() -> None:
    """Keep a watcher running for every enabled camera, until told to end."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    supervisor().run(stop)


COMMANDS = (reconcile,)

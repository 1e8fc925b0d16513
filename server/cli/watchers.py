"""Watching: the reconciler's process, and who watches."""

from __future__ import annotations

import signal
import threading

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy.orm import Session

from server.config import Settings
from server.extensions import db
from server.services.fleet import WorkerStanding, worker_standings
from server.services.transactions import translated
from server.tasks import supervisor


@click.command("reconcile")
@with_appcontext
def reconcile() -> None:
    """Keep a watcher running for every enabled camera, until told to end."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    supervisor().run(stop)


@click.command("workers")
@with_appcontext
def workers() -> None:
    """List the workers that watch: their cameras, places and health."""
    settings: Settings = current_app.extensions["hypersight"]
    with translated(), Session(db.engine) as session:
        standings = worker_standings(session, settings.LEASE_SECONDS)
    for worker in standings:
        click.echo(
            f"{worker.name}: {_state(worker)}; {worker.watched} of {worker.capacity} cameras, "
            f"load {worker.load:.2f}, {worker.memory_bytes / 1e6:.0f} MB, {worker.stuck} stuck threads, "
            f"node {worker.node}, since {worker.started:%Y-%m-%d %H:%M} UTC"
        )
    if not standings:
        click.echo("No worker has reported itself.")


def _state(worker: WorkerStanding) -> str:
    if not worker.alive:
        return "gone"
    return "ending" if worker.drain else "running"


COMMANDS = (reconcile, workers)

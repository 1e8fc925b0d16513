"""Ends every watcher and asks for new ones: by hand, or once after a reboot."""

from __future__ import annotations

import threading

import click
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from server import create_app
from server.clock import Clock, SystemClock
from server.config import Settings
from server.errors import BrokerError, ConfigError, StorageError
from server.extensions import db
from server.services.fleet import lack_of_room, worker_standings
from server.services.transactions import translated
from server.tasks import check_broker, supervisor
from server.watchers.supervisor import PERIOD, progress, restart


@click.command()
@click.option(
    "--wait", default=60.0, show_default=True, help="Seconds to wait until the cameras are watched again."
)
def main(wait: float) -> None:
    """End every watcher and ask for new ones. The exit code is 0 where all cameras are watched again."""
    try:
        app = create_app()
        with app.app_context():
            _restart(app.extensions["hypersight"], SystemClock(), wait)
    except BrokerError as error:
        raise click.ClickException(f"{error}. Nothing can be asked of workers; is Redis running?") from error
    except (ConfigError, StorageError) as error:
        raise click.ClickException(str(error)) from error
    except DBAPIError as error:
        raise click.ClickException(
            f"the database refuses: {error.orig}. Is its schema the newest (flask --app server db upgrade)?"
        ) from error


def _restart(settings: Settings, clock: Clock, wait: float) -> None:
    # Without Redis nobody could be asked to go on.
    check_broker()
    click.echo(f"{restart(db.engine)} watchers were told to end.")
    reconciler, stop = supervisor(), threading.Event()
    end = clock.monotonic() + wait
    while True:
        reconciler.look()
        there, missing = progress(db.engine)
        if not missing or clock.monotonic() >= end:
            break
        clock.wait(stop, PERIOD / 2)
    click.echo(f"{there} of {there + missing} cameras are watched.")
    if missing:
        with translated(), Session(db.engine) as session:
            words = lack_of_room(worker_standings(session, settings.LEASE_SECONDS))
        raise click.ClickException(words or "The others are asked for again by the reconciler.")


if __name__ == "__main__":
    main()

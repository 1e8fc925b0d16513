"""The fetched weights and pictures, for tests that need the real ones: ./test brings them."""

from __future__ import annotations

from pathlib import Path

from server.config import Settings
from server.vision import weights


def asset(name: str) -> Path:
    """The verified file of a name in `weights.CATALOGUE`. Raises ModelError where it was not fetched."""
    return weights.path_of(name, Settings().WEIGHTS_DIR)

"""The fetched weights and pictures, for tests that need the real ones: ./test brings them."""

from __future__ import annotations

import hashlib
import importlib.util
from importlib.resources import files
from pathlib import Path

import pytest

from server.config import Settings
from server.errors import ModelError
from server.vision import weights

_AXE_SHA256 = "84494fec757e4710dc751c8d7a636e457f4532f08f85c86dc9070133fbff53bc"


def asset(name: str) -> Path:
    """The verified file of a name in `weights.CATALOGUE`. Raises ModelError where it was not fetched."""
    return weights.path_of(name, Settings().WEIGHTS_DIR)


def axe() -> str:
    """The source of axe-core 4.12.1 (MPL-2.0), out of the wheel that requirements-dev.txt names.

    Raises ModelError where it is not the file that was reviewed. Skips the test where it is not installed.
    """
    package = "axe_playwright_python"
    if importlib.util.find_spec(package) is None:
        pytest.skip("axe-core is not installed; requirements-dev.txt names its wheel")
    source = (files(package) / "axe.min.js").read_bytes()
    found = hashlib.sha256(source).hexdigest()
    if found != _AXE_SHA256:
        raise ModelError(f"axe.min.js of {package} is another one (SHA-256 {found[:12]}…)")
    return source.decode()

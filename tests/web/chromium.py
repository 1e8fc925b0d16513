"""Where the browser for tests is, and how it is called."""

from __future__ import annotations

import os
import shutil

CHROMIUM = (
    os.environ.get("TEST_CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
"""TEST_CHROMIUM, else the one on PATH."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 800}}

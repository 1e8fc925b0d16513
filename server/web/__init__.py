"""HTTP: the metrics API, /detect and /admin."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Register every blueprint and the admin panel."""

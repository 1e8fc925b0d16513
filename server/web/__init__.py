"""HTTP: the metrics API, /detect and /admin."""

from __future__ import annotations

from flask import Flask

from server.web import api, errors


def init_app(app: Flask) -> None:
    """Register every blueprint and the admin panel."""
    errors.init_app(app)
    api.init_app(app)

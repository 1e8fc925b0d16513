"""The JSON API: one file a resource."""

from __future__ import annotations

from flask import Flask

from server.web.api import detect, metrics, status


def init_app(app: Flask) -> None:
    """Register the calls."""
    for module in (metrics, status, detect):
        app.register_blueprint(module.blueprint)

"""HTTP: the metrics API, /detect and /admin."""

from __future__ import annotations

from flask import Flask

from server.web import admin, api, auth, errors, pages, security


def init_app(app: Flask) -> None:
    """Register every blueprint and the admin panel."""
    errors.init_app(app)
    security.init_app(app)
    api.init_app(app)
    app.register_blueprint(pages.blueprint)
    auth.init_app(app)
    admin.init_app(app)

"""HTTP: the metrics API, /detect and /admin."""

from __future__ import annotations

from flask import Flask

from server.web import admin, api, auth, errors, media, pages, password, security
from server.web.admin import previews

STATIC_SECONDS = 600
"""How long browsers keep style sheets and scripts without asking whether they have changed."""


def init_app(app: Flask) -> None:
    """Register every blueprint and the admin panel."""
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = STATIC_SECONDS
    errors.init_app(app)
    security.init_app(app)
    api.init_app(app)
    media.init_app(app)
    app.register_blueprint(pages.blueprint)
    auth.init_app(app)
    app.register_blueprint(password.blueprint)
    admin.init_app(app)
    previews.init_app(app)

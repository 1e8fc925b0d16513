"""Hypersight: video analytics on ordinary servers.

`create_app()` makes the Flask application that the web server, the Celery workers and the commands share.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from server import cli, models, tasks, web
from server.config import Settings, load_settings
from server.extensions import db, migrate
from server.log import configure_logging
from server.models.connections import engine_options

__all__ = ["create_app", "models"]


def create_app(instance_dir: Path | None = None, overrides: Mapping[str, object] | None = None) -> Flask:
    """The application over one instance directory. Raises ConfigError where a setting is wrong."""
    settings = load_settings(instance_dir, overrides)
    configure_logging(settings.LOG_LEVEL)
    app = Flask(
        __name__,
        instance_path=str(settings.INSTANCE_DIR),
        template_folder="web/templates",
        static_folder=None,
    )
    _configure(app, settings)
    db.init_app(app)
    migrate.init_app(app, db)
    tasks.init_app(app)
    cli.init_app(app)
    web.init_app(app)
    return app


def _configure(app: Flask, settings: Settings) -> None:
    app.extensions["hypersight"] = settings
    app.config.update(
        SECRET_KEY=settings.SECRET_KEY,
        SQLALCHEMY_DATABASE_URI=settings.SQLALCHEMY_DATABASE_URI,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.SQLALCHEMY_DATABASE_URI),
        SESSION_COOKIE_SECURE=settings.SESSION_COOKIE_SECURE,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_NAME="hypersight",
    )
    if settings.TRUSTED_PROXIES:
        hops = settings.TRUSTED_PROXIES
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]

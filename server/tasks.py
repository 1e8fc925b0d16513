"""Celery: its configuration, and thin tasks that call services and watchers."""

from __future__ import annotations

from celery import Celery, Task
from flask import Flask

from server.config import Settings


def init_app(app: Flask) -> None:
    """Make the Celery application; tasks run inside the Flask application's context."""
    settings: Settings = app.extensions["hypersight"]

    class ContextTask(Task):  # type: ignore[misc]
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery = Celery("hypersight", task_cls=ContextTask, broker=settings.REDIS_URL)
    celery.set_default()
    app.extensions["celery"] = celery

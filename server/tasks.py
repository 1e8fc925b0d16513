"""Celery: its configuration, and thin tasks that call services and watchers."""

from __future__ import annotations

import threading

from celery import Celery, Task, shared_task, signals
from flask import Flask, current_app

from server.clock import SystemClock
from server.config import Settings
from server.extensions import db
from server.services.housekeeping import sweep_segments
from server.watchers import lease
from server.watchers.supervisor import PATIENCE, Supervisor
from server.watchers.worker import watch_camera

WATCHERS_QUEUE = "watchers"
JOBS_QUEUE = "jobs"
"""Watchers fill their pool for as long as cameras run, so short jobs have a queue and worker of their own."""

_stop = threading.Event()
"""Set when this worker process is to end: all its watchers see it at once."""


def init_app(app: Flask) -> None:
    """Make the Celery application; tasks run inside the Flask application's context."""
    settings: Settings = app.extensions["hypersight"]

    class ContextTask(Task):  # type: ignore[misc]
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery = Celery("hypersight", task_cls=ContextTask)
    celery.conf.update(
        broker_url=settings.REDIS_URL.replace("unix://", "redis+socket://", 1),
        broker_connection_retry_on_startup=True,
        task_default_queue=JOBS_QUEUE,
        task_routes={watch.name: {"queue": WATCHERS_QUEUE}},
        task_ignore_result=True,
        # With late acknowledgement Redis would hand a watcher out again after its visibility timeout.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    celery.set_default()
    app.extensions["celery"] = celery
    signals.worker_shutting_down.connect(_Drain(app), weak=False)
    signals.worker_process_init.connect(_Forked(app), weak=False)


class _Drain:
    """A worker got SIGTERM: its own watchers see the event, those in forked children the lease's flag."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def __call__(self, sender: object = None, **kwargs: object) -> None:
        _stop.set()
        with self._app.app_context():
            lease.drain(db.engine, f"{sender}/")


class _Forked:
    """A child of the prefork pool must not share its parent's connections to the database."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def __call__(self, **kwargs: object) -> None:
        with self._app.app_context():
            db.engine.dispose(close=False)


@shared_task(name="hypersight.watch", bind=True)
def watch(self: Task, camera_id: int) -> None:
    """Watch a camera for as long as it is enabled."""
    settings: Settings = current_app.extensions["hypersight"]
    watch_camera(db.engine, settings, SystemClock(), _stop, camera_id, str(self.request.hostname))


@shared_task(name="hypersight.sweep")
def sweep() -> None:
    """Delete segments that nobody owns."""
    settings: Settings = current_app.extensions["hypersight"]
    sweep_segments(db.engine, settings.SEGMENTS_DIR)


def supervisor() -> Supervisor:
    """The reconciler of the current application, asking for watchers through Celery."""
    return Supervisor(
        db.engine,
        SystemClock(),
        watch=lambda camera_id: watch.apply_async((camera_id,), expires=PATIENCE, retry=False),
        sweep=lambda: sweep.apply_async(expires=PATIENCE, retry=False),
    )

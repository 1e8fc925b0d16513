"""Celery: its configuration, and thin tasks that call services and watchers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from celery import Celery, Task, shared_task, signals
from celery.app.amqp import AMQP
from flask import Flask, current_app
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from server.clock import SystemClock
from server.config import Settings
from server.errors import BrokerError
from server.extensions import db
from server.services import audit
from server.services.housekeeping import forget_states, forget_workers, sweep_crops, sweep_segments
from server.services.rollups import roll_up
from server.watchers import process, workers
from server.watchers.process import JOBS_QUEUE, WatchingProcess
from server.watchers.supervisor import Supervisor
from server.watchers.worker import watch_camera

_BROKER_SECONDS = 5.0
"""How long Redis may take to answer whoever sends."""


class _Connection(Connection):
    """Tries again every few seconds; Celery's own pauses of half a minute would look like deafness."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        """See the base class."""
        pauses = {"interval_start": 1, "interval_step": 1, "interval_max": 3}
        return super().ensure_connection(*args, **(pauses | kwargs))  # type: ignore[no-untyped-call]


class _Amqp(AMQP):  # type: ignore[misc]
    Connection = _Connection
    BrokerConnection = _Connection


def init_app(app: Flask) -> None:
    """Make the Celery application; tasks run inside the Flask application's context."""
    settings: Settings = app.extensions["hypersight"]

    class ContextTask(Task):  # type: ignore[misc]
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery = Celery("hypersight", task_cls=ContextTask, amqp=_Amqp)
    celery.conf.update(
        broker_url=settings.REDIS_URL.replace("unix://", "redis+socket://", 1),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_connect_timeout": _BROKER_SECONDS,
            "socket_timeout": 2 * _BROKER_SECONDS,
        },
        task_default_queue=JOBS_QUEUE,
        task_ignore_result=True,
        # With late acknowledgement Redis would hand a watcher out again after its visibility timeout.
        task_acks_late=False,
        worker_pool=settings.WORKER_POOL,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    celery.set_default()
    app.extensions["celery"] = celery
    _connect(app, WatchingProcess(settings, SystemClock()))


def _connect(app: Flask, ours: WatchingProcess) -> None:
    """Let a worker process follow Celery's signals, in the order in which they come."""
    process.current = ours

    def prepare(sender: str, instance: object, conf: object, options: dict[str, Any], **_: object) -> None:
        ours.prepare(sender, instance, options, conf)

    def make_room(sender: object, **_: object) -> None:
        ours.make_room(sender)

    def choose_queue(sender: str, instance: object, **_: object) -> None:
        ours.choose_queue(instance)

    def begin(**_: object) -> None:
        with app.app_context():
            ours.begin(db.engine)

    def fork(**_: object) -> None:
        # A child must not share its parent's connections to the database.
        with app.app_context():
            db.engine.dispose(close=False)
        ours.be_child()

    def leave(**_: object) -> None:
        ours.leave()

    def end(**_: object) -> None:
        ours.end()

    signals.celeryd_init.connect(prepare, weak=False)
    signals.worker_init.connect(make_room, weak=False)
    signals.celeryd_after_setup.connect(choose_queue, weak=False)
    signals.worker_ready.connect(begin, weak=False)
    signals.worker_process_init.connect(fork, weak=False)
    signals.worker_shutting_down.connect(leave, weak=False)
    signals.worker_shutdown.connect(end, weak=False)


@shared_task(name="hypersight.watch", bind=True, Strategy="server.watchers.process:watch_strategy")
def watch(self: Task, camera_id: int, until_ms: int) -> None:
    """Watch a camera for as long as it is enabled, unless this message is older than `until_ms`."""
    settings: Settings = current_app.extensions["hypersight"]
    ours = process.current
    if ours is None or not workers.is_wanted(db.engine, camera_id, until_ms):
        return
    with ours.working():
        watch_camera(db.engine, settings, SystemClock(), ours.stop, camera_id, str(self.request.hostname))


@shared_task(name="hypersight.hear", Strategy="server.watchers.process:hear_strategy")
def hear() -> None:
    """Shows that a worker consumes: its strategy notes it before any pool would run this."""


@shared_task(name="hypersight.sweep")
def sweep() -> None:
    """Delete what nobody owns or needs any more, and roll up what has settled."""
    settings: Settings = current_app.extensions["hypersight"]
    now_us = SystemClock().now_us()
    sweep_segments(db.engine, settings.SEGMENTS_DIR)
    sweep_crops(db.engine, settings.CROPS_DIR, settings.CROPS_KEEP_DAYS, settings.CROPS_MAX_BYTES, now_us)
    forget_workers(db.engine)
    forget_states(db.engine, now_us)
    roll_up(db.engine)
    audit.forget(db.engine, settings.AUDIT_KEEP_DAYS)


def supervisor() -> Supervisor:
    """The reconciler of the current application, asking for watchers through Celery."""
    settings: Settings = current_app.extensions["hypersight"]
    return Supervisor(db.engine, SystemClock(), settings.LEASE_SECONDS, _Messages())


def check_broker() -> None:
    """Raises BrokerError where Redis does not answer."""
    celery: Celery = current_app.extensions["celery"]
    with _translated(), celery.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, timeout=_BROKER_SECONDS)


class _Messages:
    """The reconciler's messages, through Celery. Each raises BrokerError where Redis does not take it."""

    def watch(self, queue: str, camera_id: int, until_ms: int) -> None:
        """See `supervisor.Messages`."""
        with _translated():
            watch.apply_async((camera_id, until_ms), queue=queue, retry=False)

    def hear(self, queue: str) -> None:
        """See `supervisor.Messages`."""
        with _translated():
            hear.apply_async(queue=queue, retry=False)

    def sweep(self) -> None:
        """See `supervisor.Messages`."""
        with _translated():
            sweep.apply_async(queue=JOBS_QUEUE, retry=False)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, RedisError, OSError) as error:
        raise BrokerError(f"Redis does not answer: {error}") from error

"""A Celery worker that watches: its queue, its places, how it is heard, and its end.

Everything that Celery is told for it is here; `server/tasks.py` connects it to Celery's signals.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import select
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import billiard  # type: ignore[import-untyped]
from celery.app.task import Task
from celery.worker import state
from celery.worker.strategy import default
from sqlalchemy.engine import Engine

from server.clock import Clock
from server.config import Settings
from server.watchers.workers import Heartbeat, Identity

log = logging.getLogger(__name__)

JOBS_QUEUE = "jobs"
"""Watchers fill their pools for as long as cameras run: short jobs have a queue and workers of their own."""
QUEUE_PREFIX = "watchers."
"""Of the queue that a watching worker alone consumes; its Celery name follows."""
LAST_SECONDS = 15.0
"""How long a worker that is to end may take before it ends with whatever still runs."""
IDLE_SECONDS = 3.0
"""The same, once no watcher runs any more."""
_M_ARENA_MAX = -8
"""From glibc's malloc.h."""
AGAIN = 1
"""Exit code that asks to be started again."""


def queue_of(name: str) -> str:
    """The queue of a watching worker."""
    return QUEUE_PREFIX + name


class WatchingProcess:
    """This process as a watching worker, if it is one: a Celery worker that was started without -Q."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._name = ""
        self._most = 0
        self._heartbeat: Heartbeat | None = None
        self._leaving = False
        self._code = 0
        self._ended = threading.Event()
        # Its end of file tells forked children that their parent is leaving.
        self._pipe: tuple[int, int] | None = None
        self._term_writer: int | None = None
        self.stop = threading.Event()
        """Set when the watchers of this process are to end."""
        self.capacity = 0
        """Most cameras that it watches; 0 where it does not watch."""

    def prepare(self, name: str, worker: Any, options: Mapping[str, Any], conf: Any) -> None:
        """Before the worker is built: whether it will watch, and how many cameras by its arguments."""
        queues = options.get("queues")
        if queues:
            if JOBS_QUEUE not in queues:
                log.warning(
                    "worker %s: nothing is sent to %s; it watches without -Q", name, ", ".join(queues)
                )
            return
        self._name = name
        _keep_memory_together()
        autoscale = options.get("autoscale")
        if autoscale:
            # Places are needed at once, not when a queue has grown, and threads cannot be added later.
            self._most = min(max(map(int, autoscale)), self._settings.WORKER_CONCURRENCY)
            worker.prepare_args = lambda **given: given | {"autoscale": None}
        if options.get("concurrency") is None:
            conf.worker_concurrency = self._settings.WORKER_CONCURRENCY

    def make_room(self, worker: Any) -> None:
        """Before its pool is built: a place for each camera, and one more, so that messages are consumed
        while all cameras are watched."""
        if not self._name:
            return
        given = worker.concurrency if isinstance(worker.concurrency, int) else os.cpu_count() or 1
        self.capacity = self._most or given
        worker.concurrency = self.capacity + 1
        self._pipe = os.pipe()

    def choose_queue(self, worker: Any) -> None:
        """Before it consumes: its own queue, where it was given none."""
        if self._name:
            worker.app.amqp.queues.select([queue_of(self._name)])

    def begin(self, engine: Engine) -> None:
        """It consumes: report it from now on."""
        if not self._name:
            return
        me = Identity(
            self._name,
            self._settings.NODE_NAME,
            queue_of(self._name),
            self.capacity,
            self._settings.MEDIA_URL,
        )
        self._heartbeat = Heartbeat(
            engine, self._clock, me, self._settings.LEASE_SECONDS, self._on_drain, _family
        )
        self._heartbeat.start()
        threading.Thread(target=self._see_to_the_end, name="end", daemon=True).start()

    def leave(self) -> None:
        """End the watchers. Called in a signal handler: nothing here may wait, or be entered twice."""
        if self._leaving:
            return
        self._leaving = True
        if self._heartbeat is not None:
            self._heartbeat.leave()
        if self._pipe is not None:
            os.close(self._pipe[1])
        self.stop.set()

    def end(self) -> None:
        """The pool has ended: say so in the database."""
        self._ended.set()
        if self._heartbeat is not None:
            self._heartbeat.end()

    def be_child(self) -> None:
        """In a forked child of the pool: heed the parent's end of the pipe and SIGTERM alike.

        A service manager may signal the whole group; the watcher is then to end in order, as in the parent.
        """
        self._heartbeat = None
        self.stop = threading.Event()
        if self._pipe is None:
            return
        reader, writer = self._pipe
        os.close(writer)
        own_reader, self._term_writer = os.pipe()
        self._pipe = None

        def listen(stop: threading.Event = self.stop) -> None:
            select.select([reader, own_reader], [], [])
            stop.set()

        threading.Thread(target=listen, name="leave", daemon=True).start()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Around a watcher: in a forked child it holds off SIGTERM, which would cut it short."""
        writer = self._term_writer
        if writer is None:
            yield
            return
        before = signal.signal(signal.SIGTERM, lambda *_: os.write(writer, b"."))
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def accepts(self) -> bool:
        """Whether it can take a further camera now."""
        return not self._leaving and len(state.reserved_requests) < self.capacity

    def heard(self) -> None:
        """A message of the reconciler has been consumed."""
        if self._heartbeat is not None:
            self._heartbeat.heard()

    def _on_drain(self) -> None:
        log.error("worker %s is told to drain: it no longer consumes its queue; it ends", self._name)
        self._code = AGAIN
        self.leave()
        # Celery's own loop looks at this once a second and ends the worker with that code.
        state.should_stop = AGAIN

    def _see_to_the_end(self) -> None:
        """Celery's own end may hang, on a Redis that is silent or a watcher that is stuck."""
        self.stop.wait()
        began = self._clock.monotonic()
        while not self._clock.wait(self._ended, 0.2):
            took = self._clock.monotonic() - began
            if took >= LAST_SECONDS or (took >= IDLE_SECONDS and not state.active_requests):
                break
        else:
            return
        busy = len(state.active_requests)
        log.error("worker %s does not end by itself; it is cut off with %d watchers", self._name, busy)
        if self._heartbeat is not None:
            self._heartbeat.end(1.0)
        os._exit(AGAIN if busy else self._code)


def _keep_memory_together() -> None:
    """Have all threads share two of glibc's arenas, not one each.

    Pictures come and go in every thread; what each arena keeps of them for later would add up.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _family() -> Iterable[int]:
    return [os.getpid(), *(child.pid for child in billiard.active_children() if child.pid)]


Handler = Callable[..., None]
"""What Celery calls with a message: (message, body, ack, reject, callbacks)."""

current: WatchingProcess | None = None
"""Celery names strategies by their import path, so they find the process here."""


def watch_strategy(task: Task, app: Any, consumer: Any) -> Handler:
    """Runs a watcher in the pool, or drops the message where there is no room: the pool never queues."""
    run: Handler = default(task, app, consumer)

    def handle(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **kwargs: Any) -> None:
        if current is None or current.accepts():
            run(message, body, ack, reject, callbacks, **kwargs)
            return
        log.info("a camera is not taken: no room, or the worker is ending")
        ack(log, consumer.connection_errors)

    return handle


def hear_strategy(task: Task, app: Any, consumer: Any) -> Handler:
    """Notes that a message has come, without a place in the pool."""

    def handle(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **kwargs: Any) -> None:
        ack(log, consumer.connection_errors)
        if current is not None:
            current.heard()

    return handle

"""A watcher on a clip of walking blocks, with a clock that need not be waited for."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, select, update
from sqlalchemy.orm import Session

from server.config import load_settings
from server.domain.video import datetime_to_us
from server.models import Camera, Lease, Observation, Processor, ProcessorEvent
from server.watchers import lease, store
from server.watchers.lease import Standing
from server.watchers.showing import Showing
from server.watchers.watcher import Watcher
from tests.walks import BrightBlocks

START_US = 1_700_000_000_000_000
MIDDLE = [[[0.5, 1.0], [0.5, 0.0]]]
RIGHT = [[[0.7, 0.0], [1.0, 0.0], [1.0, 1.0], [0.7, 1.0]]]


class FastClock:
    """Waiting moves it on at once."""

    def __init__(self, now_us: int = START_US) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def monotonic(self) -> float:
        return self._now_us / 1e6

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.advance(seconds)
        return stop.is_set()

    def advance(self, seconds: float) -> None:
        self._now_us += max(1, round(seconds * 1e6))


class HookedStore(store.WatchStore):
    """Calls back after each commit, with how many there were."""

    def __init__(self, engine: Engine, after: Callable[[int], None]) -> None:
        # It is then for the store as well: nothing comes so late that it would have been rolled up.
        super().__init__(engine, FastClock())
        self._after = after
        self.commits = 0

    def commit(self, *args: Any, **kwargs: Any) -> Standing:
        standing = super().commit(*args, **kwargs)
        self.commits += 1
        self._after(self.commits)
        return standing


def add_camera(engine: Engine, clip: Path, **values: Any) -> int:
    """A camera with a line, a zone of exit and a head count; gives its id."""
    with Session(engine) as session, session.begin():
        camera = Camera(name=values.pop("name", "walk"), stream_url=str(clip), **values)
        camera.processors = [
            Processor(name="line", kind="traffic", lines=MIDDLE),
            Processor(name="exit", kind="traffic", zones=RIGHT),
            Processor(name="room", kind="persons"),
        ]
        session.add(camera)
        session.flush()
        return camera.id


def watch(
    engine: Engine,
    camera_id: int,
    segments: Path,
    *,
    clock: FastClock | None = None,
    stop: threading.Event | None = None,
    after: Callable[[int], None] = lambda commits: None,
    detector: Any = None,
    showing: Showing | None = None,
    **more: object,
) -> tuple[str, str]:
    """Claim the camera and watch it until it ends; gives the watcher's last state and reason.

    more: further settings.
    """
    clock = clock or FastClock()
    values = {"SEGMENTS_DIR": segments, "SECRET_KEY": "0123456789abcdef", "NODE_NAME": "here"}
    settings = load_settings(segments.parent, values | more)
    held = lease.claim(engine, camera_id, f"test/{os.getpid()}", "here", 10.0, clock.now_us())
    assert held is not None, "somebody else holds the camera"
    seer = detector or BrightBlocks()
    watcher = Watcher(
        held, HookedStore(engine, after), settings, lambda grid: seer, clock, stop or threading.Event(),
        showing=showing,
    )  # fmt: skip
    state, reason = watcher.run()
    lease.release(engine, held, state, reason, clock.now_us())
    return state, reason


def expire_leases(engine: Engine) -> None:
    """As if the lease's time had passed since its holder was killed."""
    with Session(engine) as session, session.begin():
        session.execute(update(Lease).values(expires_ms=0))


def events(engine: Engine, camera_id: int) -> list[tuple[object, ...]]:
    """All that is stored of a camera's events, but for the row's number."""
    with Session(engine) as session:
        rows = session.execute(
            select(Processor.name, ProcessorEvent)
            .join(Processor, Processor.id == ProcessorEvent.processor_id)
            .where(Processor.camera_id == camera_id)
            .order_by(ProcessorEvent.ts, Processor.name, ProcessorEvent.key)
        ).all()
    return [(name, e.ts, e.key, e.direction, e.passes, e.count, e.track, e.zone, e.score) for name, e in rows]


def spans(engine: Engine, camera_id: int) -> list[tuple[object, ...]]:
    """(processor or None, seconds from START_US, seconds to, why it ended) of each observation."""
    with Session(engine) as session:
        rows = session.execute(
            select(Processor.name, Observation)
            .outerjoin(Processor, Processor.id == Observation.processor_id)
            .where(Observation.camera_id == camera_id)
            .order_by(Observation.start, Observation.processor_id)
        ).all()
    return [
        (name, (datetime_to_us(o.start) - START_US) / 1e6, (datetime_to_us(o.stop) - START_US) / 1e6, o.ended)
        for name, o in rows
    ]


def victim(address: str, camera_id: int, segments: Path, now_us: int, inside: bool) -> None:
    """Watch in this process and be killed: once one more part is stored, or inside the transaction after."""
    engine = create_engine(address)
    before = store.WatchStore(engine).checkpoint(camera_id)
    further = 0
    keep = store._keep_checkpoint

    def keep_and_look(session: Session, camera: int, saved: store.Saved, serial: int) -> None:
        nonlocal further
        keep(session, camera, saved, serial)
        further += before is None or saved.cursor > before.cursor
        if inside and further == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def after(commits: int) -> None:
        if not inside and further:
            os.kill(os.getpid(), signal.SIGKILL)

    store._keep_checkpoint = keep_and_look
    watch(engine, camera_id, segments, clock=FastClock(now_us), after=after)

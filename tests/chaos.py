"""Everything that can go away goes away, at random but repeatably, while cameras are watched.

A private MariaDB, Redis and RTSP server, two workers and a reconciler. One worker is killed again and
again; the other is never touched itself, so that what it leaks shows.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.models import Camera, Checkpoint, Processor
from tests.fleet import Fleet, Process, await_
from tests.media.httpd import remuxed
from tests.media.rtsp import RtspServer, video
from tests.servers import MariaDb, PostgreSql
from tests.walks import BrightBlocks

CYCLE = 4.0
"""Seconds from one walker to the next."""
PLACES = "3"
"""Cameras that a worker can take: all of them, so that its pools are filled from the beginning."""
UP = 60.0
"""Seconds within which everything has to be back."""


class Seer:
    """`POST /detect` over HTTP, answered by `BrightBlocks`."""

    def __init__(self) -> None:
        seer = BrightBlocks()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = _answer(seer, body, self.headers["Content-Type"])
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/detect"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def _answer(seer: BrightBlocks, body: bytes, content_type: str) -> bytes:
    """The one picture of a multipart body, looked at."""
    boundary = content_type.partition("boundary=")[2].encode()
    part = body.split(b"--" + boundary)[1]
    data = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    (found,) = seer.detect([cv2.resize(np.asarray(picture, np.uint8), seer.size)])
    objects = [
        {"label": "person", "score": float(score), "box": [float(value) for value in box]}
        for box, score in zip(found.boxes, found.scores, strict=True)
    ]
    return json.dumps({"images": [{"objects": objects}]}).encode()


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process holds: threads, file descriptors, bytes of resident memory."""

    threads: int
    handles: int
    memory: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """As it is now."""
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return cls(
            threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
            handles=len(list(Path(f"/proc/{pid}/fd").iterdir())),
            memory=pages * os.sysconf("SC_PAGE_SIZE"),
        )


class Chaos:
    """The stage and what can happen on it."""

    def __init__(self, fleet: Fleet, database: MariaDb | PostgreSql, rtsp: RtspServer, seed: int) -> None:
        self.fleet = fleet
        self._database = database
        self._rtsp = rtsp
        self._random = random.Random(seed)
        self._processes: dict[str, Process] = {}
        self.log: list[str] = []
        """What has happened, in order."""

    def begin(self) -> None:
        """Start all processes."""
        self._processes = {
            "redis": self.fleet.redis(),
            "w1": self.fleet.worker("w1", "-c", PLACES),
            "w2": self.fleet.worker("w2", "-c", PLACES),
            "reconcile": self.fleet.reconciler(),
        }

    def survivor(self) -> int:
        """Process id of the worker that nobody kills."""
        return self._processes["w2"].pid

    def strike(self, times: int) -> None:
        """Let so many things happen, one after the other, some before the last is over."""
        kinds: list[tuple[Callable[[], None], int]] = [
            (self._kill_worker, 6),
            (self._end_worker, 2),
            (self._kill_reconciler, 1),
            (self._redis_away, 2),
            (self._database_stopped, 2),
            (self._database_killed, 2),
            (self._database_frozen, 1),
            (self._camera_away, 3),
            (self._camera_stalls, 1),
        ]
        actions = [action for action, weight in kinds for _ in range(weight)]
        for _ in range(times):
            action = self._random.choice(actions)
            self.log.append(action.__name__.lstrip("_"))
            action()
            self._pause(0.2, 1.5)

    def alone(self) -> None:
        """Leave only the worker that nobody kills, and wait until it has all cameras."""
        self._kill("w1", signal.SIGTERM)
        ids = list(self.fleet.held())
        await_(
            lambda: (
                all(worker == "w2@here" for worker, *_ in self.fleet.held().values())
                and self.fleet.watching(ids)
            ),
            UP,
            self.fleet.logs,
        )

    def revive(self, name: str) -> None:
        """Start a worker again, as a service manager does."""
        self._processes[name] = self.fleet.worker(name, "-c", PLACES)

    def _pause(self, low: float, high: float) -> None:
        time.sleep(self._random.uniform(low, high))

    def _kill(self, name: str, how: signal.Signals) -> None:
        process = self._processes[name]
        process.send_signal(how)
        process.wait(30)

    def _kill_worker(self) -> None:
        self._kill("w1", signal.SIGKILL)
        self._pause(0.0, 1.0)
        self.revive("w1")

    def _end_worker(self) -> None:
        self._kill("w1", signal.SIGTERM)
        self.revive("w1")

    def _kill_reconciler(self) -> None:
        self._kill("reconcile", signal.SIGKILL)
        self._pause(0.0, 1.0)
        self._processes["reconcile"] = self.fleet.reconciler()

    def _redis_away(self) -> None:
        self._kill("redis", signal.SIGKILL)
        self._pause(0.0, 3.0)
        self._processes["redis"] = self.fleet.redis()

    def _database_stopped(self) -> None:
        self._database.stop()
        self._pause(0.0, 3.0)
        self._database.start()

    def _database_killed(self) -> None:
        self._database.kill()
        self._pause(0.0, 3.0)
        self._database.start()

    def _database_frozen(self) -> None:
        self._database.freeze()
        self._pause(1.0, 3.0)
        self._database.thaw()

    def _camera_away(self) -> None:
        self._rtsp.kill()
        self._pause(0.0, 3.0)
        self._rtsp.start()

    def _camera_stalls(self) -> None:
        self._rtsp.stall()
        self._pause(0.0, 3.0)
        self._rtsp.resume()


def add_cameras(fleet: Fleet, clip: Path, url: str) -> dict[str, int]:
    """Two cameras on a file and one on RTSP, each with a line in the middle and a head count."""
    ids = {}
    with Session(fleet.engine) as session, session.begin():
        for name, address in (("file 1", str(clip)), ("file 2", str(clip)), ("live", url)):
            camera = Camera(name=name, stream_url=address)
            camera.processors = [
                Processor(name=f"{name} line", kind="traffic", lines=[[[0.5, 1.0], [0.5, 0.0]]]),
                Processor(name=f"{name} room", kind="persons"),
            ]
            session.add(camera)
            session.flush()
            ids[name] = camera.id
    return ids


def stream_of(clip: Path, directory: Path) -> RtspServer:
    """An RTSP server that sends the clip at /walk."""
    path = directory / "walk.ts"
    path.write_bytes(remuxed(clip, "mpegts"))
    return RtspServer({"/walk": video(path)})


def anchors(fleet: Fleet) -> dict[int, int]:
    """Wall time of tick 0 of each camera, microseconds since 1970."""
    with Session(fleet.engine) as session:
        return {row.camera_id: row.anchor_us for row in session.scalars(select(Checkpoint))}

"""A whole running system for tests: what ./start runs, on an instance of its own."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server import create_app
from server.config import INSTANCE_VARIABLE, load_settings
from server.extensions import db
from server.launcher.arguments import Options
from server.launcher.programs import programs
from server.models import Camera, Processor, ProcessorEvent
from server.services.accounts import ALL, Cameras, create_user
from server.services.cameras import (
    CameraInput,
    ProcessorInput,
    create_camera,
    create_processor,
    delete_camera,
)
from server.vision.weights import YOLOX_NANO
from tests.assets import asset
from tests.fleet import Fleet, Process, await_
from tests.web.browser import PASSWORD

UP = 90.0
"""Seconds in which everything is up, on a busy machine."""
SEEN = 60.0
"""Seconds in which somebody walks through the picture and that is shown, on a busy machine."""


class System(Fleet):
    """The web server, a watching worker, one for short jobs, the reconciler and a Redis.

    Rows are made through the services, as a command would. Each visitor has a network address of their
    own (X-Forwarded-For), so that one who is told to wait does not make the others wait.
    """

    def __init__(self, instance: Path, address: str) -> None:
        super().__init__(instance, address, lease_seconds=10.0, model=asset(YOLOX_NANO))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        self.environment |= {"TRUSTED_PROXIES": "1", "NODE_NAME": "here"}
        options = Options("127.0.0.1", port, instance, False)
        self.url = f"http://127.0.0.1:{port}"
        self.settings = load_settings(instance, self._settings())
        self.programs = {item.name: item for item in programs(options, self.settings, anonymous=False)}
        self.app: Flask = create_app(instance, self._settings())
        self._hosts = itertools.count(1)
        self._names = itertools.count(1)

    def _settings(self) -> dict[str, str]:
        return {name: value for name, value in self.environment.items() if name != INSTANCE_VARIABLE}

    def __exit__(self, *error: object) -> None:
        with self.app.app_context():
            db.engine.dispose()
        super().__exit__(*error)

    def run(self, name: str) -> Process:
        """Start one of the programs of ./start by its name there."""
        return self.start(name, *self.programs[name].command)

    def up(self) -> None:
        """Start everything and wait until it answers and can watch."""
        self.redis()
        for name in self.programs:
            self.run(name)
        await_(self._answers, UP, self.logs)
        await_(lambda: self.workers(), UP, self.logs)

    def kill(self, name: str) -> None:
        """What a crash does: the process is gone, what it started is not told."""
        process = self._processes[name]
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)

    def processes(self, word: str) -> list[int]:
        """Ids of the processes of this instance whose command line holds a word."""
        mark = f"{INSTANCE_VARIABLE}={self.instance}".encode()
        found = []
        for path in Path("/proc").iterdir():
            if not path.name.isdigit():
                continue
            try:
                ours = mark in (path / "environ").read_bytes().split(b"\0")
                if ours and word.encode() in (path / "cmdline").read_bytes():
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def stray(self) -> list[int]:
        """Ids of all processes of this instance."""
        return self.processes("")

    def host(self) -> str:
        """A network address that nobody else comes from."""
        number = next(self._hosts)
        return f"10.9.{number // 250}.{number % 250 + 1}"

    def name(self, kind: str) -> str:
        """A name that nobody else has."""
        return f"{kind} {next(self._names)}"

    def user(self, role: str, cameras: Cameras = ALL) -> str:
        """The name of a new account that sees these cameras; its password is `PASSWORD`."""
        name = self.name(role)
        with self.app.app_context():
            create_user(name, PASSWORD, role, cameras=cameras)
        return name

    @contextmanager
    def camera(self, url: str, **values: object) -> Iterator[int]:
        """A camera, as long as the block lasts."""
        with self.app.app_context():
            given = CameraInput(str(values.pop("name", None) or self.name("Camera")), url)
            id_ = create_camera(dataclasses.replace(given, **values))  # type: ignore[arg-type]
        try:
            yield id_
        finally:
            self.remove(id_)

    def processor(self, camera_id: int, kind: str = "traffic", **values: object) -> int:
        """A processor; it goes with its camera."""
        with self.app.app_context():
            given = ProcessorInput(str(values.pop("name", None) or self.name("Processor")))
            return create_processor(camera_id, kind, dataclasses.replace(given, **values))  # type: ignore[arg-type]

    def remove(self, camera_id: int) -> None:
        """Delete a camera with all that hangs on it."""
        with self.app.app_context():
            delete_camera(camera_id)

    def clear(self) -> None:
        """Delete every camera: the installation is as empty as on its first day."""
        with Session(self.engine) as session:
            ids = list(session.scalars(select(Camera.id)))
        for id_ in ids:
            self.remove(id_)

    def events(self, processor_id: int) -> int:
        """How many events are stored."""
        count = select(func.count()).where(ProcessorEvent.processor_id == processor_id)
        with Session(self.engine) as session:
            return session.scalar(count) or 0

    def first_event(self, processor_id: int) -> int:
        """Id of the first event that is stored."""
        query = select(func.min(ProcessorEvent.id)).where(ProcessorEvent.processor_id == processor_id)
        with Session(self.engine) as session:
            found = session.scalar(query)
            assert found is not None
            return found

    def row(self, processor_id: int) -> Processor:
        """A processor as it is stored."""
        with Session(self.engine, expire_on_commit=False) as session:
            found = session.get(Processor, processor_id)
            assert found is not None
            return found

    def preview(self, processor_id: int) -> Path:
        """Where the preview of a processor is made."""
        return self.settings.PROCESSORS_PREVIEW_DIR / str(processor_id)

    def encoders(self) -> list[int]:
        """Ids of the processes that encode previews."""
        return self.processes("ffmpeg")

    def await_watching(self, camera_id: int) -> None:
        """Wait until its pictures are analysed."""
        await_(lambda: self.watching([camera_id]), UP, self.logs)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/admin/login", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

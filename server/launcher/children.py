"""One process of the system: started in a session of its own, its output kept in a bounded log."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from server.launcher import guardian
from server.log import redact

LOG_BYTES = 4_000_000
"""Size at which a log begins anew; the one before is kept beside it as .1."""
RESTART_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Pauses before a child is started again, growing while it does not hold."""
HEALTHY_SECONDS = 60.0
"""A child that ran this long has held: the next pause is the shortest again."""
_QUIET_SECONDS = 30.0
"""A child's errors appear on the screen this often at most; the log has them all."""
_TROUBLE = re.compile(r"\b(ERROR|CRITICAL)\b")


@dataclass(frozen=True)
class Program:
    """What a child is. `title`: for people. `last`: ended after the others, which still need it."""

    name: str
    title: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    last: bool = False


@dataclass
class Child:
    """A program, its process while there is one, and how it has fared. `say` shows a line to the user."""

    program: Program
    log_directory: Path
    say: Callable[[str], None]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    """When to start it (again), on the monotonic clock."""
    failures: int = 0
    words: deque[str] = field(default_factory=lambda: deque(maxlen=40))
    """The last lines it wrote."""
    _reader: threading.Thread | None = None
    _told: float = -_QUIET_SECONDS

    @property
    def log(self) -> Path:
        """Where its output is kept."""
        return self.log_directory / f"{self.program.name}.log"

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> int:
        """Start the process and return its process group. Raises OSError."""
        self.words.clear()
        self.process = subprocess.Popen(
            list(self.program.command),
            cwd=self.program.directory,
            env=dict(self.program.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started = time.monotonic()
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        return self.process.pid

    def fell(self) -> tuple[int, float]:
        """The process has ended by itself: clear away the rest of its group and plan the next start.

        Returns its exit code and the pause in seconds.
        """
        assert self.process is not None
        code = self.process.wait()
        guardian.send(self.process.pid, signal.SIGKILL)
        if self._reader is not None:
            self._reader.join(1)
        if time.monotonic() - self.started >= HEALTHY_SECONDS:
            self.failures = 0
        pause = RESTART_SECONDS[min(self.failures, len(RESTART_SECONDS) - 1)]
        self.failures += 1
        self.due = time.monotonic() + pause
        self.process = None
        return code, pause

    def last_words(self) -> str:
        """The last line of its output that says something."""
        for line in reversed(self.words):
            if line.strip():
                return redact(line.strip())[:300]
        return "it said nothing"

    def _read(self, stream: BinaryIO) -> None:
        """Copy the output into the log until there is no more."""
        log = _BoundedLog(self.log)
        with contextlib.closing(log), stream:
            for raw in stream:
                line = raw.decode(errors="replace")
                log.write(raw)
                self.words.append(line.rstrip())
                self._show(line)

    def _show(self, line: str) -> None:
        now = time.monotonic()
        if _TROUBLE.search(line[:200]) and now - self._told >= _QUIET_SECONDS:
            self._told = now
            self.say(f"{self.program.title}: {redact(line.strip())[:300]} (all of it: {self.log})")


class _BoundedLog:
    """A file that begins anew when it has grown large. A full disk costs log lines, not the child."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append."""
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = self._path.open("ab", buffering=0)
                self._size = self._file.tell()
            self._file.write(data)
            self._size += len(data)
            if self._size >= LOG_BYTES:
                self.close()
                self._path.replace(self._path.with_suffix(".log.1"))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

"""What the person at the terminal sees: steps with their progress, then one line for each thing to know."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

_REPAINT_SECONDS = 0.2
_PLAIN_SECONDS = 5.0
"""How often progress is told where it cannot be painted over: in a file or a pipe."""


class Step:
    """One step of the set-up, while it runs."""

    def __init__(self, screen: Screen, title: str) -> None:
        self._screen = screen
        self._title = title
        self._told = time.monotonic()
        self.note = ""
        """Said behind the step once it is done."""

    def progress(self, share: float, words: str = "") -> None:
        """How far it is, 0..1, and perhaps with what."""
        now = time.monotonic()
        painted = self._screen.terminal
        if now - self._told < (_REPAINT_SECONDS if painted else _PLAIN_SECONDS):
            return
        self._told = now
        text = f"  {self._title}  {share:4.0%}  {words}".rstrip()
        self._screen.paint(text) if painted else self._screen.say(text)


class Screen:
    """Writes lines, from any thread. A terminal that is gone is no reason to fail."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()
        self.terminal = self._stream.isatty()
        self._painted = False

    def say(self, text: str = "") -> None:
        """A line that stays."""
        self._write(f"{text}\n", painted=False)

    def paint(self, text: str) -> None:
        """A line that the next one replaces. Only on a terminal."""
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write(text[:width], painted=True)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step: painted while it runs, told once it is done."""
        step = Step(self, title)
        self.paint(f"  {title} …")
        yield step
        self.say(f"  {title}{': ' if step.note else ''}{step.note}")

    def _write(self, text: str, *, painted: bool) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            clear = "\r\x1b[K" if self._painted else ""
            self._painted = painted
            self._stream.write(clear + text)
            self._stream.flush()

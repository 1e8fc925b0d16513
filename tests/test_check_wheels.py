"""The pins for glibc 2.27 are complete and say the same as requirements.txt where they can."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

from tools.check_wheels import CONSTRAINTS, PROJECT, Pin, complaints, normal, platforms, read, too_new

PINS = read(CONSTRAINTS)
OLDER = {"av", "lapx", "onnxruntime"}
"""Whose wheels of requirements.txt need a newer glibc."""


def _required() -> dict[str, set[str]]:
    """Name: versions in requirements.txt; extras are packages of their own in the pins."""
    found: dict[str, set[str]] = {}
    for line in (PROJECT / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = re.sub(r"\[.*?\]", "", line.split(";")[0]).strip().split("==")
            found.setdefault(normal(name), set()).add(version)
    return found


def _needed(name: str) -> set[str]:
    """What an installed package requires here, without extras."""
    return {
        normal(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0])
        for text in metadata.requires(name) or []
        if ";" not in text
    }


def test_every_requirement_is_pinned_and_only_some_differ() -> None:
    versions: dict[str, set[str]] = {}
    for pin in PINS:
        versions.setdefault(pin.name, set()).add(pin.version)
    required = _required()
    assert required.keys() <= versions.keys()
    assert {name for name in required if required[name] != versions[name]} == OLDER


@pytest.mark.parametrize("name", sorted(_required()))
def test_what_a_requirement_needs_is_pinned_too(name: str) -> None:
    if name not in OLDER:
        assert _needed(name) <= {pin.name for pin in PINS}


def test_the_binary_driver_of_postgresql_is_pinned() -> None:
    assert {"psycopg", "psycopg-binary"} <= {pin.name for pin in PINS}


def test_a_line_without_a_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pins.txt"
    path.write_text("# one\nav==14.2.0\nnumpy>=2\n")
    with pytest.raises(ValueError, match="numpy>=2"):
        read(path)


def test_a_line_is_read_with_its_marker(tmp_path: Path) -> None:
    path = tmp_path / "pins.txt"
    path.write_text('Typing_Extensions==4.1; python_version < "3.11"\n')
    assert read(path) == [Pin("typing-extensions", "4.1", 'python_version < "3.11"')]


@pytest.mark.parametrize(
    ("wheel", "expected"),
    [
        ("av-17.1.0-cp311-cp311-manylinux_2_28_x86_64.whl", True),
        ("av-14.2.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", False),
        ("numpy-2-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl", False),
        ("flask-3.1.3-py3-none-any.whl", False),
        ("thing-1-cp311-cp311-musllinux_1_2_x86_64.whl", True),
        ("thing-1-cp311-cp311-manylinux2014_aarch64.whl", True),
    ],
)
def test_a_wheel_is_judged_by_its_platforms(wheel: str, expected: bool) -> None:
    assert too_new(wheel) is expected


def test_the_newest_platform_is_glibc_2_27() -> None:
    assert platforms()[0] == "manylinux_2_27_x86_64"
    assert "manylinux1_x86_64" in platforms()


def test_what_is_missing_superfluous_or_too_new_is_said() -> None:
    pins = [Pin("a", "1", ""), Pin("b", "2", ""), Pin("c", "3", 'python_version < "3.11"')]
    found = {"a": ("1", "a-1-cp311-cp311-manylinux_2_28_x86_64.whl"), "d": ("4", "d-4-py3-none-any.whl")}
    assert complaints(pins, found) == [
        "d 4 is needed and not pinned",
        "a-1-cp311-cp311-manylinux_2_28_x86_64.whl needs a newer glibc",
        "b is pinned and not needed",
    ]

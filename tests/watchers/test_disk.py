"""A disk that is full, read-only or in the way never stops the analysis, and is used again once it works."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from server.domain.video import Part
from server.media.file_source import FileSource
from server.watchers.disk import AGAIN_SECONDS, SegmentKeeper
from tests.clips import Picture, make_clip
from tests.disks import SmallDisk, small_disk
from tests.watchers.harness import FastClock

__all__ = ["small_disk"]

CAMERA, FENCE = 7, 3
KEEP = 3600
"""Seconds that analysed segments stay, for tests that look at them."""


def noise(index: int, width: int, height: int) -> Picture:
    """A picture that cannot be made small."""
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Part]]:
    """Segments of two parts each, whose pictures need more than a block of the disk."""
    clip = make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=100, size=(96, 64), draw=noise)
    source = FileSource(clip)
    source.open()
    yield list(source.parts(threading.Event()))
    source.close()


@pytest.fixture
def clock() -> FastClock:
    return FastClock()


def keeper_in(directory: Path, clock: FastClock, keep_seconds: int = KEEP) -> SegmentKeeper:
    keeper = SegmentKeeper(directory, CAMERA, FENCE, keep_seconds, clock)
    keeper.open()
    return keeper


def segments(directory: Path) -> list[Path]:
    return sorted((directory / str(CAMERA)).glob("*"))


def pictures(path: Path) -> int:
    """How many of its pictures can be decoded."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def beginning(parts: list[Part]) -> list[int]:
    """Which parts begin a segment."""
    return [index for index, part in enumerate(parts) if part.starts_segment]


def test_a_full_disk_is_said_and_what_was_whole_stays_readable(
    parts: list[Part], small_disk: SmallDisk, clock: FastClock
) -> None:
    keeper = keeper_in(small_disk.path, clock)
    second = beginning(parts)[1]
    for part in parts[: second + 1]:
        keeper.write(part)
    assert keeper.trouble == ""
    before = {path: pictures(path) for path in segments(small_disk.path)}
    assert len(before) == 2
    small_disk.fill()
    for part in parts[second + 1 :]:
        keeper.write(part)
        keeper.sweep()
    keeper.close()
    assert keeper.trouble == "the disk is full"
    after = {path: pictures(path) for path in segments(small_disk.path)}
    assert all(after[path] >= number for path, number in before.items())
    assert after.keys() == before.keys(), "a segment that could not begin has left something behind"


def test_writing_is_taken_up_again_with_a_segment_once_there_is_room(
    parts: list[Part], small_disk: SmallDisk, clock: FastClock
) -> None:
    keeper = keeper_in(small_disk.path, clock)
    first, second, third, fourth = beginning(parts)[:4]
    small_disk.fill()
    for part in parts[first:second]:
        keeper.write(part)
    assert keeper.trouble == "the disk is full"
    small_disk.make_room()
    for part in parts[second:third]:
        keeper.write(part)
    assert segments(small_disk.path) == [], "a disk that has just refused was asked again"
    clock.advance(AGAIN_SECONDS)
    keeper.write(parts[third - 1])
    assert segments(small_disk.path) == [], "a segment cannot begin in the middle of another"
    for part in parts[third:fourth]:
        keeper.write(part)
    assert keeper.trouble == ""
    keeper.finish()
    (written,) = segments(small_disk.path)
    assert written.name == f"{FENCE}-{parts[third].start_us // 1000}.mp4"
    assert pictures(written) == sum(len(part.packets) for part in parts[third:fourth])


def test_each_failure_is_followed_by_a_pause(
    parts: list[Part], small_disk: SmallDisk, clock: FastClock
) -> None:
    keeper = keeper_in(small_disk.path, clock)
    first, second, third = beginning(parts)[:3]
    small_disk.fill()
    keeper.write(parts[first])
    clock.advance(AGAIN_SECONDS)
    keeper.write(parts[second])
    small_disk.make_room()
    keeper.write(parts[third])
    assert segments(small_disk.path) == []


def test_no_descriptor_is_left_by_failures(
    parts: list[Part], small_disk: SmallDisk, clock: FastClock
) -> None:
    keeper = keeper_in(small_disk.path, clock)
    small_disk.fill()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        for part in parts:
            keeper.write(part)
            clock.advance(AGAIN_SECONDS)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_read_only_disk_is_said_and_its_segments_are_deleted_once_that_works(
    parts: list[Part], small_disk: SmallDisk, clock: FastClock
) -> None:
    keeper = keeper_in(small_disk.path, clock, keep_seconds=0)
    second = beginning(parts)[1]
    for part in parts[: second + 1]:
        keeper.write(part)
    keeper.finish()
    small_disk.remount("ro")
    keeper.sweep()
    assert keeper.trouble == "segments cannot be deleted: Read-only file system"
    assert len(segments(small_disk.path)) == 2
    small_disk.remount("rw")
    keeper.close()
    assert segments(small_disk.path) == []


def test_a_directory_that_cannot_be_made_is_said(parts: list[Part], tmp_path: Path, clock: FastClock) -> None:
    (tmp_path / str(CAMERA)).write_text("in the way")
    keeper = keeper_in(tmp_path, clock)
    for part in parts:
        keeper.write(part)
        keeper.sweep()
    keeper.close()
    assert keeper.trouble.startswith("segments cannot be written: ")
    assert (tmp_path / str(CAMERA)).read_text() == "in the way"


def test_what_a_killed_watcher_left_is_cleared(parts: list[Part], tmp_path: Path, clock: FastClock) -> None:
    killed = keeper_in(tmp_path, clock)
    for part in parts:
        killed.write(part)
    assert len(segments(tmp_path)) == len(beginning(parts))
    keeper_in(tmp_path, clock, keep_seconds=0)
    assert segments(tmp_path) == []
    killed.close()


def test_analysed_segments_stay_as_long_as_was_asked(parts: list[Part], tmp_path: Path) -> None:
    clock = FastClock(time.time_ns() // 1000)
    keeper = keeper_in(tmp_path, clock, keep_seconds=60)
    for part in parts:
        keeper.write(part)
    keeper.finish()
    clock.advance(50)
    keeper.sweep()
    assert len(segments(tmp_path)) == len(beginning(parts))
    clock.advance(11)
    keeper.sweep()
    assert segments(tmp_path) == []

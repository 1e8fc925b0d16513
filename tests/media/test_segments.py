"""Segments on disk: each playable by itself, together every packet once."""

from __future__ import annotations

import contextlib
import errno
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from server.domain.video import TICKS_PER_SECOND, Part
from server.errors import StorageError
from server.media.file_source import FileSource
from server.media.segments import SegmentWriter
from tests.clips import H264, H265, MPEG4, make_clip
from tests.media.playing import luma, see

FRAMES = 60


@pytest.fixture(params=[H264, H265, MPEG4])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileSource]:
    suffix = "avi" if request.param == MPEG4 else "mp4"
    opened = FileSource(make_clip(tmp_path / f"clip.{suffix}", codec=request.param), anchor_us=1_000_000)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def h264(tmp_path: Path) -> Iterator[FileSource]:
    opened = FileSource(make_clip(tmp_path / "clip.mp4"))
    opened.open()
    yield opened
    opened.close()


def parts_of(source: FileSource) -> list[Part]:
    return list(source.parts(threading.Event()))


def write_all(source: FileSource, directory: Path) -> list[Path]:
    writer = SegmentWriter(directory, 7, 3, source.template)
    done = [writer.write(part) for part in parts_of(source)]
    return [path for path in (*done, writer.close()) if path is not None]


def packets_in(path: Path) -> list[tuple[int | None, int | None, int]]:
    with av.open(str(path)) as container:
        return [(p.pts, p.dts, p.size) for p in container.demux(video=0) if p.size]


def test_the_segments_hold_every_packet_once_at_its_time(source: FileSource, tmp_path: Path) -> None:
    written = [entry for path in write_all(source, tmp_path / "out") for entry in packets_in(path)]
    offset = TICKS_PER_SECOND
    sent = [packet for part in parts_of(source) for packet in part.packets]
    assert [entry[:2] for entry in written] == [(p.pts + offset, p.dts + offset) for p in sent]


def test_each_segment_plays_by_itself_and_together_they_show_everything(
    source: FileSource, tmp_path: Path
) -> None:
    shown = []
    for path in write_all(source, tmp_path / "out"):
        with av.open(str(path)) as container:
            shown += [luma(frame) for frame in container.decode(video=0)]
    assert len(shown) == FRAMES
    assert shown == [brightness for _, brightness, _ in see(parts_of(source))]


def test_a_segment_begins_at_every_keyframe_and_is_named_after_its_time(
    source: FileSource, tmp_path: Path
) -> None:
    starts = [part.start_us // 1000 for part in parts_of(source) if part.starts_segment]
    paths = write_all(source, tmp_path / "out")
    assert paths == [tmp_path / "out" / "7" / f"3-{start}.mp4" for start in starts]
    assert sorted(paths) == sorted((tmp_path / "out").rglob("*.mp4"))


def test_a_segment_that_is_being_written_is_readable_but_for_its_last_picture(
    h264: FileSource, tmp_path: Path
) -> None:
    writer = SegmentWriter(tmp_path / "out", 1, 1, h264.template)
    parts = parts_of(h264)
    assert writer.write(parts[0]) is None
    assert writer.path is not None
    assert len(packets_in(writer.path)) == len(parts[0].packets) - 1
    assert writer.write(parts[1]) is None
    assert len(packets_in(writer.path)) == len(parts[0].packets) + len(parts[1].packets) - 1
    writer.close()


def test_closing_without_a_part_leaves_no_file(h264: FileSource, tmp_path: Path) -> None:
    assert SegmentWriter(tmp_path / "out", 1, 1, h264.template).close() is None
    assert not (tmp_path / "out").exists()


@pytest.fixture
def failing(h264: FileSource, tmp_path: Path) -> Iterator[SegmentWriter]:
    """A writer that a disk fails; left unclosed, it would take older libav down with it."""
    writer = SegmentWriter(tmp_path / "out", 1, 1, h264.template)
    yield writer
    with contextlib.suppress(StorageError):
        writer.abandon()


def raising(number: int) -> Any:
    def open_(*args: object, **kwargs: object) -> None:
        raise OSError(number, "what the system says")

    return open_


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_in_words(
    h264: FileSource, failing: SegmentWriter, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(Path, "open", raising(number))
    with pytest.raises(StorageError, match="the disk is full") as caught:
        failing.write(parts_of(h264)[0])
    assert caught.value.retryable


def test_a_read_only_disk_is_told_in_words(
    h264: FileSource, failing: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "open", raising(errno.EROFS))
    with pytest.raises(StorageError, match="segments cannot be written: what the system says"):
        failing.write(parts_of(h264)[0])


def test_a_directory_that_cannot_be_made_is_told_in_words(
    h264: FileSource, failing: SegmentWriter, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file where the directory should be")
    with pytest.raises(StorageError, match="segments cannot be written"):
        failing.write(parts_of(h264)[0])


class _FullLater(io.BytesIO):
    """Takes the header, then the disk is full."""

    def write(self, data: Any) -> int:
        if self.tell():
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_disk_that_fills_up_while_writing_is_told_in_words(
    h264: FileSource, failing: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "open", lambda *args: _FullLater())
    with pytest.raises(StorageError, match="the disk is full"):
        failing.write(parts_of(h264)[0])

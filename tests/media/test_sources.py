"""Which source plays an address, and what devices that are not there say."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from server.errors import SourceError
from server.media.capture import CaptureSource
from server.media.file_source import FileSource
from server.media.http_source import HttpSource
from server.media.source import Source
from server.media.sources import is_file, source_for
from server.media.stream_source import StreamSource
from tests.media.livetime import START_US, HandClock


def source(address: str) -> Source:
    return source_for(
        address,
        loop=False,
        transport="tcp",
        anchor_us=START_US,
        after=None,
        clock=HandClock(),
        networks=frozenset({"loopback"}),
    )


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("/srv/video/door.mp4", FileSource),
        ("file:///srv/video/door.mp4", FileSource),
        ("rtsp://user:secret@camera/1", StreamSource),
        ("RTSPS://camera:322/1", StreamSource),
        ("http://camera/live.m3u8", HttpSource),
        ("HTTPS://camera/a.ts", HttpSource),
        ("/dev/video0", CaptureSource),
        ("v4l2:///dev/video3", CaptureSource),
    ],
)
def test_each_kind_of_address_has_its_source(address: str, kind: type) -> None:
    made = source(address)
    assert type(made) is kind
    assert made.anchor_us == START_US
    assert is_file(address) == (kind is FileSource)
    assert made.live == (kind is not FileSource)
    assert made.live == hasattr(made, "stall_seconds")
    assert "secret" not in repr(made)
    made.close()


@pytest.mark.parametrize("address", ["rtsp://camera/1", "/dev/video0"])
def test_parts_of_what_is_not_open_are_refused(address: str) -> None:
    with pytest.raises(SourceError, match="not open"):
        next(iter(source(address).parts(threading.Event())))


def test_a_device_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    camera = CaptureSource(Path("/dev/video987"), anchor_us=0, after=None, clock=HandClock())
    with pytest.raises(SourceError, match=r"^/dev/video987: there is no such device; is"):
        camera.open()
    file = tmp_path / "video0"
    file.write_bytes(b"x")
    camera = CaptureSource(file, anchor_us=0, after=None, clock=HandClock())
    with pytest.raises(SourceError, match=r"this is not a camera$"):
        camera.open()

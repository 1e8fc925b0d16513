"""Which addresses a camera may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import InvalidInput
from server.media.addresses import check_address, file_of


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "the path of a video file"),
        ("   ", "the path of a video file"),
        ("/srv/a\nb.mp4", "control characters"),
        ("/srv/a\x00.mp4", "control characters"),
        ("rtsp://camera/1", "rtsp:// is not supported yet"),
        ("http://camera/1.mjpg", "http:// is not supported yet"),
        ("file://elsewhere/srv/door.mp4", "a file on this server"),
        ("door.mp4", "the whole path from /"),
        ("../door.mp4", "the whole path from /"),
        ("file:door.mp4", "the whole path from /"),
    ],
)
def test_an_address_that_cannot_be_played_is_refused_in_words(address: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refusal:
        check_address(address)
    assert refusal.value.field == "stream_url"


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/srv/video/door.mp4", "/srv/video/door.mp4"),
        ("/srv/100%/door 1.mp4", "/srv/100%/door 1.mp4"),
        ("file:///srv/video/door.mp4", "/srv/video/door.mp4"),
        ("file://localhost/srv/door%201.mp4", "/srv/door 1.mp4"),
    ],
)
def test_a_path_and_a_file_url_name_a_file(address: str, path: str) -> None:
    check_address(address)
    assert file_of(address) == Path(path)

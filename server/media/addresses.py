"""Which addresses a camera may have."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from server.errors import InvalidInput


def check_address(address: str) -> None:
    """Refuse an address that no source can play. Raises InvalidInput for the field `stream_url`."""
    if not address.strip():
        raise InvalidInput(
            "stream_url", "the path of a video file on the server, such as /srv/video/door.mp4"
        )
    if any(ord(character) < 32 for character in address):
        raise InvalidInput("stream_url", "an address has no line breaks or control characters")
    parts = urlsplit(address)
    if parts.scheme not in ("", "file"):
        raise InvalidInput("stream_url", f"{parts.scheme}:// is not supported yet; a path or file:// is")
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise InvalidInput("stream_url", "file:// names a file on this server: file:///srv/video/door.mp4")
    if not file_of(address).is_absolute():
        raise InvalidInput("stream_url", "the whole path from /, because workers run in other directories")


def file_of(address: str) -> Path:
    """The file that a path or a file:// URL names."""
    if address.startswith("file:"):
        return Path(unquote(urlsplit(address).path))
    return Path(address)

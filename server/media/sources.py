"""Which source plays an address."""

from __future__ import annotations

from urllib.parse import urlsplit

from server.clock import Clock
from server.errors import SourceError
from server.media.addresses import file_of
from server.media.file_source import FileSource
from server.media.source import Source


def is_file(address: str) -> bool:
    """Whether an address names a file, which can be read again from any place."""
    return urlsplit(address).scheme in ("", "file") and not address.startswith("/dev/")


def source_for(
    address: str,
    *,
    loop: bool,
    transport: str,
    anchor_us: int,
    after: int | None,
    clock: Clock,
    networks: frozenset[str],
) -> Source:
    """The source of a camera, not yet open. See `LiveLine` for anchor_us and after. Raises SourceError."""
    if is_file(address):
        return FileSource(file_of(address), loop=loop, anchor_us=anchor_us, clock=clock)
    raise SourceError("this kind of address cannot be played yet")

"""Which source plays an address."""

from __future__ import annotations

from collections.abc import Callable

from server.clock import Clock
from server.media.addresses import HTTP_SCHEMES, RTSP_SCHEMES, device_of, file_of, scheme_of
from server.media.capture import CaptureSource
from server.media.file_source import FileSource
from server.media.http_source import HttpSource
from server.media.source import Source
from server.media.stream_source import StreamSource


def is_file(address: str) -> bool:
    """Whether an address names a file, which can be read again from any place."""
    return scheme_of(address) in ("", "file") and device_of(address) is None


def source_for(
    address: str,
    *,
    loop: bool,
    transport: str,
    anchor_us: int,
    after: int | None,
    clock: Clock,
    networks: frozenset[str],
    working: Callable[[], None] = lambda: None,
) -> Source:
    """The source for a camera's address, not opened yet.

    loop: play a file for ever. transport: "tcp" or "udp", for RTSP. anchor_us, after: where the
    camera's time line was left (see `LiveLine`). networks: where streams may come from.
    working: called now and then while a file is read.
    """
    scheme = scheme_of(address)
    if scheme in RTSP_SCHEMES:
        return StreamSource(
            address, transport=transport, anchor_us=anchor_us, after=after, clock=clock, networks=networks
        )
    if scheme in HTTP_SCHEMES:
        return HttpSource(address, anchor_us=anchor_us, after=after, clock=clock, networks=networks)
    device = device_of(address)
    if device is not None:
        return CaptureSource(device, anchor_us=anchor_us, after=after, clock=clock)
    return FileSource(file_of(address), loop=loop, anchor_us=anchor_us, clock=clock, working=working)

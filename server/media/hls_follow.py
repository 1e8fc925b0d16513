"""Which segments of a live playlist come next."""

from __future__ import annotations

from collections import deque
from urllib.parse import urlsplit

from server.media.hls_playlist import Playlist, Segment

_REMEMBERED = 200
"""Segments by whose names a playlist is recognised."""
EDGE_TARGETS = 3
"""Target durations before the end at which a live stream is begun (RFC 8216, 6.3.3)."""


class Follower:
    """Compares each playlist with those before it.

    A playlist that ends before what has been played is either an old copy that a cache still had, or
    comes from a server that has begun to count anew.
    """

    def __init__(self) -> None:
        self._next: int | None = None
        self._first = 0
        self._behind: int | None = None
        self._names: deque[tuple[int, str]] = deque(maxlen=_REMEMBERED)

    def take(self, playlist: Playlist) -> tuple[tuple[Segment, ...], bool]:
        """(segments that are new, whether something is missing before the first of them)."""
        if self._next is None:
            return self._begin(playlist), False
        if not playlist.segments:
            return (), False
        if self._began_anew(playlist):
            self._names.clear()
            return self._begin(playlist), True
        if playlist.end < self._next:
            self._behind = playlist.end
            return (), False
        self._behind = None
        new = playlist.segments[max(0, self._next - playlist.first) :]
        lost = bool(new) and new[0].sequence > self._next
        self._remember(playlist, new)
        return new, lost

    def _begin(self, playlist: Playlist) -> tuple[Segment, ...]:
        """A recording from its beginning, a live stream near its end."""
        start = 0
        if not playlist.ended:
            left = EDGE_TARGETS * playlist.target_s
            for start in range(len(playlist.segments) - 1, -1, -1):
                left -= playlist.segments[start].duration
                if left <= 0.001:
                    break
        new = playlist.segments[start:]
        if playlist.segments:
            self._remember(playlist, playlist.segments)
        return new

    def _remember(self, playlist: Playlist, new: tuple[Segment, ...]) -> None:
        self._next, self._first, self._behind = playlist.end, playlist.first, None
        self._names.extend((one.sequence, _name(one)) for one in new)

    def _began_anew(self, playlist: Playlist) -> bool:
        assert self._next is not None
        known = dict(self._names)
        shared = [one for one in playlist.segments if one.sequence in known]
        others = any(known[one.sequence] != _name(one) for one in shared)
        if playlist.first < self._first and others:
            return True
        if playlist.end >= self._next:
            return False
        return not shared or (self._behind is not None and playlist.end > self._behind)


def _name(segment: Segment) -> str:
    """What it is known by: without the query, which often holds a signature that is new each time."""
    return f"{urlsplit(segment.media.url).path} {segment.media.span}"

"""Reading HLS playlists (RFC 8216): what is in them that a camera needs, leniently."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from urllib.parse import urljoin

from server.errors import SourceError

MAX_LINES = 1080
"""Of the variants of a stream the one with the most lines up to this is watched."""
_TARGET_S = (0.5, 60.0)
"""A target duration outside of this is a mistake; it decides how often the playlist is asked for."""
_LONGEST_S = 3600.0
_LARGEST = 1 << 62
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)\s*=\s*("[^"]*"|[^",]*)')
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d\d(?::?\d\d)?)?$", re.I
)
_VIDEO_CODECS = ("avc", "hvc", "hev", "dvh", "av01", "vp0", "vp8", "vp9", "mp4v", "mjp")

Span = tuple[int, int]
"""(first byte, number of bytes) of a file."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One of several playlists with the same content. Sizes in pixels, 0 = unknown; bandwidth in bit/s."""

    url: str
    bandwidth: int = 0
    width: int = 0
    height: int = 0
    codecs: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or the part of one that `span` names."""

    url: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of video that can be fetched. Duration in seconds."""

    sequence: int
    media: Piece
    duration: float
    init: Piece | None = None
    """What fragmented MP4 needs in front of each segment."""
    encryption: str = ""
    """EXT-X-KEY's METHOD; empty: not encrypted."""
    discontinuity: bool = False
    """Timestamps, or the encoding, begin anew here."""
    date_us: int | None = None
    """Wall time of the first picture, in microseconds since 1970."""
    gap: bool = False
    """The server says that it does not have this one."""


@dataclass(frozen=True, slots=True)
class Playlist:
    """The segments that there are just now."""

    target_s: float
    first: int
    segments: tuple[Segment, ...]
    ended: bool = False
    """Nothing will be appended."""

    @property
    def end(self) -> int:
        """The sequence number that comes after the last."""
        return self.first + len(self.segments)


def parse(content: bytes, url: str, what: str) -> Playlist | tuple[Variant, ...]:
    """The playlist, or the variants to choose from. url: where it came from. Raises SourceError."""
    reader = _Reader(url)
    try:
        for line in content.decode("utf-8-sig", "replace").splitlines():
            reader.take(line.strip())
    except (ValueError, OverflowError) as error:
        raise SourceError(f"{what}: its playlist cannot be read") from error
    if reader.variants:
        return tuple(reader.variants)
    return reader.playlist()


def best_of(variants: tuple[Variant, ...], what: str) -> Variant:
    """The variant to watch: most lines up to 1080, then most bits; if all have more, the one with fewest.

    Raises SourceError where none has video.
    """
    videos = [one for one in variants if _has_video(one)]
    if not videos:
        raise SourceError(f"{what}: there is no video in it")
    if all(one.height > MAX_LINES for one in videos):
        return min(videos, key=lambda one: (one.height, -one.bandwidth))
    return max(
        (one for one in videos if one.height <= MAX_LINES), key=lambda one: (one.height, one.bandwidth)
    )


def _has_video(variant: Variant) -> bool:
    if variant.height or not variant.codecs:
        return True
    return any(codec.strip().lower().startswith(_VIDEO_CODECS) for codec in variant.codecs.split(","))


@dataclass(slots=True)
class _Reader:
    """Takes a playlist line by line. Tags that it does not know say nothing that matters here."""

    url: str
    variants: list[Variant] = field(default_factory=list)
    _segments: list[Segment] = field(default_factory=list)
    _first: int = 0
    _target_s: float = 0.0
    _ended: bool = False
    _stream: dict[str, str] | None = None
    _duration: float | None = None
    _range: str = ""
    _init: Piece | None = None
    _encryption: str = ""
    _discontinuity: bool = False
    _gap: bool = False
    _date_us: int | None = None

    def take(self, line: str) -> None:
        """Take the next line. Raises ValueError, OverflowError."""
        if line and not line.startswith("#"):
            self._take_address(line)
            return
        tag, _, value = line.partition(":")
        if tag == "#EXTINF":
            self._duration = _seconds(value.partition(",")[0])
        elif tag == "#EXT-X-BYTERANGE":
            self._range = value.strip()
        elif tag == "#EXT-X-TARGETDURATION":
            self._target_s = _seconds(value)
        elif tag == "#EXT-X-MEDIA-SEQUENCE":
            self._first = max(0, min(int(value), _LARGEST))
        elif tag == "#EXT-X-ENDLIST":
            self._ended = True
        elif tag == "#EXT-X-DISCONTINUITY":
            self._discontinuity, self._date_us = True, None
        elif tag == "#EXT-X-GAP":
            self._gap = True
        elif tag == "#EXT-X-PROGRAM-DATE-TIME":
            self._date_us = _date(value.strip())
        elif tag == "#EXT-X-KEY":
            method = _attributes(value).get("METHOD", "unknown")
            self._encryption = "" if method == "NONE" else method
        elif tag == "#EXT-X-MAP":
            given = _attributes(value)
            span = _span(given["BYTERANGE"], 0) if "BYTERANGE" in given else None
            self._init = Piece(urljoin(self.url, given["URI"]), span) if given.get("URI") else None
        elif tag == "#EXT-X-STREAM-INF":
            self._stream = _attributes(value)

    def playlist(self) -> Playlist:
        """What was read."""
        target_s = self._target_s or max((one.duration for one in self._segments), default=6.0)
        low, high = _TARGET_S
        return Playlist(min(max(target_s, low), high), self._first, tuple(self._segments), self._ended)

    def _take_address(self, address: str) -> None:
        url = urljoin(self.url, address)
        if self._stream is not None:
            self._take_variant(url, self._stream)
            self._stream = None
            return
        if self._duration is None:
            return
        self._segments.append(
            Segment(
                sequence=self._first + len(self._segments),
                media=Piece(url, self._span_in(url) if self._range else None),
                duration=self._duration,
                init=self._init,
                encryption=self._encryption,
                discontinuity=self._discontinuity,
                date_us=self._date_us,
                gap=self._gap,
            )
        )
        if self._date_us is not None:
            self._date_us += round(self._duration * 1e6)
        self._duration, self._range, self._discontinuity, self._gap = None, "", False, False

    def _take_variant(self, url: str, given: dict[str, str]) -> None:
        width, _, height = given.get("RESOLUTION", "").lower().partition("x")
        self.variants.append(
            Variant(
                url,
                _number(given.get("BANDWIDTH", "")),
                _number(width),
                _number(height),
                given.get("CODECS", ""),
            )
        )

    def _span_in(self, url: str) -> Span:
        """A range without a beginning goes on where the one before it in the same file ended."""
        before = self._segments[-1].media if self._segments else None
        start = sum(before.span) if before is not None and before.url == url and before.span else 0
        return _span(self._range, start)


def _attributes(text: str) -> dict[str, str]:
    return {name: value.strip().strip('"') for name, value in _ATTRIBUTE.findall(text)}


def _seconds(text: str) -> float:
    seconds = float(text)
    if not math.isfinite(seconds):
        raise ValueError(text)
    return min(max(seconds, 0.0), _LONGEST_S)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _span(text: str, start: int) -> Span:
    length, _, offset = text.partition("@")
    span = int(offset) if offset else start, int(length)
    if not (0 <= span[0] < _LARGEST and 0 < span[1] < _LARGEST):
        raise ValueError(text)
    return span


def _date(text: str) -> int | None:
    """Microseconds since 1970; None for what is no date. Without a time zone it is UTC."""
    match = _DATE.match(text)
    if match is None:
        return None
    day, time, fraction, zone = match.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    microseconds = int(whole.timestamp()) * 1_000_000 + int((fraction or "0").ljust(9, "0")) // 1000
    if zone and zone.upper() != "Z":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        ahead_s = int(digits[:2]) * 3600 + int(digits[2:]) * 60
        microseconds -= (ahead_s if zone[0] == "+" else -ahead_s) * 1_000_000
    return microseconds

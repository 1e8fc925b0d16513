"""Checks a media playlist against RFC 8216, as strictly as a player may that is not ours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

_ONCE = ("#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE")
_BARE = ("#EXTM3U", "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY")


@dataclass(slots=True)
class Checked:
    """What a playlist says."""

    version: int = 1
    target: int = 0
    sequence: int = 0
    init: str = ""
    independent: bool = False
    ended: bool = False
    segments: list[tuple[str, float, datetime | None]] = field(default_factory=list)


def check_playlist(content: bytes) -> Checked:
    """What the playlist says. Raises AssertionError, naming the section, where it breaks a rule."""
    text = content.decode("utf-8")
    assert not text.startswith("\ufeff"), "4.1: no byte order mark"
    lines = text.splitlines()
    assert lines and lines[0] == "#EXTM3U", "4.3.1.1: EXTM3U comes first"
    found = Checked()
    seen: list[str] = []
    duration: float | None = None
    date: datetime | None = None
    for line in lines[1:]:
        assert line == line.strip(), "4.1: no white space around a line"
        tag, _, value = line.partition(":")
        if not line:
            continue
        if not line.startswith("#"):
            assert duration is not None, f"4.3.2.1: {line} has no EXTINF"
            assert found.target and round(duration) <= found.target, (
                "4.3.3.1: longer than the target duration"
            )
            found.segments.append((line, duration, date))
            duration = date = None
            continue
        if not line.startswith("#EXT"):
            continue
        assert tag not in _ONCE or tag not in seen, f"{tag} comes once"
        assert tag not in _BARE or not value, f"{tag} has no value"
        if tag in ("#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE"):
            assert not found.segments, f"4.3.3: {tag} comes before the first segment"
        seen.append(tag)
        if tag == "#EXT-X-VERSION":
            found.version = int(value)
        elif tag == "#EXT-X-TARGETDURATION":
            assert value.isdigit() and int(value) > 0, "4.3.3.1: a decimal integer"
            found.target = int(value)
        elif tag == "#EXT-X-MEDIA-SEQUENCE":
            assert value.isdigit(), "4.3.3.2: a decimal integer"
            found.sequence = int(value)
        elif tag == "#EXT-X-INDEPENDENT-SEGMENTS":
            found.independent = True
        elif tag == "#EXT-X-ENDLIST":
            found.ended = True
        elif tag == "#EXT-X-MAP":
            uri = re.search(r'URI="([^"]+)"', value)
            assert uri is not None, "4.3.2.5: EXT-X-MAP needs a URI"
            found.init = uri[1]
        elif tag == "#EXT-X-PROGRAM-DATE-TIME":
            date = datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%f%z")
        elif tag == "#EXTINF":
            assert value.endswith(",") or "," in value, "4.3.2.1: the duration is followed by a comma"
            duration = float(value.partition(",")[0])
            assert duration > 0
    assert found.target, "4.3.3.1: EXT-X-TARGETDURATION is required"
    assert found.version >= 3, "7: durations with fractions need version 3"
    if found.init:
        assert found.version >= 6, "7: EXT-X-MAP of a playlist without I-frames only needs version 6"
    names = [name for name, _, _ in found.segments]
    assert len(set(names)) == len(names), "every segment has a name of its own"
    return found

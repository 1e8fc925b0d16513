"""What a watcher cannot store while the database is away: on disk, in order, bounded.

One file a camera. Each entry is a frame of its length, its checksum and compressed JSON; a file that a
crash cut off is good up to its last whole entry.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from server.domain.events import Event
from server.domain.video import datetime_to_us, us_to_datetime
from server.errors import StorageError
from server.services.analysis import Begin, End, Extend, Outcome
from server.watchers.store import Entry, Saved

_HEADER = struct.Struct("<II")
"""Length of the body and its CRC-32."""
_SUFFIX = ".spool"


class Spool:
    """The entries of one camera that wait for the database. One process at a time holds it."""

    def __init__(self, directory: Path, camera_id: int, max_bytes: int) -> None:
        """max_bytes: how large the file may grow."""
        self._path = directory / f"{camera_id}{_SUFFIX}"
        self._max_bytes = max_bytes
        self._file: int | None = None
        self._size = 0
        self.count = 0
        """Entries that wait."""

    def take(self) -> bool:
        """Hold the spool, if there is one and nobody else holds it; gives whether it is held now."""
        if self._file is None and self._path.exists():
            self._open()
        return self._file is not None

    def entries(self) -> list[Entry]:
        """What waits, oldest first; what a crash cut off is dropped. Raises StorageError."""
        if not self.take():
            return []
        try:
            found, good = _read(self._path.read_bytes())
        except OSError as error:
            raise _trouble(error) from error
        self.count, self._size = len(found), good
        return found

    def append(self, entry: Entry) -> None:
        """Keep an entry. Raises StorageError where there is no room for it."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        body = zlib.compress(json.dumps(_to_json(entry), separators=(",", ":")).encode(), 1)
        framed = _HEADER.pack(len(body), zlib.crc32(body)) + body
        if self._size + len(framed) > self._max_bytes:
            raise StorageError(
                "the database does not answer, and SPOOL_MAX_BYTES of events are held back for it already"
            )
        if self._file is None:
            raise StorageError("another process still holds back events of this camera")
        try:
            os.pwrite(self._file, framed, self._size)
        except OSError as error:
            raise _trouble(error) from error
        self._size += len(framed)
        self.count += 1

    def clear(self) -> None:
        """Everything is stored. Raises StorageError."""
        if self._file is not None:
            try:
                self._path.unlink(missing_ok=True)
            except OSError as error:
                raise _trouble(error) from error
            self.close()
        self.count = self._size = 0

    def close(self) -> None:
        """Let go of the file; what waits stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> None:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _trouble(error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return
        self._file = file


def spooled_cameras(directory: Path) -> list[int]:
    """Cameras that have something waiting here."""
    if not directory.is_dir():
        return []
    return sorted(int(path.stem) for path in directory.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def _read(data: bytes) -> tuple[list[Entry], int]:
    """(the whole entries at the beginning, how many bytes they take)."""
    found: list[Entry] = []
    at = 0
    while at + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, at)
        body = data[at + _HEADER.size : at + _HEADER.size + length]
        if len(body) < length or zlib.crc32(body) != checksum:
            break
        found.append(_from_json(json.loads(zlib.decompress(body))))
        at += _HEADER.size + length
    return found, at


def _trouble(error: OSError) -> StorageError:
    return StorageError(f"the database does not answer, and SPOOL_DIR takes no events: {error.strerror}")


def _to_json(entry: Entry) -> dict[str, Any]:
    return {
        "serial": entry.serial,
        "revision": entry.revision,
        "events": [[id_, _event_values(event)] for id_, event in entry.outcome.events],
        "spans": [_span_to_json(span) for span in entry.outcome.spans],
        "crops": [[*event, host] for event, host in entry.outcome.crops.items()],
        "advances": entry.advances,
        "saved": None if entry.saved is None else asdict(entry.saved),
        "news": None if entry.news is None else [*entry.news[:2], datetime_to_us(entry.news[2])],
    }


def _from_json(value: dict[str, Any]) -> Entry:
    news = value["news"]
    return Entry(
        serial=value["serial"],
        outcome=Outcome(
            events=[(id_, Event(**event)) for id_, event in value["events"]],
            spans=[_span_from_json(span) for span in value["spans"]],
            # Entries of before there were pictures have none.
            crops={(id_, key): host for id_, key, host in value.get("crops", ())},
        ),
        saved=None if value["saved"] is None else Saved(**value["saved"]),
        news=None if news is None else (news[0], news[1], us_to_datetime(news[2])),
        revision=value["revision"],
        advances=value["advances"],
    )


def _event_values(event: Event) -> dict[str, Any]:
    return {field.name: getattr(event, field.name) for field in fields(event)}


def _span_to_json(span: Begin | Extend | End) -> list[Any]:
    if isinstance(span, Begin):
        return ["begin", span.ts_us, list(span.rules)]
    if isinstance(span, Extend):
        return ["extend", span.ts_us]
    return ["end", span.reason, _listed(span.rules)]


def _listed(rules: Sequence[int] | None) -> list[int] | None:
    return None if rules is None else list(rules)


def _span_from_json(value: list[Any]) -> Begin | Extend | End:
    kind, *rest = value
    if kind == "begin":
        return Begin(rest[0], tuple(rest[1]))
    if kind == "extend":
        return Extend(rest[0])
    return End(rest[0], None if rest[1] is None else tuple(rest[1]))

"""Segments of a camera on disk: written as parts come, deleted once they are analysed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av.video.stream

from server.clock import Clock
from server.domain.video import Part, VideoFormat
from server.errors import HypersightError, StorageError
from server.log import CameraLogger
from server.media.segments import SegmentWriter

AGAIN_SECONDS = 10.0
"""How long a disk that refused is left alone."""


class SegmentKeeper:
    """Keeps the segments of one connection. A disk that does not take them never stops the analysis."""

    def __init__(self, directory: Path, camera_id: int, fence: int, keep_seconds: int, clock: Clock) -> None:
        """keep_seconds: how long an analysed segment stays; 0 deletes it at once."""
        self._directory = directory / str(camera_id)
        self._root = directory
        self._camera_id = camera_id
        self._fence = fence
        self._keep_us = keep_seconds * 1_000_000
        self._clock = clock
        self._writer: SegmentWriter | None = None
        self._video: VideoFormat | None = None
        self._done: list[Path] = []
        self._again_at: float | None = None
        self._log = CameraLogger(logging.getLogger(__name__), camera_id)
        self.trouble = ""
        """Why nothing is being written, in words; empty while all is well."""

    def open(self) -> None:
        """Clear away what watchers before this one left."""
        with self._disk():
            self._done = sorted(self._directory.glob("*.mp4")) if self._directory.is_dir() else []
        self.sweep()

    def write(self, part: Part) -> None:
        """Append a part to its segment. Another format than before begins other segments.

        After a failure it tries again with a part that begins a segment, not more often than every 10 s.
        """
        if part.video != self._video:
            self.finish()
            self._video = part.video
        elif self._writer is None and not part.starts_segment:
            return
        if self._writer is None and self._is_too_early():
            return
        with self._disk():
            if self._writer is None:
                self._writer = self._new_writer(part.video)
            self._note(self._writer.write(part))
            self._is_well()

    def sweep(self) -> None:
        """Delete analysed segments whose time is over. Call after the commit of a part."""
        waiting, self._done = self._done, []
        for path in waiting:
            if (self._keep_us and self._age_us(path) < self._keep_us) or not self._delete(path):
                self._done.append(path)

    def finish(self) -> None:
        """Complete the segment that is being written."""
        if self._writer is not None:
            with self._disk():
                self._note(self._writer.close())
        self._writer = None

    def close(self) -> None:
        """Finish the last segment and delete it like the others."""
        self.finish()
        self.sweep()

    def _new_writer(self, video: VideoFormat) -> SegmentWriter:
        assert isinstance(video.template, av.video.stream.VideoStream)
        return SegmentWriter(self._root, self._camera_id, self._fence, video.template)

    def _note(self, complete: Path | None) -> None:
        if complete is not None:
            self._done.append(complete)

    def _age_us(self, path: Path) -> int:
        try:
            return self._clock.now_us() - path.stat().st_mtime_ns // 1000
        except OSError:
            return self._keep_us

    def _delete(self, path: Path) -> bool:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._is_in_trouble(f"segments cannot be deleted: {error.strerror}")
            return False
        return True

    def _is_too_early(self) -> bool:
        return self._again_at is not None and self._clock.monotonic() < self._again_at

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Where the disk, or the muxer, refuses: let go of the segment and go on without."""
        try:
            yield
        except (HypersightError, OSError) as error:
            reason = str(error) if isinstance(error, HypersightError) else f"segments: {error.strerror}"
            self._is_in_trouble(reason)
            self._again_at = self._clock.monotonic() + AGAIN_SECONDS
            self._abandon()

    def _abandon(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            # A disk that does not even shorten a file leaves it to the next watcher to delete.
            with suppress(StorageError):
                self._note(writer.abandon())
            # A segment that was completed just before the failure has not been told of.
            with suppress(OSError):
                self._done = sorted({*self._done, *self._directory.glob("*.mp4")})

    def _is_in_trouble(self, reason: str) -> None:
        if not self.trouble:
            self._log.warning("segments are not written: %s", reason)
        self.trouble = reason

    def _is_well(self) -> None:
        if self.trouble:
            self._log.info("segments are written again")
        self.trouble = ""
        self._again_at = None

"""Segments of a camera on disk: written as parts come, deleted once they are analysed."""

from __future__ import annotations

import logging
from pathlib import Path

import av.video.stream

from server.clock import Clock
from server.domain.video import Part, VideoFormat
from server.errors import HypersightError
from server.log import CameraLogger
from server.media.segments import SegmentWriter


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
        self._log = CameraLogger(logging.getLogger(__name__), camera_id)
        self.trouble = ""
        """Why nothing is being written, in words; empty while all is well."""

    def open(self) -> None:
        """Clear away what watchers before this one left."""
        self._done = sorted(self._directory.glob("*.mp4")) if self._directory.is_dir() else []
        self.sweep()

    def write(self, part: Part) -> None:
        """Append a part to its segment. Another format than before begins other segments."""
        if part.video != self._video:
            self.finish()
            self._video = part.video
            self._try(lambda: setattr(self, "_writer", self._new_writer(part.video)))
        if self._writer is not None:
            self._try(lambda: self._note(self._writer.write(part) if self._writer else None))

    def sweep(self) -> None:
        """Delete analysed segments whose time is over. Call after the commit of a part."""
        kept = []
        for path in self._done:
            if self._keep_us and self._age_us(path) < self._keep_us:
                kept.append(path)
            else:
                path.unlink(missing_ok=True)
        self._done = kept

    def finish(self) -> None:
        """Complete the segment that is being written."""
        if self._writer is not None:
            self._try(lambda: self._note(self._writer.close() if self._writer else None))
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
        except FileNotFoundError:
            return self._keep_us

    def _try(self, write: object) -> None:
        assert callable(write)
        try:
            write()
        except HypersightError as error:
            if not self.trouble:
                self._log.warning("segments are not written: %s", error)
            self.trouble = str(error)
            self._writer = None

"""Pictures of what happens: made as it is found, written before it is committed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from server.clock import Clock
from server.config import Settings
from server.domain.events import Event
from server.domain.geometry import Box
from server.domain.tracks import Track, TrackState
from server.domain.video import Frame, us_to_datetime
from server.log import CameraLogger
from server.media.stills import cut, jpeg, shrunk
from server.services.analysis import Outcome
from server.services.crops import crop_path
from server.watchers.disk import AGAIN_SECONDS

LONGEST_SIDE = 320
"""Pixels."""
MARGIN = 0.2
"""What is shown around somebody, as a share of their box, on each side."""


class CropKeeper:
    """A witness (see `services.onlookers`) that makes a JPEG of each event of one connection.

    Of somebody who is seen now: cut from the frame. Of somebody who is not seen any more: cut from the last
    frame that they were seen in, as soon as they are not; so frames in which nobody is lost cost nothing.
    Of what concerns nobody in particular: the whole picture, small. A disk that refuses stops nothing.
    """

    def __init__(self, settings: Settings, camera_id: int, clock: Clock) -> None:
        self._settings = settings
        self._camera_id = camera_id
        self._clock = clock
        self._log = CameraLogger(logging.getLogger(__name__), camera_id)
        self._last: Frame | None = None
        """The last frame that was judged …"""
        self._seen: dict[int, Box] = {}
        """… and where each track was seen in it."""
        self._gone: dict[int, Frame] = {}
        """Those who are expected back or have just ended, as they were seen last."""
        self._made: dict[tuple[int, str], bytes] = {}
        self._again_at: float | None = None
        self.trouble = ""
        """Why nothing is being written, in words; empty while all is well."""

    def saw(
        self,
        frame: Frame | None,
        ts_us: int,
        tracks: Sequence[Track],
        events: Sequence[tuple[int, Event]],
    ) -> None:
        """See `Witness.saw`."""
        seen = {track.id: track.box for track in tracks if track.state is TrackState.SEEN}
        there = {track.id for track in tracks}
        for id_ in (there & self._seen.keys()) - seen.keys():
            self._gone[id_] = self._kept(self._seen[id_])
        self._gone = {id_: past for id_, past in self._gone.items() if id_ in there and id_ not in seen}
        if frame is not None:
            self._last, self._seen = frame, seen
        if not self._is_too_early():
            for rule, event in events:
                still = self._still(event)
                if still is not None:
                    self._made[rule, event.key] = jpeg(still, longest=LONGEST_SIDE).jpeg

    def forget(self) -> None:
        """What was seen so far is not to be shown any more, such as when masks have changed."""
        self._last = None
        self._seen, self._gone, self._made = {}, {}, {}

    def write(self, outcome: Outcome) -> None:
        """Write the pictures of what is about to be committed, and note in the outcome which there are."""
        made, self._made = self._made, {}
        for rule, event in outcome.events:
            ts = us_to_datetime(event.ts_us)
            path = crop_path(self._settings, self._camera_id, ts, rule, event.key)
            data = made.get((rule, event.key))
            # After a crash somebody who has gone since cannot be cut out again, but may have been before.
            if (data is not None and self._put(path, data)) or (data is None and _is_there(path)):
                outcome.crops[rule, event.key] = self._settings.NODE_NAME

    def _kept(self, box: Box) -> Frame:
        """What is in a box of the last frame, small and apart from it: the frame itself is let go."""
        assert self._last is not None
        part = cut(self._last, box, MARGIN)
        small = shrunk(part, LONGEST_SIDE / max(part.width, part.height))
        return replace(small, y=np.copy(small.y), u=np.copy(small.u), v=np.copy(small.v))

    def _still(self, event: Event) -> Frame | None:
        if self._last is None:
            return None
        if event.track is None:
            return self._last
        box = self._seen.get(event.track)
        return cut(self._last, box, MARGIN) if box is not None else self._gone.get(event.track)

    def _put(self, path: Path, data: bytes) -> bool:
        if self._is_too_early():
            return False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            part.write_bytes(data)
            part.replace(path)
        except OSError as error:
            self._is_in_trouble(f"CROPS_DIR takes no pictures of events: {error.strerror}")
            return False
        if self.trouble:
            self._log.info("pictures of events are written again")
        self.trouble, self._again_at = "", None
        return True

    def _is_in_trouble(self, reason: str) -> None:
        if not self.trouble:
            self._log.warning("%s", reason)
        self.trouble = reason
        self._again_at = self._clock.monotonic() + AGAIN_SECONDS

    def _is_too_early(self) -> bool:
        return self._again_at is not None and self._clock.monotonic() < self._again_at


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False

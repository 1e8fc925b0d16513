"""What looks on while a camera is analysed: its shots, the pictures of events, its numbers, its previews.

None of it decides anything: whatever fails here is logged, left out for a while and tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from server.clock import Clock
from server.config import Settings
from server.domain.events import Event
from server.domain.tracks import Track
from server.domain.video import Frame, Part
from server.log import CameraLogger
from server.media.stills import jpeg
from server.processors.base import BaseProcessor
from server.services.analysis import Analysis, Outcome
from server.services.live import POST_SECONDS, Shot
from server.watchers.crop_keeper import CropKeeper
from server.watchers.ingest import Feed, Ingest
from server.watchers.plan import Plan
from server.watchers.preview import PreviewControl
from server.watchers.showing import Showing
from server.watchers.tally import Tally

log = logging.getLogger(__name__)

SHOT_SECONDS = 2.0
SHOT_WIDTH = 1280
KEEP_SECONDS = 600.0
"""A camera's picture is renewed in the database this often; the first and the last go there too."""
AGAIN_SECONDS = 60.0
"""What has failed is tried again after this."""


class ShotMaker:
    """A viewer that makes a JPEG every two seconds, so that pages show what is there now."""

    def __init__(self, camera_id: int, showing: Showing, clock: Clock) -> None:
        self._camera_id = camera_id
        self._showing = showing
        self._clock = clock
        self._last: Shot | None = None
        self._next_at = self._keep_at = clock.monotonic()

    def frame(self, frame: Frame) -> None:
        """See `Viewer.frame`."""
        now = self._clock.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + SHOT_SECONDS
        still = jpeg(frame, width=SHOT_WIDTH)
        self._last = Shot(frame.ts_us, still.width, still.height, still.jpeg)
        self._showing.board.post_shot(self._camera_id, self._last)
        if now >= self._keep_at:
            self._keep_at = now + KEEP_SECONDS
            self._showing.keep(self._camera_id, self._last)

    def judged(
        self,
        ts_us: int,
        tracks: Sequence[Track],
        events: Sequence[tuple[int, Event]],
        rules: Mapping[int, BaseProcessor],
    ) -> None:
        """See `Viewer.judged`."""

    def wants_every_frame(self) -> bool:
        """What the analysis needs is enough."""
        return False

    def renew(self) -> None:
        """What was shown is not to be shown any more: a picture at once, in the database too."""
        self._last = None
        self._next_at = self._keep_at = self._clock.monotonic()

    def close(self) -> None:
        """The connection ends: its last picture stays."""
        if self._last is not None:
            self._showing.keep(self._camera_id, self._last)


class Eyes:
    """All that looks on during one connection."""

    def __init__(
        self,
        plan: Plan,
        analysis: Analysis,
        settings: Settings,
        showing: Showing | None,
        clock: Clock,
        logger: CameraLogger,
        counted: Callable[[int], tuple[int, int, int]],
    ) -> None:
        """showing: where pictures and numbers go; None: nobody looks. counted: see `PreviewControl`."""
        self._plan = plan
        self._analysis = analysis
        self._showing = showing
        self._clock = clock
        self._tally = Tally(clock)
        self._post_at = clock.monotonic() + POST_SECONDS
        self._crops = CropKeeper(settings, plan.camera_id, clock) if settings.CROPS_KEEP_DAYS else None
        self._shots: ShotMaker | None = None
        self._previews: PreviewControl | None = None
        self._again_at: float | None = None
        self._left_out: dict[str, float] = {}
        """Until when what has failed is not tried again."""
        self.errors = 0
        """How often something that only looks on has failed, beside those that the analysis counts."""
        if showing is not None:
            self._shots = ShotMaker(plan.camera_id, showing, clock)
            self._previews = PreviewControl(plan, settings, showing.board, clock, logger, counted)
        self._attach()

    @property
    def trouble(self) -> str:
        """What is not being kept, in words; empty while all is well."""
        return self._crops.trouble if self._crops is not None else ""

    def arrived(self, part: Part) -> None:
        """A part has come."""
        self._tally.arrived(part)

    def skipped(self, part: Part) -> None:
        """It is left out because analysis is behind."""
        self._tally.skipped(len(part.packets))

    def analysed(self, outcome: Outcome, delay_s: float) -> None:
        """A part has been analysed, so long after it had arrived: its commit is next."""
        self._tally.done(outcome.decoded, outcome.analysed, delay_s)
        self.keep(outcome)

    def keep(self, outcome: Outcome) -> None:
        """Write the pictures of what is about to be committed."""
        crops = self._crops
        if crops is not None and outcome.events:
            self._guarded("pictures of events", lambda: crops.write(outcome))

    def configure(self, plan: Plan) -> None:
        """Settings have changed, and the analysis works by them already."""
        before, self._plan = self._plan, plan
        if self._shots is not None and plan.masks != before.masks:
            self._shots.renew()
        if self._crops is not None and plan.masks != before.masks:
            self._crops.forget()
        previews = self._previews
        if previews is not None:
            self._guarded("previews", lambda: previews.configure(plan))

    def tick(self, feed: Feed) -> None:
        """After each part, and about once a second while none comes."""
        previews = self._previews
        if previews is not None:
            self._guarded("previews", previews.tick)
        now = self._clock.monotonic()
        if self._showing is not None and now >= self._post_at:
            self._post_at = now + POST_SECONDS
            reading_cpu, dropped = (feed.cpu_seconds, feed.lost) if isinstance(feed, Ingest) else (0.0, 0)
            numbers = self._tally.numbers(reading_cpu, dropped, self._analysis.occupancy())
            if numbers is not None:
                self._showing.board.post_numbers(self._plan.camera_id, numbers)
        self._call_back(now)

    def close(self) -> None:
        """The connection ends."""
        if self._shots is not None:
            self._shots.close()
        if self._previews is not None:
            self._left_out.clear()
            self._guarded("previews", self._previews.close)

    def _attach(self) -> None:
        self._analysis.onlookers.witness = self._crops
        self._analysis.viewers[:] = [viewer for viewer in (self._shots, self._previews) if viewer is not None]

    def _call_back(self, now: float) -> None:
        """Whoever raised is asked no more, but not for ever."""
        there = len(self._analysis.viewers) + (self._analysis.onlookers.witness is not None)
        wanted = sum(one is not None for one in (self._shots, self._previews, self._crops))
        if there == wanted:
            self._again_at = None
        elif self._again_at is None:
            self._again_at = now + AGAIN_SECONDS
        elif now >= self._again_at:
            self._again_at = None
            self._attach()

    def _guarded(self, what: str, call: Callable[[], object]) -> None:
        if self._clock.monotonic() < self._left_out.get(what, 0.0):
            return
        try:
            call()
        except Exception:
            # The edge to what only looks on: whatever goes wrong there is no reason to lose events.
            log.exception(
                "camera %d: %s have failed and are left out for a minute", self._plan.camera_id, what
            )
            self.errors += 1
            self._left_out[what] = self._clock.monotonic() + AGAIN_SECONDS

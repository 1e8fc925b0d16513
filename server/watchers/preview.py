"""The previews of one camera: encoders come when somebody looks and go when nobody does.

While nobody does, all of this is a look at a set of numbers a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from server.clock import Clock
from server.config import Settings
from server.domain.events import Event
from server.domain.tracks import Track
from server.domain.video import Frame, Picture, datetime_to_us, us_to_datetime
from server.errors import HypersightError
from server.log import CameraLogger
from server.media.overlay import Caption, Mark, Overlay
from server.media.preview_encoder import Encoding, PreviewEncoder, clear_leftovers
from server.processors.base import BaseProcessor
from server.services.live import LiveBoard
from server.watchers.plan import Plan, PreviewPlan

FLASH_US = 1_200_000
"""Somebody who has just been counted is shown as such for this long (microseconds)."""

Counted = Callable[[int], tuple[int, int, int]]
"""Gives a processor's passes, in and out since local midnight. May raise StorageError."""


class PreviewControl:
    """A viewer of the analysis (see `services.analysis.Viewer`) that shows it to people."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        board: LiveBoard,
        clock: Clock,
        log: CameraLogger,
        counted: Counted,
    ) -> None:
        """counted: called once when a preview starts."""
        self._settings = settings
        self._board = board
        self._clock = clock
        self._log = log
        self._counted = counted
        self._running: dict[int, _Preview] = {}
        self._ending: list[tuple[int, PreviewEncoder]] = []
        for preview in plan.previews:
            clear_leftovers(self._directory(preview.processor_id))
        self.configure(plan)

    def configure(self, plan: Plan) -> None:
        """Settings have changed."""
        self._plan = plan
        self._rules = {rule.id: rule.processor for rule in plan.rules}
        self._previews = {
            preview.processor_id: preview
            for preview in plan.previews
            if preview.processor_id in self._rules and preview.when != "off"
        }
        for id_, running in list(self._running.items()):
            if id_ not in self._previews or running.format != self._format:
                self._stop(id_)
            else:
                running.configure(self._previews[id_], self._rules[id_])

    def wants_every_frame(self) -> bool:
        """While somebody looks, pictures that the analysis would leave out are needed too."""
        return bool(self._running)

    def frame(self, frame: Frame) -> None:
        """Every picture, in order."""
        if not self._running:
            return
        made: dict[tuple[int, int], Picture] = {}
        for preview in self._running.values():
            preview.frame(frame, made)

    def judged(
        self,
        ts_us: int,
        tracks: Sequence[Track],
        events: Sequence[tuple[int, Event]],
        rules: Mapping[int, BaseProcessor],
    ) -> None:
        """What was seen in the picture captured at ts_us."""
        for id_, preview in self._running.items():
            rule = rules.get(id_)
            if rule is not None:
                preview.judged(ts_us, tracks, [event for of, event in events if of == id_], rule)

    def tick(self) -> None:
        """Start what is wanted and stop what is not. About once a second, and after each part's commit."""
        if not (self._previews or self._running or self._ending):
            return
        for _, encoder in self._ending:
            encoder.tend()
        self._ending = [(id_, encoder) for id_, encoder in self._ending if not encoder.ended]
        looked_at = self._board.wanted_previews()
        wanted = {
            id_ for id_, preview in self._previews.items() if preview.when == "always" or id_ in looked_at
        }
        for id_ in [id_ for id_ in self._running if id_ not in wanted]:
            self._stop(id_)
        for preview in self._running.values():
            preview.tend()
        ending = {id_ for id_, _ in self._ending}
        for id_ in sorted(wanted - self._running.keys() - ending):
            self._start(id_)

    def close(self) -> None:
        """End them all, and wait for that a moment."""
        for id_ in list(self._running):
            self._stop(id_)
        for _, encoder in self._ending:
            encoder.stop()
        for _, encoder in self._ending:
            encoder.close()
        self._ending.clear()

    @property
    def _format(self) -> tuple[int, float, int]:
        return self._plan.preview_width, self._plan.preview_fps, self._plan.preview_kbps

    def _directory(self, id_: int) -> Path:
        return self._settings.PROCESSORS_PREVIEW_DIR / str(id_)

    def _start(self, id_: int) -> None:
        tally = Tally(self._settings, self._clock.now_us())
        try:
            tally.begin(*self._counted(id_))
        except HypersightError as error:
            self._log.warning("preview: counts from now on only: %s", error)
        self._log.info("preview of processor %d begins", id_)

        def encode(width: int, height: int) -> PreviewEncoder:
            encoding = Encoding(width, height, self._plan.preview_fps, self._plan.preview_kbps)
            binary = self._settings.FFMPEG_BINARY
            encoder = PreviewEncoder(binary, self._directory(id_), encoding, self._clock, self._log)
            encoder.start()
            return encoder

        self._running[id_] = _Preview(
            self._previews[id_], self._rules[id_], self._format, tally, encode, partial(self._retire, id_)
        )

    def _stop(self, id_: int) -> None:
        self._running.pop(id_).stop()
        self._log.info("preview of processor %d ends", id_)

    def _retire(self, id_: int, encoder: PreviewEncoder) -> None:
        encoder.stop()
        self._ending.append((id_, encoder))


class Tally:
    """Passes, in and out since local midnight, or since the preview began where that is not known."""

    def __init__(self, settings: Settings, now_us: int) -> None:
        self._zone = settings.timezone
        self.passes = self.into = self.out = 0
        local = us_to_datetime(now_us).astimezone(self._zone)
        self.since = f"since {local:%H:%M}"
        self._tomorrow_us = self._midnight_after(local)

    def begin(self, passes: int, into: int, out: int) -> None:
        """What there was today before."""
        self.passes, self.into, self.out, self.since = passes, into, out, "today"

    def add(self, event: Event) -> None:
        """Count an event."""
        self.pass_to(event.ts_us)
        self.passes += event.passes
        self.into += event.direction == "in"
        self.out += event.direction == "out"

    def pass_to(self, ts_us: int) -> None:
        """It is that late: a new day begins with nothing."""
        if ts_us >= self._tomorrow_us:
            self.passes = self.into = self.out = 0
            self.since = "today"
            self._tomorrow_us = self._midnight_after(self.local(ts_us))

    def local(self, ts_us: int) -> datetime:
        """A time as people there read it."""
        return us_to_datetime(ts_us).astimezone(self._zone)

    def _midnight_after(self, local: datetime) -> int:
        day = local.date() + timedelta(days=1)
        return datetime_to_us(datetime(day.year, day.month, day.day, tzinfo=self._zone))


class _Preview:
    """One processor's preview while it runs.

    A picture waits for the next one before it is drawn, so that one that is analysed shows what was found
    in itself.
    """

    def __init__(
        self,
        plan: PreviewPlan,
        rule: BaseProcessor,
        format_: tuple[int, float, int],
        tally: Tally,
        encode: Callable[[int, int], PreviewEncoder],
        retire: Callable[[PreviewEncoder], None],
    ) -> None:
        self.format = format_
        self._tally = tally
        self._encode = encode
        self._retire = retire
        self._encoder: PreviewEncoder | None = None
        self._retired: PreviewEncoder | None = None
        self._overlay: Overlay | None = None
        self._held: tuple[int, int, Picture] | None = None
        self._marks: tuple[Mark, ...] = ()
        self._judged_us = 0
        self._flashes: dict[int, tuple[str, int]] = {}
        self._there: int | None = None
        self.configure(plan, rule)

    def configure(self, plan: PreviewPlan, rule: BaseProcessor) -> None:
        """The processor has been changed."""
        self._plan, self._rule = plan, rule
        self._overlay = None

    def frame(self, frame: Frame, made: dict[tuple[int, int], Picture]) -> None:
        """Take a picture. made: those of this frame that other previews have made already, by size."""
        self._flush()
        size = fitting(frame.width, frame.height, self.format[0])
        encoder = self._encoder_for(size)
        place = encoder.place(frame.ts_us) if encoder is not None else None
        if place is None:
            return
        if size not in made:
            made[size] = frame.picture(*size)
        self._held = place, frame.ts_us, made[size]

    def judged(
        self, ts_us: int, tracks: Sequence[Track], events: Sequence[Event], rule: BaseProcessor
    ) -> None:
        """Take what was seen."""
        for event in events:
            self._tally.add(event)
            if event.track is not None and event.direction:
                self._flashes[event.track] = event.direction, ts_us + FLASH_US
        self._flashes = {
            track: (way, until) for track, (way, until) in self._flashes.items() if until > ts_us
        }
        self._marks = tuple(
            Mark(track, rule.concerns(track), self._flashes.get(track.id, ("", 0))[0]) for track in tracks
        )
        self._judged_us = ts_us
        self._there = rule.occupancy()

    def tend(self) -> None:
        """Let nothing hang, and no picture wait."""
        self._flush()
        if self._encoder is not None:
            self._encoder.tend()

    def stop(self) -> None:
        """End it."""
        if self._encoder is not None:
            self._retire(self._encoder)
        self._encoder = self._held = None

    def _encoder_for(self, size: tuple[int, int]) -> PreviewEncoder | None:
        """None while that of another size has not ended yet."""
        if self._encoder is not None and size != (
            self._encoder.encoding.width,
            self._encoder.encoding.height,
        ):
            self._retired = self._encoder
            self._retire(self._encoder)
            self._encoder = self._overlay = None
        if self._encoder is None and (self._retired is None or self._retired.ended):
            self._encoder, self._retired = self._encode(*size), None
        return self._encoder

    def _flush(self) -> None:
        if self._held is None or self._encoder is None:
            return
        (place, ts_us, picture), self._held = self._held, None
        if self._overlay is None:
            height, width = picture.shape[:2]
            self._overlay = Overlay(width, height, self._rule.zones, self._rule.lines)
        ahead_s = (ts_us - self._judged_us) / 1e6
        # Another preview may be given the same picture.
        self._encoder.offer(
            place, partial(_draw, self._overlay, picture, self._marks, ahead_s, self._caption(ts_us))
        )

    def _caption(self, ts_us: int) -> Caption:
        tally, rule = self._tally, self._rule
        tally.pass_to(ts_us)
        time = f"{tally.local(ts_us):%Y-%m-%d %H:%M:%S}"
        if self._plan.kind == "traffic":
            values: list[tuple[str, str]] = []
            if rule.zones:
                values += [("passed", str(tally.passes))]
            if rule.lines:
                net = tally.into - tally.out
                values += [
                    ("in", str(tally.into)),
                    ("out", str(tally.out)),
                    ("net", f"{net:+d}" if net else "0"),
                ]
            return Caption(self._plan.name, tuple(values), tally.since, time)
        there = self._there
        what = "people" if rule.labels == {"person"} else "there"
        if there is None:
            return Caption(self._plan.name, (), "", time)
        return Caption(self._plan.name, ((what, str(there)),), "now", time)


def fitting(width: int, height: int, most: int) -> tuple[int, int]:
    """Even width and height in pixels of a preview: `most` wide, and never larger than the source."""
    wide = max(2, min(width, most) // 2 * 2)
    return wide, max(2, round(height * wide / width / 2) * 2)


def _draw(
    overlay: Overlay, picture: Picture, marks: Sequence[Mark], ahead_s: float, caption: Caption
) -> Picture:
    return overlay.draw(picture.copy(), marks, ahead_s, caption)

"""Histories of processors as chance has it: gaps, imports, things that happen exactly on an edge."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from server.extensions import db
from server.models import ClipImport, Observation, Processor, ProcessorEvent

MINUTE = timedelta(minutes=1)


class History:
    """Fills a processor's past from `start` over some hours, mostly on whole minutes, so that edges meet."""

    def __init__(self, rng: random.Random, of: Processor, start: datetime, hours: int) -> None:
        self.rng, self.of, self.start, self.minutes = rng, of, start, hours * 60
        self.number = 0

    def moment(self, low: datetime | None = None, high: datetime | None = None) -> datetime:
        """A time, often on a minute or on a quarter of an hour."""
        low = low or self.start
        minutes = self.minutes if high is None else max(0, (high - low) // MINUTE)
        step = self.rng.choice((1, 1, 15))
        found = low + self.rng.randrange(0, minutes + 1, step) * MINUTE
        return found if self.rng.random() < 0.7 else found + timedelta(microseconds=self.rng.randrange(10**7))

    def watch(self) -> None:
        """The camera's own observations, one after the other, and what happened."""
        at = self.start + self.rng.randrange(90) * MINUTE
        end = self.start + self.minutes * MINUTE
        while at < end:
            stop = self.moment(at, end)
            self.span(at, stop)
            at = stop + self.rng.choice((0, 1, 20, 130)) * MINUTE
            if self.rng.random() < 0.2:
                break
        for _ in range(self.rng.randrange(60)):
            self.event(self.moment())

    def bring_in(self) -> ClipImport:
        """An imported recording, wherever it falls."""
        start = self.moment()
        stop = start + self.rng.randrange(120) * MINUTE
        self.number += 1
        clip = ClipImport(
            camera_id=self.of.camera_id,
            digest=f"{self.of.id}.{self.number}",
            file_name="a.mp4",
            start=start,
            stop=stop,
        )
        db.session.add(clip)
        db.session.flush()
        self.span(start, stop, clip)
        for _ in range(self.rng.randrange(8)):
            self.event(self.moment(start, stop), clip)
        return clip

    def span(self, start: datetime, stop: datetime, clip: ClipImport | None = None) -> None:
        """An observation."""
        db.session.add(
            Observation(
                camera_id=self.of.camera_id,
                processor_id=self.of.id,
                clip_import_id=clip and clip.id,
                start=start,
                stop=stop,
                ended="import" if clip else self.rng.choice(("connection", "end", None)),
            )
        )

    def event(self, ts: datetime, clip: ClipImport | None = None) -> None:
        """Somebody passes, or a number of people changes."""
        self.number += 1
        counts = self.of.kind == "persons"
        db.session.add(
            ProcessorEvent(
                processor_id=self.of.id,
                clip_import_id=clip and clip.id,
                ts=ts,
                key=f"history {self.number}",
                direction=None if counts else self.rng.choice(("in", "out", None)),
                passes=0 if counts else self.rng.randrange(2),
                count=self.rng.randrange(5) if counts else None,
            )
        )

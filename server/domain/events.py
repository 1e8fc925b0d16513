"""Something that happened, as a processor reports it. What is stored is `models.ProcessorEvent`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one processor.

    `ts_us`: when, microseconds since 1970. `key`: unique within the processor, the same whenever the
    same frames are analysed again. `direction`: "in", "out" or None. `passes`: how much it adds to
    the traffic (0 or 1). `count`: the occupancy from now on, for kinds that have one. `track`: the
    track it is about. `zone`: which zone or line, by its name or else as "zone 1", "line 2". `score`:
    0..1. `data`: anything a further kind wants to keep, as JSON values.
    """

    ts_us: int
    key: str
    direction: str | None = None
    passes: int = 0
    count: int | None = None
    track: int | None = None
    zone: str | None = None
    score: float | None = None
    data: dict[str, Any] = field(default_factory=dict)

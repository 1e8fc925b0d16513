"""How long charts take, with roll-ups and without, side by side.

Run from the top of the repository:

    python -m bench.charts [--events 500000] [--days 31] [--rounds 5] [--database URL]

Makes a camera with a door (kind traffic) and a room (kind persons), a month of events for each, and then asks
for the month's chart: from the events alone, and through roll-ups, in turns, so that a busy machine disturbs
both alike. Both must give the same chart. Then it asks what has passed today, for 50 doors at once.

--database: an empty database to work in, emptied afterwards; without it a SQLite file that goes away.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask
from sqlalchemy import insert

from server import create_app
from server.extensions import db
from server.models import Camera, Observation, Processor, ProcessorEvent
from server.services.charts import Chart, chart
from server.services.today import today

NOW = datetime(2026, 3, 31, 14, 7, 30, tzinfo=timezone.utc)
ZONE = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)
DOORS = 50
DOOR_EVENTS = 2_000
"""Events of each of the doors since midnight: 150 an hour."""
_CHUNK = 10_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time of charts with and without roll-ups.")
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        address = given.database or f"sqlite:///{directory}/bench.db"
        app = create_app(
            Path(directory), {"SECRET_KEY": "only for measuring", "SQLALCHEMY_DATABASE_URI": address}
        )
        with app.app_context():
            db.create_all()
            try:
                _run(app, given)
            finally:
                db.session.remove()
                db.drop_all()
                db.engine.dispose()


def _run(app: Flask, given: argparse.Namespace) -> None:
    start = NOW - timedelta(days=given.days)
    print(f"{db.engine.dialect.name}, {given.events} events each in {given.days} days, {given.rounds} rounds")
    print("kind     without ms  first ms  with ms  ratio")
    for kind in ("traffic", "persons"):
        of = _fill(kind, start, NOW, given.events)

        def ask(rolled_up: bool, of: int = of) -> Chart:
            db.session.rollback()
            return chart(of, start, NOW, 6 * HOUR, ZONE, NOW, rolled_up=rolled_up)

        first, _ = _timed(lambda: ask(True))
        without, through = [], []
        for _ in range(given.rounds):
            spent, raw = _timed(lambda: ask(False))
            without.append(spent)
            spent, rolled = _timed(lambda: ask(True))
            through.append(spent)
            if raw != rolled:
                raise SystemExit("the two charts differ")
        slow, fast = statistics.median(without), statistics.median(through)
        print(f"{kind:8} {slow:10.0f}  {first:8.0f}  {fast:7.1f}  {slow / fast:5.0f}", flush=True)
    midnight = NOW.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    doors = [_fill("traffic", midnight, NOW, DOOR_EVENTS) for _ in range(DOORS)]
    times = [_timed(lambda: _today(doors))[0] for _ in range(DOORS // 5 + given.rounds)]
    usual = statistics.median(times[-given.rounds :])
    print(f"today, {DOORS} doors: first {times[0]:.0f} ms, then {usual:.1f} ms")


def _today(ids: list[int]) -> Any:
    db.session.rollback()
    found = today(ids, ZONE, NOW)
    if any(one.passes != DOOR_EVENTS for one in found.values()):
        raise SystemExit("today's sum is wrong")
    return found


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """(milliseconds, what it gave)."""
    started = time.perf_counter()
    found = call()
    return 1000 * (time.perf_counter() - started), found


def _fill(kind: str, start: datetime, stop: datetime, number: int) -> int:
    """A processor with so many events, evenly at random, and a gap of some minutes every six hours."""
    rng = random.Random(number)
    camera = Camera(
        name=f"{kind} {rng.random()} {start} {time.perf_counter_ns()}"[:80], stream_url="rtsp://none/"
    )
    db.session.add(camera)
    db.session.flush()
    of = Processor(camera_id=camera.id, name=kind, kind=kind)
    db.session.add(of)
    db.session.flush()
    spans = []
    at = start
    while at < stop:
        end = min(stop, at + 6 * HOUR - timedelta(minutes=rng.randrange(1, 20)))
        spans.append(
            {"camera_id": camera.id, "processor_id": of.id, "start": at, "stop": end, "ended": "connection"}
        )
        at += 6 * HOUR
    db.session.execute(insert(Observation), spans)
    moments = sorted(start + rng.random() * (stop - start) for _ in range(number))
    for first in range(0, number, _CHUNK):
        rows = [
            _event(of, index, moment, rng)
            for index, moment in enumerate(moments[first : first + _CHUNK], first)
        ]
        db.session.execute(insert(ProcessorEvent), rows)
    db.session.commit()
    return of.id


def _event(of: Processor, index: int, moment: datetime, rng: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {
        "processor_id": of.id,
        "ts": moment,
        "key": str(index),
        "track": index,
        "score": 0.8,
    }
    if of.kind == "persons":
        return row | {"count": rng.randrange(8), "passes": 0}
    return row | {"passes": 1, "direction": rng.choice(("in", "out")), "zone": "line 1"}


if __name__ == "__main__":
    main()

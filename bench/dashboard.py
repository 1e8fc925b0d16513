"""What the first page costs with many cameras and many events.

    python -m bench.dashboard [--cameras 50] [--events 500000] [--database URL]

Fills a database of its own (SQLite in a temporary directory, unless `--database` names an empty, migrated
one), with one counting line and one zone a camera and the events spread over thirty days, and asks for the
dashboard again and again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import flask_migrate
from sqlalchemy import event, insert

from server import create_app
from server.extensions import db
from server.models import Camera, Lease, Observation, Processor, ProcessorEvent
from server.services.dashboard import dashboard
from server.services.rights import EVERYTHING

DAYS = 30
ROUNDS = 20


def main() -> None:
    """Fill and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cameras", type=int, default=50)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--database", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        app = create_app(
            place,
            {
                "SECRET_KEY": "only-for-measuring-0123456789",
                "SQLALCHEMY_DATABASE_URI": given.database or f"sqlite:///{place / 'bench.db'}",
                "REDIS_URL": "redis://127.0.0.1:1",
                "LOG_LEVEL": "ERROR",
            },
        )
        with app.app_context():
            flask_migrate.upgrade()
            now = datetime.now(timezone.utc)
            _fill(given.cameras, given.events, now)
            _measure(now)
            db.engine.dispose()


def _fill(cameras: int, events: int, now: datetime) -> None:
    rules = []
    for number in range(cameras):
        camera = Camera(name=f"Camera {number}", stream_url="/clips/a.mp4")
        db.session.add(camera)
        db.session.flush()
        expires = int((now.timestamp() + 3600) * 1000)
        db.session.add(Lease(camera_id=camera.id, state="watching", expires_ms=expires, since=now))
        for kind in ("traffic", "persons"):
            rule = Processor(camera_id=camera.id, name=kind, kind=kind)
            db.session.add(rule)
            db.session.flush()
            rules.append((rule.id, kind))
            # No watcher moves its end here; it lies ahead, so that it goes on while this measures.
            span = Observation(camera_id=camera.id, processor_id=rule.id, start=now - timedelta(days=DAYS))
            span.stop = now + timedelta(hours=1)
            db.session.add(span)
    db.session.commit()
    step = timedelta(days=DAYS) / events
    rows = []
    for number in range(events):
        id_, kind = rules[number % len(rules)]
        passes = kind == "traffic"
        rows.append(
            {
                "processor_id": id_,
                "ts": now - step * number,
                "key": str(number),
                "direction": ("in" if number % 4 < 2 else "out") if passes else None,
                "passes": int(passes),
                "count": None if passes else number % 9,
            }
        )
        if len(rows) == 10_000:
            db.session.execute(insert(ProcessorEvent), rows)
            db.session.commit()
            rows = []
    if rows:
        db.session.execute(insert(ProcessorEvent), rows)
        db.session.commit()


def _measure(now: datetime) -> None:
    asked = [0]
    event.listen(db.engine, "before_cursor_execute", lambda *_: asked.__setitem__(0, asked[0] + 1))
    took = []
    shown = None
    for _ in range(ROUNDS + 1):
        asked[0] = 0
        begun = time.perf_counter()
        shown = dashboard(EVERYTHING, ZoneInfo("UTC"), datetime.now(timezone.utc))
        took.append((time.perf_counter() - begun) * 1000)
        db.session.remove()
    assert shown is not None
    first, rest = took[0], sorted(took[1:])
    print(f"{len(shown.glances)} cameras, {shown.passed} passed today, {asked[0]} queries at the end")
    print(f"first {first:.0f} ms, then median {statistics.median(rest):.0f} ms, worst {rest[-1]:.0f} ms")


if __name__ == "__main__":
    main()

"""Kills, outages and reconnects in a row: nothing lost outside recorded gaps, doubled or leaked.

`CHAOS=200 CHAOS_OUTAGE=60 ./test tests/test_chaos.py` is the long run of docs/reliability.md; CHAOS_SEED
chooses another.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from server.clock import SystemClock
from server.domain.video import datetime_to_us
from server.models import Camera, Observation, Processor, ProcessorEvent
from server.vision.remote import RemoteDetector
from tests.chaos import CYCLE, UP, Chaos, Footprint, Seer, add_cameras, anchors, stream_of
from tests.databases import migrate
from tests.fleet import Fleet, await_
from tests.servers import MariaDb, PostgreSql
from tests.walks import make_walk
from tests.watchers.harness import START_US, watch

TIMES = int(os.environ.get("CHAOS", "8"))
SEED = int(os.environ.get("CHAOS_SEED", "7"))
OUTAGE = float(os.environ.get("CHAOS_OUTAGE", "8"))
SECONDS = 40 + round(max(TIMES * 3.5, OUTAGE))
"""The clip's length: longer than what happens."""
WARM_UP = max(2, TIMES // 10)
MEMORY_GROWTH = 0.05
Seen = list[tuple[str, int, str | None, int, int | None]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    walks = [(start + 0.5, start + 3.0) for start in (n * CYCLE for n in range(int(SECONDS / CYCLE)))]
    return make_walk(tmp_path_factory.mktemp("chaos") / "walk.mp4", 20, SECONDS, walks)


@pytest.fixture
def seer() -> Iterator[Seer]:
    made = Seer()
    yield made
    made.close()


@pytest.mark.timeout(240 + 8 * TIMES)
def test_nothing_is_lost_doubled_or_leaked(
    instance: Path, clip: Path, seer: Seer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unbroken = _unbroken(instance, tmp_path, clip, seer)
    with MariaDb() as database:
        migrate(instance, database.address)
        with Fleet(instance, database.address) as fleet, stream_of(clip, tmp_path) as rtsp:
            fleet.environment["OBJECT_DETECTOR_URL"] = seer.url
            chaos = Chaos(fleet, database, rtsp, SEED)
            ids = add_cameras(fleet, clip, rtsp.url("/walk"))
            chaos.begin()
            await_(lambda: fleet.watching(list(ids.values())), UP, fleet.logs)
            # What is made at first use has been made after some strikes.
            chaos.strike(WARM_UP)
            before = _footprint(chaos, [ids["live"]])
            chaos.revive("w1")

            chaos.strike(TIMES - WARM_UP)
            after = _footprint(chaos, [ids["live"]])
            await_(lambda: set(fleet.held()) <= {ids["live"]}, SECONDS, fleet.logs)

            gaps = {name: len(_spans(fleet.engine, id_, "traffic")) - 1 for name, id_ in ids.items()}
            with capsys.disabled():
                sys.stdout.write(f"\n{TIMES} strikes, seed {SEED}: {before} -> {after}; gaps: {gaps}\n")
            for name in ("file 1", "file 2"):
                _check_file(fleet, ids[name], unbroken, chaos.log)
            _check_live(fleet.engine, ids["live"])
            _check_footprint(before, after)


@pytest.mark.timeout(240 + 4 * SECONDS)
@pytest.mark.parametrize("kind", [MariaDb, PostgreSql])
def test_what_happens_while_the_database_is_away_arrives_late_and_once(
    instance: Path, clip: Path, seer: Seer, tmp_path: Path, kind: type[MariaDb | PostgreSql]
) -> None:
    unbroken = _unbroken(instance, tmp_path, clip, seer)
    with kind() as database:
        migrate(instance, database.address)
        with Fleet(instance, database.address) as fleet, stream_of(clip, tmp_path) as rtsp:
            fleet.environment["OBJECT_DETECTOR_URL"] = seer.url
            chaos = Chaos(fleet, database, rtsp, SEED)
            ids = add_cameras(fleet, clip, rtsp.url("/walk"))
            chaos.begin()
            await_(lambda: fleet.watching(list(ids.values())), UP, fleet.logs)
            before = fleet.held()
            stored = {id_: len(_events(fleet.engine, id_, 0)) for id_ in ids.values()}
            database.stop()
            # The outage itself: nothing else shows that it has lasted long enough.
            time.sleep(OUTAGE)
            database.start()
            await_(lambda: fleet.watching([ids["live"]]), UP, fleet.logs)
            await_(lambda: fleet.held().get(ids["live"]) == before[ids["live"]], UP, "another took over")
            more = int(OUTAGE / CYCLE) - 1
            await_(
                lambda: all(len(_events(fleet.engine, id_, 0)) >= n + more for id_, n in stored.items()), UP
            )
            for name in ("file 1", "file 2"):
                anchor_us = anchors(fleet)[ids[name]]
                seen = _events(fleet.engine, ids[name], anchor_us)
                assert seen == unbroken[: len(seen)]
            assert len(_spans(fleet.engine, ids["live"], "traffic")) == 1, "the observation is unbroken"
            _check_live(fleet.engine, ids["live"])


def _footprint(chaos: Chaos, live: list[int]) -> Footprint:
    """Of the worker that nobody kills, once it watches all cameras and what it gave up has come back."""
    await_(lambda: chaos.fleet.watching(live), UP, chaos.fleet.logs)
    chaos.alone()
    found = [Footprint.of(chaos.survivor())]

    def is_steady() -> bool:
        time.sleep(1)
        found.append(Footprint.of(chaos.survivor()))
        return len(found) > 3 and len({one.threads for one in found[-4:]}) == 1

    await_(is_steady, UP, chaos.fleet.logs)
    return min(found[-4:], key=lambda one: one.memory)


def _unbroken(instance: Path, directory: Path, clip: Path, seer: Seer) -> Seen:
    """What a watcher finds in the clip that nothing happens to."""
    address = f"sqlite:///{directory / 'unbroken.db'}"
    migrate(instance, address)
    engine = create_engine(address)
    with Session(engine) as session, session.begin():
        camera = Camera(name="unbroken", stream_url=str(clip))
        camera.processors = [
            Processor(name="line", kind="traffic", lines=[[[0.5, 1.0], [0.5, 0.0]]]),
            Processor(name="room", kind="persons"),
        ]
        session.add(camera)
        session.flush()
        key = camera.id
    detector = RemoteDetector(seer.url, timeout=5.0, token="", clock=SystemClock())
    watch(engine, key, directory / "segments", detector=detector)
    seen = _events(engine, key, START_US)
    assert len([event for event in seen if event[3]]) == int(SECONDS / CYCLE)
    engine.dispose()
    return seen


def _events(engine: Engine, camera_id: int, anchor_us: int) -> Seen:
    """(kind, microseconds into the clip, direction, passes, count) of each event."""
    with Session(engine) as session:
        rows = session.execute(
            select(Processor.kind, ProcessorEvent)
            .join(Processor, Processor.id == ProcessorEvent.processor_id)
            .where(Processor.camera_id == camera_id)
            .order_by(ProcessorEvent.ts, Processor.kind)
        ).all()
    return [(kind, datetime_to_us(e.ts) - anchor_us, e.direction, e.passes, e.count) for kind, e in rows]


def _spans(engine: Engine, camera_id: int, kind: str) -> list[tuple[int, int, str | None]]:
    """(from, to, why it ended) of the observations of the camera's processor of a kind, microseconds."""
    with Session(engine) as session:
        rows = session.scalars(
            select(Observation)
            .join(Processor, Processor.id == Observation.processor_id)
            .where(Observation.camera_id == camera_id, Processor.kind == kind)
            .order_by(Observation.start)
        ).all()
    return [(datetime_to_us(row.start), datetime_to_us(row.stop), row.ended) for row in rows]


def _check_file(fleet: Fleet, camera_id: int, unbroken: Seen, log: list[str]) -> None:
    anchor_us = anchors(fleet)[camera_id]
    spans = _spans(fleet.engine, camera_id, "traffic")
    seen = _events(fleet.engine, camera_id, anchor_us)
    if len(spans) == 1:
        assert seen == unbroken, log
        return
    # Two kills within one part leave it out; outside of such gaps nothing may miss, nothing be new.
    assert {ended for *_, ended in spans} <= {"quarantined", "end"}, (spans, log)
    gaps = [(a[1] - anchor_us, b[0] - anchor_us) for a, b in pairwise(spans)]

    def is_near_gap(ts: int) -> bool:
        return any(start - 1_000_000 <= ts <= stop + 3_000_000 for start, stop in gaps)

    passed = [[e for e in events if e[3] and not is_near_gap(e[1])] for events in (seen, unbroken)]
    assert passed[0] == passed[1], (gaps, log)


def _check_live(engine: Engine, camera_id: int) -> None:
    """Walkers come every CYCLE seconds: so do events within each span, none missing and none twice."""
    spans = _spans(engine, camera_id, "traffic")
    overlaps = [(a, b) for a, b in pairwise(spans) if a[1] > b[0]]
    assert not overlaps, "two watched at once"
    passed = [ts for _, ts, _, passes, _ in _events(engine, camera_id, 0) if passes]
    for start, stop, _ in spans:
        within = [ts for ts in passed if start <= ts <= stop]
        apart = [(b - a) / 1e6 for a, b in pairwise(within)]
        assert all(CYCLE - 0.6 <= seconds <= CYCLE + 0.6 for seconds in apart), (apart, start, stop)
        # A walker who is half-way through when the span begins need not count.
        assert len(within) >= int((stop - start) / 1e6 / CYCLE) - 1
    assert all(any(start <= ts <= stop for start, stop, _ in spans) for ts in passed), "counted unobserved"
    assert passed


def _check_footprint(before: Footprint, after: Footprint) -> None:
    # A pool may have one place more, and the database's a connection for each, than were in use before.
    assert after.threads <= before.threads + 1
    assert after.handles <= before.handles + 4
    assert after.memory <= before.memory * (1 + MEMORY_GROWTH)

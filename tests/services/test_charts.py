"""Charts say what POST /traffic and POST /objects say, whatever has happened, rolled up or not."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, func, select

from server.errors import NotFound
from server.extensions import db
from server.models import ClipImport, Observation, Processor, ProcessorEvent, Rollup
from server.services import metrics
from server.services.charts import Bucket, Chart, Today, chart, subject, subjects, today
from server.services.rollups import spoil
from tests.databases import every_database
from tests.factories import NOON, at, camera, event, observation, processor
from tests.services.histories import MINUTE, History

pytestmark = pytest.mark.usefixtures("session")
BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")
HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)
HOURS = 12


def agree_on_passes(found: Bucket, processor_id: int, now: datetime) -> None:
    try:
        told = metrics.traffic(processor_id, found.start, found.stop, now=now)
    except NotFound:
        assert (found.passes, found.into, found.out, found.net) == (None, None, None, None)
        assert not found.observed
    else:
        assert (found.passes, found.into, found.out) == (told.passes, told.into, told.out)
        assert (found.observed or 0) == told.observed


def count_at(processor_id: int, moment: datetime, now: datetime) -> int | None:
    try:
        return metrics.occupancy(processor_id, moment, now=now).count
    except NotFound:
        return None


def agree_on_people(found: Bucket, processor_id: int, now: datetime) -> None:
    """Ask for every moment at which something can change, and for one between each two of them."""
    marks = {found.start, min(found.stop, now)}
    for column in (ProcessorEvent.ts, Observation.start, Observation.stop):
        of = column.class_.processor_id == processor_id
        marks |= {
            mark for mark in db.session.scalars(select(column).where(of)) if mark < min(found.stop, now)
        }
    ordered = sorted(mark for mark in marks if mark >= found.start)
    peak: int | None = None
    people = observed = 0.0
    for mark, following in pairwise(ordered):
        between = count_at(processor_id, mark + (following - mark) / 2, now)
        if between is not None:
            people += between * (following - mark).total_seconds()
            observed += (following - mark).total_seconds()
        for count in (count_at(processor_id, mark, now), between):
            if count is not None:
                peak = count if peak is None else max(peak, count)
    if not observed:
        assert (found.peak, found.average) == (None, None)
    else:
        assert found.peak == peak
        assert found.average == pytest.approx(people / observed, abs=1e-6)


def agree_on_steps(found: Chart) -> None:
    assert found.steps is not None
    ends = set(db.session.scalars(select(Observation.stop)))
    for index, step in enumerate(found.steps):
        following = found.steps[index + 1].at if index + 1 < len(found.steps) else found.now
        for moment in (step.at, step.at + (following - step.at) / 2):
            if moment < min(found.now, found.stop) and moment not in ends:
                assert count_at(found.subject.id, moment, found.now) == step.count


def agree(rng: random.Random, of: Processor, now: datetime) -> None:
    db.session.commit()
    objects = of.kind == "persons"
    start = NOON + rng.randrange(-60, HOURS * 60) * MINUTE
    # People's charts of up to a day are drawn exactly, from their events.
    span = rng.choice((HOUR, 6 * HOUR, 30 * HOUR, 30 * HOUR))
    width = rng.choice((timedelta(minutes=5), QUARTER, HOUR, 6 * HOUR))
    rolled = chart(of.id, start, start + span, width, BERLIN, now)
    raw = chart(of.id, start, start + span, width, BERLIN, now, rolled_up=False)
    assert (rolled.buckets, rolled.total, rolled.gaps) == (raw.buckets, raw.total, raw.gaps)
    if objects:
        agree_on_people(rng.choice(rolled.buckets), of.id, now)
    for bucket in (rolled.total, *rng.sample(rolled.buckets, min(3, len(rolled.buckets)))):
        if objects and bucket is rolled.total:
            agree_on_people(bucket, of.id, now)
        elif not objects:
            agree_on_passes(bucket, of.id, now)
    unseen = sum(((gap.stop - gap.start) for gap in rolled.gaps), timedelta())
    passed = min(rolled.stop, now) - rolled.start
    if passed > timedelta():
        assert (rolled.total.observed or 0) == pytest.approx(1 - unseen / passed, abs=2e-6)
    if rolled.steps is not None:
        agree_on_steps(rolled)
    if not objects:
        db.session.rollback()
        since = now.astimezone(BERLIN).replace(hour=0, minute=0, second=0, microsecond=0)
        passes = db.session.execute(
            select(func.count(), func.sum(ProcessorEvent.passes)).where(
                ProcessorEvent.processor_id == of.id, ProcessorEvent.ts >= since, ProcessorEvent.ts < now
            )
        ).one()
        assert today([of.id], BERLIN, now)[of.id].passes == int(passes[1] or 0)
    db.session.rollback()


def meddle(rng: random.Random, history: History) -> None:
    """Something happens to the past, as a late delivery, an import or a deletion does it."""
    of, start, stop = history.of, NOON - 30 * HOUR, NOON + 60 * HOUR
    what = rng.randrange(4)
    if what == 0:
        first = history.moment()
        start, stop = first, first + rng.randrange(40) * MINUTE
        spoil(db.session(), [of.id], start, stop)
        history.span(start, stop)
        history.event(history.moment(start, stop))
    elif what == 1:
        clip = history.bring_in()
        spoil(db.session(), [of.id], clip.start, clip.stop)
    elif what == 2:
        spoil(db.session(), [of.id], start, stop)
        db.session.execute(delete(ClipImport).where(ClipImport.camera_id == of.camera_id))
    else:
        spoil(db.session(), [of.id], start, stop)
        db.session.execute(
            delete(ProcessorEvent).where(
                ProcessorEvent.processor_id == of.id, ProcessorEvent.ts < history.moment()
            )
        )
    db.session.commit()


@every_database
@pytest.mark.parametrize("kind", ["traffic", "persons"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_has_happened_charts_say_what_the_metrics_say(kind: str, seed: int) -> None:
    rng = random.Random(seed)
    rolled_up = 0
    for _ in range(2):
        of = processor(kind)
        history = History(rng, of, NOON, HOURS)
        history.watch()
        for _ in range(rng.randrange(3)):
            history.bring_in()
        for now in (at(3 * 3600), at(HOURS * 3600 + rng.randrange(4_000)), at(60 * 3600)):
            for _ in range(2):
                agree(rng, of, now)
                rolled_up += db.session.scalar(select(func.count()).select_from(Rollup)) or 0
                meddle(rng, history)
                agree(rng, of, now)
    assert rolled_up


@every_database
def test_an_observation_that_goes_on_is_seen_up_to_now_and_what_is_to_come_is_no_gap() -> None:
    room = processor("persons")
    observation(room, at(-600), at(100), ended=None)
    event(room, at(50), count=2)
    found = chart(room.id, at(0), at(3600), timedelta(minutes=1), UTC, at(105))
    assert [bucket.peak for bucket in found.buckets[:3]] == [2, 2, None]
    assert [bucket.observed for bucket in found.buckets[:3]] == [1.0, 1.0, None]
    assert found.buckets[0].average == pytest.approx(2 * 10 / 60)
    assert found.gaps == ()
    assert [(step.at, step.count) for step in found.steps or ()] == [(at(0), 0), (at(50), 2), (at(105), None)]
    assert found.total.observed == 1.0


@every_database
def test_a_gap_says_why_the_observation_before_it_ended() -> None:
    door = processor()
    late = chart(door.id, at(0), at(3600), timedelta(minutes=5), UTC, at(7200))
    assert [(gap.start, gap.stop, gap.why) for gap in late.gaps] == [(at(0), at(3600), "never")]
    observation(door, at(-500), at(-400), ended="disabled")
    observation(door, at(600), at(900), ended="connection")
    observation(door, at(700), at(800), ended="import")
    observation(door, at(1200), at(1500), ended=None)
    found = chart(door.id, at(0), at(3600), timedelta(minutes=5), UTC, at(3000))
    assert [(gap.start, gap.stop, gap.why) for gap in found.gaps] == [
        (at(0), at(600), "disabled"),
        (at(900), at(1200), "connection"),
        (at(1500), at(3000), "lost"),
    ]
    assert found.total.observed == pytest.approx(600 / 3000)


def test_what_was_not_observed_is_no_zero() -> None:
    door = processor()
    observation(door, at(0), at(600))
    event(door, at(10), passes=1, direction="in")
    event(door, at(1000), passes=1, direction="out")
    found = chart(door.id, at(0), at(1800), timedelta(minutes=5), UTC, at(7200))
    assert [(b.passes, b.into, b.out, b.net, b.observed) for b in found.buckets] == [
        (1, 1, 0, 1, 1.0),
        (0, 0, 0, 0, 1.0),
        (None, None, None, None, 0.0),
        (1, 0, 1, -1, 0.0),
        (None, None, None, None, 0.0),
        (None, None, None, None, 0.0),
    ]
    assert (found.total.passes, found.total.net) == (2, 0)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-06-01", 24), ("2026-10-25", 25)])
def test_days_are_as_long_as_the_clocks_say(day: str, hours: int) -> None:
    door = processor()
    start = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
    stop = (start + timedelta(days=1)).astimezone(timezone.utc)
    observation(door, start, stop)
    for hour in range(hours):
        event(door, start.astimezone(timezone.utc) + hour * HOUR, passes=1, direction="in")
    for rolled_up in (True, False):
        found = chart(door.id, start, stop, HOUR, BERLIN, stop + 5 * HOUR, rolled_up=rolled_up)
        assert [bucket.into for bucket in found.buckets] == [1] * hours
        whole = chart(door.id, start, stop, timedelta(days=1), BERLIN, stop + 5 * HOUR, rolled_up=rolled_up)
        assert [bucket.into for bucket in whole.buckets] == [hours]


def test_the_busiest_hour_is_one_by_the_clock() -> None:
    door = processor()
    observation(door, at(0), at(8 * 3600))
    for seconds in (3700, 5400, 7100, 7300, 9000):
        event(door, at(seconds), passes=1)
    found = chart(door.id, at(0), at(8 * 3600), QUARTER, UTC, at(90_000))
    assert found.busiest is not None
    assert (found.busiest.start, found.busiest.stop, found.busiest.passes) == (at(3600), at(7200), 3)
    quiet = chart(door.id, at(3 * 3600), at(8 * 3600), QUARTER, UTC, at(90_000))
    assert quiet.busiest is None


def test_a_chart_of_no_processor_is_not_found() -> None:
    for wrong in (0, -1, 4711, 2**31, 2**70):
        with pytest.raises(NotFound, match="no processor"):
            chart(wrong, at(0), at(60), MINUTE, UTC, at(60))


def test_processors_are_listed_with_their_cameras() -> None:
    yard, attic = camera(name="yard"), camera(name="attic")
    gate = processor(on=yard, name="gate", lines=[[[0, 0], [1, 1]]])
    hatch = processor("persons", on=attic, name="hatch")
    assert [(one.id, one.camera, one.name, one.metric) for one in subjects()] == [
        (hatch.id, "attic", "hatch", "objects"),
        (gate.id, "yard", "gate", "traffic"),
    ]
    assert (subject(gate.id).has_lines, subject(gate.id).has_zones) == (True, False)


@every_database
def test_today_is_summed_for_many_processors_at_once() -> None:
    doors = [processor() for _ in range(8)]
    now = datetime(2026, 3, 27, 14, 7, tzinfo=timezone.utc)
    midnight = datetime(2026, 3, 26, 23, tzinfo=timezone.utc)
    for index, door in enumerate(doors):
        event(door, midnight - timedelta(microseconds=1), passes=1, direction="in")
        event(door, midnight, passes=1, direction="in")
        event(door, now - timedelta(minutes=1), passes=0, direction="out")
        for hour in range(index):
            event(door, midnight + hour * HOUR, passes=1)
        event(door, now, passes=1)
    wanted = {door.id: Today(into=1, out=1, passes=1 + index) for index, door in enumerate(doors)}
    ids = [door.id for door in doors]
    for _ in range(3):
        # Roll-ups are made for some of them each time.
        db.session.rollback()
        assert today(ids, BERLIN, now) == wanted
    db.session.rollback()
    assert db.session.scalar(select(func.count(func.distinct(Rollup.processor_id)))) == 8
    assert today([], BERLIN, now) == {}
    assert today([4711], BERLIN, now) == {4711: Today()}

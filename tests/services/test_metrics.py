from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event as sql_event

from server.errors import InvalidInput, NotFound
from server.extensions import db
from server.models import ClipImport
from server.services import metrics
from server.services.metrics import Occupancy, occupancy, traffic
from tests.databases import every_database
from tests.factories import NOON, at, event, observation, processor, save

pytestmark = pytest.mark.usefixtures("session", "kinds")
LATER = at(86_400)


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds of processors, as far as the metrics look at them."""

    class Traffic:
        metric = "traffic"

    class Persons:
        metric = "objects"

    class Faces:
        metric = ""

    monkeypatch.setattr(metrics, "KINDS", {"traffic": Traffic, "persons": Persons, "faces": Faces})


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL that runs inside the block."""
    seen: list[str] = []

    def note(connection, cursor, statement, *rest) -> None:
        seen.append(statement)

    sql_event.listen(db.engine, "before_cursor_execute", note)
    yield seen
    sql_event.remove(db.engine, "before_cursor_execute", note)


@every_database
def test_passes_and_directions_of_the_span_are_summed_with_its_start_and_without_its_stop() -> None:
    door = processor()
    other = processor()
    observation(door, at(0), at(100))
    event(door, at(9.999999), passes=1)
    event(door, at(10), passes=1, direction="in")
    event(door, at(20.5), direction="out")
    event(door, at(30), direction="in")
    event(door, at(40), count=3)
    event(door, at(59.999999), passes=1)
    event(door, at(60), passes=1)
    event(other, at(30), passes=1)
    found = traffic(door.id, at(10), at(60), now=LATER)
    assert (found.passes, found.into, found.out) == (2, 2, 1)
    assert (found.first, found.last) == (at(10), at(59.999999))
    assert found.observed == 1.0


@every_database
def test_an_observed_span_without_passes_answers_zero_and_an_unobserved_one_nothing() -> None:
    door = processor()
    observation(door, at(0), at(10))
    found = traffic(door.id, at(2), at(4), now=LATER)
    assert (found.passes, found.into, found.out, found.first, found.last) == (0, 0, 0, None, None)
    with pytest.raises(NotFound, match=r"^No records found$"):
        traffic(door.id, at(10), at(20), now=LATER)
    with pytest.raises(NotFound, match=r"^No records found$"):
        traffic(door.id, at(-20), at(0), now=LATER)


@every_database
def test_overlapping_observations_count_once_in_the_share() -> None:
    door = processor()
    observation(door, at(0), at(30))
    observation(door, at(10), at(20))
    observation(door, at(25), at(50))
    observation(door, at(80), at(200))
    observation(processor(), at(50), at(80))
    assert traffic(door.id, at(0), at(100), now=LATER).observed == 0.7


@every_database
def test_a_span_of_the_whole_camera_is_not_one_of_the_processor() -> None:
    door = processor()
    row = observation(door, at(0), at(10))
    row.processor_id = None
    save(row)
    with pytest.raises(NotFound):
        traffic(door.id, at(0), at(10), now=LATER)


@every_database
def test_an_observation_that_goes_on_reaches_the_present() -> None:
    door = processor()
    observation(door, at(0), at(100), ended=None)
    now = at(102)
    assert traffic(door.id, at(50), now, now=now).observed == 1.0
    assert traffic(door.id, at(101), now, now=now).observed == 1.0


@every_database
def test_an_observation_left_open_by_a_dead_watcher_ends_where_it_was_last_stored() -> None:
    door = processor()
    observation(door, at(0), at(100), ended=None)
    now = at(111)
    assert traffic(door.id, at(89), now, now=now).observed == 0.5
    with pytest.raises(NotFound):
        traffic(door.id, at(105), now, now=now)


@every_database
def test_a_finished_observation_is_not_stretched_to_the_present() -> None:
    door = processor()
    observation(door, at(0), at(100))
    now = at(104)
    assert traffic(door.id, at(96), now, now=now).observed == 0.5


def test_of_a_span_that_reaches_into_the_future_only_the_past_can_have_been_observed() -> None:
    door = processor()
    observation(door, at(0), at(100))
    assert traffic(door.id, at(0), at(1000), now=at(100)).observed == 1.0
    with pytest.raises(NotFound):
        traffic(door.id, at(200), at(1000), now=at(100))


def test_the_share_is_never_rounded_to_all_or_nothing() -> None:
    door = processor()
    observation(door, at(0), at(0.000001))
    assert traffic(door.id, at(0), at(80_000), now=LATER).observed == 0.000001
    observation(door, at(0.000002), at(80_000))
    assert traffic(door.id, at(0), at(80_000), now=LATER).observed == 0.999999


@every_database
def test_a_span_since_the_beginning_of_the_calendar_is_answered() -> None:
    door = processor()
    observation(door, at(0), at(10))
    event(door, at(5), passes=1)
    found = traffic(door.id, NOON.replace(year=1), NOON.replace(year=9999), now=LATER)
    assert found.passes == 1
    assert 0 < found.observed < 0.001


@pytest.mark.parametrize("stop", [at(0), at(-1)])
def test_a_span_that_does_not_go_forward_is_refused(stop) -> None:
    with pytest.raises(InvalidInput) as caught:
        traffic(processor().id, at(0), stop, now=LATER)
    assert caught.value.field == "stop_ts"


@every_database
@pytest.mark.parametrize("processor_id", [0, -1, 99_999, 2**31, 2**63, 2**70])
def test_an_id_without_a_processor_is_not_found(processor_id: int) -> None:
    with pytest.raises(NotFound, match=r"Wrong processor id.*proc_id"):
        traffic(processor_id, at(0), at(1), now=LATER)
    with pytest.raises(NotFound, match=r"Wrong processor id.*proc_id"):
        occupancy(processor_id, at(0), now=LATER)


def test_a_processor_of_another_kind_is_refused_with_the_call_that_answers() -> None:
    with pytest.raises(InvalidInput, match=r"proc_id.*persons.*POST /objects") as caught:
        traffic(processor("persons").id, at(0), at(1), now=LATER)
    assert caught.value.field == "proc_id"
    with pytest.raises(InvalidInput, match=r"proc_id.*traffic.*POST /traffic"):
        occupancy(processor("traffic").id, at(0), now=LATER)
    for kind in ("faces", "a kind that was uninstalled"):
        with pytest.raises(InvalidInput, match=kind):
            occupancy(processor(kind).id, at(0), now=LATER)


@every_database
def test_the_count_is_that_of_the_last_event_up_to_the_moment() -> None:
    room = processor("persons")
    observation(room, at(0), at(100))
    event(room, at(10), count=1)
    event(room, at(20), count=2)
    event(room, at(30), passes=1)
    event(room, at(40), count=0)
    assert occupancy(room.id, at(20), now=LATER) == Occupancy(2, at(20))
    assert occupancy(room.id, at(19.999999), now=LATER) == Occupancy(1, at(10))
    assert occupancy(room.id, at(39), now=LATER) == Occupancy(2, at(20))
    assert occupancy(room.id, at(100), now=LATER) == Occupancy(0, at(40))


@every_database
def test_before_the_first_event_of_an_observation_nobody_is_there() -> None:
    room = processor("persons")
    observation(room, at(0), at(10))
    event(room, at(9), count=4)
    observation(room, at(20), at(30))
    event(room, at(25), count=1)
    assert occupancy(room.id, at(22), now=LATER) == Occupancy(0, at(20))


@every_database
def test_outside_of_every_observation_there_is_no_count() -> None:
    room = processor("persons")
    observation(room, at(0), at(10))
    event(room, at(9), count=4)
    observation(room, at(20), at(30))
    for moment in (at(-1), at(15), at(31)):
        with pytest.raises(NotFound, match=r"^No records found$"):
            occupancy(room.id, moment, now=LATER)


@every_database
def test_the_present_is_answered_from_the_observation_that_goes_on() -> None:
    room = processor("persons")
    observation(room, at(0), at(100), ended=None)
    event(room, at(50), count=2)
    assert occupancy(room.id, at(103), now=at(103)) == Occupancy(2, at(50))
    with pytest.raises(NotFound):
        occupancy(room.id, at(104), now=at(103))
    with pytest.raises(NotFound):
        occupancy(room.id, at(111), now=at(111))


@every_database
def test_an_imported_recording_and_the_live_camera_do_not_answer_for_each_other() -> None:
    room = processor("persons")
    clip = save(
        ClipImport(camera_id=room.camera_id, digest="d" * 64, file_name="a.mp4", start=at(40), stop=at(60))
    )
    observation(room, at(0), at(100))
    observation(room, at(40), at(60), clip_import_id=clip.id)
    event(room, at(30), count=5)
    event(room, at(45), count=1, clip_import_id=clip.id)
    assert occupancy(room.id, at(42), now=LATER) == Occupancy(0, at(40))
    assert occupancy(room.id, at(50), now=LATER) == Occupancy(1, at(45))
    assert occupancy(room.id, at(70), now=LATER) == Occupancy(5, at(30))


@every_database
def test_a_question_takes_a_fixed_number_of_statements() -> None:
    door, room = processor(), processor("persons")
    for second in range(0, 60, 2):
        observation(door, at(second), at(second + 1))
        observation(room, at(second), at(second + 1))
        event(door, at(second), passes=1)
        event(room, at(second), count=1)
    doors_id, rooms_id = door.id, room.id
    db.session.expunge_all()
    with statements() as seen:
        traffic(doors_id, at(0), at(60), now=LATER)
    assert len([s for s in seen if s.startswith("SELECT")]) == 3
    with statements() as seen:
        occupancy(rooms_id, at(30.5), now=LATER)
    assert len([s for s in seen if s.startswith("SELECT")]) == 3


def test_both_questions_are_answered_from_an_index() -> None:
    door = processor()
    with statements() as seen:
        observation(door, at(0), at(1))
        traffic(door.id, at(0), at(1), now=LATER)
    asked = [s for s in seen if s.startswith("SELECT") and "FROM processors" not in s]
    plans = []
    for statement in asked:
        values = ["x"] * statement.count("?")
        plans += [
            row[3]
            for row in db.session.connection().exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", tuple(values)
            )
        ]
    assert any("ix_processor_events_processor_id_ts" in plan for plan in plans), plans
    assert any("ix_observations_processor_id_stop" in plan for plan in plans), plans
    assert not any(plan.startswith("SCAN processor_events") for plan in plans), plans

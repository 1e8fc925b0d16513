"""All cameras at a glance: order, sums, and how few queries they take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import event as sql_event

from server.extensions import db
from server.models import ApiToken, CameraShot
from server.services.accounts import create_user
from server.services.dashboard import (
    DISABLED,
    ENDED,
    SKIPPING,
    STARTING,
    TROUBLE,
    WATCHED,
    Dashboard,
    dashboard,
)
from server.services.first_steps import first_steps, obstacles
from server.services.live import Numbers
from server.services.rights import EVERYTHING, VIEWER, Rights
from tests.conftest import AppMaker
from tests.databases import every_database
from tests.factories import camera, event, lease, observation, processor, save
from tests.web.browser import PASSWORD

pytestmark = pytest.mark.usefixtures("session")
UTC = ZoneInfo("UTC")
NOW = datetime(2026, 11, 21, 15, tzinfo=timezone.utc)


class Live:
    """Stands in for what watchers post: Redis is not what is tested here."""

    away = False

    def __init__(self) -> None:
        self.posted: dict[int, Numbers] = {}
        self.taken: dict[int, int] = {}

    def numbers(self, camera_ids: Any) -> dict[int, Numbers]:
        return {key: value for key, value in self.posted.items() if key in camera_ids}

    def shot_times(self, camera_ids: Any) -> dict[int, int]:
        return {key: value for key, value in self.taken.items() if key in camera_ids}


@pytest.fixture
def live(app: Flask) -> Live:
    app.extensions["hypersight.live"] = Live()
    return app.extensions["hypersight.live"]  # type: ignore[no-any-return]


def numbers(skipped: float = 0.0, **occupancy: int) -> Numbers:
    there = {int(key[1:]): count for key, count in occupancy.items()}
    return Numbers(0, "h264", 128, 96, 25.0, 5.0, 5.0, skipped, 900.0, 0.2, 0.1, there)


def look(rights: Rights = EVERYTHING, camera_id: int | None = None) -> Dashboard:
    return dashboard(rights, UTC, NOW, camera_id)


def names(shown: Dashboard) -> list[str]:
    return [glance.status.name for glance in shown.glances]


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    said: list[str] = []

    def listen(*args: Any) -> None:
        said.append(args[2])

    sql_event.listen(db.engine, "before_cursor_execute", listen)
    yield said
    sql_event.remove(db.engine, "before_cursor_execute", listen)


@every_database
def test_what_needs_attention_comes_first_and_what_is_off_last(live: Live) -> None:
    camera(name="off", enabled=False)
    lease(camera(name="ended"), 60, "ended")
    lease(camera(name="well"), 60)
    lease(camera(name="Also well"), 60)
    lease(camera(name="starting"), 60, "starting")
    slow = camera(name="slow")
    lease(slow, 60)
    live.posted[slow.id] = numbers(skipped=2.5)
    lease(camera(name="blind"), 60, "blind")
    lease(camera(name="away"), 60, "unreachable")
    lease(camera(name="lost"), -60)
    shown = look()
    assert names(shown) == ["away", "blind", "lost", "slow", "starting", "Also well", "well", "ended", "off"]
    assert [glance.rank for glance in shown.glances] == [
        TROUBLE, TROUBLE, TROUBLE, SKIPPING, STARTING, WATCHED, WATCHED, ENDED, DISABLED,
    ]  # fmt: skip
    assert (shown.watched, shown.attention) == (3, 4)


@every_database
def test_people_and_passes_are_summed_over_a_camera_and_over_all(live: Live) -> None:
    door, till = camera(name="door"), camera(name="till")
    lease(door, 60)
    lease(till, 60)
    inside, queue = processor("persons", door), processor("persons", door)
    unknown = processor("persons", till)
    gate, exit_ = processor("traffic", door), processor("traffic", door)
    live.posted[door.id] = numbers(**{f"p{inside.id}": 4, f"p{queue.id}": 2})
    live.posted[till.id] = numbers()
    for minutes, of, direction in (
        (5, gate, "in"),
        (4, gate, "out"),
        (3, exit_, "in"),
        (60 * 16, gate, "in"),
    ):
        event(of, NOW - timedelta(minutes=minutes), passes=1, direction=direction)
    newest = event(exit_, NOW - timedelta(seconds=30), passes=1, direction="out", zone="Door")
    shown = look()
    first = next(glance for glance in shown.glances if glance.status.name == "door")
    second = next(glance for glance in shown.glances if glance.status.name == "till")
    assert first.people == 6 and second.people is None
    assert first.passed is not None
    assert (first.passed.into, first.passed.out, first.passed.passes) == (2, 2, 4)
    assert second.passed is None
    assert first.last is not None and first.last.id == newest.id
    assert second.last is None
    assert (shown.people, shown.passed) == (6, 4)
    by = {one.rule.id: one for one in first.counted}
    assert by[inside.id].people == 4 and by[gate.id].passed is not None and by[exit_.id].last == newest
    assert unknown.id not in by


@every_database
def test_without_what_watchers_post_the_database_says_who_is_there(live: Live) -> None:
    one = camera()
    lease(one, 60)
    room, fresh, gone = (processor("persons", one) for _ in range(3))
    observation(room, NOW - timedelta(hours=1), NOW - timedelta(seconds=1), ended=None)
    event(room, NOW - timedelta(hours=2), count=9)
    event(room, NOW - timedelta(minutes=3), count=2)
    event(room, NOW - timedelta(minutes=1), count=3)
    observation(fresh, NOW - timedelta(seconds=5), NOW - timedelta(seconds=1), ended=None)
    observation(gone, NOW - timedelta(hours=1), NOW - timedelta(minutes=2), ended="lost")
    event(gone, NOW - timedelta(minutes=5), count=8)
    (glance,) = look().glances
    people = {counted.rule.id: counted.people for counted in glance.counted}
    assert people == {room.id: 3, fresh.id: 0, gone.id: None}
    assert glance.people == 3


def test_nobody_is_said_to_be_at_a_camera_that_is_not_watched(live: Live) -> None:
    one = camera()
    lease(one, -60)
    room = processor("persons", one)
    observation(room, NOW - timedelta(hours=1), NOW, ended=None)
    event(room, NOW - timedelta(minutes=1), count=3)
    live.posted[one.id] = numbers(**{f"p{room.id}": 3})
    assert look().glances[0].people is None


@every_database
def test_a_picture_is_of_now_or_of_what_was_kept(live: Live) -> None:
    seen, kept, never = camera(name="a"), camera(name="b"), camera(name="c")
    live.taken[seen.id] = 1_790_000_000_000_000
    for one in (seen, kept):
        save(CameraShot(camera_id=one.id, ts=NOW, width=4, height=3, jpeg=b"jpeg"))
    taken = {glance.status.id: glance.shot_us for glance in look().glances}
    assert taken[seen.id] == 1_790_000_000_000_000
    assert taken[kept.id] == round(NOW.timestamp() * 1e6)
    assert taken[never.id] is None


@every_database
def test_only_what_somebody_may_see_is_shown_and_summed(live: Live) -> None:
    mine, other = camera(name="mine"), camera(name="other")
    for one in (mine, other):
        event(processor("traffic", one), NOW - timedelta(minutes=1), passes=1, direction="in")
    shown = look(Rights(VIEWER, frozenset({mine.id})))
    assert names(shown) == ["mine"] and shown.passed == 1
    assert look(Rights(VIEWER, frozenset())).glances == ()
    assert names(look(EVERYTHING, other.id)) == ["other"]


def test_more_cameras_take_no_more_queries(live: Live) -> None:
    def grow(count: int) -> None:
        for _ in range(count):
            one = camera()
            lease(one, 60)
            room = processor("persons", one)
            observation(room, NOW - timedelta(hours=1), NOW, ended=None)
            event(processor("traffic", one), NOW - timedelta(minutes=1), passes=1)

    def asked() -> int:
        db.session.rollback()
        db.session.expunge_all()
        with counted_queries() as said:
            look()
        return len(said)

    grow(2)
    few = asked()
    grow(20)
    assert asked() == few <= 14


def test_the_first_steps_are_ticked_one_by_one_until_something_is_counted(live: Live) -> None:
    def mark() -> str:
        steps = first_steps(look())
        return "" if steps is None else steps.mark

    create_user("ann", PASSWORD)
    assert mark() == "00000"
    one = camera()
    assert mark() == "10000"
    save(CameraShot(camera_id=one.id, ts=NOW, width=4, height=3, jpeg=b"jpeg"))
    assert mark() == "11000"
    room = processor("persons", one)
    steps = first_steps(look())
    assert steps is not None and (steps.camera_id, steps.processor_id) == (one.id, room.id)
    assert steps.mark == "11100"
    save(ApiToken(name="office", digest="0" * 64, prefix="hs_0", scopes="metrics"))
    assert mark() == "11101"
    lease(one, 60)
    live.posted[one.id] = numbers(**{f"p{room.id}": 0})
    assert mark() == "11111"
    event(room, NOW, count=1)
    assert mark() == ""


def test_the_first_steps_are_about_the_cameras_that_somebody_sees(live: Live) -> None:
    mine, other = camera(), camera()
    event(processor("traffic", other), NOW, passes=1)
    steps = first_steps(look(Rights("operator", frozenset({mine.id}))))
    assert steps is not None and (steps.mark[:4], steps.processor_id) == ("1000", None)
    assert first_steps(look()) is None


def test_what_stands_in_the_way_is_said_with_its_remedy(make_app: AppMaker, tmp_path: Path) -> None:
    bare = make_app(WEIGHTS_DIR=tmp_path / "none")
    bare.extensions["hypersight.live"] = away = Live()
    away.away = True
    with bare.app_context():
        said = {obstacle.problem.partition(":")[0]: obstacle.remedy for obstacle in obstacles()}
        assert "./start" in said["No worker is running"]
        assert "REDIS_URL" in said["Redis does not answer"]
        assert "fetch-weights" in said["The detector's weights are missing"]
    remote = make_app(WEIGHTS_DIR=tmp_path / "none", OBJECT_DETECTOR_URL="http://127.0.0.1:9/")
    remote.extensions["hypersight.live"] = Live()
    with remote.app_context():
        assert [obstacle.problem.partition(":")[0] for obstacle in obstacles()] == ["No worker is running"]

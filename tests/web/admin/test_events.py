from __future__ import annotations

import csv
import io
import re
import shutil
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from html import unescape
from pathlib import Path
from typing import NoReturn

import pytest
from flask import Flask
from sqlalchemy import event as sql_event

from server.config import Settings
from server.extensions import db
from server.models import Processor, ProcessorEvent, User, UserCamera, Worker
from server.services import node_media
from server.services.crops import crop_path
from server.services.node_media import NodeSilent
from server.web.admin import events
from tests.conftest import AppMaker
from tests.databases import every_database
from tests.factories import at, camera, event, processor, save
from tests.web.browser import Browser
from tests.web.serving import serving

pytestmark = pytest.mark.usefixtures("session")


@pytest.fixture
def app(make_app: AppMaker) -> Flask:
    """An application whose people live in Berlin."""
    return make_app(TIMEZONE="Europe/Berlin")


@pytest.fixture
def line() -> Processor:
    """A traffic processor of the camera Door, with three events a minute apart."""
    one = processor("traffic", camera(name="Door"), name="Line")
    event(one, at(0), passes=1, direction="in", track=1, zone="line 1", score=0.876)
    event(one, at(60), passes=1, direction="out", track=2)
    event(one, at(120.5), passes=1, direction="in", track=3)
    return one


@pytest.fixture
def room() -> Processor:
    """A persons processor of the camera Hall, with one event."""
    one = processor("persons", camera(name="Hall"), name="Room")
    event(one, at(30), count=4)
    return one


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """The SQL of everything from here on."""
    seen: list[str] = []

    def note(connection, cursor, statement, *rest) -> None:
        seen.append(statement)

    with app.app_context():
        engine = db.engine
    sql_event.listen(engine, "before_cursor_execute", note)
    yield seen
    sql_event.remove(engine, "before_cursor_execute", note)


def times(browser: Browser, query: str = "") -> list[str]:
    text = browser.get(f"/admin/event/{query}").text
    return [time[11:] for time in re.findall(r'class="col-ts">([^<]*)<', text)]


@every_database
def test_events_are_listed_newest_first_in_local_time(
    admin: Browser, line: Processor, room: Processor
) -> None:
    assert times(admin) == ["13:02:00", "13:01:00", "13:00:30", "13:00:00"]
    assert times(admin, "?sort=0")[0] == "13:00:00"
    text = admin.get("/admin/event/").text
    assert "Door" in text and "Line" in text and "line 1" in text and "0.88" in text
    assert "Europe/Berlin" in text


@every_database
def test_events_are_filtered_by_camera_processor_kind_direction_and_time(
    admin: Browser, line: Processor, room: Processor
) -> None:
    assert times(admin, f"?flt0_0={room.camera_id}") == ["13:00:30"]
    assert times(admin, f"?flt1_1={line.id}") == ["13:02:00", "13:01:00", "13:00:00"]
    assert times(admin, "?flt2_2=persons") == ["13:00:30"]
    assert times(admin, "?flt3_3=out") == ["13:01:00"]
    assert times(admin, "?flt4_4=2026-03-27T13:00:30&flt5_5=2026-03-27T13:02") == [
        "13:01:00",
        "13:00:30",
    ]
    assert times(admin, "?flt4_4=2026-03-27T12:02:00Z") == ["13:02:00"]
    assert times(admin, f"?flt0_0={line.camera_id}&flt3_3=in&search=LIN") == ["13:02:00", "13:00:00"]
    assert times(admin, "?search=hall") == ["13:00:30"]
    assert times(admin, "?search=%25") == []


@pytest.mark.parametrize(
    "query", ["?flt4_4=soon", "?flt0_0=x", "?flt1_1=-5", "?flt1_1=" + "9" * 30, "?page=10"]
)
def test_a_filter_that_makes_no_sense_does_no_harm(admin: Browser, line: Processor, query: str) -> None:
    response = admin.get(f"/admin/event/{query}")
    assert response.status_code == 200
    assert ("no value to filter by" in response.text) is ("flt" in query)


def test_an_empty_list_says_when_events_appear(admin: Browser) -> None:
    assert "Events appear when" in admin.get("/admin/event/").text
    assert "Nothing fits" in admin.get("/admin/event/?search=x").text


@every_database
def test_a_page_never_counts_the_table_and_takes_few_statements(
    admin: Browser, line: Processor, room: Processor, statements: list[str]
) -> None:
    for number in range(60):
        event(line, at(1000 + number), passes=1)
    statements.clear()
    assert len(times(admin)) == 50
    assert not [statement for statement in statements if "count(*)" in statement.lower()]
    assert len([s for s in statements if "FROM processor_events" in s]) == 1
    assert len(statements) < 12
    assert len(times(admin, "?page=1")) == 14


def test_an_event_cannot_be_made_changed_or_deleted(admin: Browser, line: Processor) -> None:
    key = db.session.query(ProcessorEvent.id).first()[0]
    details = admin.get(f"/admin/event/details/?id={key}").text
    assert f"Event {key}" in details and "object at" not in details and "&lt;" not in details
    assert admin.get("/admin/event/new/").status_code == 404
    assert admin.get(f"/admin/event/edit/?id={key}").status_code == 404
    token = admin.token("/admin/camera/new/")
    for path in ("new/", f"edit/?id={key}", "delete/", "action/"):
        admin.raw_post(
            f"/admin/event/{path}", {"csrf_token": token, "id": key, "rowid": key, "action": "delete"}
        )
    db.session.rollback()
    assert db.session.query(ProcessorEvent).count() == 3


@every_database
def test_the_export_holds_what_the_filters_pick_across_reads(
    admin: Browser, line: Processor, room: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_EXPORT_ROWS", 2)
    for number in range(5):
        event(line, at(300), track=100 + number, passes=1)
    rows = list(csv.DictReader(io.StringIO(admin.get(f"/admin/event/export/csv/?flt1_1={line.id}").text)))
    assert [row["track"] for row in rows] == ["104", "103", "102", "101", "100", "3", "2", "1"]
    assert rows[-1]["ts"] == "2026-03-27T13:00:00.000000+01:00"
    assert (rows[-1]["camera"], rows[-1]["processor"], rows[-1]["kind"]) == ("Door", "Line", "traffic")
    found = admin.get("/admin/event/export/json/?search=room").get_json()
    assert [(one["count"], one["passes"], one["direction"]) for one in found] == [(4, 0, None)]
    assert datetime.fromisoformat(found[0]["ts"]) == at(30)
    assert admin.get("/admin/event/export/json/?search=nothing").get_json() == []


def test_the_export_of_many_events_takes_little_memory(admin: Browser, line: Processor) -> None:
    rows = [
        {"processor_id": line.id, "ts": at(number), "key": f"many {number}", "passes": 1}
        for number in range(8_000)
    ]
    db.session.execute(ProcessorEvent.__table__.insert(), rows)
    db.session.commit()
    tracemalloc.start()
    response = admin.get("/admin/event/export/csv/")
    lines = sum(chunk.count(b"\n") for chunk in response.iter_encoded())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == 8_004
    assert peak < 12_000_000


def test_an_event_says_what_happened_and_leads_to_camera_and_processor(
    admin: Browser, line: Processor, room: Processor
) -> None:
    text = admin.get("/admin/event/").text
    assert '<span class="in"><span aria-hidden="true">↘</span> in</span>' in text
    assert '<span class="out"><span aria-hidden="true">↗</span> out</span>' in text
    assert "4 people" in text
    assert f'<a href="/admin/camera/details/?id={line.camera_id}">Door</a>' in text
    assert f'<a href="/admin/processor/details/?id={room.id}">Room</a>' in text


def test_an_event_leads_to_those_before_and_after_it_of_its_processor(
    admin: Browser, line: Processor, room: Processor
) -> None:
    first, second, third = (
        key for (key,) in db.session.query(ProcessorEvent.id).filter_by(processor_id=line.id)
    )
    twin = event(line, at(60), passes=1).id

    def beside(key: int) -> tuple[str | None, str | None]:
        text = admin.get(f"/admin/event/details/?id={key}").text
        found = [re.search(rf'rel="{rel}" href="[^"]*id=(\d+)', text) for rel in ("prev", "next")]
        return tuple(match and match[1] for match in found)  # type: ignore[return-value]

    assert beside(first) == (None, str(second))
    assert beside(second) == (str(first), str(twin))
    assert beside(twin) == (str(second), str(third))
    assert beside(third) == (str(twin), None)


def test_quick_spans_are_days_of_the_viewer_and_keep_the_other_filters(
    admin: Browser, line: Processor
) -> None:
    text = unescape(admin.get(f"/admin/event/?flt1_1={line.id}&page=1").text)
    links = dict(re.findall(r'<a class="chip" href="([^"]*)"[^>]*>(Today|Yesterday|Last hour)<', text))
    today = next(link for link, name in links.items() if name == "Today")
    assert f"flt1_1={line.id}" in today and "page" not in today
    assert re.search(r"flt4_4=[-\d]{10}T00:00:00&flt5_5=[-\d]{10}T00:00:00", today.replace("%3A", ":"))
    assert 'aria-current="true">Today' in admin.get(today).text
    assert "Nothing fits" in admin.get(today).text


@pytest.fixture
def kept(app: Flask, line: Processor) -> ProcessorEvent:
    """An event whose picture lies on this node."""
    settings: Settings = app.extensions["hypersight"]
    one = event(line, datetime.now(timezone.utc), crop_node=settings.NODE_NAME, direction="in")
    path = crop_path(settings, line.camera_id, one.ts, line.id, one.key)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a picture")
    return one


def test_the_picture_of_an_event_is_shown_and_kept_by_the_browser(
    admin: Browser, kept: ProcessorEvent
) -> None:
    url = f"/admin/event/crop/{kept.id}.jpg"
    text = admin.get("/admin/event/").text
    picture = re.search(rf'<img src="{url}" alt="([^"]*)"[^>]*>', text)
    assert picture is not None and picture[1].startswith("in, camera Door, ")
    assert 'width="72" height="72" loading="lazy"' in picture[0]
    assert f'src="{url}"' in admin.get(f"/admin/event/details/?id={kept.id}").text
    response = admin.get(url)
    assert (response.status_code, response.data, response.mimetype) == (200, b"a picture", "image/jpeg")
    held = response.headers["Cache-Control"]
    assert "private" in held and "max-age=31536000" in held and "no-store" not in held


def test_words_stand_where_there_is_no_picture(app: Flask, admin: Browser, line: Processor) -> None:
    node = app.extensions["hypersight"].NODE_NAME
    event(line, datetime.now(timezone.utc), crop_node="shop-2")
    event(line, datetime.now(timezone.utc) - timedelta(days=40), crop_node=node)
    text = admin.get("/admin/event/").text
    assert 'data-missing="kept on shop-2" data-why="Kept on node shop-2, which' in text
    assert '<span class="no-crop">deleted after 30 days</span>' in text
    assert text.count('<span class="no-crop">no picture</span>') == 3


def test_a_picture_that_is_gone_is_not_found(admin: Browser, kept: ProcessorEvent, app: Flask) -> None:
    shutil.rmtree(app.extensions["hypersight"].CROPS_DIR)
    assert admin.get(f"/admin/event/crop/{kept.id}.jpg").status_code == 404
    assert admin.get("/admin/event/crop/999.jpg").status_code == 404


def test_a_picture_of_a_camera_that_one_was_not_given_is_not_there(app: Flask, kept: ProcessorEvent) -> None:
    stranger = Browser(app)
    stranger.become("sam", "viewer")
    db.session.rollback()
    user = db.session.query(User).filter_by(name="sam").one()
    user.all_cameras = False
    db.session.commit()
    assert stranger.get(f"/admin/event/crop/{kept.id}.jpg").status_code == 404
    save(UserCamera(user_id=user.id, camera_id=kept.processor.camera_id))
    assert stranger.get(f"/admin/event/crop/{kept.id}.jpg").status_code == 200


def test_a_picture_comes_from_the_node_that_keeps_it(
    make_app: AppMaker, tmp_path: Path, admin: Browser, line: Processor
) -> None:
    other = make_app(NODE_NAME="shop-2", CROPS_DIR=str(tmp_path / "other"))
    one = event(line, at(200), crop_node="shop-2")
    path = crop_path(other.extensions["hypersight"], line.camera_id, one.ts, line.id, one.key)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"from there")
    with serving(other) as address:
        save(
            Worker(
                name="watchers@shop-2", node="shop-2", queue="q", capacity=1, media_url=address,
                started=at(0), beat_ms=0,
            )
        )  # fmt: skip
        assert admin.get(f"/admin/event/crop/{one.id}.jpg").data == b"from there"
        path.unlink()
        assert admin.get(f"/admin/event/crop/{one.id}.jpg").status_code == 404
    response = admin.get(f"/admin/event/crop/{one.id}.jpg")
    assert response.status_code == 503 and "shop-2 does not answer" in response.text


def test_a_node_that_is_silent_is_not_asked_for_each_picture(
    admin: Browser, line: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def silent(node: str, path: str) -> NoReturn:
        asked.append(path)
        raise NodeSilent(f"the node {node} sleeps")

    monkeypatch.setattr(node_media, "fetch", silent)
    ids = [event(line, at(300 + number), crop_node="shop-2").id for number in range(3)]
    for key in ids:
        response = admin.get(f"/admin/event/crop/{key}.jpg")
        assert (response.status_code, response.text) == (503, "the node shop-2 sleeps")
    assert len(asked) == 1

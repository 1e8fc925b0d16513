"""Charts over HTTP: what the page, the JSON and the CSV say, and to whom."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from flask import Flask

from server.extensions import db
from server.models import Processor, User, UserCamera
from server.services import metrics
from server.services.rollups import spoil
from tests.conftest import AppMaker
from tests.factories import at, camera, event, observation, processor, save
from tests.web.browser import Browser

pytestmark = pytest.mark.usefixtures("session")
DAY = "from=2026-03-27"
"""The day of the factories' noon; its times are summer time's, one hour before it begins."""


@pytest.fixture
def app(make_app: AppMaker) -> Flask:
    return make_app(TIMEZONE="Europe/Berlin")


@pytest.fixture
def door(session: Any) -> Processor:
    """A door in Berlin, watched from 13:00 to 16:00 and from 17:00 to 18:00."""
    found = processor(on=camera(name="Entrance hall"), name="Front & back door", lines=[[[0, 0.5], [1, 0.5]]])
    observation(found, at(0), at(3 * 3600), ended="connection")
    observation(found, at(4 * 3600), at(5 * 3600))
    for minute, direction in ((5, "in"), (6, "in"), (70, "out"), (250, "in")):
        event(found, at(60 * minute), passes=1, direction=direction)
    return found


@pytest.fixture
def till(session: Any) -> Processor:
    """A till with up to three people."""
    found = processor("persons", name="Till")
    observation(found, at(0), at(3600))
    event(found, at(600), count=3)
    event(found, at(1200), count=1)
    return found


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_json_says_what_the_day_was_like(admin: Browser, door: Processor) -> None:
    found = admin.get(f"/admin/chart/data.json?processor={door.id}&{DAY}&bucket=1h").get_json()
    assert (found["start"], found["stop"]) == ("2026-03-27T00:00:00+01:00", "2026-03-28T00:00:00+01:00")
    assert [one["name"] for one in found["series"]] == ["in", "out", "net"]
    assert len(found["buckets"]) == 24
    assert found["buckets"][13] == {
        "start": "2026-03-27T13:00:00+01:00",
        "stop": "2026-03-27T14:00:00+01:00",
        "label": "13:00–14:00",
        "in": 2,
        "out": 0,
        "net": 2,
        "observed": 1.0,
    }
    assert (found["buckets"][16]["in"], found["buckets"][16]["observed"]) == (None, 0.0)
    assert found["unobserved"][1] == {
        "start": "2026-03-27T16:00:00+01:00",
        "stop": "2026-03-27T17:00:00+01:00",
        "why": "the camera did not answer",
    }
    sums = {one["name"]: one["value"] for one in found["sums"]}
    assert sums == {
        "passed": "4",
        "in": "3",
        "out": "1",
        "net": "+2",
        "observed": "17 %",
        "busiest": "13:00–14:00",
    }
    assert (found["running"], found["note"], found["title"]) == (False, "", "Friday 27 March 2026")
    assert found["ticks"]["marks"][0] == {
        "at": "2026-03-27T00:00:00+01:00",
        "unit": 0,
        "label": "00:00",
        "strong": False,
    }


def test_people_are_drawn_change_by_change(admin: Browser, till: Processor) -> None:
    found = admin.get(f"/admin/chart/data.json?processor={till.id}&{DAY}&bucket=1h").get_json()
    assert [one["name"] for one in found["series"]] == ["peak", "average"]
    assert found["steps"] == [
        {"at": "2026-03-27T13:00:00+01:00", "count": 0},
        {"at": "2026-03-27T13:10:00+01:00", "count": 3},
        {"at": "2026-03-27T13:20:00+01:00", "count": 1},
        {"at": "2026-03-27T14:00:00+01:00", "count": None},
    ]
    hour = found["buckets"][13]
    assert (hour["peak"], hour["average"]) == (3, pytest.approx((3 * 600 + 2400) / 3600, abs=0.005))
    week = admin.get(f"/admin/chart/data.json?processor={till.id}&{DAY}&period=week").get_json()
    assert week["steps"] is None and len(week["buckets"]) == 7 * 24 - 1


def test_with_zones_alone_it_is_passes_and_with_both_it_is_all(admin: Browser) -> None:
    zone, line = [[[0, 0], [1, 0], [1, 1]]], [[[0, 0], [1, 1]]]
    gate, both = processor(zones=zone), processor(zones=zone, lines=line)
    for one in (gate, both):
        observation(one, at(0), at(3600))
    event(gate, at(1), passes=1, direction="out")
    event(both, at(1), passes=1)
    event(both, at(2), direction="in")

    def names(of: Processor) -> list[str]:
        found = admin.get(f"/admin/chart/data.json?processor={of.id}&{DAY}").get_json()
        return [one["name"] for one in found["series"]]

    assert names(gate) == ["passed"]
    assert names(both) == ["passed", "in", "out", "net"]
    # What was counted by a line that has been deleted since is still shown.
    db.session.rollback()
    spoil(db.session(), [gate.id], at(3), at(3))
    event(gate, at(3), passes=1, direction="in")
    assert names(gate) == ["passed", "in", "out", "net"]


def test_the_csv_has_a_row_a_bucket_and_empty_cells_where_nobody_looked(
    admin: Browser, door: Processor
) -> None:
    query = f"processor={door.id}&{DAY}&bucket=1h"
    response = admin.get(f"/admin/chart/data.csv?{query}")
    assert response.mimetype == "text/csv"
    name = "Entrance-hall-Front-back-door-day-2026-03-27.csv"
    assert response.headers["Content-Disposition"] == f"attachment; filename={name}"
    rows = table(response.text)
    assert list(rows[0]) == ["start", "stop", "in", "out", "net", "observed"]
    assert len(rows) == 24
    assert rows[14] == {
        "start": "2026-03-27T14:00:00+01:00",
        "stop": "2026-03-27T15:00:00+01:00",
        "in": "0",
        "out": "1",
        "net": "-1",
        "observed": "1.0",
    }
    assert (rows[16]["in"], rows[16]["out"], rows[16]["net"], rows[16]["observed"]) == ("", "", "", "0.0")
    shown = admin.get(f"/admin/chart/data.json?{query}").get_json()["buckets"]
    assert [row["net"] for row in rows] == ["" if one["net"] is None else str(one["net"]) for one in shown]
    told = metrics.traffic(door.id, at(-13 * 3600), at(11 * 3600))
    assert sum(int(row["in"] or 0) for row in rows) == told.into


def test_a_file_is_named_in_any_script(admin: Browser, session: Any) -> None:
    found = processor(on=camera(name="Вход"), name="../=1+1")
    response = admin.get(f"/admin/chart/data.csv?processor={found.id}&period=hour&from=2026-03-27T13:00")
    disposition = response.headers["Content-Disposition"]
    assert "filename=-..-1-1-hour-2026-03-27-1300.csv" in disposition
    assert "filename*=UTF-8''%D0%92%D1%85%D0%BE%D0%B4-..-1-1-hour-2026-03-27-1300.csv" in disposition
    assert len(table(response.text)) == 60


def test_the_page_holds_its_numbers_without_a_script(admin: Browser, door: Processor) -> None:
    page = admin.get(f"/admin/chart/?processor={door.id}&{DAY}&bucket=1h").text
    assert '<h2 id="chart-title">Friday 27 March 2026</h2>' in page
    assert re.search(r"<th scope=\"row\">13:00–14:00</th><td class=\"number\">2</td>", page)
    assert "<title>Front &amp; back door, Friday 27 March 2026 – Charts – Hypersight</title>" in page
    assert "style=" not in page
    for period in ("hour", "week", "custom"):
        assert f"period={period}" in page


def test_a_span_without_observation_says_so_and_why(admin: Browser, door: Processor) -> None:
    page = admin.get(f"/admin/chart/?processor={door.id}&from=2026-03-28").text
    assert "Nothing was observed in this span" in page
    future = (datetime.now(timezone.utc) + timedelta(days=3)).date()
    assert "This time has not come yet." in admin.get(f"/admin/chart/?processor={door.id}&from={future}").text


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("period=month", "period: &#39;month&#39; is not one of hour, day, week, custom"),
        ("bucket=2h", "bucket: &#39;2h&#39; is not 15min or 1h"),
        ("period=custom&from=2026-01-02T00:00&to=2026-01-01T00:00", "must be later than from"),
        ("period=custom&from=soon&to=2026-01-01", "is not a time such as"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    admin: Browser, door: Processor, query: str, message: str
) -> None:
    address = f"processor={door.id}&{query}"
    page = admin.get(f"/admin/chart/?{address}")
    assert page.status_code == 400
    assert message in page.text
    if "custom" in query:
        field = "to" if "later" in message else "from"
        assert re.search(rf'id="{field}-error"', page.text)
        assert 'aria-current="true">Custom' in page.text
        assert f'value="{re.search(r"to=([^&]*)", query)[1]}"' in page.text  # type: ignore[index]
    data = admin.get(f"/admin/chart/data.json?{address}")
    assert data.status_code == 400
    assert data.get_json()["err"] is True
    assert admin.get(f"/admin/chart/data.csv?{address}").status_code == 400


@pytest.mark.parametrize("name", ["4711", "0", "-1", "one", "", "99999999999999999999", "²"])
def test_a_processor_that_does_not_exist_is_not_found(admin: Browser, name: str) -> None:
    for path in ("", "data.json", "data.csv"):
        if name or path:
            assert admin.get(f"/admin/chart/{path}?processor={name}").status_code == 404


def test_who_may_not_see_a_camera_finds_no_chart_of_it(
    app: Flask, door: Processor, till: Processor, admin: Browser
) -> None:
    guest = Browser(app)
    guest.become("gus", "viewer")
    user = db.session.query(User).filter_by(name="gus").one()
    user.all_cameras = False
    db.session.add(UserCamera(user_id=user.id, camera_id=till.camera_id))
    db.session.commit()
    for path in ("", "data.json", "data.csv"):
        assert guest.get(f"/admin/chart/{path}?processor={till.id}").status_code == 200
        hidden = guest.get(f"/admin/chart/{path}?processor={door.id}")
        missing = guest.get(f"/admin/chart/{path}?processor=4711")
        assert hidden.status_code == missing.status_code == 404
        assert hidden.text.replace(f"processor {door.id}.", "") == missing.text.replace("processor 4711.", "")
    listed = guest.get("/admin/chart/").text
    assert "Till" in listed and "Front" not in listed
    assert "Front" in admin.get("/admin/chart/").text


def test_nobody_sees_a_chart_without_signing_in(browser: Browser, door: Processor) -> None:
    for path in ("", "data.json", "data.csv"):
        response = browser.get(f"/admin/chart/{path}?processor={door.id}")
        assert response.status_code == 302 and "/admin/login" in response.location


def test_times_are_those_of_the_one_who_looks(admin: Browser, door: Processor) -> None:
    user = db.session.query(User).filter_by(name="ann").one()
    user.timezone = "Asia/Kathmandu"
    save(user)
    found = admin.get(f"/admin/chart/data.json?processor={door.id}&{DAY}&bucket=1h").get_json()
    assert found["start"] == "2026-03-27T00:00:00+05:45"
    assert found["zone"] == "Asia/Kathmandu"
    # 12:00 UTC is 17:45 there.
    assert [one["in"] for one in found["buckets"][16:19]] == [None, 2, 0]


def test_all_processors_are_there_to_choose_from(admin: Browser, door: Processor, till: Processor) -> None:
    page = admin.get("/admin/chart/").text
    assert f'href="/admin/chart/?processor={door.id}"' in page and "0 passed today" in page
    assert f'href="/admin/chart/?processor={till.id}"' in page


def test_without_a_processor_the_way_to_one_is_shown(admin: Browser, viewer: Browser) -> None:
    assert "/admin/processor/new/" in admin.get("/admin/chart/").text
    assert "/admin/processor/new/" not in viewer.get("/admin/chart/").text

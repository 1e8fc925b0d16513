"""The first page over HTTP: what it says, to whom, and what its refreshing is given."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from server.extensions import db
from server.models import User, UserCamera
from tests.factories import camera, event, lease, processor, save
from tests.services.test_dashboard import NOW, Live, numbers
from tests.web.browser import Browser

pytestmark = pytest.mark.usefixtures("session")


@pytest.fixture
def live(app: Flask) -> Live:
    app.extensions["hypersight.live"] = Live()
    return app.extensions["hypersight.live"]  # type: ignore[no-any-return]


def told(browser: Browser, query: str = "") -> Any:
    response = browser.get(f"/admin/dashboard.json{query}")
    assert response.headers["Cache-Control"] == "no-store"
    return response.get_json()


def test_the_summary_counts_and_says_what_needs_attention(admin: Browser, live: Live) -> None:
    for number in range(3):
        one = camera(name=f"Door {number}")
        lease(one, 60, "unreachable" if number == 1 else "watching", reason="why" if number == 1 else "")
        room = processor("persons", one)
        live.posted[one.id] = numbers(**{f"p{room.id}": number})
        processor("traffic", one)
    shown = told(admin)
    assert shown["summary"] == "3 cameras: 2 watched, 1 needs attention · 3 people now · 0 passed today"
    assert shown["summary"] in admin.get("/admin/").text
    first = shown["cards"][0]
    assert (first["name"], first["state"], first["group"]) == ("Door 1", "unreachable", "attention")
    assert first["reason"] == "why"


def test_a_camera_that_counts_nothing_has_no_numbers_and_one_not_watched_says_so(
    admin: Browser, live: Live
) -> None:
    camera(name="a")
    away = camera(name="b")
    processor("persons", away)
    idle, other = told(admin)["cards"]
    assert (idle["people"], idle["passed"], idle["rules"]) == (None, None, [])
    assert (other["people"], other["people_note"]) == ("–", "not watched")
    assert "Nothing is counted here yet" in admin.get("/admin/").text


def test_the_last_event_is_said_and_linked(admin: Browser, live: Live) -> None:
    last = event(processor("traffic", camera()), NOW, passes=1, direction="in", zone="Door")
    (card,) = told(admin)["cards"]
    assert card["last"]["what"] == "in at Door"
    assert card["last"]["url"] == f"/admin/event/details/?id={last.id}"
    assert admin.get(card["last"]["url"]).status_code == 200


def test_redis_that_is_away_is_said(admin: Browser, live: Live) -> None:
    camera()
    assert told(admin)["note"] == ""
    live.away = True
    assert "Redis does not answer" in told(admin)["note"]
    assert "Redis does not answer" in admin.get("/admin/").text


def test_somebody_sees_the_cameras_they_were_given_and_no_other(app: Flask, live: Live) -> None:
    mine, other = camera(name="Mine"), camera(name="Other")
    processor("traffic", other, name="Elsewhere")
    browser = Browser(app)
    browser.become("olga", "operator")
    olga = db.session.query(User).filter_by(name="olga").one()
    olga.all_cameras = False
    save(UserCamera(user_id=olga.id, camera_id=mine.id))
    assert [card["name"] for card in told(browser)["cards"]] == ["Mine"]
    text = browser.get("/admin/").text
    assert "Other" not in text and "Elsewhere" not in text
    assert told(browser)["cards"][0]["add"]


def test_who_is_not_signed_in_is_told_nothing(browser: Browser) -> None:
    assert browser.get("/admin/dashboard.json").status_code == 302


def test_an_empty_installation_leads_through_its_steps(admin: Browser, viewer: Browser, live: Live) -> None:
    text = admin.get("/admin/").text
    assert "Welcome" in text and "Create a camera" in text and "Draw what to count" in text
    assert "No worker is running" in text
    text = viewer.get("/admin/").text
    assert "Ask an administrator" in text and "Create a camera" not in text and "vic" in text


def test_the_steps_stay_until_there_is_an_event_or_they_are_put_away(
    app: Flask, admin: Browser, live: Live
) -> None:
    door = processor("traffic", camera())
    assert "First steps" in admin.get("/admin/").text
    assert told(admin, "?steps=1")["steps"] == "10100"
    assert "steps" not in told(admin)
    assert admin.raw_post("/admin/first-steps/dismiss", {}).status_code == 400
    admin.send("/admin/first-steps/dismiss", page="/admin/")
    assert "First steps" not in admin.get("/admin/").text
    assert told(admin, "?steps=1")["steps"] == ""
    again = Browser(app)
    again.become("bea", "administrator")
    assert "First steps" in again.get("/admin/").text
    event(door, NOW, passes=1)
    assert "First steps" not in again.get("/admin/").text


def test_a_viewer_is_shown_no_steps(viewer: Browser, live: Live) -> None:
    camera()
    text = viewer.get("/admin/").text
    assert "First steps" not in text and "Add a processor</a>" not in text.partition("<template")[0]


def test_search_appears_with_the_ninth_camera(admin: Browser, live: Live) -> None:
    for _ in range(8):
        camera()
    assert "data-search hidden" in admin.get("/admin/").text
    camera()
    assert "data-search hidden" not in admin.get("/admin/").text

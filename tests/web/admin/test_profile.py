from __future__ import annotations

from html import unescape

import pytest
from flask import Flask

from server.extensions import db
from server.models import User
from server.services import accounts
from tests.conftest import AppMaker
from tests.factories import at, camera, event, processor
from tests.web.browser import Browser, error_at

pytestmark = pytest.mark.usefixtures("session")


def zone_of(name: str) -> str | None:
    db.session.rollback()
    return db.session.query(User.timezone).filter_by(name=name).scalar()


def test_everybody_chooses_their_own_zone_and_nobody_elses(admin: Browser, viewer: Browser) -> None:
    page = viewer.get("/admin/profile/").text
    assert "That of the server: UTC" in page and "Europe/Berlin" in page and "may see" not in page
    assert viewer.send("/admin/profile/", timezone="Asia/Kolkata").status_code == 302
    assert (zone_of("vic"), zone_of("ann")) == ("Asia/Kolkata", None)
    refused = viewer.send("/admin/profile/", timezone="Asia/Nowhere")
    assert "Asia/Nowhere" in unescape(error_at(refused, "timezone"))
    assert viewer.send("/admin/profile/", timezone="").status_code == 302
    assert zone_of("vic") is None


def test_every_page_with_times_shows_them_in_the_viewers_zone(admin: Browser, viewer: Browser) -> None:
    rule = processor(on=camera(name="Door"))
    event(rule, at(1), passes=1)
    accounts.change_own_zone(1, "America/New_York")
    assert "2026-03-27 08:00:01" in admin.get("/admin/event/").text
    assert "2026-03-27 12:00:01" in viewer.get("/admin/event/").text
    exported = admin.get("/admin/event/export/csv/").text
    assert "2026-03-27T08:00:01.000000-04:00" in exported
    inside = "flt4_4=2026-03-27T08:00&flt5_5=2026-03-27T08:01"
    assert "08:00:01" in admin.get(f"/admin/event/?{inside}").text
    assert "12:00:01" not in viewer.get(f"/admin/event/?{inside}").text


def test_a_zone_that_this_host_does_not_know_is_that_of_the_server(make_app: AppMaker) -> None:
    browser = Browser(make_app(TIMEZONE="Europe/Berlin"))
    browser.become("ann", "administrator")
    db.session.query(User).update({"timezone": "Mars/Olympus"})
    db.session.commit()
    page = browser.get("/admin/profile/")
    assert page.status_code == 200 and "in Europe/Berlin" in page.text


@pytest.mark.parametrize("role", ["administrator", "operator", "viewer"])
def test_the_page_says_who_one_is_here(app: Flask, role: str) -> None:
    browser = Browser(app)
    browser.become("kim", role)
    camera(name="Door")
    user = db.session.query(User).one()
    text = browser.get("/admin/profile/").text
    assert "kim" in text and role in text and "Door" not in text
    accounts.create_user("ann", "correct horse battery")
    accounts.update_user(user.id, name="kim", role=role, active=True, cameras=[1])
    assert ("Door" in browser.get("/admin/profile/").text) is (role != "administrator")

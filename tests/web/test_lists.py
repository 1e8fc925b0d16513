"""Lists and questions in a real browser: filters, chips, pictures of events, and what needs no script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from server.extensions import db
from server.models import Camera
from tests.conftest import AppMaker
from tests.web.browser import COOKIE, Browser
from tests.web.chromium import SIZES
from tests.web.furnished import furnish
from tests.web.serving import serving

Visit = Callable[..., Any]


@pytest.fixture
def app(make_app: AppMaker) -> Flask:
    """A furnished application."""
    app = make_app(NODE_NAME="shop-1", TIMEZONE="Europe/Berlin")
    furnish(app)
    return app


@pytest.fixture
def visit(chromium: Any, app: Flask, admin: Browser) -> Iterator[Visit]:
    """Opens a page of ann's, with options of the browser's."""
    contexts = []

    def visit(path: str, size: str = "desktop", script: str = "", **options: Any) -> Any:
        context = chromium.new_context(viewport=SIZES[size], base_url=address, **options)
        contexts.append(context)
        context.add_cookies([{"name": COOKIE, "value": admin.session(), "url": address}])
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.add_init_script(script)
        page.goto(path)
        return page

    with serving(app) as address:
        yield visit
        for context in contexts:
            context.close()


def cameras(app: Flask) -> int:
    with app.app_context():
        return db.session.query(Camera).count()


def test_a_picture_that_cannot_be_had_leaves_words_of_the_same_size(visit: Visit) -> None:
    page = visit("/admin/event/?flt2_2=persons")
    page.locator(".no-crop", has_text="kept on shop-2").first.wait_for()
    assert "does not give it" in page.locator(".no-crop", has_text="kept on").first.get_attribute("title")
    page.locator(".no-crop", has_text="no picture").first.wait_for()
    shown = page.locator(".crop img").first
    assert shown.evaluate("picture => picture.decode().then(() => picture.naturalWidth > 0)")
    sizes = page.locator(".crop").evaluate_all("all => [...new Set(all.map(one => one.offsetHeight))]")
    assert len(sizes) == 1


def test_filters_make_a_short_address_and_are_taken_off_one_by_one(visit: Visit) -> None:
    page = visit("/admin/event/")
    page.get_by_label("Direction").select_option("in")
    page.get_by_label("Search").fill("door")
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**/event/?*search=door*")
    assert "flt3_3=in" in page.url and "flt0_0" not in page.url
    assert page.locator("td.col-what").count() > 0
    assert page.locator("td.col-what", has_text="out").count() == 0
    chips = page.get_by_role("list", name="Shown are only")
    chips.get_by_role("link", name="Direction: in").click()
    page.locator("td.col-what", has_text="out").first.wait_for()
    assert "search=door" in page.url and "flt3_3" not in page.url


def test_filters_fold_away_on_a_phone_and_a_sorted_column_says_so(visit: Visit) -> None:
    page = visit("/admin/event/", size="phone")
    assert not page.get_by_label("Direction").is_visible()
    page.get_by_role("button", name="Search and filter").click()
    assert page.get_by_label("Direction").is_visible()
    page = visit("/admin/event/?sort=1")
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"


def test_without_a_dialog_the_browser_asks(visit: Visit, app: Flask) -> None:
    page = visit("/admin/camera/", script="delete window.HTMLDialogElement")
    before, asked = cameras(app), []

    def refuse(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", refuse)
    page.get_by_role("main").get_by_role("button", name="Delete camera Entrance").click()
    assert asked == [
        "Delete the camera Entrance with its processors At the till and Front door, and everything they "
        "counted? Nothing brings it back."
    ]
    assert cameras(app) == before


def test_without_scripts_everything_is_in_reach(visit: Visit, app: Flask) -> None:
    page = visit("/admin/camera/", size="phone", java_script_enabled=False)
    assert page.get_by_role("navigation", name="Main").get_by_role("link", name="Events").is_visible()
    assert page.get_by_label("Search").is_visible()
    before = cameras(app)
    page.get_by_role("main").get_by_role("button", name="Delete camera Storage").click()
    page.get_by_role("heading", name="Cameras").wait_for()
    assert cameras(app) == before - 1

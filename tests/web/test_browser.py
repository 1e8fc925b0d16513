"""The pages in a real browser. Skipped where playwright or a Chromium is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from server.services.accounts import create_user
from tests.web.browser import PASSWORD
from tests.web.chromium import SIZES
from tests.web.serving import serving


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Where the application answers."""
    with app.app_context():
        create_user("ann", PASSWORD)
    with serving(app) as found:
        yield found


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, chromium: Any, address: str) -> Iterator[Any]:
    """A page without cookies; afterwards it must have asked nobody else and complained of nothing."""
    strangers: list[str] = []
    complaints: list[str] = []
    context = chromium.new_context(viewport=SIZES[request.param], base_url=address)
    page = context.new_page()
    page.set_default_timeout(15_000)

    def asked(sent: Any) -> None:
        if not sent.url.startswith((address, "data:")):
            strangers.append(sent.url)

    page.on("request", asked)
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert strangers == []
    assert complaints == []


def sign_in(page: Any) -> None:
    page.goto("/")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Welcome").wait_for()


def go_to(page: Any, name: str) -> None:
    """Follow the menu, which a phone folds away."""
    menu = page.get_by_role("button", name="Menu")
    if menu.is_visible():
        menu.click()
    page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True).click()


def save(page: Any) -> None:
    page.get_by_role("button", name="Save").click()


def fits(page: Any) -> bool:
    """Whether nothing sticks out sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_a_wrong_password_is_said_and_the_name_stays(page: Any) -> None:
    page.goto("/admin/event/")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Name or password is wrong.").wait_for()
    assert page.get_by_label("Name").input_value() == "ann"
    assert page.get_by_label("Password").input_value() == ""
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Events").wait_for()


def test_a_newcomer_adds_a_camera_and_a_processor_with_a_mistake_on_the_way(page: Any) -> None:
    sign_in(page)
    page.get_by_role("main").get_by_role("link", name="Create a camera").first.click()
    page.get_by_label("Name").fill("Entrance")
    page.get_by_label("Stream URL").fill("/clips/entrance.mp4")
    save(page)
    page.get_by_role("heading", name="The camera is saved").wait_for()
    assert fits(page)

    go_to(page, "Home")
    page.get_by_role("link", name="Add a processor").click()
    assert page.get_by_label("Camera").locator("option:checked").inner_text() == "Entrance"
    crossed = "[[[0, 0], [1, 1],\n [1, 0], [0, 1]]]"
    page.get_by_label("Name").fill("Room")
    page.get_by_label("Kind").select_option("persons")
    # The text folds up once the picture to draw on is there.
    page.locator(".shape-svg").wait_for()
    page.get_by_text("As text").click()
    page.get_by_label("Zones").fill(crossed)
    save(page)
    assert "cross" in page.locator("[data-errors]").inner_text()
    page.locator("[data-errors]").get_by_role("link", name="Zones").click()
    assert "cross" in page.locator("#zones-error").inner_text()
    assert page.get_by_label("Zones").input_value() == crossed
    assert page.get_by_label("Name").input_value() == "Room"
    assert fits(page)

    page.get_by_label("Zones").fill("[[[0, 0], [1, 0], [1, 1], [0, 1]]]")
    save(page)
    page.get_by_role("heading", level=1, name="Room").wait_for()
    go_to(page, "Home")
    page.get_by_role("link", name="Room").click()
    assert """-d '{"proc_id": 1}'""" in (page.locator("pre", has_text="curl").text_content() or "")
    assert fits(page)


def test_deleting_asks_first(page: Any) -> None:
    sign_in(page)
    page.goto("/admin/camera/new/")
    page.get_by_label("Name").fill("Entrance")
    page.get_by_label("Stream URL").fill("/clips/entrance.mp4")
    save(page)
    page.get_by_role("heading", level=1, name="Entrance").wait_for()
    page.goto("/admin/camera/")
    delete = page.get_by_role("main").get_by_role("button", name="Delete")
    question = page.get_by_role("alertdialog")
    for no in (lambda: page.keyboard.press("Escape"), question.get_by_role("button", name="Cancel").click):
        delete.click()
        assert "Entrance" in question.inner_text()
        no()
        question.wait_for(state="detached")
        assert delete.evaluate("button => button === document.activeElement")
    page.goto("/admin/camera/")
    page.locator("td.col-name", has_text="Entrance").wait_for()
    delete.click()
    question.get_by_role("button", name="Delete").click()
    page.get_by_text("No camera yet").wait_for()


def test_what_is_wrong_with_a_form_comes_first_and_leads_to_its_field(page: Any) -> None:
    sign_in(page)
    page.goto("/admin/camera/new/")
    page.get_by_label("Name").fill("Entrance")
    page.get_by_label("Analysed frames").fill("1000")
    save(page)
    summary = page.locator("[data-errors]")
    summary.wait_for()
    assert summary.evaluate("element => element === document.activeElement")
    assert page.title().startswith("Error: New camera")
    links = summary.get_by_role("link")
    assert links.all_inner_texts()[0] == "Stream URL"
    links.first.click()
    assert page.get_by_label("Stream URL").evaluate("field => field === document.activeElement")
    assert page.get_by_label("Name").input_value() == "Entrance"
    assert page.get_by_label("Analysed frames").input_value() == "1000"


def test_the_menu_of_a_phone_closes_by_escape(page: Any) -> None:
    sign_in(page)
    menu = page.get_by_role("button", name="Menu")
    links = page.get_by_role("navigation", name="Main").get_by_role("link")
    if not menu.is_visible():
        assert links.first.is_visible()
        return
    assert not links.first.is_visible()
    menu.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert links.first.evaluate("link => link === document.activeElement")
    page.keyboard.press("Escape")
    assert not links.first.is_visible()
    assert menu.evaluate("button => button === document.activeElement")


def test_the_keyboard_may_skip_the_menu(page: Any) -> None:
    sign_in(page)
    page.goto("/admin/camera/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.get_by_role("main").locator(":focus").count() == 1


def test_every_page_fits_its_screen_and_is_reached_by_the_menu(page: Any) -> None:
    sign_in(page)
    for name in (
        "Cameras",
        "Processors",
        "Events",
        "Charts",
        "API tokens",
        "Users",
        "Audit log",
        "ann",
        "Home",
    ):
        if name == "Home":
            page.goto("/admin/camera/")
        go_to(page, name)
        page.get_by_role("heading", level=1).wait_for()
        assert fits(page), name
    go_to(page, "API tokens")
    page.get_by_role("link", name="Create").click()
    page.get_by_label("Name").fill("office")
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("button", name="Copy").wait_for()
    assert fits(page)

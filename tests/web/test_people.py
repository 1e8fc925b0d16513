"""Signing in, accounts and the audit log in a real browser, as somebody with a keyboard uses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from server.extensions import db
from server.models import AuditEntry, User
from server.services import accounts, cameras
from server.services.cameras import CameraInput
from tests.assets import axe
from tests.conftest import AppMaker
from tests.web.browser import COOKIE, PASSWORD, Browser
from tests.web.chromium import SIZES
from tests.web.serving import serving
from tests.web.test_accessibility import manners, trouble

WRONG = "staple staple staple"


@pytest.fixture
def app(make_app: AppMaker) -> Flask:
    """An application that allows five attempts an hour, however slow this machine is."""
    return make_app(LOGIN_ATTEMPTS="5 per hour")


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Where the application answers."""
    with serving(app) as found:
        yield found


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, chromium: Any, address: str) -> Iterator[Any]:
    """A page in which nobody has signed in, of somebody in Lisbon."""
    context = chromium.new_context(
        viewport=SIZES[request.param], base_url=address, timezone_id="Europe/Lisbon", reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    yield page
    context.close()


def enter(page: Any, browser: Browser, address: str) -> None:
    """Be signed in as in `browser`."""
    page.context.add_cookies([{"name": COOKIE, "value": browser.session(), "url": address}])


def focused(page: Any) -> str:
    """The name of the field that has the focus."""
    return str(page.evaluate("document.activeElement.name || document.activeElement.tagName"))


def attempt(page: Any, password: str) -> None:
    """Type a password over whatever is there, and send it, all by keys."""
    page.get_by_label("Password").press("Control+a")
    page.keyboard.type(password)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_five_wrong_passwords_by_keyboard(app: Flask, page: Any) -> None:
    with app.app_context():
        accounts.create_user("ann", PASSWORD)
    source = axe()
    page.goto("/admin/event/?search=door")
    assert focused(page) == "name"
    page.keyboard.type("Ann")
    for _ in range(5):
        attempt(page, WRONG)
        assert focused(page) == "password"
        assert page.get_by_label("Name").input_value() == "Ann"
        assert page.get_by_label("Password").input_value() == ""
    assert "minutes, then try again" in page.locator("#password-error").inner_text()
    assert "users password NAME" in page.get_by_role("main").inner_text()
    assert trouble(page, source) + manners(page) == []
    attempt(page, PASSWORD)
    assert "Too many attempts" in page.locator("#password-error").inner_text()
    assert focused(page) == "password" and page.get_by_label("Name").input_value() == "Ann"
    assert trouble(page, source) + manners(page) == []
    with app.app_context():
        kept = [(one.action, one.after) for one in db.session.query(AuditEntry).order_by(AuditEntry.id)]
    assert kept[1:] == [("sign-in refused", {"attempts": 5}), ("too many attempts", {"attempts": 1})]


def test_the_browsers_own_zone_is_offered_and_chosen(page: Any, admin: Browser, address: str) -> None:
    enter(page, admin, address)
    page.goto("/admin/profile/")
    assert trouble(page, axe()) + manners(page) == []
    page.get_by_role("button", name="Choose that").press("Enter")
    assert page.get_by_label("Time zone").input_value() == "Europe/Lisbon"
    assert focused(page) == "timezone"
    page.get_by_role("button", name="Save").press("Enter")
    page.get_by_text("Now it is").filter(has_text="in Europe/Lisbon").wait_for()
    assert not page.get_by_role("button", name="Choose that").is_visible()
    page.goto("/admin/event/")
    page.get_by_text("Times in Europe/Lisbon").wait_for()


def test_an_account_is_given_a_camera(app: Flask, page: Any, admin: Browser, address: str) -> None:
    with app.app_context():
        for name in ("Door", "Gate"):
            cameras.create_camera(CameraInput(name, f"/clips/{name}.mp4"))
    enter(page, admin, address)
    page.goto("/admin/user/new/")
    page.get_by_label("Name", exact=True).fill("bob")
    page.get_by_label("Password").fill(PASSWORD)
    all_cameras, gate = page.get_by_label("All cameras"), page.get_by_label("Gate")
    assert not gate.is_visible()
    all_cameras.press("Space")
    gate.press("Space")
    page.get_by_label("Administrator").press("Space")
    assert not gate.is_visible() and not all_cameras.is_visible()
    page.get_by_label("Operator").press("Space")
    assert trouble(page, axe()) + manners(page) == []
    page.get_by_role("button", name="Save").press("Enter")
    page.get_by_text("bob").first.wait_for()
    with app.app_context():
        bob = db.session.query(User).filter_by(name="bob").one()
        assert (bob.role, accounts.cameras_of(bob)) == ("operator", {2})


def test_an_entry_of_the_audit_log(app: Flask, page: Any, admin: Browser, address: str) -> None:
    with app.app_context():
        key = cameras.create_camera(CameraInput("Door", "/clips/door.mp4"))
        masks = [[[0, 0], [number / 60, 0], [1, 1]] for number in range(1, 40)]
        cameras.update_camera(key, CameraInput("Front door", "/clips/door.mp4", masks=masks))
        cameras.delete_camera(key)
    enter(page, admin, address)
    page.goto("/admin/audit/")
    assert trouble(page, axe()) + manners(page) == []
    for number in range(3):
        page.goto("/admin/audit/")
        page.get_by_role("link", name="View").nth(number).press("Enter")
        page.get_by_role("heading", name="What changed").wait_for()
        assert trouble(page, axe()) + manners(page) == []

"""The first page, a camera's page and the test button in a real browser, on a desktop and a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from flask import Flask

from server.extensions import db
from server.models import Camera, CameraShot, CameraState, Lease
from server.services.accounts import create_user
from tests.clips import H264, make_clip
from tests.factories import camera, event, lease, processor, save
from tests.web.browser import PASSWORD
from tests.web.chromium import SIZES
from tests.web.serving import serving

pytestmark = pytest.mark.usefixtures("session")


def jpeg(shade: int) -> bytes:
    return bytes(np.asarray(cv2.imencode(".jpg", np.full((90, 160, 3), shade, np.uint8))[1]))


def pictured(one: Camera, shade: int) -> None:
    """A picture of it is kept."""
    now = datetime.now(timezone.utc)
    save(CameraShot(camera_id=one.id, ts=now, width=160, height=90, jpeg=jpeg(shade)))


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    create_user("ann", PASSWORD)
    with serving(app) as found:
        yield found


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, chromium: Any, address: str) -> Iterator[Any]:
    """Signed in as ann; afterwards no script may have failed."""
    failures: list[str] = []
    context = chromium.new_context(viewport=SIZES[request.param], base_url=address)
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto("/admin/login")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/")
    yield page
    context.close()
    assert failures == []


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def order(page: Any) -> list[str]:
    return [name.strip() for name in page.locator(".glances [data-name]").all_inner_texts()]


def fail(one: Camera, reason: str) -> None:
    """Its watcher has lost it."""
    row = db.session.get(Lease, one.id)
    row.state, row.reason = "unreachable", reason
    db.session.commit()


def watched(name: str) -> Camera:
    one = camera(name=name)
    lease(one, 600)
    return one


def test_what_changes_is_shown_without_loading_the_page_again(page: Any) -> None:
    door = watched("Door")
    gate = processor("traffic", door, name="Gate")
    page.goto("/admin/")
    page.evaluate("window.stays = true")
    card = page.locator("[data-glance]")
    assert card.locator("[data-passed] dd").first.inner_text() == "0"
    link = card.get_by_role("link", name="Gate", exact=True)
    link.focus()
    event(gate, datetime.now(timezone.utc) - timedelta(seconds=1), passes=1, direction="in", zone="Gate line")
    card.get_by_text("1 in, 0 out").wait_for()
    assert card.locator("[data-passed] dd").first.inner_text() == "1"
    assert "in at Gate line" in card.locator("[data-last]").inner_text()
    assert "1 passed today" in page.locator("[data-summary]").inner_text()
    pictured(door, 90)
    page.locator("[data-shot][src]").wait_for()
    assert link.evaluate("link => link === document.activeElement")
    assert page.evaluate("window.stays === true")
    assert fits(page)


def test_what_needs_attention_moves_to_the_front_but_not_from_under_the_keyboard(page: Any) -> None:
    one, *_ = [watched(name) for name in ("Zoo", "Arch", "Bank")]
    page.goto("/admin/")
    assert order(page) == ["Arch", "Bank", "Zoo"]
    bank = page.get_by_role("link", name="Bank")
    bank.focus()
    fail(one, "10.0.0.1:554: nothing listens there on port 554 (connection refused)")
    page.get_by_text("nothing listens there").wait_for()
    assert "1 needs attention" in page.locator("[data-summary]").inner_text()
    assert order(page) == ["Arch", "Bank", "Zoo"]
    assert bank.evaluate("link => link === document.activeElement")
    bank.evaluate("link => link.blur()")
    page.locator(".glances > :first-child", has_text="Zoo").wait_for()
    assert order(page) == ["Zoo", "Arch", "Bank"]


def test_a_camera_that_is_added_or_deleted_elsewhere_comes_and_goes(page: Any) -> None:
    old = watched("Old")
    watched("Stays")
    page.goto("/admin/")
    watched("New")
    db.session.delete(db.session.get(Camera, old.id))
    db.session.commit()
    page.get_by_role("link", name="New", exact=True).wait_for()
    assert order(page) == ["New", "Stays"]
    page.get_by_role("link", name="New", exact=True).click()
    page.get_by_role("heading", name="Camera New").wait_for()


def test_a_server_that_does_not_answer_is_said_until_it_does(page: Any) -> None:
    watched("Door")
    page.goto("/admin/")
    page.route("**/dashboard.json*", lambda route: route.abort())
    stale = page.locator("[data-stale]")
    stale.filter(has_text="the server does not answer").wait_for()
    assert re.match(r"Not refreshed since \d", stale.inner_text())
    page.unroute("**/dashboard.json*")
    page.locator("[data-stale]:empty").wait_for(state="attached")


def test_who_has_signed_out_elsewhere_is_told(page: Any) -> None:
    watched("Door")
    page.goto("/admin/")
    page.context.clear_cookies()
    page.locator("[data-stale]", has_text="signed out").wait_for()


def test_a_page_that_nobody_sees_asks_for_nothing(page: Any) -> None:
    watched("Door")
    page.clock.install()
    page.goto("/admin/")
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    hide = """hidden => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.clock.run_for(60_000)
    assert [url for url in asked if "/admin/" in url] == []
    with page.expect_response("**/dashboard.json*"):
        page.evaluate(hide, False)


def test_of_many_cameras_only_what_is_in_sight_is_loaded_two_at_a_time(page: Any) -> None:
    for number in range(40):
        one = watched(f"Camera {number:02}")
        pictured(one, number)
    # With something counted there are no first steps in front of the cards.
    event(processor("traffic", one), datetime.now(timezone.utc), passes=1)
    loading: set[str] = set()
    most: list[int] = []

    def begun(sent: Any) -> None:
        if "/shot/" in sent.url:
            loading.add(sent.url)
            most.append(len(loading))

    page.on("request", begun)
    page.on("requestfinished", lambda sent: loading.discard(sent.url))
    page.goto("/admin/")
    first = page.locator("[data-glance]").first
    first.locator("[data-shot][src]").wait_for()
    page.wait_for_load_state("networkidle")
    assert 0 < len(most) < 30 and max(most) <= 2
    last = page.locator("[data-glance]").last
    assert last.locator("[data-shot][src]").count() == 0
    last.scroll_into_view_if_needed()
    last.locator("[data-shot][src]").wait_for()


def test_cameras_are_searched_and_filtered_and_the_address_can_be_shared(page: Any) -> None:
    for number in range(9):
        watched(f"Camera {number}")
    fail(db.session.query(Camera).filter_by(name="Camera 7").one(), "gone")
    page.goto("/admin/")
    page.get_by_label("Search").fill("era 3")
    assert page.locator("[data-glance]:visible").count() == 1
    assert page.url.endswith("?search=era+3")
    page.get_by_label("Search").fill("nothing")
    page.get_by_text("No camera fits").wait_for()
    page.get_by_role("button", name="Show all").click()
    assert page.locator("[data-glance]:visible").count() == 9 and page.url.endswith("/admin/")
    page.get_by_label("Show").select_option("attention")
    assert page.locator("[data-glance]:visible [data-name]").all_inner_texts() == ["Camera 7"]
    page.goto(page.url)
    assert page.locator("[data-glance]:visible").count() == 1
    assert page.get_by_label("Show").input_value() == "attention"
    assert fits(page)


def test_the_first_steps_are_ticked_by_themselves(page: Any) -> None:
    page.goto("/admin/")
    page.get_by_role("heading", name="Welcome").wait_for()
    assert fits(page)
    one = watched("Door")
    page.goto("/admin/")
    steps = page.locator("[data-steps]")
    assert steps.locator(".done").count() == 1
    pictured(one, 50)
    steps.get_by_role("link", name="Draw what to count").wait_for()
    assert steps.locator(".done").count() == 2
    event(processor("traffic", one), datetime.now(timezone.utc), passes=1)
    steps.wait_for(state="detached")


def test_an_address_is_tested_without_losing_what_was_typed(page: Any, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "door.mp4", codec=H264, frames=50)
    page.goto("/admin/camera/new/")
    page.get_by_label("Name").fill("Door")
    page.get_by_label("Analysed frames").fill("3,5")
    url = page.get_by_label("Stream URL")
    url.fill(str(tmp_path / "nothing.mp4"))
    button = page.get_by_role("button", name="Test this address")
    button.click()
    page.locator("#stream_url-refused", has_text="no such file").wait_for()
    assert "on the server" in page.locator("#stream_url-refused").inner_text()
    assert url.get_attribute("aria-invalid") == "true"
    assert "stream_url-refused" in url.get_attribute("aria-describedby")
    url.fill(str(clip))
    assert page.locator("#stream_url-refused").inner_text() == ""
    assert url.get_attribute("aria-invalid") is None
    button.focus()
    page.keyboard.press("Enter")
    picture = page.get_by_role("img", name="What the camera shows")
    picture.wait_for()
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [128, 96]
    said = page.locator(".tested").inner_text()
    assert "It works." in said and "128 × 96 pixels" in said and "25 pictures a second" in said
    assert page.get_by_label("Name").input_value() == "Door"
    assert page.get_by_label("Analysed frames").input_value() == "3,5"
    assert button.evaluate("button => button === document.activeElement")
    assert fits(page)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="The camera is saved").wait_for()
    page.get_by_role("link", name="Draw what to count").click()
    assert page.get_by_label("Camera").locator("option:checked").inner_text() == "Door"


def test_a_cameras_page_follows_it(page: Any) -> None:
    one = watched("Door")
    gate = processor("traffic", one, name="Gate")
    page.goto(f"/admin/camera/details/?id={one.id}")
    page.evaluate("window.stays = true")
    assert "No picture yet" in page.locator(".camera-shot").inner_text()
    assert fits(page)
    pictured(one, 50)
    shot = page.get_by_role("img", name="What the camera Door shows")
    shot.wait_for()
    before = shot.get_attribute("src")
    event(gate, datetime.now(timezone.utc) - timedelta(seconds=1), passes=1, direction="out")
    page.get_by_text("(0 in, 1 out)").wait_for()
    row = db.session.get(CameraShot, one.id)
    row.ts, row.jpeg = datetime.now(timezone.utc), jpeg(200)
    db.session.commit()
    page.locator(f'[data-shot]:not([src="{before}"])').wait_for()
    assert page.locator("#log", has_text="no route").count() == 0
    save(
        CameraState(
            camera_id=one.id,
            ts=datetime.now(timezone.utc),
            state="unreachable",
            reason="10.0.0.1: there is no route to it",
        )
    )
    fail(one, "10.0.0.1: there is no route to it")
    page.locator("[data-reason]", has_text="no route").wait_for()
    page.locator("#log li", has_text="no route").wait_for()
    assert page.evaluate("window.stays === true")

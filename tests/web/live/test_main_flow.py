"""What the owner of a shop does on the first day, from signing in to the first number: in one go."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from typing import Any

import cv2
import numpy as np
import pytest

from tests.web.browser import PASSWORD
from tests.web.chromium import SIZES
from tests.web.drawing import Easel, near
from tests.web.live import hall as camera
from tests.web.live.conftest import Joining
from tests.web.live.hall import Hall
from tests.web.live.people import Person
from tests.web.live.player import await_moving, await_playing
from tests.web.live.system import SEEN, UP, System

DOOR = [(0.5, 0.98), (0.5, 0.02)]
"""A line up the middle of the picture: to the left is in."""
SHELF = [(0.85, 0.02), (0.98, 0.02), (0.98, 0.98), (0.85, 0.98)]
"""A zone on the right, which everybody meets who comes or goes there."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("device", SIZES)
def test_from_an_empty_installation_to_a_chart(
    system: System, hall: Hall, join: Joining, device: str
) -> None:
    system.clear()
    person, name = join(device=device), system.user("administrator")
    began = time.monotonic()
    sign_in_with_a_mistake(person, name)
    add_the_camera(person, hall)
    draw_what_to_count(person)
    see_it_count(person)
    see_the_preview(person)
    seconds = time.monotonic() - began
    sys.stdout.write(f"\nfrom signing in to a count and a preview ({device}): {seconds:.0f} s\n")

    processor = processor_of(person)
    for way in ("mse", "native"):
        see_the_preview_by(person, processor, way)
    token = make_a_token(person)
    see_the_chart(person, processor, token)
    see_an_event_with_its_picture(person, processor)
    see_the_dashboard(person)
    see_what_was_done(person, name)
    system.clear()


def sign_in_with_a_mistake(person: Person, name: str) -> None:
    person.sign_in(name, "not my password")
    person.page.get_by_text("Name or password is wrong.").wait_for()
    assert person.page.get_by_label("Name").input_value() == name
    person.page.get_by_label("Password").fill(PASSWORD)
    person.page.get_by_role("button", name="Sign in").click()
    person.page.get_by_role("heading", name="Welcome").wait_for()


def add_the_camera(person: Person, hall: Hall) -> None:
    page = person.page
    page.get_by_role("main").get_by_role("link", name="Create a camera").click()
    page.get_by_label("Name", exact=True).fill("Hall")
    page.get_by_label("Stream URL").fill(hall.url)
    page.get_by_role("button", name="Test this address").click()
    page.get_by_text("It works.").wait_for()
    assert picture_size(page, ".tested img") == camera.SIZE
    facts = page.locator(".tested dl").inner_text()
    for fact in ("H.264", "768 × 432", str(camera.RATE)):
        assert fact in facts, facts
    assert person.fits()
    person.save()
    page.get_by_role("heading", name="Camera Hall").wait_for()
    person.await_(lambda: picture_size(page, "img[data-shot]") != (0, 0), UP)
    assert person.fits()
    assert camera.PASSWORD not in page.content()


def draw_what_to_count(person: Person) -> None:
    page = person.page
    page.get_by_role("link", name="Draw what to count").first.click()
    page.get_by_label("Name", exact=True).fill("Door")
    page.get_by_label("Kind").select_option("traffic")
    easel = Easel(page, touch=person.touch)
    page.locator(".shape-stage img").evaluate("image => image.decode()")
    easel.draw_line(DOOR[0], DOOR[1])
    easel.draw_zone(*SHELF)
    assert near(easel.shapes("lines")[0], DOOR)
    assert near(easel.shapes("zones")[0], SHELF)
    assert person.fits()
    person.save()
    page.wait_for_url(lambda url: "/new/" not in url)


def see_it_count(person: Person) -> None:
    """The numbers rise on a page that nobody loads again."""
    page = person.page
    open_the_processor(person)
    page.evaluate("window.stayed = true")
    person.await_(lambda: any(passed > 0 for passed in numbers(page)), SEEN)
    assert page.evaluate("window.stayed")


def see_the_preview(person: Person) -> None:
    await_playing(person)
    await_moving(person)
    assert person.fits()


def see_the_preview_by(person: Person, processor: int, way: str) -> None:
    """The player, told how to play."""
    person.page.goto(f"/admin/processor/details/?id={processor}&player={way}")
    seen = await_playing(person)
    assert seen.native == (way == "native")
    await_moving(person)


def make_a_token(person: Person) -> str:
    person.go_to("API tokens")
    person.page.get_by_role("link", name="Create").first.click()
    person.page.get_by_label("Name", exact=True).fill(person.system.name("Office"))
    person.page.get_by_role("button", name="Make it").click()
    return str(person.page.locator("#token").inner_text())


def see_the_chart(person: Person, processor: int, token: str) -> None:
    """The chart is drawn, and says what programs are told of the same span."""
    page = person.page
    page.goto(f"/admin/processor/details/?id={processor}")
    page.get_by_role("link", name="Its chart").click()
    page.locator("#chart-plot svg .bar").first.wait_for(state="attached")

    def agree() -> bool:
        # Somebody may walk through between the two questions.
        page.reload()
        shown = json.loads(page.locator("#chart-data").inner_text())
        sums = [counted(page.locator(f"#chart-sums .chart-{name} dd")) for name in ("passed", "in", "out")]
        span = {"start_ts": shown["start"], "stop_ts": shown["stop"]}
        told = ask(person.system, "/traffic", token, {"proc_id": processor, **span})
        drawn = [sum(b[name] or 0 for b in shown["buckets"]) for name in ("passed", "in", "out")]
        return sums == drawn == [told["traffic"], told["in"], told["out"]] and sum(sums) > 0

    person.await_(agree, UP, "the chart and the API differ")
    assert person.fits()


def see_an_event_with_its_picture(person: Person, processor: int) -> None:
    page = person.page
    page.goto(f"/admin/event/?flt1_1={processor}")
    picture = page.locator("main table img").first
    person.await_(lambda: picture.count() and picture.evaluate("image => image.naturalWidth") > 0, UP)
    answer = page.request.get(picture.get_attribute("src"))
    assert answer.headers["content-type"] == "image/jpeg"
    crop = cv2.imdecode(np.frombuffer(answer.body(), np.uint8), cv2.IMREAD_COLOR)
    assert crop is not None and crop.std() > 5, "a picture with something in it"
    assert person.fits()


def see_the_dashboard(person: Person) -> None:
    """The first page: the camera, its picture, and a number that goes on rising."""
    page = person.page
    person.go_to("Home")
    page.evaluate("window.stayed = true")
    person.await_(lambda: picture_size(page, "img[data-shot]") != (0, 0), UP)
    first = passed_today(page)
    person.await_(lambda: passed_today(page) > first, SEEN)
    assert page.evaluate("window.stayed")
    assert person.fits()


def see_what_was_done(person: Person, name: str) -> None:
    person.go_to("Audit log")
    words = person.main()
    for word in (name, "Hall", "Door", "Office"):
        assert word in words
    assert camera.PASSWORD not in person.page.content()


def open_the_processor(person: Person) -> None:
    if "/processor/details/" not in person.page.url:
        person.go_to("Home")
        person.page.get_by_role("main").get_by_role("link", name="Door", exact=True).first.click()
    person.page.wait_for_url("**/processor/details/**")


def processor_of(person: Person) -> int:
    return int(person.page.url.rpartition("id=")[2].partition("&")[0])


def numbers(page: Any) -> list[int]:
    """The numbers on a processor's page."""
    said = page.locator("dl.numbers dd").all_inner_texts()
    return [int(text.replace(",", "")) for text in said if text.replace(",", "").isdigit()]


def passed_today(page: Any) -> int:
    """The number on the camera's card."""
    return counted(page.locator("[data-passed] dd").first)


def counted(place: Any) -> int:
    """A number as pages write it."""
    said = place.inner_text().replace(",", "")
    return int(said) if said.isdigit() else 0


def picture_size(page: Any, selector: str) -> tuple[int, int]:
    """Pixels of a picture on the page; (0, 0) until it is there."""
    image = page.locator(selector).first
    if image.count() == 0:
        return 0, 0
    found = image.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    return int(found[0]), int(found[1])


def ask(system: System, path: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
    """What a program is told."""
    request = urllib.request.Request(
        f"{system.url}{path}",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))

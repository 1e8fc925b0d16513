"""Zones and lines drawn in a real browser: by mouse, finger and keyboard, on a desktop and on a phone."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

from server.extensions import db
from server.models import Camera, CameraShot, Processor
from server.processors import create
from tests.domain.vectors import cases
from tests.factories import NOON, camera, processor, save
from tests.processors.tracks import run, straight, walk
from tests.web.browser import Browser
from tests.web.chromium import SIZES
from tests.web.drawing import Easel, jpeg, near

SQUARE = [(0.2, 0.3), (0.6, 0.3), (0.6, 0.7), (0.2, 0.7)]
BOW = [[0.2, 0.2], [0.8, 0.8], [0.8, 0.2], [0.2, 0.8]]
TRIANGLE = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Where the application answers."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def door(app: Flask) -> int:
    """A camera that was seen once: its id."""
    with app.app_context():
        one = camera(name="Door")
        save(CameraShot(camera_id=one.id, ts=NOON, width=640, height=360, jpeg=jpeg()))
        return int(one.id)


@pytest.fixture(params=["mouse", "finger"])
def hands(request: pytest.FixtureRequest, chromium: Any, admin: Browser, address: str) -> Iterator[Any]:
    """A page of somebody who is signed in: a desktop with a mouse, a phone with a finger."""
    yield from _signed_in(chromium, admin, address, touch=request.param == "finger")


@pytest.fixture
def desk(chromium: Any, admin: Browser, address: str) -> Iterator[Any]:
    """The desktop alone."""
    yield from _signed_in(chromium, admin, address, touch=False)


def _signed_in(chromium: Any, admin: Browser, address: str, *, touch: bool) -> Iterator[Any]:
    complaints: list[str] = []
    context = chromium.new_context(
        viewport=SIZES["phone" if touch else "desktop"], base_url=address, has_touch=touch, is_mobile=touch
    )
    context.add_cookies([signed_in_as(admin, address)])
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.touch = touch
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def signed_in_as(browser: Browser, address: str) -> dict[str, str]:
    """The cookie by which the server knows somebody."""
    name = browser.app.config["SESSION_COOKIE_NAME"]
    cookie = browser._client.get_cookie(name)
    assert cookie is not None
    return {"name": name, "value": cookie.value, "url": address}


def edit(page: Any, app: Flask, camera_id: int, kind: str = "traffic", **values: Any) -> Easel:
    """Open the form of a new processor of that camera."""
    with app.app_context():
        one = processor(kind, db.session.get(Camera, camera_id), **values)
        key = one.id
    page.goto(f"/admin/processor/edit/?id={key}")
    easel = Easel(page, touch=page.touch)
    page.locator(".shape-stage img").evaluate("image => image.decode()")
    return easel


def stored(app: Flask) -> Processor:
    """The only processor."""
    with app.app_context():
        return db.session.query(Processor).one()


def save_it(page: Any) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(lambda url: "/edit/" not in url and "/new/" not in url)


def test_a_zone_is_drawn_named_saved_and_there_again(hands: Any, app: Flask, door: int) -> None:
    easel = edit(hands, app, door)
    easel.draw_zone(*SQUARE)
    assert near(easel.shapes()[0], SQUARE)
    assert easel.names() == ["zone 1"]
    hands.locator(".shape-list input").fill("Front door")
    assert easel.shapes()[0]["name"] == "Front door"
    assert hands.locator(".shape-svg .name").text_content() == "Front door"
    assert hands.evaluate("document.documentElement.scrollWidth <= innerWidth")
    drawn = easel.shapes()
    save_it(hands)
    row = stored(app)
    assert row.zones == drawn
    hands.goto(f"/admin/processor/edit/?id={row.id}")
    assert Easel(hands).names() == ["Front door"]
    assert Easel(hands).shapes() == drawn
    assert hands.locator(".shape-svg .shape").count() == 1
    hands.goto(f"/admin/processor/details/?id={row.id}")
    assert hands.locator(".shape-svg .name").text_content() == "Front door"


def test_a_line_is_drawn_turned_round_and_deleted(hands: Any, app: Flask, door: int) -> None:
    easel = edit(hands, app, door, zones=[TRIANGLE])
    easel.draw_line((0.2, 0.5), (0.8, 0.5))
    assert near(easel.shapes("lines")[0], [(0.2, 0.5), (0.8, 0.5)])
    easel.button("Turn line 1 round: swap in and out").click()
    assert near(easel.shapes("lines")[0], [(0.8, 0.5), (0.2, 0.5)])
    easel.button("Draw a line").click()
    easel.tap((0.1, 0.9), (0.9, 0.9))
    assert near(easel.shapes("lines")[1], [(0.1, 0.9), (0.9, 0.9)])
    easel.button("Delete line 1").click()
    assert easel.names() == ["zone 1", "line 1"]
    assert near(easel.shapes("lines")[0], [(0.1, 0.9), (0.9, 0.9)])


def test_points_and_shapes_are_dragged_and_every_step_goes_back_and_forth(
    hands: Any, app: Flask, door: int
) -> None:
    easel = edit(hands, app, door, zones=[[list(p) for p in SQUARE]])
    hands.locator(".shape-list input").focus()
    easel.drag((0.2, 0.3), (0.3, 0.4))
    moved = [(0.3, 0.4), *SQUARE[1:]]
    assert near(easel.shapes()[0], moved)
    easel.drag((0.5, 0.55), (0.6, 0.6))
    shifted = [(x + 0.1, y + 0.05) for x, y in moved]
    assert near(easel.shapes()[0], shifted)
    easel.button("Undo").click()
    assert near(easel.shapes()[0], moved)
    easel.button("Undo").click()
    assert near(easel.shapes()[0], SQUARE)
    assert easel.button("Undo").is_disabled()
    easel.button("Redo").click()
    easel.button("Redo").click()
    assert near(easel.shapes()[0], shifted)
    assert easel.button("Redo").is_disabled()


def test_a_point_is_added_on_an_edge_and_removed(hands: Any, app: Flask, door: int) -> None:
    easel = edit(hands, app, door, zones=[[list(p) for p in SQUARE]])
    hands.locator(".shape-list input").focus()
    easel.drag((0.4, 0.3), (0.4, 0.15))
    assert near(easel.shapes()[0], [SQUARE[0], (0.4, 0.15), *SQUARE[1:]])
    easel.button("Remove point").click()
    assert near(easel.shapes()[0], SQUARE)
    easel.tap((0.4, 0.7))
    assert near(easel.shapes()[0], [*SQUARE[:3], (0.4, 0.7), SQUARE[3]])
    easel.button("Add point").click()
    assert near(easel.shapes()[0], [*SQUARE[:3], (0.4, 0.7), (0.3, 0.7), SQUARE[3]])


def test_a_double_click_removes_a_point_but_never_the_third(desk: Any, app: Flask, door: int) -> None:
    easel = edit(desk, app, door, zones=[[list(p) for p in SQUARE]])
    desk.mouse.dblclick(*easel._pixels(SQUARE[0]))
    assert near(easel.shapes()[0], SQUARE[1:])
    desk.mouse.dblclick(*easel._pixels(SQUARE[1]))
    assert near(easel.shapes()[0], SQUARE[1:])
    assert "keeps at least three points" in desk.get_by_role("status").first.inner_text()


def test_the_border_of_the_picture_draws_points_to_it(hands: Any, app: Flask, door: int) -> None:
    easel = edit(hands, app, door)
    easel.button("Draw a zone").click()
    easel.tap((0.01, 0.02), (0.5, 0.01), (0.5, 0.99))
    easel.button("Done").click()
    (zone,) = easel.shapes()
    assert zone[0] == [0, 0] and zone[1][1] == 0 and zone[2][1] == 1


def test_a_zone_is_not_closed_before_it_has_three_points(hands: Any, app: Flask, door: int) -> None:
    easel = edit(hands, app, door)
    easel.button("Draw a zone").click()
    easel.tap((0.2, 0.2), (0.6, 0.2))
    easel.button("Done").click()
    assert "at least three points. There are 2 so far" in hands.get_by_role("status").first.inner_text()
    assert easel.shapes() == []
    easel.button("Undo").click()
    easel.tap((0.6, 0.6), (0.2, 0.6))
    easel.button("Done").click()
    assert near(easel.shapes()[0], [(0.2, 0.2), (0.6, 0.6), (0.2, 0.6)])


def test_everything_can_be_done_by_keyboard(desk: Any, app: Flask, door: int) -> None:
    easel = edit(desk, app, door)
    easel.button("Draw a zone").focus()
    desk.keyboard.press("Enter")
    for keys in (["Space"], ["ArrowRight"] * 5 + ["Space"], ["Shift+ArrowDown"] * 2 + ["Space"], ["Enter"]):
        for key in keys:
            desk.keyboard.press(key)
    assert near(easel.shapes()[0], [(0.5, 0.5), (0.6, 0.5), (0.6, 0.6)], 1e-6)

    assert desk.evaluate("document.activeElement.getAttribute('aria-label')") == "zone 1"
    desk.keyboard.press("Enter")
    assert desk.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
        "Point 1 of zone 1, 50%"
    )
    desk.keyboard.press("ArrowLeft")
    desk.keyboard.press("Shift+ArrowUp")
    assert near(easel.shapes()[0], [(0.495, 0.45), (0.6, 0.5), (0.6, 0.6)], 1e-6)
    desk.keyboard.press("+")
    assert len(easel.shapes()[0]) == 4
    desk.keyboard.press("Delete")
    assert len(easel.shapes()[0]) == 3
    desk.keyboard.press("Escape")
    desk.keyboard.press("Shift+ArrowRight")
    assert near(easel.shapes()[0], [(0.545, 0.45), (0.65, 0.5), (0.65, 0.6)], 1e-6)
    desk.keyboard.press("Control+z")
    assert near(easel.shapes()[0], [(0.495, 0.45), (0.6, 0.5), (0.6, 0.6)], 1e-6)
    desk.keyboard.press("Control+Shift+Z")
    assert near(easel.shapes()[0], [(0.545, 0.45), (0.65, 0.5), (0.65, 0.6)], 1e-6)
    desk.keyboard.press("Delete")
    assert easel.shapes() == [] and easel.typed() == ""

    easel.button("Draw a line").focus()
    desk.keyboard.press("Enter")
    desk.keyboard.press("Space")
    desk.keyboard.press("Escape")
    assert easel.shapes("lines") == []
    assert desk.evaluate("document.activeElement.textContent") == "Draw a line"
    desk.keyboard.press("Enter")
    for key in ("Space", "Shift+ArrowRight", "Space"):
        desk.keyboard.press(key)
    assert near(easel.shapes("lines")[0], [(0.5, 0.5), (0.55, 0.5)], 1e-6)


def test_crossing_edges_are_said_and_shown_at_once_and_refused_by_the_server_too(
    hands: Any, app: Flask, door: int
) -> None:
    easel = edit(hands, app, door)
    easel.draw_zone(*[(x, y) for x, y in BOW])
    assert easel.wrongs() == ["Edges 1 and 3 of the zone cross; give its points in order around it."]
    name = hands.locator(".shape-list input")
    told = hands.locator(f"#{name.get_attribute('aria-describedby')}")
    assert told.inner_text() == easel.wrongs()[0]
    crossing = hands.locator(".shape-svg .crossing")
    assert crossing.get_attribute("d").count("M") == 2
    red = hands.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--danger')").strip()
    drawn = crossing.evaluate("path => getComputedStyle(path).stroke")
    assert drawn == "rgb({}, {}, {})".format(*bytes.fromhex(red.removeprefix("#")))
    hands.get_by_role("button", name="Save", exact=True).click()
    hands.locator("#zones-error").wait_for()
    assert hands.locator("#zones-error").inner_text() == (
        "Number 1: edges 1 and 3 of the zone cross; give its points in order around it."
    )
    easel = Easel(hands, touch=hands.touch)
    hands.locator(".shape-list input").focus()
    easel.drag((0.8, 0.8), (0.8, 0.05))
    easel.drag((0.8, 0.2), (0.8, 0.9))
    assert easel.wrongs() == []
    save_it(hands)


def test_the_text_and_the_picture_agree_both_ways(desk: Any, app: Flask, door: int) -> None:
    typed = "[[[0.1,0.1],[0.5,0.1],[0.5,0.5]]]"
    easel = edit(desk, app, door)
    easel.open_text()
    desk.locator("#zones").fill(typed)
    assert easel.names() == ["zone 1"] and easel.typed() == typed
    desk.locator("#zones").fill(typed + "]")
    desk.get_by_text("The text of the zones cannot be drawn; the picture shows what it last said.").wait_for()
    assert easel.names() == ["zone 1"]
    desk.locator("#lines").fill('[{"name": "Step", "points": [[0, 0.5], [1, 0.5]]}]')
    assert easel.names() == ["zone 1", "Step"]
    assert easel.typed() == typed + "]", "what cannot be read is not lost because a line was typed"
    easel.draw_zone(*[(0.6, 0.6), (0.9, 0.6), (0.9, 0.9)])
    assert easel.shapes()[0] == TRIANGLE and near(easel.shapes()[1], [(0.6, 0.6), (0.9, 0.6), (0.9, 0.9)])
    assert not desk.get_by_text("cannot be drawn").is_visible()
    desk.locator("#zones").fill("[[[0.1, 0.1], [0.5, 1.5], [0.9, 0.1]]]")
    assert easel.wrongs() == ["Point 2: 1.5 lies outside the picture: coordinates are fractions from 0 to 1."]
    desk.locator("#zones").fill('[[[0.1, "x"], [0.5, 0.5], [0.9, 0.1]]]')
    desk.get_by_text('Number 1: point 1: a coordinate is a number, not "x".').wait_for()
    desk.locator("#zones").fill("")
    assert easel.names() == ["Step"]
    desk.locator("#zones").fill(json.dumps([TRIANGLE] * 51))
    desk.get_by_text("Zones: at most 50 fit, not 51.").wait_for()


def test_names_that_clash_are_said_in_the_list(desk: Any, app: Flask, door: int) -> None:
    easel = edit(desk, app, door, zones=[{"name": "Door", "points": TRIANGLE}], lines=[[[0, 0.5], [1, 0.5]]])
    desk.locator(".shape-list input").nth(1).fill("Door")
    assert easel.wrongs() == ["Zone 1 has this name too; each needs its own."]
    desk.locator(".shape-list input").nth(1).fill("Step")
    assert easel.wrongs() == []


@pytest.mark.parametrize("turn", range(8))
def test_the_arrow_points_to_where_the_processor_counts_in(
    desk: Any, app: Flask, door: int, turn: int
) -> None:
    angle = turn * math.pi / 4 + 0.1
    ends = [[0.5 + way * 0.3 * math.cos(angle), 0.5 + way * 0.3 * math.sin(angle)] for way in (-1, 1)]
    easel = edit(desk, app, door, lines=[ends])
    size = easel.svg.bounding_box()
    middle, tip = (
        desk.locator(".shape-svg .arrow.stroke").evaluate(
            """(path, at) => {
              const {x, y} = path.getPointAtLength(at);
              return [x, y];
            }""",
            at,
        )
        for at in (0, 26)
    )
    way = [(tip[axis] - middle[axis]) / size[side] for axis, side in enumerate(("width", "height"))]
    length = math.hypot(*way)
    start, end = ([0.5 + 0.25 * sign * step / length for step in way] for sign in (-1, 1))
    events = run(
        create("traffic", lines=[ends]),
        walk(straight((start[0], start[1]), (end[0], end[1]), 12), ends=False),
    )
    assert [event.direction for event in events] == ["in"]


def test_list_and_picture_point_at_each_other(desk: Any, app: Flask, door: int) -> None:
    easel = edit(desk, app, door, zones=[TRIANGLE, [[0.6, 0.6], [0.9, 0.6], [0.9, 0.9]]])
    rows, drawn = desk.locator(".shape-list li"), desk.locator(".shape-svg .shape")
    rows.nth(1).hover()
    assert "lit" in drawn.nth(1).get_attribute("class") and "lit" not in drawn.nth(0).get_attribute("class")
    desk.mouse.move(*easel._pixels((0.4, 0.15)))
    assert "lit" in rows.nth(0).get_attribute("class") and "lit" not in rows.nth(1).get_attribute("class")
    easel.tap((0.8, 0.65))
    assert "selected" in rows.nth(1).get_attribute("class")


def test_ready_made_shapes_are_added(hands: Any, app: Flask, door: int) -> None:
    easel = edit(hands, app, door)
    hands.get_by_text("Ready-made", exact=True).click()
    easel.button("Strip on the right").click()
    assert easel.shapes() == [[[0.9, 0], [1, 0], [1, 1], [0.9, 1]]]
    hands.get_by_text("Ready-made", exact=True).click()
    easel.button("Line across, in is up").click()
    assert easel.names() == ["zone 1", "line 1"]


def test_masks_are_drawn_by_the_same_hands(hands: Any, app: Flask, door: int) -> None:
    hands.goto(f"/admin/camera/edit/?id={door}")
    easel = Easel(hands, touch=hands.touch)
    hands.locator(".shape-stage img").evaluate("image => image.decode()")
    assert not hands.get_by_role("button", name="Draw a line").count()
    easel.button("Draw a mask").click()
    easel.tap(*SQUARE, SQUARE[0])
    assert easel.names() == ["mask 1"]
    assert (
        hands.locator(".shape-svg .stroke").evaluate("path => getComputedStyle(path).fill") == "rgb(0, 0, 0)"
    )
    assert hands.evaluate("document.documentElement.scrollWidth <= innerWidth")
    save_it(hands)
    with app.app_context():
        (mask,) = db.session.get_one(Camera, door).masks or []
    assert near(mask, SQUARE)


def test_a_finger_scrolls_the_page_over_the_picture_and_drags_what_is_chosen(
    chromium: Any, admin: Browser, address: str, app: Flask, door: int
) -> None:
    for page in _signed_in(chromium, admin, address, touch=True):
        easel = edit(page, app, door, zones=[[list(p) for p in SQUARE]])
        easel.svg.scroll_into_view_if_needed()
        before = page.evaluate("scrollY")
        easel.drag((0.4, 0.9), (0.4, 0.1))
        page.wait_for_function("before => scrollY > before", arg=before)
        assert near(easel.shapes()[0], SQUARE)


def test_the_create_form_follows_the_camera_and_the_kind(desk: Any, app: Flask, door: int) -> None:
    with app.app_context():
        camera(name="Attic")
    desk.goto("/admin/processor/new/")
    easel = Easel(desk)
    desk.get_by_label("Camera", exact=True).select_option("Attic")
    desk.get_by_text("There is no picture of this camera yet.").wait_for()
    assert not desk.locator(".shape-stage img").is_visible()
    desk.get_by_label("Camera", exact=True).select_option("Door")
    desk.locator(".shape-stage img").wait_for()
    desk.get_by_text("Last seen 2026-03-27").wait_for()
    desk.get_by_label("Kind").select_option("persons")
    assert not easel.button("Draw a line").is_visible()
    desk.get_by_label("Kind").select_option("traffic")
    easel.draw_line((0.2, 0.5), (0.8, 0.5))
    desk.get_by_label("Kind").select_option("persons")
    assert easel.wrongs() == ["This kind has no lines; delete it or choose another kind."]
    desk.get_by_label("Kind").select_option("traffic")
    desk.get_by_label("Name", exact=True).fill("Step")
    desk.get_by_label("cars").check()
    desk.get_by_label("Point that counts").select_option("foot")
    save_it(desk)
    row = stored(app)
    assert (row.kind, row.camera_id) == ("traffic", door)
    assert row.options == {"labels": ["person", "car"], "anchor": "foot"}


def test_the_second_who_saves_is_told_and_may_put_theirs_in_its_place(
    desk: Any, app: Flask, door: int, admin: Browser
) -> None:
    easel = edit(desk, app, door, zones=[TRIANGLE])
    row = stored(app)
    address = f"/admin/processor/edit/?id={row.id}"
    admin.send(
        address, name="Hers", kind="traffic", enabled="y", confidence="0.5", zones=json.dumps([TRIANGLE]),
        lines="", options="", seen=admin.hidden(address, "seen"),
    )  # fmt: skip
    easel.draw_zone(*SQUARE)
    desk.get_by_label("Name", exact=True).fill("Mine")
    desk.get_by_role("button", name="Save", exact=True).click()
    desk.get_by_text("Somebody else has changed this processor").wait_for()
    assert desk.get_by_label("Name", exact=True).input_value() == "Mine"
    assert len(Easel(desk).shapes()) == 2
    with desk.context.expect_page() as opened:
        desk.get_by_role("link", name="Open the current version in a new tab").click()
    assert opened.value.get_by_label("Name", exact=True).input_value() == "Hers"
    opened.value.close()
    desk.get_by_role("button", name="Save mine instead").click()
    desk.wait_for_url(lambda url: "/edit/" not in url)
    row = stored(app)
    assert row.name == "Mine" and len(row.zones) == 2


def test_without_scripts_the_text_is_what_there_is(
    chromium: Any, admin: Browser, address: str, app: Flask, door: int
) -> None:
    with app.app_context():
        key = processor("traffic", db.session.get(Camera, door)).id
    context = chromium.new_context(base_url=address, java_script_enabled=False)
    context.add_cookies([signed_in_as(admin, address)])
    page = context.new_page()
    page.goto(f"/admin/processor/edit/?id={key}")
    page.get_by_label("Zones").fill(json.dumps([TRIANGLE]))
    page.get_by_role("button", name="Save", exact=True).click()
    context.close()
    assert stored(app).zones == [TRIANGLE]


def test_the_editor_judges_as_the_server_does(desk: Any, app: Flask, door: int) -> None:
    desk.goto("/admin/processor/new/")
    said = desk.evaluate(
        """async (cases) => {
          const { verdict } = await import("/static/editor-geometry.js");
          return cases.map(({ zones, lines }) => verdict(zones, lines));
        }""",
        cases(),
    )
    assert said == [case["verdict"] for case in cases()]

"""Zones and lines drawn in a real browser: by mouse, finger and keyboard, on a desktop and on a phone."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from flask import Flask

from server.processors import create
from tests.processors.tracks import run, straight, walk
from tests.web.drawing import Easel, near
from tests.web.editor.forms import BOW, SQUARE, TRIANGLE, edit, save_it, stored


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
    desk.keyboard.press("Control+z")
    desk.keyboard.press("Control+z")
    assert near(easel.shapes()[0], [(0.495, 0.45), (0.6, 0.5), (0.6, 0.6)], 1e-6)
    for _ in range(12):
        desk.keyboard.press("Control+z")
    assert easel.shapes() == []

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


def test_a_finger_scrolls_the_page_over_the_picture_and_what_is_not_chosen(
    phone: Any, app: Flask, door: int
) -> None:
    easel = edit(phone, app, door, zones=[[list(p) for p in SQUARE]])
    easel.svg.scroll_into_view_if_needed()
    before = phone.evaluate("scrollY")
    easel.drag((0.4, 0.6), (0.4, 0.1))
    phone.wait_for_function("before => scrollY > before", arg=before)
    assert near(easel.shapes()[0], SQUARE)

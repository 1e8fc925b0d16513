"""The editor as part of its pages: what it follows, what happens when two save, masks, access for all."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask

from server.extensions import db
from server.models import Camera
from tests.assets import axe
from tests.domain.vectors import cases
from tests.factories import camera, processor
from tests.web.browser import Browser
from tests.web.drawing import Easel, near
from tests.web.editor.forms import BOW, SQUARE, TRIANGLE, edit, save_it, stored
from tests.web.test_accessibility import trouble


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


def test_without_scripts_the_text_is_what_there_is(plain: Any, app: Flask, door: int) -> None:
    with app.app_context():
        key = processor("traffic", db.session.get(Camera, door)).id
    plain.goto(f"/admin/processor/edit/?id={key}")
    plain.get_by_label("Zones").fill(json.dumps([TRIANGLE]))
    plain.get_by_role("button", name="Save", exact=True).click()
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


def test_no_state_of_the_editor_shuts_anybody_out(hands: Any, app: Flask, door: int) -> None:
    hands.emulate_media(reduced_motion="reduce")
    easel = edit(hands, app, door, zones=[BOW, TRIANGLE], lines=[[[0, 0.5], [1, 0.5]]])
    easel.open_text()
    hands.locator(".shape-list input").nth(1).focus()
    hands.locator("#lines").fill("[[")
    easel.button("Draw a zone").click()
    easel.tap((0.2, 0.8), (0.4, 0.8))
    easel.button("Done").click()
    assert trouble(hands, axe()) == []
    hands.keyboard.press("Escape")
    hands.locator(".shape-list input").nth(0).focus()
    assert trouble(hands, axe()) == []

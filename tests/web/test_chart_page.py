"""The page of a chart in a real browser: drawn, read by mouse and keys, left and found again, taken along."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from server.extensions import db
from server.models import Processor
from tests.assets import axe
from tests.conftest import AppMaker
from tests.factories import at, camera, event, observation, processor
from tests.web.browser import COOKIE, Browser
from tests.web.chromium import SIZES
from tests.web.serving import serving

DAY = "from=2026-03-27&bucket=1h"
_SERIOUS = """async () => (await axe.run(document, {resultTypes: ["violations"], preload: false})).violations
  .filter((one) => one.impact === "serious" || one.impact === "critical")
  .map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`)"""
_TIMERS = """() => {
  // Only the refresh of the page: everything else of it is left as it is.
  window.setInterval = (call, pause) => { window.refresh = call; window.pause = pause; return 1; };
}"""


@pytest.fixture
def app(make_app: AppMaker) -> Flask:
    return make_app(TIMEZONE="Europe/Berlin")


@pytest.fixture
def door(app: Flask) -> int:
    """A door in Berlin, watched from 13:00 to 16:00 and from 17:00 to 18:00."""
    with app.app_context():
        found = processor(on=camera(name="Entrance"), name="Front door", lines=[[[0, 0.5], [1, 0.5]]])
        observation(found, at(0), at(3 * 3600), ended="connection")
        observation(found, at(4 * 3600), at(5 * 3600))
        for minute, direction in ((5, "in"), (6, "in"), (70, "out"), (250, "in")):
            event(found, at(60 * minute), passes=1, direction=direction)
        return found.id


@pytest.fixture
def till(app: Flask) -> int:
    """A till with up to three people."""
    with app.app_context():
        found = processor("persons", name="Till")
        observation(found, at(0), at(3600))
        observation(found, at(7200), at(7300))
        event(found, at(600), count=3)
        event(found, at(1200), count=1)
        return found.id


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, chromium: Any, app: Flask, admin: Browser) -> Iterator[Any]:
    """A page of ann's; afterwards it must have asked nobody else and complained of nothing."""
    complaints: list[str] = []
    with serving(app) as address:
        context = chromium.new_context(
            viewport=SIZES[request.param], base_url=address, has_touch=request.param == "phone"
        )
        context.add_cookies([{"name": COOKIE, "value": admin.session(), "url": address}])
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        context.close()
    assert complaints == []


def visit(page: Any, of: int, query: str = DAY) -> None:
    page.goto(f"/admin/chart/?processor={of}&{query}")


def drawn(page: Any, mark: str) -> list[dict[str, float]]:
    """Where in the picture something is drawn."""
    page.locator("#chart-plot svg").wait_for()
    return page.evaluate(
        """(mark) => [...document.querySelectorAll(`#chart-plot ${mark}`)].map((one) => {
             const box = one.getBoundingClientRect();
             return {left: box.left, top: box.top, width: box.width, height: box.height};
           })""",
        mark,
    )


def test_bars_go_up_and_down_and_what_nobody_saw_is_hatched(page: Any, door: int) -> None:
    visit(page, door)
    into, out = drawn(page, ".bar.in"), drawn(page, ".bar.out")
    assert (len(into), len(out)) == (2, 1)
    [zero] = drawn(page, ".zero")
    assert all(bar["top"] + bar["height"] <= zero["top"] + 1 for bar in into)
    assert out[0]["top"] >= zero["top"] - 1
    assert into[0]["height"] == pytest.approx(2 * into[1]["height"], abs=1)
    gaps = drawn(page, ".unobserved")
    assert len(gaps) == 3
    # Between the two spans of observation: an hour wide, over the whole height, and right of 14 o'clock.
    assert gaps[1]["width"] == pytest.approx(gaps[0]["width"] / 13, rel=0.1)
    assert gaps[1]["height"] > 2 * into[0]["height"] - 1 > 0
    assert gaps[1]["left"] > out[0]["left"]
    assert len(drawn(page, ".net-dot")) == 4
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_people_are_a_staircase_that_breaks_where_nobody_looked(page: Any, till: int) -> None:
    visit(page, till)
    assert len(drawn(page, ".people")) == 1
    line = page.locator(".people").get_attribute("d")
    # Two spans of observation: two beginnings. Three levels in the first.
    assert line.count("M") == 2 and line.count("V") == 2
    assert len(drawn(page, ".unobserved")) == 3


def test_arrow_keys_go_over_the_buckets_and_what_they_hold_is_read_out(page: Any, door: int) -> None:
    visit(page, door)
    page.locator("#chart-plot svg").wait_for()
    page.get_by_role("link", name="1 hour").focus()
    page.keyboard.press("Tab")
    read, tip = page.locator("#chart-read"), page.locator(".chart-tip")
    assert read.get_attribute("aria-live") == "polite"
    assert read.inner_text() == "00:00–01:00, Not observed: nothing had been watched before"
    for _ in range(13):
        page.keyboard.press("ArrowRight")
    assert read.inner_text() == "13:00–14:00, In 2, Out 0, Net +2"
    assert tip.is_visible() and "13:00–14:00" in tip.inner_text()
    assert len(drawn(page, ".band")) == 1
    page.keyboard.press("ArrowRight")
    assert read.inner_text() == "14:00–15:00, In 0, Out 1, Net −1"
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert read.inner_text().startswith("23:00–00:00")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    assert read.inner_text().startswith("00:00–01:00")
    page.keyboard.press("Escape")
    assert not tip.is_visible() and drawn(page, ".band") == []


def test_pointing_at_a_bar_says_what_it_stands_for(page: Any, door: int) -> None:
    visit(page, door)
    bar = drawn(page, ".bar.out")[0]
    at_bar = bar["left"] + bar["width"] / 2, bar["top"] + bar["height"] / 2
    tip = page.locator(".chart-tip")
    if page.evaluate("navigator.maxTouchPoints"):
        page.touchscreen.tap(*at_bar)
    else:
        page.mouse.move(*at_bar)
    tip.wait_for()
    assert tip.inner_text().split("\n") == ["14:00–15:00", "In 0", "Out 1", "Net −1"]
    box = tip.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"]
    if page.evaluate("navigator.maxTouchPoints"):
        page.touchscreen.tap(20, page.locator("h1").bounding_box()["y"] + 5)
    else:
        page.mouse.move(5, 5)
    tip.wait_for(state="hidden")


def test_another_period_is_another_address_and_the_way_back_leads_back(page: Any, door: int) -> None:
    visit(page, door)
    page.get_by_role("link", name="Week", exact=True).click()
    page.get_by_role("heading", name="Week 13: 23 March – 29 March 2026").wait_for()
    assert re.search(r"period=week&from=2026-03-27", page.url)
    assert page.get_by_role("link", name="Week", exact=True).get_attribute("aria-current") == "true"
    page.get_by_role("link", name="Previous").click()
    page.get_by_role("heading", name="Week 12: 16 March – 22 March 2026").wait_for()
    page.get_by_text("Nothing was observed in this span").wait_for()
    assert not page.locator("#chart-plot").is_visible()
    page.get_by_role("link", name="Next").click()
    page.get_by_role("heading", name="Week 13").wait_for()
    page.go_back()
    page.get_by_role("heading", name="Week 12").wait_for()
    page.go_back()
    page.go_back()
    page.get_by_role("heading", name="Friday 27 March 2026").wait_for()
    assert len(drawn(page, ".bar.in")) == 2
    page.get_by_role("link", name="15 minutes").click()
    page.wait_for_url("**bucket=15min**")
    assert len(drawn(page, ".bar.in")) == 2


def test_ones_own_span_is_typed_and_a_mistake_is_said_at_its_field(page: Any, door: int) -> None:
    visit(page, door)
    page.get_by_role("link", name="Custom").click()
    page.get_by_label("From").wait_for()
    assert page.get_by_label("From").input_value() == "2026-03-27T00:00"
    page.get_by_label("From").fill("2026-03-27T13:00")
    page.get_by_label("To").fill("2026-03-27T15:00")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("heading", name="Fri 27 Mar 2026, 13:00–15:00").wait_for()
    assert page.locator("#chart-sums .chart-in dd").inner_text() == "2"
    assert drawn(page, ".unobserved") == []


@pytest.mark.parametrize("which", ["door", "till"])
def test_the_file_holds_what_is_shown(
    page: Any, which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    visit(page, request.getfixturevalue(which))
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename.endswith("-day-2026-03-27.csv")
    path = tmp_path / "chart.csv"
    download.value.save_as(path)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    page.get_by_text("The numbers as a table").click()
    shown = page.evaluate(
        """() => [...document.querySelectorAll("#chart-rows tr")].map(
             (row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent))"""
    )
    assert len(shown) == len(rows) - 1 == 24

    def plain(cell: str) -> float | None:
        return None if cell == "–" else float(cell.replace("−", "-").replace("+", ""))

    for cells, row in zip(shown, rows[1:], strict=True):
        assert [plain(cell) for cell in cells[:-1]] == [float(one) if one else None for one in row[2:-1]]
        assert cells[-1] == f"{float(row[-1]):.0%}".replace("%", " %")


def test_today_goes_on_without_losing_what_is_looked_at(page: Any, app: Flask) -> None:
    now = datetime.now(timezone.utc)
    with app.app_context():
        found = processor(name="Live", lines=[[[0, 0.5], [1, 0.5]]])
        of = found.id
        observation(found, now - timedelta(minutes=3), now + timedelta(hours=2))
    page.add_init_script(f"({_TIMERS})()")
    # A span of one's own: no hour ends while the test runs.
    begin, end = (f"{now + timedelta(minutes=minutes):%Y-%m-%dT%H:%M}Z" for minutes in (-30, 30))
    visit(page, of, f"period=custom&from={begin}&to={end}")
    page.locator(".now").wait_for(state="attached")
    assert page.evaluate("window.pause") == 10_000
    page.locator("#chart-plot").focus()
    page.keyboard.press("End")
    page.keyboard.press("Home")
    before = page.locator("#chart-read").inner_text()
    with app.app_context():
        event(db.session.get_one(Processor, of), now - timedelta(seconds=1), passes=1, direction="in")
    page.evaluate("window.refresh()")
    page.locator("#chart-sums .chart-in dd", has_text="1").wait_for()
    assert page.locator("#chart-read").inner_text() == before
    assert page.locator(".chart-tip").is_visible()
    assert page.evaluate("document.activeElement.id") == "chart-plot"
    assert len(drawn(page, ".band")) == 1


def test_a_chart_is_fit_for_everybody(page: Any, door: int, till: int) -> None:
    source = axe()
    found = []
    for path in (
        "/admin/chart/",
        f"/admin/chart/?processor={door}&{DAY}",
        f"/admin/chart/?processor={till}&{DAY}",
        f"/admin/chart/?processor={door}&period=custom&from=2026-03-27T12:00&to=2026-03-28T12:00",
        f"/admin/chart/?processor={door}&from=2026-03-20",
    ):
        page.goto(path)
        if page.locator("#chart-plot").is_visible():
            page.locator("#chart-plot svg").wait_for()
            page.locator("#chart-plot").focus()
            page.keyboard.press("ArrowRight")
        page.evaluate(source)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found += [f"{path} {scheme}: {one}" for one in page.evaluate(_SERIOUS)]
    assert found == []

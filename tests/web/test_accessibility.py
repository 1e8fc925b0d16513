"""Every page in a real browser: axe-core finds nothing serious, and what people expect of any page holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from tests.assets import axe
from tests.conftest import AppMaker
from tests.web.browser import COOKIE, Browser
from tests.web.chromium import SIZES
from tests.web.furnished import Ids, furnish
from tests.web.serving import serving
from tests.web.walk import MORE, pages

pytestmark = pytest.mark.timeout(900)
"""Some forty pages, each looked at twice: minutes on a machine that is busy otherwise."""
SCHEMES = ("light", "dark")
_RUN = """async () => {
  // What was just unfolded or recoloured is drawn first: until then its old colours are found.
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  const found = await axe.run(document, {resultTypes: ["violations"], preload: false});
  return found.violations
    .filter((one) => one.impact === "serious" || one.impact === "critical")
    .map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}"""
_UNFOLD = """() => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  for (const one of document.querySelectorAll("[data-menu]")) one.setAttribute("aria-expanded", "true");
}"""
_STICKS_OUT = """() => [...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
  .slice(0, 3).map((one) => one.outerHTML.slice(0, 160))"""
_EXPECTED = re.compile(r"status of (4\d\d|503)")
"""What Chromium complains of where a page is an error page, or a picture or preview is not there."""


@pytest.fixture
def app(make_app: AppMaker) -> Flask:
    """An application of the node that keeps the pictures."""
    return make_app(NODE_NAME="shop-1", TIMEZONE="Europe/Berlin")


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Where the application answers."""
    with serving(app) as found:
        yield found


@pytest.fixture
def furnished(app: Flask) -> Ids:
    """Rows of every sort."""
    return furnish(app)


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, chromium: Any, address: str, admin: Browser) -> Iterator[Any]:
    """A page of ann's, who has signed in; afterwards it must have asked nobody else."""
    strangers: list[str] = []
    complaints: list[str] = []
    # Without motion: a colour on its way from one scheme to the other is neither.
    context = chromium.new_context(viewport=SIZES[request.param], base_url=address, reduced_motion="reduce")
    context.add_cookies([{"name": COOKIE, "value": admin.session(), "url": address}])
    page = context.new_page()
    page.set_default_timeout(20_000)

    def asked(sent: Any) -> None:
        if not sent.url.startswith((address, "data:", "blob:")):
            strangers.append(sent.url)

    def said(line: Any) -> None:
        if line.type == "error" and not _EXPECTED.search(line.text):
            complaints.append(f"{page.url}: {line.text}")

    page.on("request", asked)
    page.on("console", said)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    yield page
    context.close()
    assert strangers == []
    assert complaints == []


def trouble(page: Any, source: str) -> list[str]:
    """What axe-core finds on the page, whatever is folded away opened, in both colour schemes."""
    found = []
    page.evaluate(_UNFOLD)
    page.evaluate(source)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
        found += [f"{scheme}: {one}" for one in page.evaluate(_RUN)]
    return found


def manners(page: Any) -> list[str]:
    """What any page must have and this one has not."""
    missing = []
    if page.locator("h1").count() != 1:
        missing.append(f"{page.locator('h1').count()} h1")
    if not page.locator("html").get_attribute("lang"):
        missing.append("no lang")
    if page.locator("main").count() != 1:
        missing.append("no main")
    if not page.title().endswith("Hypersight"):
        missing.append(f"title {page.title()!r}")
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        missing.append(f"sticks out sideways: {page.evaluate(_STICKS_OUT)}")
    return missing


def look_at(page: Any, addresses: dict[str, str], source: str) -> dict[str, list[str]]:
    """Visit pages; what is wrong, by the page's name."""
    wrong, titles = {}, {}
    for name, path in addresses.items():
        page.goto(path)
        found = trouble(page, source) + manners(page)
        other = name if name in MORE else titles.setdefault(page.title(), name)
        if other != name:
            found.append(f"the title {page.title()!r} is that of {other} too")
        if found:
            wrong[name] = found
    return wrong


def test_every_page_of_an_installation_in_use(furnished: Ids, page: Any, app: Flask, admin: Browser) -> None:
    addresses = pages(app, admin, furnished)
    assert len(addresses) > 20
    assert look_at(page, addresses, axe()) == {}


def test_every_page_of_an_empty_installation(page: Any, app: Flask, admin: Browser) -> None:
    assert look_at(page, pages(app, admin), axe()) == {}


def test_pages_for_those_who_may_only_look(furnished: Ids, page: Any, app: Flask, address: str) -> None:
    viewer = Browser(app)
    viewer.become("wim", "viewer")
    page.context.clear_cookies()
    page.context.add_cookies([{"name": COOKIE, "value": viewer.session(), "url": address}])
    addresses = pages(app, viewer, furnished)
    assert "user.index_view" not in addresses
    assert look_at(page, addresses | {"refused": "/admin/user/"}, axe()) == {}


def test_the_page_to_sign_in_at(page: Any) -> None:
    page.context.clear_cookies()
    source = axe()
    assert look_at(page, {"sign in": "/admin/login"}, source) == {}
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.locator("#password-error").wait_for()
    assert trouble(page, source) + manners(page) == []


@pytest.mark.parametrize(
    "form", ["/admin/camera/new/", "/admin/processor/new/", "/admin/user/new/", "/admin/token/new/"]
)
def test_a_form_that_was_refused(furnished: Ids, page: Any, form: str) -> None:
    page.goto(form)
    page.get_by_role("main").locator("form[method=post] button[type=submit]").last.click()
    page.locator("[data-errors]").wait_for()
    assert trouble(page, axe()) + manners(page) == []
    for link in page.locator("[data-errors] a").all():
        assert page.locator(link.get_attribute("href") or "").count() == 1


def test_the_question_before_something_is_deleted(furnished: Ids, page: Any) -> None:
    page.goto("/admin/camera/")
    page.get_by_role("main").get_by_role("button", name="Delete").first.click()
    page.get_by_role("alertdialog").wait_for()
    assert trouble(page, axe()) == []

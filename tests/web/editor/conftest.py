"""Fixtures: somebody who is signed in, at a desk with a mouse or with a finger on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from server.models import CameraShot
from tests.factories import NOON, camera, save
from tests.web.browser import COOKIE, Browser
from tests.web.chromium import SIZES
from tests.web.drawing import jpeg
from tests.web.serving import serving


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Where the application answers."""
    with serving(app) as found:
        yield found


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


@pytest.fixture
def phone(chromium: Any, admin: Browser, address: str) -> Iterator[Any]:
    """The phone alone."""
    yield from _signed_in(chromium, admin, address, touch=True)


@pytest.fixture
def plain(chromium: Any, admin: Browser, address: str) -> Iterator[Any]:
    """A desktop that runs no scripts."""
    context = chromium.new_context(base_url=address, java_script_enabled=False)
    context.add_cookies([{"name": COOKIE, "value": admin.session(), "url": address}])
    yield context.new_page()
    context.close()


def _signed_in(chromium: Any, admin: Browser, address: str, *, touch: bool) -> Iterator[Any]:
    complaints: list[str] = []
    context = chromium.new_context(
        viewport=SIZES["phone" if touch else "desktop"], base_url=address, has_touch=touch, is_mobile=touch
    )
    context.add_cookies([{"name": COOKIE, "value": admin.session(), "url": address}])
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.touch = touch
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []

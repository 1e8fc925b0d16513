"""Fixtures for tests that talk HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from tests.web.browser import Browser
from tests.web.chromium import ARGUMENTS, CHROMIUM


@pytest.fixture
def browser(app: Flask) -> Browser:
    """A browser in which nobody has signed in."""
    return Browser(app)


@pytest.fixture
def admin(browser: Browser) -> Browser:
    """A browser in which the administrator ann has signed in."""
    browser.become("ann", "administrator")
    return browser


@pytest.fixture
def viewer(app: Flask) -> Browser:
    """A browser in which vic, who may only look, has signed in."""
    browser = Browser(app)
    browser.become("vic", "viewer")
    return browser


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """A real browser without a screen: one for all tests, since Playwright runs once in a thread."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium here; TEST_CHROMIUM can name one")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()

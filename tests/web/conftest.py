"""Fixtures for tests that talk HTTP."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.web.browser import Browser


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

"""People at the screens of a running system, each in a browser of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.fleet import await_
from tests.web.browser import PASSWORD
from tests.web.chromium import SIZES
from tests.web.live.system import System

PATIENCE_MS = 30_000
"""How long a page may take to show something, on a busy machine."""
_STATUS = re.compile(r"status of (\d{3})")
"""In what Chromium itself complains of where the server says no."""


class Person:
    """One browser without cookies. What its pages asked of strangers and complained of is kept."""

    def __init__(self, chromium: Any, system: System, device: str = "desktop") -> None:
        self.system = system
        self.touch = device == "phone"
        self.strangers: list[str] = []
        self.complaints: list[str] = []
        self.refusals: set[int] = set()
        """Statuses that are no complaint: this person goes where they may not."""
        self.context = chromium.new_context(
            viewport=SIZES[device],
            has_touch=self.touch,
            is_mobile=self.touch,
            base_url=system.url,
            extra_http_headers={"X-Forwarded-For": system.host()},
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.new_page()

    def new_page(self) -> Any:
        """One more tab."""
        page = self.context.new_page()
        page.on("request", self._asked)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def close(self) -> None:
        """Close the browser."""
        self.context.close()

    def sign_in(self, name: str, password: str = PASSWORD, at: str = "/admin/") -> None:
        """Fill in the page to sign in at, on the way to a page."""
        self.page.goto(at)
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def go_to(self, name: str) -> None:
        """Follow the menu, which a phone folds away."""
        menu = self.page.get_by_role("button", name="Menu")
        if menu.is_visible():
            menu.click()
        self.page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True).click()

    def save(self) -> None:
        """Send the form."""
        self.page.get_by_role("button", name="Save", exact=True).click()

    def fits(self) -> bool:
        """Whether nothing sticks out sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))

    def main(self) -> str:
        """The words of the page without its menu."""
        return str(self.page.get_by_role("main").inner_text())

    def before(self, first: str, second: str) -> bool:
        """Whether the page shows one text above another."""
        words = self.main()
        return -1 < words.find(first) < words.find(second)

    def body(self) -> str:
        """The words on the page."""
        return str(self.page.locator("body").inner_text())

    def await_(self, condition: Callable[[], object], seconds: float, words: object = "") -> float:
        """`fleet.await_`, telling what the page shows and what the system said where it fails."""

        def why() -> str:
            told = words() if callable(words) else words
            said = f"{self.page.url}\n{self.body()[:3000]}\n{self.complaints}"
            return f"{told}\n--- page\n{said}\n{self.system.logs()}"

        def look() -> object:
            # Playwright's events arrive while it is asked for something.
            self.page.wait_for_timeout(50)
            return condition()

        return await_(look, seconds, why)

    def _asked(self, sent: Any) -> None:
        if not sent.url.startswith((self.system.url, "data:", "blob:")):
            self.strangers.append(sent.url)

    def _said(self, message: Any) -> None:
        status = _STATUS.search(message.text)
        code = int(status[1]) if status is not None else 0
        url = message.location.get("url", "")
        # A preview comes and goes with its camera. What the browser's own player is told meanwhile, of a
        # playlist or of a segment that it was about to fetch, the browser writes down as an error.
        expected = code in self.refusals or (code in (404, 503) and "/admin/preview/" in url)
        if message.type == "error" and not expected:
            self.complaints.append(f"{message.text} ({url})")

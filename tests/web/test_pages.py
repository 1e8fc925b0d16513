from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from tests.web.browser import Browser
from tests.web.test_auth import PAGES


def test_the_bare_address_leads_to_the_admin_pages(client: FlaskClient) -> None:
    response = client.get("/")
    assert (response.status_code, response.location) == (302, "/admin/")


@pytest.mark.parametrize(
    "path", ["/favicon.ico", "/static/hypersight.css", "/static/hypersight.js", "/static/icon.svg"]
)
def test_files_are_there_without_signing_in(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/robots.txt", "/apple-touch-icon.png", "/static/..%2f..%2fconfig.py", "/static/", "/.env"]
)
def test_files_that_are_not_there_are_not_found(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("page", ["/admin/login", *PAGES])
def test_a_page_holds_nothing_inline_and_asks_no_other_server(admin: Browser, page: str) -> None:
    if page == "/admin/login":
        admin.send("/admin/logout", page="/admin/")
    response = admin.get(page)
    if "export" in page or response.status_code == 302:
        return
    assert not re.search(r"\son\w+=|\sstyle=|javascript:|<style", response.text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", response.text)
    links = re.findall(r'(?:src|href|action)="([^"]*)"', response.text)
    assert links and all(link.startswith(("/", "?", "#")) and not link.startswith("//") for link in links)


@pytest.mark.parametrize(
    "path", ["/admin/login", "/admin/", "/statusWatch", "/nothing", "/static/hypersight.css"]
)
def test_every_answer_tells_the_browser_to_be_strict(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_pages_are_not_kept_by_the_browser(admin: Browser) -> None:
    assert admin.get("/admin/").headers["Cache-Control"] == "no-store"

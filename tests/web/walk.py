"""Every page there is: found from the application's own routes, so that none is forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from flask import Flask
from werkzeug.routing import Rule

from tests.web.browser import Browser
from tests.web.furnished import Ids

_ONE_ROW = ("details_view", "edit_view")
MORE = {
    "first page of a filter": "/admin/event/?flt3_3=in&search=door&sort=0",
    "second page": "/admin/event/?page=1",
    "beyond the last page": "/admin/event/?page=99",
    "nothing found": "/admin/event/?search=nothing+of+the+kind",
    "a filter without sense": "/admin/event/?flt4_4=soon",
    "not found": "/admin/nothing",
    "no such camera": "/admin/camera/details/?id=999",
}
"""Pages that another query or a mistake makes of those."""


def pages(app: Flask, browser: Browser, ids: Ids | None = None) -> dict[str, str]:
    """Addresses by name of all pages that the browser's person gets to see. Without `ids`: those that
    need no row."""
    found = dict(MORE) if ids else {}
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or not rule.rule.startswith("/admin"):
            continue
        for path in _paths(rule, ids):
            response = browser.get(path)
            assert response.status_code < 500, f"{path}: {response.status_code}"
            if response.status_code == 200 and response.mimetype == "text/html":
                found[
                    str(rule.endpoint) + ("" if path == rule.rule else f" {path.removeprefix('/admin')}")
                ] = path
    return found


def _paths(rule: Rule, ids: Ids | None) -> Iterator[str]:
    view, _, name = str(rule.endpoint).partition(".")
    if name == "static":
        return
    if not rule.arguments and name not in _ONE_ROW:
        yield rule.rule
        if ids and view == "chart":
            for period, which in itertools.product(("hour", "day", "week"), (ids.processor, ids.room)):
                yield f"{rule.rule}?processor={which}&period={period}"
        return
    key = getattr(ids, view, None) if ids else None
    if key is None:
        return
    if rule.arguments:
        path = rule.rule
        for argument in rule.arguments:
            before, _, after = path.partition(f"{argument}>")
            path = before.rpartition("<")[0] + str(key) + after
        yield path
    else:
        yield f"{rule.rule}?id={key}"
        if view == "processor" and ids:
            yield f"{rule.rule}?id={ids.room}"

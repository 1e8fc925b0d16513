"""The form of a processor, opened and saved."""

from __future__ import annotations

from typing import Any

from flask import Flask

from server.extensions import db
from server.models import Camera, Processor
from tests.factories import processor
from tests.web.drawing import Easel

SQUARE = [(0.2, 0.3), (0.6, 0.3), (0.6, 0.7), (0.2, 0.7)]
BOW = [[0.2, 0.2], [0.8, 0.8], [0.8, 0.2], [0.2, 0.8]]
TRIANGLE = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]


def edit(page: Any, app: Flask, camera_id: int, kind: str = "traffic", **values: Any) -> Easel:
    """Open the form of a new processor of that camera."""
    with app.app_context():
        key = processor(kind, db.session.get(Camera, camera_id), **values).id
    page.goto(f"/admin/processor/edit/?id={key}")
    easel = Easel(page, touch=page.touch)
    page.locator(".shape-stage img").evaluate("image => image.decode()")
    return easel


def stored(app: Flask) -> Processor:
    """The only processor."""
    with app.app_context():
        return db.session.query(Processor).one()


def save_it(page: Any) -> None:
    """Save, and wait for the page that follows."""
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(lambda url: "/edit/" not in url and "/new/" not in url)

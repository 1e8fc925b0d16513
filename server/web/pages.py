"""What is neither API nor /admin: the way there, and files."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, send_from_directory, url_for
from flask.typing import ResponseReturnValue

blueprint = Blueprint("pages", __name__, static_folder="static", static_url_path="/static")


@blueprint.get("/")
def root() -> ResponseReturnValue:
    """Somebody who types the bare address wants the pages."""
    return redirect(url_for("admin.index"))


@blueprint.get("/favicon.ico")
def favicon() -> Response:
    """Browsers ask for it whatever the page says."""
    return send_from_directory(str(blueprint.static_folder), "icon.svg", max_age=86_400)

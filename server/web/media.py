"""Media of this node, for the web servers of other nodes. Not for people: /admin asks for them there."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, current_app, jsonify, request

from server.config import Settings
from server.services.node_media import is_signed
from server.services.previews import read_local

blueprint = Blueprint("media", __name__)


def init_app(app: Flask) -> None:
    """Register the calls."""
    app.register_blueprint(blueprint)


@blueprint.get("/media/previews/<int:processor_id>/<name>")
def preview(processor_id: int, name: str) -> Response:
    """A file of a preview that is made here."""
    return _send(f"previews/{processor_id}/{name}")


@blueprint.get("/media/crops/<path:name>")
def crop(name: str) -> Response:
    """The picture of an event that lies here."""
    return _send(f"crops/{name}")


def _send(path: str) -> Response:
    settings: Settings = current_app.extensions["hypersight"]
    if not is_signed(settings, path, request.args.get("token", "")):
        return _refuse(403, "token: is missing, wrong or too old")
    answer = read_local(settings, path)
    if answer.status != 200:
        return _refuse(404, "there is no such file", answer.body.decode("utf-8", "replace"))
    response = Response(answer.body, content_type=answer.content_type)
    response.headers["Cache-Control"] = "no-store"
    return response


def _refuse(status: int, message: str, trouble: str = "") -> Response:
    response = jsonify(err=True, msg=message, trouble=trouble)
    response.status_code = status
    return response

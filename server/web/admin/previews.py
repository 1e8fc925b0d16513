"""Previews of processors, as HLS for the player."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, abort, current_app, jsonify, request

from server.errors import NotFound
from server.services.live import LiveReader
from server.services.previews import OFF, Missing, get_preview, is_file_name, read_file
from server.web.auth import current_rights

PLAYLIST = "index.m3u8"
RETRY_SECONDS = 1
"""When to ask again for a preview that is not there yet."""
_MAX_ID = 2**63 - 1

blueprint = Blueprint("preview", __name__, url_prefix="/admin/preview")


def init_app(app: Flask) -> None:
    """Register the call."""
    app.register_blueprint(blueprint)


@blueprint.get("/<int:processor_id>/<name>")
def file(processor_id: int, name: str) -> Response:
    """A file of the preview. Whoever asks for the playlist looks at it, so it is made for 30 s more.

    What is not there is answered with JSON, `state` and `reason`: 503 if it may come, 404 if it will not.
    With `?say=1`, as our player asks, that has the status 200: browsers log every other as an error.
    """
    if not is_file_name(name) or processor_id > _MAX_ID:
        abort(404)
    try:
        preview = get_preview(processor_id)
    except NotFound:
        abort(404)
    if not current_rights().sees(preview.camera_id):
        abort(404)
    if name == PLAYLIST and preview.possible:
        LiveReader.of(current_app).want_preview(processor_id)
    found = read_file(preview, name)
    if isinstance(found, Missing):
        return _missing(found, name)
    return Response(found.body, content_type=found.content_type)


def _missing(found: Missing, name: str) -> Response:
    response = jsonify(state=found.state, reason=found.reason)
    if request.args.get("say"):
        return response
    if name == PLAYLIST and found.state != OFF:
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    else:
        response.status_code = 404
    return response

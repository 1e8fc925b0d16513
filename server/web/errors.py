"""Every error that leaves over HTTP, said in one place: JSON to programs, a page to people."""

from __future__ import annotations

import logging

from flask import Flask, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from server.errors import HypersightError, InvalidInput, NotFound

_log = logging.getLogger(__name__)

PEOPLE = ("/admin", "/static")
"""Paths that a browser shows to somebody. Everything else answers in JSON."""

_DRAIN_LIMIT = 64_000_000
"""Bytes of a refused body that are read and dropped, so that the client gets to read the refusal."""


def init_app(app: Flask) -> None:
    """Install the handlers."""
    app.register_error_handler(HypersightError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.after_request(_drain)


def for_people() -> bool:
    """Whether the request is one of a browser's pages."""
    return any(request.path == root or request.path.startswith(f"{root}/") for root in PEOPLE)


def _ours(error: HypersightError) -> ResponseReturnValue:
    if isinstance(error, InvalidInput):
        return _answer(400, str(error))
    if isinstance(error, NotFound):
        return _answer(404, str(error))
    _log.error("%s %s: %s", request.method, request.path, error)
    if error.retryable:
        response, status = _answer(503, str(error))
        response.headers["Retry-After"] = "5"
        return response, status
    return _answer(500, str(error))


def _http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error.response
    code = error.code or 500
    if code < 400:
        return error
    messages = {
        404: f"There is nothing at {request.path}"
        + ("." if for_people() else "; docs/api.md lists the calls"),
        405: f"{request.method} is not for {request.path}",
        413: "body: is too large",
        500: "Something went wrong here; the server's log says what.",
    }
    if for_people():
        messages[403] = "This is not for your account. An administrator can do it or give you the right."
    described = messages.get(code, error.description or error.name)
    response, _ = _answer(400 if code == 413 else code, described)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers.add(name, value)
    return response


def _answer(status: int, message: str) -> tuple[Response, int]:
    if for_people():
        response = Response(render_template("hypersight/error.html", status=status, message=message), status)
    else:
        response = jsonify(err=True, msg=message)
        response.status_code = status
    return response, status


def _drain(response: Response) -> Response:
    """Read the rest of a refused body: a server that closes on unread bytes resets the connection, and
    the client never sees why."""
    if response.status_code >= 400 and request.environ.get("wsgi.input_terminated"):
        stream = request.environ["wsgi.input"]
        left = _DRAIN_LIMIT
        while left > 0:
            chunk = stream.read(min(left, 65_536))
            if not chunk:
                break
            left -= len(chunk)
    return response

"""Who may call the JSON API: holders of a token. A signed-in browser may not, so no page elsewhere can
make it."""

from __future__ import annotations

from flask import current_app, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from server.config import Settings
from server.services.tokens import token_is_valid


def require_token() -> None:
    """Before each call: raises Unauthorized unless a valid token came along or none is needed."""
    settings: Settings = current_app.extensions["hypersight"]
    if settings.API_ANONYMOUS:
        return
    given = request.authorization
    if given is None or given.type != "bearer" or not given.token:
        raise _unauthorized("a token is needed: Authorization: Bearer TOKEN")
    if not token_is_valid(given.token):
        raise _unauthorized("the token is unknown or revoked")


def _unauthorized(message: str) -> Unauthorized:
    return Unauthorized(message, www_authenticate=WWWAuthenticate("bearer", {"realm": "hypersight"}))

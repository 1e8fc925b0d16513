"""Who may call the JSON API: holders of a token. A signed-in browser may not, so no page elsewhere can
make it."""

from __future__ import annotations

from collections.abc import Callable

from flask import current_app, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from server.config import Settings
from server.services.tokens import token_scopes


def needs(scope: str) -> Callable[[], None]:
    """What a blueprint asks before each of its calls: a token that is good for `scope`, unless none is
    needed. Raises Unauthorized without a valid token, Forbidden where it is for other things."""

    def check() -> None:
        settings: Settings = current_app.extensions["hypersight"]
        if not settings.API_ANONYMOUS:
            _check(scope)

    return check


def _check(scope: str) -> None:
    given = request.authorization
    if given is None or given.type != "bearer" or not given.token:
        raise _unauthorized("a token is needed: Authorization: Bearer TOKEN")
    scopes = token_scopes(given.token)
    if scopes is None:
        raise _unauthorized("the token is unknown or revoked")
    if scope not in scopes:
        raise Forbidden(
            f"the token lacks the scope {scope}, which this call needs; it has "
            f"{', '.join(sorted(scopes)) or 'none'}. An administrator can make another token"
        )


def _unauthorized(message: str) -> Unauthorized:
    return Unauthorized(message, www_authenticate=WWWAuthenticate("bearer", {"realm": "hypersight"}))

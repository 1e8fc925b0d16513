"""API tokens: made once, shown once, known afterwards by their SHA-256 only."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from server.errors import InvalidInput, NotFound
from server.extensions import db
from server.models import ApiToken
from server.models.base import utc_now
from server.services.audit import CREATED, REVOKED, TOKEN, record
from server.services.naming import clean_name, unique_name
from server.services.transactions import translated, writing

PREFIX = "hs_"
"""Begins every token, so that one that leaked into a file is recognised as ours."""
SCOPES = {
    "metrics": "Ask for counts: POST /traffic, POST /objects",
    "status": "Ask which cameras are watched: GET /statusWatch",
    "detect": "Have pictures looked at: POST /detect",
}
"""What a token may be good for."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token as it may be shown: `prefix` is its first characters."""

    id: int
    name: str
    prefix: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None


def create_token(name: str, user_id: int | None = None, scopes: Iterable[str] = tuple(SCOPES)) -> str:
    """Make a token for a program and return it: this is the only time it can be read.

    `user_id`: who made it; `scopes`: some of SCOPES. Raises InvalidInput naming `name` where that is
    empty, too long or taken, or `scopes`.
    """
    name = clean_name(name)
    given = checked_scopes(scopes)
    token = PREFIX + secrets.token_urlsafe(32)
    with unique_name(name), writing() as session:
        # The name of a revoked token may be used again: that is how a token is renewed.
        session.execute(delete(ApiToken).where(ApiToken.name == name, ApiToken.revoked_at.is_not(None)))
        made = ApiToken(
            name=name, prefix=token[:9], digest=_digest(token), user_id=user_id, scopes=",".join(given)
        )
        session.add(made)
        session.flush()
        record(session, CREATED, TOKEN, made.id, name, after={"name": name, "scopes": given})
    return token


def list_tokens() -> list[TokenInfo]:
    """All tokens, revoked ones too, by name."""
    with translated():
        tokens = db.session.scalars(select(ApiToken).order_by(ApiToken.name))
        return [
            TokenInfo(t.id, t.name, t.prefix, scopes_in(t.scopes), t.created_at, t.revoked_at) for t in tokens
        ]


def revoke_token(name: str) -> None:
    """Refuse a token from now on. Raises NotFound where none has this name."""
    with writing() as session:
        token = session.scalar(select(ApiToken).where(ApiToken.name == name))
        if token is None:
            raise NotFound(f"there is no token called {name!r}")
        if token.revoked_at is None:
            token.revoked_at = utc_now()
            record(session, REVOKED, TOKEN, token.id, name)


def token_scopes(token: str) -> frozenset[str] | None:
    """What a token may be used for; None where it is unknown or revoked. One look-up by digest, whatever
    the token looks like."""
    with translated():
        found = db.session.scalar(
            select(ApiToken.scopes).where(ApiToken.digest == _digest(token), ApiToken.revoked_at.is_(None))
        )
    return None if found is None else scopes_in(found)


def token_is_valid(token: str) -> bool:
    """Whether a token may call the API at all."""
    return token_scopes(token) is not None


def scopes_in(stored: str) -> frozenset[str]:
    """The scopes in a column of them."""
    return frozenset(stored.split(",")) & SCOPES.keys()


def checked_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes in our order, each once. Raises InvalidInput("scopes", …) for none or an unknown one."""
    given = set(scopes)
    unknown = sorted(given - SCOPES.keys())
    if unknown:
        raise InvalidInput("scopes", f"{unknown[0][:40]!r} is not one of {', '.join(SCOPES)}")
    if not given:
        raise InvalidInput("scopes", f"choose at least one of {', '.join(SCOPES)}")
    return [scope for scope in SCOPES if scope in given]


def _digest(token: str) -> str:
    # A token has 256 random bits: a slow hash would add nothing but time to each call.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

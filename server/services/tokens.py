"""API tokens: made once, shown once, known afterwards by their SHA-256 only."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from server.errors import NotFound
from server.extensions import db
from server.models import ApiToken
from server.models.base import utc_now
from server.services.naming import clean_name, unique_name
from server.services.transactions import translated, writing

PREFIX = "hs_"
"""Begins every token, so that one that leaked into a file is recognised as ours."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token as it may be shown: `prefix` is its first characters."""

    id: int
    name: str
    prefix: str
    created_at: datetime
    revoked_at: datetime | None


def create_token(name: str, user_id: int | None = None) -> str:
    """Make a token for a program and return it: this is the only time it can be read.

    `user_id`: who made it. Raises InvalidInput("name", …) where the name is empty, too long or taken.
    """
    name = clean_name(name)
    token = PREFIX + secrets.token_urlsafe(32)
    with unique_name(name), writing() as session:
        # The name of a revoked token may be used again: that is how a token is renewed.
        session.execute(delete(ApiToken).where(ApiToken.name == name, ApiToken.revoked_at.is_not(None)))
        session.add(ApiToken(name=name, prefix=token[:9], digest=_digest(token), user_id=user_id))
    return token


def list_tokens() -> list[TokenInfo]:
    """All tokens, revoked ones too, by name."""
    with translated():
        tokens = db.session.scalars(select(ApiToken).order_by(ApiToken.name))
        return [TokenInfo(t.id, t.name, t.prefix, t.created_at, t.revoked_at) for t in tokens]


def revoke_token(name: str) -> None:
    """Refuse a token from now on. Raises NotFound where none has this name."""
    with writing() as session:
        token = session.scalar(select(ApiToken).where(ApiToken.name == name))
        if token is None:
            raise NotFound(f"there is no token called {name!r}")
        token.revoked_at = token.revoked_at or utc_now()


def token_is_valid(token: str) -> bool:
    """Whether a token may call the API. One look-up by digest, whatever the token looks like."""
    with translated():
        found = db.session.scalar(
            select(ApiToken.id).where(ApiToken.digest == _digest(token), ApiToken.revoked_at.is_(None))
        )
    return found is not None


def _digest(token: str) -> str:
    # A token has 256 random bits: a slow hash would add nothing but time to each call.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

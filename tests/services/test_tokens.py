from __future__ import annotations

import pytest

from server.errors import InvalidInput, NotFound
from server.extensions import db
from server.models import ApiToken
from server.services import tokens
from tests.databases import every_database

pytestmark = pytest.mark.usefixtures("session")


def is_valid(token: str) -> bool:
    """Whether a later request would be answered."""
    db.session.rollback()
    return tokens.token_is_valid(token)


@every_database
def test_a_token_is_known_by_its_digest_only() -> None:
    token = tokens.create_token("office")
    assert is_valid(token)
    row = db.session.query(ApiToken).one()
    kept = [row.name, row.prefix, row.digest]
    assert token not in kept and token.startswith(row.prefix) and len(row.prefix) < 12
    for wrong in (
        token[:-1],
        token + "x",
        token.upper(),
        row.digest,
        row.prefix,
        "",
        "ü",
        "\ud800",
        "x" * 100_000,
    ):
        assert not is_valid(wrong)


@every_database
def test_a_revoked_token_is_refused_and_its_name_is_free_again() -> None:
    old = tokens.create_token("office")
    with pytest.raises(InvalidInput, match="taken") as caught:
        tokens.create_token(" office ")
    assert caught.value.field == "name"
    tokens.revoke_token("office")
    assert not is_valid(old)
    new = tokens.create_token("office")
    assert is_valid(new) and not is_valid(old)
    assert [info.name for info in tokens.list_tokens()] == ["office"]


@every_database
def test_a_token_keeps_the_time_it_was_first_revoked_at() -> None:
    tokens.create_token("office")
    tokens.revoke_token("office")
    first = tokens.list_tokens()[0].revoked_at
    tokens.revoke_token("office")
    db.session.rollback()
    assert tokens.list_tokens()[0].revoked_at == first


@every_database
def test_a_token_that_is_not_there_cannot_be_revoked() -> None:
    with pytest.raises(NotFound, match="office"):
        tokens.revoke_token("office")


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\nb\x07"])
def test_a_token_needs_a_name(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        tokens.create_token(name)
    assert caught.value.field == "name"

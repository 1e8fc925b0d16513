from __future__ import annotations

import pytest
from flask import Flask

from server.extensions import db
from server.models import AuditEntry
from server.services.accounts import authenticate
from server.services.audit import SYSTEM, current_actor
from server.services.tokens import token_is_valid, token_scopes

PASSWORD = "correct horse battery"


def run(app: Flask, *arguments: str, typed: str = "") -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=arguments, input=typed)
    return result.exit_code, result.output


def test_an_account_is_made_with_a_password_from_a_pipe(app: Flask) -> None:
    code, output = run(app, "users", "create", "ann", typed=f"{PASSWORD}\n")
    assert code == 0 and PASSWORD not in output
    with app.app_context():
        user = authenticate("ann", PASSWORD)
        assert user is not None and user.role == "administrator"


def test_a_generated_password_is_printed_and_works(app: Flask) -> None:
    code, output = run(app, "users", "create", "ann", "--role", "viewer", "--generate")
    assert code == 0
    password = output.split("Password: ")[1].strip()
    with app.app_context():
        user = authenticate("ann", password)
        assert user is not None and user.role == "viewer"


def test_a_password_is_replaced(app: Flask) -> None:
    run(app, "users", "create", "ann", "--generate")
    assert run(app, "users", "password", "ann", typed=f"{PASSWORD}\n")[0] == 0
    with app.app_context():
        assert authenticate("ann", PASSWORD) is not None


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("users", "create", "ann"), "password"),
        (("users", "create", " ", "--generate"), "name"),
        (("users", "password", "nobody", "--generate"), "no such account"),
        (("tokens", "revoke", "nothing"), "no token"),
        (("tokens", "create", ""), "name"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(app: Flask, arguments: tuple[str, ...], said: str) -> None:
    code, output = run(app, *arguments, typed="short\n")
    assert code == 1
    assert said in output and "Traceback" not in output
    assert len(output.strip().splitlines()) == 1


def test_a_token_is_printed_once_listed_by_its_beginning_and_revoked(app: Flask) -> None:
    code, output = run(app, "tokens", "create", "office")
    assert code == 0
    token = output.strip().splitlines()[-1]
    with app.app_context():
        assert token_is_valid(token)
    _, listed = run(app, "tokens", "list")
    assert token not in listed and token[:9] in listed and "office" in listed and "valid" in listed
    assert run(app, "tokens", "revoke", "office")[0] == 0
    with app.app_context():
        assert not token_is_valid(token)
    assert "revoked" in run(app, "tokens", "list")[1]


def test_a_token_is_made_for_what_it_is_to_do(app: Flask) -> None:
    code, output = run(app, "tokens", "create", "office", "--scope", "status", "--scope", "metrics")
    assert code == 0
    with app.app_context():
        assert token_scopes(output.strip().splitlines()[-1]) == {"metrics", "status"}
    assert "  metrics,status  " in run(app, "tokens", "list")[1]
    code, output = run(app, "tokens", "create", "screen", "--scope", "everything")
    assert code == 2 and "detect" in output


def test_what_is_done_by_command_is_found_in_the_audit_log(app: Flask) -> None:
    run(app, "users", "create", "ann", "--role", "operator", "--generate")
    run(app, "users", "password", "ann", typed=f"{PASSWORD}\n")
    run(app, "tokens", "create", "office")
    run(app, "tokens", "revoke", "office")
    with app.app_context():
        kept = list(db.session.query(AuditEntry).order_by(AuditEntry.id))
        assert [(entry.action, entry.kind, entry.name) for entry in kept] == [
            ("created", "account", "ann"),
            ("changed", "account", "ann"),
            ("created", "token", "office"),
            ("revoked", "token", "office"),
        ]
        assert {entry.who for entry in kept} == {"command line"}
        assert kept[0].after["role"] == "operator"
        assert PASSWORD not in repr([(entry.before, entry.after) for entry in kept])
    assert current_actor() == SYSTEM

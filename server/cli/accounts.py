"""People and programs that may come in."""

from __future__ import annotations

import sys

import click
from flask.cli import with_appcontext

from server.errors import HypersightError
from server.services.accounts import create_user, generate_password, set_password
from server.services.audit import COMMAND_LINE, acting
from server.services.rights import ADMINISTRATOR, ROLES
from server.services.tokens import SCOPES, create_token, list_tokens, revoke_token


class HypersightGroup(click.Group):
    """Commands whose refusals are one line, not a traceback, and whose changes the audit log ascribes to
    the command line."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            with acting(COMMAND_LINE):
                return super().invoke(ctx)
        except HypersightError as error:
            raise click.ClickException(str(error)) from error


@click.group("users", cls=HypersightGroup)
def users() -> None:
    """Accounts that sign in at /admin."""


@users.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default=ADMINISTRATOR, show_default=True)
@click.option("--generate", is_flag=True, help="Make a password up and print it instead of asking.")
@with_appcontext
def create_user_command(name: str, role: str, generate: bool) -> None:
    """Make an account. Asks for its password, or reads it from a pipe."""
    password = generate_password() if generate else _ask()
    create_user(name, password, role)
    click.echo(f"{name} ({role}) can sign in at /admin.")
    if generate:
        click.echo(f"Password: {password}")


@users.command("password")
@click.argument("name")
@click.option("--generate", is_flag=True, help="Make a password up and print it instead of asking.")
@with_appcontext
def set_password_command(name: str, generate: bool) -> None:
    """Give an account a new password and end its sessions."""
    password = generate_password() if generate else _ask()
    set_password(name, password)
    click.echo(f"{name} has a new password; everybody signed in as {name} is signed out.")
    if generate:
        click.echo(f"Password: {password}")


@click.group("tokens", cls=HypersightGroup)
def tokens() -> None:
    """Tokens with which programs call the API."""


@tokens.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(list(SCOPES)),
    multiple=True,
    help="What it may do; several times for several. Without it: everything.",
)
@with_appcontext
def create_token_command(name: str, scopes: tuple[str, ...]) -> None:
    """Make a token and print it: it is shown this once."""
    token = create_token(name, scopes=scopes or tuple(SCOPES))
    click.echo(f"Token {name}, shown this once; send it as `Authorization: Bearer TOKEN`:", err=True)
    click.echo(token)


@tokens.command("list")
@with_appcontext
def list_tokens_command() -> None:
    """All tokens, by their first characters."""
    for token in list_tokens():
        state = f"revoked {token.revoked_at:%Y-%m-%d %H:%M} UTC" if token.revoked_at else "valid"
        may = ",".join(scope for scope in SCOPES if scope in token.scopes)
        made = f"made {token.created_at:%Y-%m-%d %H:%M} UTC"
        click.echo(f"{token.prefix}…  {token.name}  {may}  {made}  {state}")


@tokens.command("revoke")
@click.argument("name")
@with_appcontext
def revoke_token_command(name: str) -> None:
    """Refuse a token from now on."""
    revoke_token(name)
    click.echo(f"The token {name} is refused from now on.")


def _ask() -> str:
    """A password: typed twice and not shown, or the first line of a pipe."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


COMMANDS = (users, tokens)

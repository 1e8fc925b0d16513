"""Commands: `flask --app server COMMAND`. One file a subject; docs/configuration.md lists them."""

from __future__ import annotations

from flask import Flask

from server.cli import accounts, analyze, database, setup, watchers


def init_app(app: Flask) -> None:
    """Register the commands."""
    for module in (accounts, analyze, database, setup, watchers):
        for command in module.COMMANDS:
            app.cli.add_command(command)

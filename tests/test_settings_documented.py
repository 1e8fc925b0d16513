"""docs/configuration.md names every setting with its default, every command and every argument."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import click
import pytest
from flask import Flask

from server.cli import init_app
from server.config import INSTANCE_VARIABLE, PROJECT_DIR, Settings
from server.launcher.arguments import UsageError, parse

TEXT = (PROJECT_DIR / "docs" / "configuration.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", TEXT, re.MULTILINE))
FIELDS = [field for field in dataclasses.fields(Settings) if field.name != "INSTANCE_DIR"]


def _default(value: object) -> str:
    """How the table writes a default."""
    if isinstance(value, Path):
        return f"`{value.relative_to(PROJECT_DIR) if value.is_absolute() else value}`"
    return f"`{value}`" if value != "" else "empty"


def _commands() -> list[str]:
    app = Flask("commands")
    init_app(app)
    found = []
    for name, command in app.cli.commands.items():
        if isinstance(command, click.Group):
            found += [f"{name} {inner}" for inner in command.commands]
        else:
            found.append(name)
    return sorted(found)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_setting_is_documented_with_its_default(field: dataclasses.Field[object]) -> None:
    assert field.name in ROWS
    assert ROWS[field.name].strip() == _default(field.default)


def test_nothing_is_documented_that_is_no_setting() -> None:
    assert ROWS.keys() == {field.name for field in FIELDS}


def test_the_variable_that_names_the_instance_is_documented() -> None:
    assert f"`{INSTANCE_VARIABLE}`" in TEXT


@pytest.mark.parametrize("command", _commands())
def test_a_command_is_documented(command: str) -> None:
    assert f"`flask --app server {command}" in TEXT


def test_the_arguments_of_start_are_documented(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], tmp_path)
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options and all(f"`{option}" in TEXT for option in options)
    with pytest.raises(UsageError):
        parse(["--nonsense"], tmp_path)

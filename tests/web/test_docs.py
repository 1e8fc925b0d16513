from __future__ import annotations

import json
import re

import click
from flask import Flask

from server.config import PROJECT_DIR
from server.web.errors import PEOPLE

DOCS = {path.name: path.read_text() for path in (PROJECT_DIR / "docs").glob("**/*.md")}
FOREIGN_COMMANDS = {"run", "shell", "routes", "db", "celery"}


def commands(group: click.Group, before: str = "") -> list[str]:
    found = []
    for name, command in group.commands.items():
        if not before and name in FOREIGN_COMMANDS:
            continue
        if isinstance(command, click.Group):
            found += commands(command, f"{before}{name} ")
        else:
            found.append(before + name)
    return found


def test_every_call_is_documented(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(PEOPLE) or rule.endpoint.startswith("pages."):
            continue
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            assert f"## {method} {rule.rule}\n" in DOCS["api.md"], (
                f"{method} {rule.rule} is not in docs/api.md"
            )


def test_every_documented_call_is_there(app: Flask) -> None:
    routes = {f"{method} {rule.rule}" for rule in app.url_map.iter_rules() for method in rule.methods}
    documented = re.findall(r"^## ((?:GET|POST|PUT|DELETE) /\S*)$", DOCS["api.md"], re.MULTILINE)
    assert documented
    assert set(documented) <= routes


def test_every_command_is_documented(app: Flask) -> None:
    everything = "\n".join(DOCS.values())
    names = commands(app.cli)
    assert "tokens create" in names
    assert [name for name in names if f"flask --app server {name}" not in everything] == []


def test_every_example_of_an_answer_is_json() -> None:
    examples = re.findall(r"```json\n(.*?)```", DOCS["api.md"], re.DOTALL)
    assert len(examples) >= 5
    for example in examples:
        json.loads(example)

"""The import rules of docs/architecture.md, held over the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SERVER = PROJECT / "server"
FREE = {"config", "errors", "clock", "log", "extensions"}
"""Modules that every room but the domain may import."""
ALLOWED = {
    "domain": set(),
    "media": {"domain"},
    "vision": {"domain"},
    "processors": {"domain", "vision"},
    "models": {"domain"},
    "services": {"domain", "media", "vision", "processors", "models"},
    "watchers": {"domain", "media", "vision", "processors", "models", "services"},
    "gateway": {"domain", "models", "services"},
    "web": {"domain", "processors", "models", "services"},
    "tasks": {"domain", "models", "services", "watchers"},
    "cli": {"domain", "media", "vision", "processors", "models", "services", "watchers", "tasks"},
    "launcher": {"domain", "media", "vision", "processors", "models", "services", "watchers", "tasks"},
}
"""What each room may import, besides itself and what is free."""
NO_FLASK = {"domain", "media", "vision", "processors"}
FILES = sorted(SERVER.rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(SERVER).with_suffix("").parts[0]


def _imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported for running, not for type checking alone."""
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_imports_run_downward(path: Path) -> None:
    room = _room(path)
    for name in _imports(ast.parse(path.read_text())):
        package, _, rest = name.partition(".")
        assert not (room in NO_FLASK and package.startswith(("flask", "sqlalchemy"))), name
        if package != "server" or room in ("__init__", *FREE):
            continue
        target = rest.partition(".")[0]
        if target not in FREE and room in ALLOWED:
            assert (
                target == room or target in ALLOWED[room] or (room == "launcher" and not _is_room(target))
            ), name
        assert not (room == "domain" and target != "domain"), name


def _is_room(name: str) -> bool:
    return name in ALLOWED


def test_every_room_has_its_rule() -> None:
    rooms = {_room(path) for path in FILES}
    assert rooms - FREE - {"__init__"} <= ALLOWED.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_nothing_is_imported_inside_a_function(path: Path) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    for function in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)):
        inside = [
            node.lineno for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        assert not inside, f"line {inside[0]}"


def test_the_rules_notice_an_import_that_runs_upward() -> None:
    assert list(_imports(ast.parse("from server import web\nimport flask"))) == ["server.web", "flask"]

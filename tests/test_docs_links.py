"""Links within the documentation lead somewhere, and decisions are numbered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
ADR = PROJECT / "docs" / "adr"
FILES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
_CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^)>\s]+)")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def _links(path: Path) -> list[str]:
    """Targets of all links and pictures that stay within the project."""
    prose = _CODE.sub("", path.read_text())
    return [target for target in _LINK.findall(prose) if not _ELSEWHERE.match(target)]


def _anchors(path: Path) -> Iterator[str]:
    """What headings can be linked by: lower case, punctuation dropped, spaces as hyphens."""
    for heading in re.findall(r"^#+ +(.+?) *$", path.read_text(), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    broken = []
    for link in _links(path):
        name, _, heading = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        inside = target.is_relative_to(PROJECT) and target.exists()
        if not inside or (heading and heading not in _anchors(target)):
            broken.append(link)
    assert not broken, f"{path.relative_to(PROJECT)} links to what is not there: {', '.join(broken)}"


def test_links_are_found_outside_code_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "[a](one.md#two) ![b](c.png) `[no](x.md)` [far](https://example.org/) [m](mailto:a@example.org)\n"
        "```\n[no](y.md)\n```\n[d](#here)\n"
    )
    assert _links(page) == ["one.md#two", "c.png", "#here"]


def test_decisions_are_numbered_once_and_without_a_hole() -> None:
    numbers = sorted(int(path.name[:4]) for path in ADR.glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("path", sorted(ADR.glob("*.md")), ids=lambda path: path.name)
def test_a_decision_is_titled_with_its_number(path: Path) -> None:
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name)
    assert path.read_text().startswith(f"# {int(path.name[:4])}. ")


def test_the_documentation_is_found() -> None:
    assert PROJECT / "README.md" in FILES
    assert ADR / "0001-parts-and-ticks.md" in FILES

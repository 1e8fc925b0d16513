"""Zones and lines with what is to become of them: for the server's rules and for the editor's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

VERDICTS = Path(__file__).with_name("shapes.json")


def cases() -> list[dict[str, Any]]:
    """Each with `zones`, `lines` and `verdict`; what a case repeats is written out."""
    found = json.loads(VERDICTS.read_text("utf-8"))["cases"]
    for case in found:
        repeat = case.pop("repeat", {})
        if "zones" in repeat:
            case["zones"] = case["zones"] * repeat["zones"]
        if "points" in repeat:
            case["zones"] = [_round(repeat["points"])]
    return list(found)


def _round(count: int) -> list[list[float]]:
    """So many points around a circle."""
    turns = [2 * math.pi * i / count for i in range(count)]
    return [[round(0.5 + 0.4 * math.cos(t), 4), round(0.5 + 0.4 * math.sin(t), 4)] for t in turns]

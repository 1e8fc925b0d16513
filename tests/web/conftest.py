"""Fixtures for tests that talk HTTP."""

from __future__ import annotations

import pytest

from server.services import metrics


class Traffic:
    metric = "traffic"


class Persons:
    metric = "objects"


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds of processors, as far as the metrics look at them."""
    monkeypatch.setattr(metrics, "KINDS", {"traffic": Traffic, "persons": Persons})

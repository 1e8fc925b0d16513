"""What the first page and a camera's page say of cameras, in words, for the page and for its refreshing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import url_for

from server.domain.video import us_to_datetime
from server.models import ProcessorEvent
from server.services.dashboard import SKIPPING, TROUBLE, Dashboard, Glance
from server.services.rights import Rights
from server.services.today import Today
from server.web.admin.event_words import happened
from server.web.admin.page import local_time

FRESH = timedelta(seconds=30)
"""A picture that is older says so."""


def number(value: float | None, digits: int = 0) -> str:
    """A number as people read it, `1,204`; a dash where it is not known."""
    return "–" if value is None else f"{value:,.{digits}f}"


def some(count: int, noun: str) -> str:
    """`1 camera`, `12 cameras`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def ago(seconds: float) -> str:
    """How long ago, in words that need not be exact."""
    if seconds < 10:
        return "just now"
    if seconds < 90:
        return f"{round(seconds / 10) * 10:.0f} seconds ago"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} minutes ago"
    if seconds < 36 * 3600:
        return f"{round(seconds / 3600)} hours ago"
    return f"{round(seconds / 86400)} days ago"


def moment(when: datetime, now: datetime) -> str:
    """A time: of the day where that is today, with the date where it is not."""
    text, today = local_time(when), local_time(now)
    return text[11:16] if text[:10] == today[:10] else text[:16]


def summary(shown: Dashboard) -> str:
    """The line on top: `12 cameras: 10 watched, 2 need attention · 37 people now · 1,204 passed today`."""
    count = len(shown.glances)
    parts = [f"{some(count, 'camera')}: {shown.watched:,} watched"]
    if shown.attention:
        parts[0] += f", {shown.attention:,} {'needs' if shown.attention == 1 else 'need'} attention"
    if shown.people is not None:
        parts.append(f"{shown.people:,} {'person' if shown.people == 1 else 'people'} now")
    if shown.passed is not None:
        parts.append(f"{shown.passed:,} passed today")
    return " · ".join(parts)


def card(glance: Glance, now: datetime, rights: Rights) -> dict[str, Any]:
    """One camera's card, ready to be shown."""
    status = glance.status
    rules = [one.rule for one in glance.counted]
    counts_people = any(rule.metric == "objects" and rule.enabled for rule in rules)
    counts_passes = any(rule.metric == "traffic" for rule in rules)
    return {
        "id": status.id,
        "name": status.name,
        "url": url_for("camera.details_view", id=status.id),
        "rank": glance.rank,
        "group": _group(glance),
        "state": status.state,
        "reason": reason_of(glance, now),
        "people": number(glance.people) if counts_people else None,
        "people_note": "" if glance.people is not None or not counts_people else unknown(glance),
        "passed": number(glance.passed.passes if glance.passed else 0) if counts_passes else None,
        "passed_note": directions(glance.passed),
        "last": last_event(glance.last, now),
        **shot(glance, now),
        "rules": [
            {
                "name": rule.name,
                "url": url_for("processor.details_view", id=rule.id),
                "note": "" if rule.enabled else "disabled",
            }
            for rule in rules
        ],
        "add": url_for("processor.create_view", camera=status.id) if rights.may_change(status.id) else None,
    }


def unknown(glance: Glance) -> str:
    """Why nobody knows how many people there are."""
    return "not known yet" if glance.status.state in ("watching", "starting") else "not watched"


def reason_of(glance: Glance, now: datetime) -> str:
    """Why it is as it is, or since when."""
    status = glance.status
    words = status.reason
    if glance.rank == SKIPPING:
        words = f"Analysis is behind: {glance.skipped:.1f} pictures a second are left out."
    if status.since is not None and status.watching:
        since = f"since {moment(status.since, now)}"
        words = f"{words} ({since})" if words else since
    return words


def shot(glance: Glance, now: datetime) -> dict[str, Any]:
    """Where a camera's picture is, and how old it is where it is not of now."""
    if glance.shot_us is None:
        return {"shot": None, "shot_note": ""}
    taken = us_to_datetime(glance.shot_us)
    note = "" if now - taken < FRESH else f"picture of {moment(taken, now)}"
    return {
        "shot": url_for("camera.shot", key=glance.status.id, t=glance.shot_us),
        "shot_note": note,
    }


def _group(glance: Glance) -> str:
    if glance.rank in (TROUBLE, SKIPPING):
        return "attention"
    return "watched" if glance.status.watching else "off"


def directions(passed: Today | None) -> str:
    """How many of those that passed went which way; empty where nobody did."""
    if passed is None or not (passed.into or passed.out):
        return ""
    return f"{passed.into:,} in, {passed.out:,} out"


def last_event(event: ProcessorEvent | None, now: datetime) -> dict[str, str] | None:
    """What happened last, and how long ago."""
    if event is None:
        return None
    what = happened(event) or "seen"
    return {
        "what": f"{what} at {event.zone}" if event.zone else what,
        "ago": ago((now - event.ts).total_seconds()),
        "url": url_for("event.details_view", id=event.id),
    }

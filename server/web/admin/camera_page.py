"""A camera's own page: its picture, its numbers, what it counts, and how it has fared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Response, current_app, request, url_for

from server.domain.video import us_to_datetime
from server.errors import NotFound
from server.models import Camera
from server.services.dashboard import Counted, Glance, dashboard
from server.services.live import LiveReader
from server.services.shots import latest_shot
from server.services.states import state_log
from server.web.admin import camera_form, camera_words
from server.web.admin.glances import card, directions, last_event, number, unknown
from server.web.admin.page import viewer_zone
from server.web.auth import current_rights

LOG_LENGTH = 12
"""Changes of state on a page."""


def shown(row: Camera, now: datetime, args: Mapping[str, str]) -> dict[str, Any]:
    """What the page is given."""
    before = args.get("before", "")
    older = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    log = state_log(row.id, LOG_LENGTH + 1, older)
    return {
        **_parts(row, now),
        "new": args.get("new") == "1",
        "meanings": camera_words.MEANINGS,
        "settings": camera_form.shown_settings(row),
        "log": log[:LOG_LENGTH],
        "log_older": log[LOG_LENGTH - 1].id if len(log) > LOG_LENGTH else None,
        "log_paged": older is not None,
    }


def live(row: Camera, now: datetime) -> dict[str, Any]:
    """What of it changes."""
    return _parts(row, now)


def picture(row: Camera) -> Response:
    """The camera's last picture; 304 where the browser has it. Raises NotFound where there is none."""
    found = latest_shot(row.id)
    if found is None:
        raise NotFound("There is no picture of this camera yet.")
    shot, _ = found
    response = Response(shot.jpeg, mimetype="image/jpeg")
    response.last_modified = us_to_datetime(shot.ts_us)
    # The time alone would not do: a camera's masks may have changed since.
    response.set_etag(hashlib.sha256(shot.jpeg).hexdigest()[:32])
    response.headers["Cache-Control"] = "private, max-age=0, must-revalidate"
    response.make_conditional(request)
    return response


def _parts(row: Camera, now: datetime) -> dict[str, Any]:
    rights = current_rights()
    glance = dashboard(rights, viewer_zone(), now, row.id).glances[0]
    numbers = LiveReader.of(current_app).numbers([row.id]).get(row.id)
    return {
        "card": card(glance, now, rights),
        "numbers": camera_words.values(numbers),
        "numbers_note": "" if numbers is not None else _why_no_numbers(glance),
        "rules": [_counted(one, glance, now) for one in glance.counted],
    }


def _why_no_numbers(glance: Glance) -> str:
    if not glance.status.watching:
        return "Nothing is measured, because the camera is not being watched."
    if glance.status.state != "watching":
        return f"Nothing is measured while the camera is {glance.status.state}."
    return "Nothing has come from its watcher yet; this takes some seconds."


def _counted(one: Counted, glance: Glance, now: datetime) -> dict[str, Any]:
    """A processor's row: what it counts now and today, and where that leads."""
    rule = one.rule
    ways = directions(one.passed)
    may_edit = current_rights().may_change(rule.camera_id)
    if rule.metric == "objects":
        what, note = number(one.people), "people now" if one.people is not None else unknown(glance)
    elif rule.metric == "traffic":
        passes = one.passed.passes if one.passed is not None else 0
        what, note = number(passes), "passed today"
    else:
        what, note = "", ""
    return {
        "id": rule.id,
        "name": rule.name,
        "kind": rule.kind,
        "url": url_for("processor.details_view", id=rule.id),
        "enabled": rule.enabled,
        "value": what,
        "note": note if rule.enabled else "disabled",
        "detail": f"({ways})" if ways else "",
        "last": last_event(one.last, now),
        "events": url_for("event.index_view", flt1_1=rule.id),
        "chart": url_for("chart.index", processor=rule.id) if _has_charts() else None,
        "edit": url_for("processor.edit_view", id=rule.id) if may_edit else None,
    }


def _has_charts() -> bool:
    return "chart.index" in current_app.view_functions

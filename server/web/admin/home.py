"""The first page: what is going on, and what to do next."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from flask import Response, current_app, jsonify, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_admin import AdminIndexView, expose

from server.services.dashboard import Dashboard, dashboard
from server.services.first_steps import FirstSteps, first_steps, obstacles
from server.services.live import LiveReader
from server.web.admin.glances import card, moment, summary
from server.web.admin.page import Page, viewer_zone
from server.web.auth import current_rights

_DISMISSED = "first_steps_dismissed"
SEARCHED_FROM = 9
"""Cameras from which on there is something to search them by."""


class HomeView(Page, AdminIndexView):  # type: ignore[misc]
    """Every camera at a glance, what needs attention first."""

    @expose("/")  # type: ignore[untyped-decorator]
    def index(self) -> str:
        """The page."""
        now = datetime.now(timezone.utc)
        shown = dashboard(current_rights(), viewer_zone(), now)
        steps = _steps(shown)
        return self.render(
            "hypersight/home.html",
            **_told(shown, now),
            steps=steps,
            obstacles=obstacles() if steps is not None else [],
            searchable=len(shown.glances) >= SEARCHED_FROM,
        )

    @expose("/dashboard.json")  # type: ignore[untyped-decorator]
    def refresh(self) -> Response:
        """The same for the page that is open. `?steps=1`: it shows the first steps."""
        now = datetime.now(timezone.utc)
        shown = dashboard(current_rights(), viewer_zone(), now)
        told = _told(shown, now)
        if request.args.get("steps"):
            steps = _steps(shown)
            told["steps"] = "" if steps is None else steps.mark
        return jsonify(told)

    @expose("/first-steps/dismiss", methods=("POST",))  # type: ignore[untyped-decorator]
    def dismiss(self) -> ResponseReturnValue:
        """Show the steps no more in this session."""
        session[_DISMISSED] = True
        return redirect(url_for("admin.index"))


def _steps(shown: Dashboard) -> FirstSteps | None:
    """What is left to do, for those who can do it and have not put it away."""
    if not current_rights().operates or (shown.glances and session.get(_DISMISSED)):
        return None
    return first_steps(shown)


def _told(shown: Dashboard, now: datetime) -> dict[str, Any]:
    rights = current_rights()
    # Asked here, after the dashboard has asked Redis for something.
    away = LiveReader.of(current_app).away
    return {
        "summary": summary(shown),
        "note": "Redis does not answer: numbers and pictures are not live." if away else "",
        "at": moment(now, now),
        "cards": [card(glance, now, rights) for glance in shown.glances],
    }

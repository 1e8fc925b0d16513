"""What every page of /admin is given."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from flask import current_app, url_for
from flask_login import current_user

from server.config import Settings
from server.web.auth import is_administrator


def settings() -> Settings:
    """The application's settings."""
    found: Settings = current_app.extensions["hypersight"]
    return found


def local_time(moment: datetime | None, timespec: str = "seconds") -> str:
    """A time as people read it, in the configured zone: `2026-03-27 13:00:10`."""
    if moment is None:
        return ""
    return moment.astimezone(settings().timezone).replace(tzinfo=None).isoformat(" ", timespec)


class Page:
    """Mixed into Flask-Admin's views: for people who are signed in, rendered with what our pages need."""

    administrators_only = False

    def is_accessible(self) -> bool:
        """Signed in, and an administrator where that is needed."""
        return bool(current_user.is_authenticated) and (is_administrator() or not self.administrators_only)

    def render(self, template: str, **kwargs: Any) -> str:
        """Render a page. `zone`: what its times are in; `home`: the way back to the first page."""
        given = {
            "zone": settings().TIMEZONE,
            "home": url_for("admin.index"),
            "local_time": local_time,
            "now": datetime.now(timezone.utc),
            "may_change": is_administrator(),
        }
        return str(super().render(template, **given, **kwargs))  # type: ignore[misc]

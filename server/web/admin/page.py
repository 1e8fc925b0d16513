"""What every page of /admin is given."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import current_app, g, url_for
from flask_login import current_user

from server.config import Settings
from server.web.auth import current_rights, is_administrator


def settings() -> Settings:
    """The application's settings."""
    found: Settings = current_app.extensions["hypersight"]
    return found


def viewer_zone() -> ZoneInfo:
    """The time zone of the person of this request: their own, else TIMEZONE."""
    # Kept for the request: an export goes on after its rows, and the account among them, are let go.
    if "viewer_zone" not in g:
        g.viewer_zone = _zone_named(getattr(current_user, "timezone", None))
    found: ZoneInfo = g.viewer_zone
    return found


def _zone_named(name: str | None) -> ZoneInfo:
    if name:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            # A zone that this host's database of zones does not have (any more).
            pass
    return settings().timezone


def local_time(moment: datetime | None, timespec: str = "seconds") -> str:
    """A time as people read it, in their own zone: `2026-03-27 13:00:10`."""
    if moment is None:
        return ""
    return moment.astimezone(viewer_zone()).replace(tzinfo=None).isoformat(" ", timespec)


class Page:
    """Mixed into Flask-Admin's views: for people who are signed in, rendered with what our pages need."""

    administrators_only = False

    def is_accessible(self) -> bool:
        """Signed in, and an administrator where that is needed."""
        return bool(current_user.is_authenticated) and (is_administrator() or not self.administrators_only)

    def render(self, template: str, **kwargs: Any) -> str:
        """Render a page. `zone`: what its times are in; `home`: the way back to the first page; `rights`:
        what this person sees and may do; `may_change`: whether that is anything at all."""
        given = {
            "zone": viewer_zone().key,
            "home": url_for("admin.index"),
            "local_time": local_time,
            "now": datetime.now(timezone.utc),
            "rights": current_rights(),
            "may_change": current_rights().operates,
        }
        return str(super().render(template, **given, **kwargs))  # type: ignore[misc]

"""One's own account: who one is here, which cameras one sees, the time zone."""

from __future__ import annotations

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import BaseView, expose
from flask_admin.form import BaseForm
from flask_login import current_user
from sqlalchemy import select
from wtforms import SelectField

from server.errors import InvalidInput
from server.extensions import db
from server.models import Camera
from server.services.accounts import change_own_zone, zones
from server.services.rights import ROLES_IN_WORDS
from server.web.admin.page import Page, settings
from server.web.auth import current_rights
from server.web.forms import put_invalid


class ZoneForm(BaseForm):  # type: ignore[misc]
    """One's own time zone."""

    timezone = SelectField(
        "Time zone", validate_choice=False, description="All times on these pages are shown in it."
    )


def zone_choices() -> list[tuple[str, str]]:
    """Every zone, and first of all that of the installation."""
    return [("", f"That of the server: {settings().TIMEZONE}"), *((name, name) for name in zones())]


class ProfileView(Page, BaseView):  # type: ignore[misc]
    """For everybody; reached through one's name, not the menu."""

    def __init__(self) -> None:
        super().__init__("Your account", endpoint="profile")

    def is_visible(self) -> bool:
        """Whether the menu shows it."""
        return False

    @expose("/", methods=("GET", "POST"))  # type: ignore[untyped-decorator]
    def index(self) -> ResponseReturnValue:
        """The page, and the form of the time zone on it."""
        posted = request.method == "POST"
        form = ZoneForm(request.form if posted else None, data={"timezone": current_user.timezone or ""})
        form.timezone.choices = zone_choices()
        if posted:
            try:
                change_own_zone(current_user.id, form.timezone.data or "")
            except InvalidInput as error:
                put_invalid(form, error)
            else:
                flash("Saved: times are shown in that zone from now on.", "success")
                return redirect(url_for("profile.index"))
        rights = current_rights()
        mine = select(Camera.name).where(rights.visible(Camera.id)).order_by(Camera.name)
        names = None if rights.cameras is None else list(db.session.scalars(mine))
        role = ROLES_IN_WORDS[rights.role]
        return self.render("hypersight/profile.html", form=form, cameras=names, role=role)

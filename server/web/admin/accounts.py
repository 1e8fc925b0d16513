"""Accounts and API tokens, for administrators."""

from __future__ import annotations

from typing import Any, ClassVar

from flask import flash, redirect, request
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_admin.form import BaseForm
from flask_login import current_user
from sqlalchemy import func, select
from wtforms import BooleanField, Form, PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired

from server.errors import InvalidInput, NotFound
from server.extensions import db
from server.models import ApiToken, Camera, User, UserCamera
from server.services import accounts, tokens
from server.services.naming import NAME_LENGTH
from server.services.rights import ADMINISTRATOR, ROLES, ROLES_IN_WORDS, VIEWER
from server.web.admin.base import TableView
from server.web.admin.profile import zone_choices
from server.web.forms import put_invalid


class UserForm(BaseForm):  # type: ignore[misc]
    """An account."""

    name = StringField(
        "Name",
        [InputRequired("An account needs a name.")],
        description="What is typed to sign in; capitals do not matter.",
        render_kw={"maxlength": NAME_LENGTH, "autocomplete": "off", "autocapitalize": "none"},
    )
    role = SelectField(
        "Role",
        choices=[(role, role.capitalize()) for role in ROLES],
        default=VIEWER,
        validate_choice=False,
    )
    all_cameras = BooleanField(
        "All cameras",
        default=True,
        description="Also those that are added later. Else only those ticked below.",
    )
    cameras = SelectMultipleField(
        "Cameras", validate_choice=False, description="What this account sees; changes take effect at once."
    )
    password = PasswordField("Password", render_kw={"autocomplete": "new-password"})
    timezone = SelectField(
        "Time zone",
        validate_choice=False,
        description="What times are shown in to this account. Everybody can change their own.",
    )
    active = BooleanField("Active", default=True, description="Whether this account may sign in.")


class UserView(TableView):
    """Accounts."""

    model_class = User
    noun = "account"
    administrators_only = True

    column_list = ("id", "name", "role", "cameras", "active", "created_at")
    column_details_list = ("id", "name", "role", "cameras", "timezone", "active", "created_at")
    column_export_list = column_details_list
    column_labels: ClassVar = {"id": "ID", "timezone": "Time zone", "created_at": "Created"}
    column_sortable_list = ("id", "name", "role", "active", "created_at")
    column_searchable_list = ("name",)
    column_default_sort = "name"
    column_formatters: ClassVar = {
        "cameras": lambda view, context, row, name: view.cameras_of(row),
        "timezone": lambda view, context, row, name: row.timezone or "that of the server",
    }
    column_formatters_detail: ClassVar = {
        **column_formatters,
        "cameras": lambda view, context, row, name: view.cameras_of(row, by_name=True),
        "role": lambda view, context, row, name: f"{row.role}: {ROLES_IN_WORDS.get(row.role, '')}",
    }
    column_formatters_export: ClassVar = {
        "cameras": lambda view, context, row, name: view.cameras_of(row, by_name=True),
    }
    create_template = "hypersight/user_form.html"
    edit_template = "hypersight/user_form.html"
    details_template = "hypersight/user.html"
    form = UserForm

    def __init__(self) -> None:
        super().__init__("Users", "user")

    def cameras_of(self, row: User, *, by_name: bool = False) -> str:
        """Which cameras an account sees: their names, or only how many."""
        if row.all_cameras or row.role == ADMINISTRATOR:
            return "all"
        mine = UserCamera.user_id == row.id
        if not by_name:
            return str(db.session.scalar(select(func.count()).select_from(UserCamera).where(mine)) or "none")
        names = select(Camera.name).join(UserCamera, UserCamera.camera_id == Camera.id).where(mine)
        return ", ".join(db.session.scalars(names.order_by(Camera.name))) or "none"

    def render(self, template: str, **kwargs: Any) -> str:
        """With the roles in words."""
        return super().render(template, roles=ROLES_IN_WORDS, **kwargs)

    def create_form(self, obj: Any = None) -> Form:
        """An empty form; here a password is needed."""
        form = super().create_form(obj)
        form.password.description = f"At least {accounts.MIN_PASSWORD} characters."
        return _with_choices(form)

    def edit_form(self, obj: Any = None) -> Form:
        """The form over an account."""
        form = super().edit_form(obj)
        form.password.description = "Leave it empty to keep the password. A new one ends all sessions."
        if request.method == "GET":
            given = accounts.cameras_of(obj)
            form.cameras.data = [] if given == accounts.ALL else [str(key) for key in given]
            form.timezone.data = obj.timezone or ""
        return _with_choices(form)

    def save_new(self, form: Form) -> int:
        """See `TableView`."""
        return accounts.create_user(
            form.name.data,
            form.password.data or "",
            form.role.data,
            active=form.active.data,
            cameras=_given_cameras(form),
            timezone=form.timezone.data or "",
        )

    def save(self, form: Form, row: User) -> None:
        """See `TableView`."""
        accounts.update_user(
            row.id,
            name=form.name.data,
            role=form.role.data,
            active=form.active.data,
            password=form.password.data or None,
            cameras=_given_cameras(form),
            timezone=form.timezone.data or "",
        )

    def remove(self, row: User) -> None:
        """See `TableView`."""
        accounts.delete_user(row.id)


def _with_choices(form: Form) -> Form:
    rows = db.session.execute(select(Camera.id, Camera.name).order_by(Camera.name))
    form.cameras.choices = [(str(key), name) for key, name in rows]
    form.timezone.choices = zone_choices()
    return form


def _given_cameras(form: Form) -> accounts.Cameras:
    if form.all_cameras.data:
        return accounts.ALL
    return [int(key) for key in form.cameras.data or () if key.isascii() and key.isdigit() and len(key) < 10]


class TokenForm(BaseForm):  # type: ignore[misc]
    """An API token."""

    name = StringField(
        "Name",
        [InputRequired("A token needs a name.")],
        description="What uses it, such as the shop's display. The token itself is shown once, on the "
        "next page.",
        render_kw={"maxlength": NAME_LENGTH},
    )
    scopes = SelectMultipleField(
        "What it may do",
        choices=[(scope, scope) for scope in tokens.SCOPES],
        default=list(tokens.SCOPES),
        validate_choice=False,
        description="Give a program no more than it needs.",
    )


class TokenView(TableView):
    """API tokens: made, shown once, revoked."""

    model_class = ApiToken
    noun = "API token"
    administrators_only = True
    empty_message = "No token yet. Programs need one to call the API."

    can_edit = False
    can_delete = False
    can_view_details = False
    column_list = ("name", "prefix", "scopes", "user", "created_at", "revoked_at")
    column_export_list = column_list
    column_labels: ClassVar = {
        "prefix": "Begins with",
        "scopes": "May",
        "user": "Made by",
        "created_at": "Created",
        "revoked_at": "Revoked",
    }
    column_searchable_list = ("name",)
    column_default_sort = "name"
    column_formatters: ClassVar = {
        "scopes": lambda view, context, row, name: row.scopes.replace(",", ", "),
    }
    column_formatters_export: ClassVar = {"user": lambda view, context, row, name: str(row.user or "")}
    list_template = "hypersight/tokens.html"
    form = TokenForm

    def __init__(self) -> None:
        super().__init__("API tokens", "token")

    @expose("/new/", methods=("GET", "POST"))  # type: ignore[untyped-decorator]
    def create_view(self) -> ResponseReturnValue:
        """Make a token. The answer to the form shows it: it is stored nowhere, not even in a cookie."""
        if not self.can_create:
            return redirect(self.get_url(".index_view"))
        form = self.create_form()
        if self.validate_form(form):
            try:
                token = tokens.create_token(form.name.data, current_user.id, form.scopes.data or ())
            except InvalidInput as error:
                put_invalid(form, error)
            else:
                return self.render("hypersight/token_made.html", name=form.name.data, token=token)
        return self.render(
            "hypersight/token_form.html",
            form=form,
            scopes=tokens.SCOPES,
            return_url=self.get_url(".index_view"),
        )

    @expose("/revoke", methods=("POST",))  # type: ignore[untyped-decorator]
    def revoke_view(self) -> ResponseReturnValue:
        """Refuse a token from now on."""
        name = request.form.get("name", "")
        try:
            tokens.revoke_token(name)
            flash(f"The token {name} is refused from now on.", "success")
        except NotFound as error:
            flash(str(error), "danger")
        return redirect(self.get_url(".index_view"))

"""Accounts and API tokens, for administrators."""

from __future__ import annotations

from typing import Any, ClassVar

from flask import flash, redirect, request
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_admin.form import BaseForm
from flask_login import current_user
from wtforms import BooleanField, Form, PasswordField, SelectField, StringField
from wtforms.validators import InputRequired

from server.errors import InvalidInput, NotFound
from server.models import ApiToken, User
from server.services import accounts, tokens
from server.services.naming import NAME_LENGTH
from server.services.rights import ROLES
from server.web.admin.base import TableView
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
        choices=[(role, role) for role in ROLES],
        validate_choice=False,
        description="An administrator may do everything; a viewer may look at cameras, processors and "
        "events.",
    )
    active = BooleanField("Active", default=True, description="Whether this account may sign in.")
    password = PasswordField("Password", render_kw={"autocomplete": "new-password"})


class UserView(TableView):
    """Accounts."""

    model_class = User
    noun = "account"
    administrators_only = True

    column_list = ("id", "name", "role", "active", "created_at")
    column_details_list = column_list
    column_export_list = column_list
    column_labels: ClassVar = {"id": "ID", "created_at": "Created"}
    column_searchable_list = ("name",)
    column_default_sort = "name"
    form = UserForm

    def __init__(self) -> None:
        super().__init__("Users", "user")

    def create_form(self, obj: Any = None) -> Form:
        """An empty form; here a password is needed."""
        form = super().create_form(obj)
        form.password.description = f"At least {accounts.MIN_PASSWORD} characters."
        return form

    def edit_form(self, obj: Any = None) -> Form:
        """The form over an account."""
        form = super().edit_form(obj)
        form.password.description = "Leave it empty to keep the password. A new one ends all sessions."
        return form

    def save_new(self, form: Form) -> int:
        """See `TableView`."""
        return accounts.create_user(
            form.name.data, form.password.data or "", form.role.data, active=form.active.data
        )

    def save(self, form: Form, row: User) -> None:
        """See `TableView`."""
        accounts.update_user(
            row.id,
            name=form.name.data,
            role=form.role.data,
            active=form.active.data,
            password=form.password.data or None,
        )

    def remove(self, row: User) -> None:
        """See `TableView`."""
        accounts.delete_user(row.id)


class TokenForm(BaseForm):  # type: ignore[misc]
    """An API token."""

    name = StringField(
        "Name",
        [InputRequired("A token needs a name.")],
        description="What uses it, such as the shop's display. The token itself is shown once, on the "
        "next page.",
        render_kw={"maxlength": NAME_LENGTH},
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
    column_list = ("name", "prefix", "user", "created_at", "revoked_at")
    column_export_list = column_list
    column_labels: ClassVar = {
        "prefix": "Begins with",
        "user": "Made by",
        "created_at": "Created",
        "revoked_at": "Revoked",
    }
    column_searchable_list = ("name",)
    column_default_sort = "name"
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
                token = tokens.create_token(form.name.data, current_user.id)
            except InvalidInput as error:
                put_invalid(form, error)
            else:
                return self.render("hypersight/token_made.html", name=form.name.data, token=token)
        return self.render(self.create_template, form=form, return_url=self.get_url(".index_view"))

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

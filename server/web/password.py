"""One's own password, changed by who knows it."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import PasswordField
from wtforms.validators import EqualTo, InputRequired

from server.errors import InvalidInput
from server.extensions import db
from server.services.accounts import MIN_PASSWORD, change_own_password, get_user
from server.web.auth import begin_session
from server.web.forms import put_invalid

blueprint = Blueprint("password", __name__, url_prefix="/admin")


class PasswordForm(FlaskForm):  # type: ignore[misc]
    """One's own password, changed."""

    current = PasswordField(
        "Current password",
        [InputRequired("Type your present password.")],
        render_kw={"autocomplete": "current-password"},
    )
    password = PasswordField(
        "New password",
        [InputRequired("Type a new password.")],
        description=f"At least {MIN_PASSWORD} characters. Everywhere else you are signed out.",
        render_kw={"autocomplete": "new-password"},
    )
    repeat = PasswordField(
        "New password again",
        [EqualTo("password", "The two new passwords differ.")],
        render_kw={"autocomplete": "new-password"},
    )


@blueprint.route("/password", methods=["GET", "POST"])
def page() -> ResponseReturnValue:
    """Change one's own password."""
    form = PasswordForm()
    if form.validate_on_submit():
        try:
            change_own_password(current_user.id, form.current.data, form.password.data)
        except InvalidInput as error:
            put_invalid(form, error)
        else:
            # What this request read of the account before is out of date.
            db.session.rollback()
            user = get_user(current_user.id)
            if user is None:
                abort(404)
            begin_session(user)
            flash("Your password is changed.", "success")
            return redirect(url_for("profile.index"))
    return render_template("hypersight/password.html", form=form)

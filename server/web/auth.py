"""Signing in to /admin: sessions, CSRF tokens, limited attempts, one's own password."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, abort, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager, current_user, login_user, logout_user
from flask_wtf import FlaskForm
from flask_wtf.csrf import CSRFError, CSRFProtect
from limits import parse_many
from werkzeug.exceptions import TooManyRequests
from wtforms import PasswordField, StringField
from wtforms.validators import EqualTo, InputRequired

from server.config import Settings
from server.errors import ConfigError, InvalidInput
from server.extensions import db
from server.models import User
from server.services.accounts import (
    MIN_PASSWORD,
    authenticate,
    change_own_password,
    get_user,
)
from server.services.rights import NOTHING, Rights, rights_of
from server.web.errors import for_people
from server.web.forms import put_error

SESSION_LIFETIME = timedelta(days=7)
"""A session ends when it has not been used for so long."""
_PUBLIC = ("auth.login", "admin.static")


class LoginForm(FlaskForm):  # type: ignore[misc]
    """Name and password."""

    name = StringField(
        "Name",
        [InputRequired("Type your name.")],
        render_kw={"autocomplete": "username", "autocapitalize": "none", "autofocus": True},
    )
    password = PasswordField(
        "Password",
        [InputRequired("Type your password.")],
        render_kw={"autocomplete": "current-password"},
    )


class PasswordForm(FlaskForm):  # type: ignore[misc]
    """One's own password, changed."""

    current = PasswordField(
        "Current password", [InputRequired()], render_kw={"autocomplete": "current-password"}
    )
    password = PasswordField(
        "New password",
        [InputRequired()],
        description=f"At least {MIN_PASSWORD} characters. Everywhere else you are signed out.",
        render_kw={"autocomplete": "new-password"},
    )
    repeat = PasswordField(
        "New password again",
        [EqualTo("password", "The two new passwords differ.")],
        render_kw={"autocomplete": "new-password"},
    )


def init_app(app: Flask) -> None:
    """Guard /admin. Raises ConfigError where LOGIN_ATTEMPTS cannot be read."""
    settings: Settings = app.extensions["hypersight"]
    app.config.update(
        PERMANENT_SESSION_LIFETIME=SESSION_LIFETIME,
        MAX_CONTENT_LENGTH=settings.MAX_BODY_BYTES,
        # A token is as good as its session: a form left open over lunch can still be sent.
        WTF_CSRF_TIME_LIMIT=None,
    )
    manager = LoginManager(app)
    manager.user_loader(_load_user)
    # Before CSRFProtect: who is not signed in is asked to, not told that a token is missing.
    app.before_request(_guard)
    csrf = CSRFProtect(app)
    for name in ("metrics", "status", "detect"):
        if name in app.blueprints:
            csrf.exempt(app.blueprints[name])
    app.register_error_handler(CSRFError, _stale_form)
    app.register_blueprint(_make_blueprint(_make_limiter(app, settings), settings))


def current_rights() -> Rights:
    """What the person of this request may see and do, as it is in the database now."""
    if "rights" not in g:
        g.rights = rights_of(current_user) if current_user.is_authenticated else NOTHING
    found: Rights = g.rights
    return found


def is_administrator() -> bool:
    """Whether the person of this request may change everything."""
    return current_rights().is_administrator


def safe_target(target: str | None) -> str:
    """Where to go after signing in: a path of ours under /admin, never another site."""
    home = url_for("admin.index")
    if not target or not target.isprintable() or "\\" in target:
        return home
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or not f"{parts.path}/".startswith("/admin/"):
        return home
    return target


def _load_user(key: str) -> User | None:
    number, _, version = key.partition(".")
    user = get_user(int(number)) if number.isdigit() else None
    if user is None or not user.active or version != str(user.session_version):
        return None
    return user


def _guard() -> ResponseReturnValue | None:
    if request.path.startswith("/static/") or not for_people():
        return None
    if request.endpoint in _PUBLIC or current_user.is_authenticated:
        return None
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.login", next=target))


def _make_limiter(app: Flask, settings: Settings) -> Limiter:
    try:
        parse_many(settings.LOGIN_ATTEMPTS)
    except ValueError as error:
        raise ConfigError(
            f"LOGIN_ATTEMPTS: {settings.LOGIN_ATTEMPTS!r} is not like '5 per minute'"
        ) from error
    address = settings.REDIS_URL
    if address.startswith("unix://"):
        address = f"redis+{address}"
    return Limiter(
        get_remote_address,
        app=app,
        storage_uri=address,
        storage_options={"socket_connect_timeout": 1, "socket_timeout": 1},
        in_memory_fallback_enabled=True,
        key_prefix="hypersight-login",
    )


def _account_key() -> str:
    name = request.form.get("name", "").strip().lower()
    return "account:" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:32]


def _make_blueprint(limiter: Limiter, settings: Settings) -> Blueprint:
    def limited(key: Callable[[], str]) -> Callable[[Callable[[], ResponseReturnValue]], Any]:
        return limiter.limit(
            settings.LOGIN_ATTEMPTS,
            key_func=key,
            methods=["POST"],
            deduct_when=lambda response: g.get("sign_in_failed", False),
        )

    blueprint = Blueprint("auth", __name__, url_prefix="/admin")
    view = limited(get_remote_address)(limited(_account_key)(login))
    blueprint.add_url_rule("/login", "login", view, methods=["GET", "POST"])
    blueprint.add_url_rule("/logout", "logout", logout, methods=["POST"])
    blueprint.add_url_rule("/password", "password", password, methods=["GET", "POST"])
    blueprint.register_error_handler(TooManyRequests, _too_many)
    return blueprint


def login() -> ResponseReturnValue:
    """The page to sign in at."""
    target = safe_target(request.args.get("next"))
    if current_user.is_authenticated:
        return redirect(target)
    form = LoginForm()
    if form.validate_on_submit():
        user = authenticate(form.name.data, form.password.data)
        if user is not None:
            # Nothing that was put into the session before survives signing in.
            session.clear()
            session.permanent = True
            login_user(user)
            return redirect(target)
        g.sign_in_failed = True
        put_error(form, "password", "Name or password is wrong.")
    return render_template("hypersight/login.html", form=form)


def logout() -> ResponseReturnValue:
    """Sign out; by POST only, so that no link elsewhere can do it."""
    logout_user()
    session.clear()
    return redirect(url_for("auth.login"))


def password() -> ResponseReturnValue:
    """Change one's own password."""
    form = PasswordForm()
    if form.validate_on_submit():
        try:
            change_own_password(current_user.id, form.current.data, form.password.data)
        except InvalidInput as error:
            put_error(form, error.field, error.message)
        else:
            # What this request read of the account before is out of date.
            db.session.rollback()
            user = get_user(current_user.id)
            if user is None:
                abort(404)
            login_user(user)
            flash("Your password is changed.", "success")
            return redirect(url_for("admin.index"))
    return render_template("hypersight/password.html", form=form)


def _too_many(error: TooManyRequests) -> ResponseReturnValue:
    form = LoginForm()
    put_error(form, "password", "Too many attempts. Wait a minute, then try again.")
    return render_template("hypersight/login.html", form=form), 429


def _stale_form(error: CSRFError) -> ResponseReturnValue:
    """A page that lay open longer than its session, or a form from somewhere else."""
    if request.endpoint == "auth.login":
        flash("The page had been open for too long. Please try again.", "warning")
        return redirect(request.full_path.rstrip("?"))
    message = "This page is not current any more. Go back, load it again, and repeat what you did."
    return render_template("hypersight/error.html", status=400, message=message), 400

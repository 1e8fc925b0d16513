"""Signing in to /admin: sessions, CSRF tokens, limited attempts; and who acts in a request."""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Flask,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager, current_user, login_user, logout_user
from flask_wtf import FlaskForm
from flask_wtf.csrf import CSRFError, CSRFProtect
from limits import parse_many
from redis.exceptions import RedisError
from werkzeug.exceptions import TooManyRequests
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from server.config import Settings
from server.errors import ConfigError
from server.models import User
from server.services.accounts import get_user, sign_in, sign_out
from server.services.audit import SYSTEM, TOO_MANY, Actor, if_possible, record_block, set_actor
from server.services.rights import NOTHING, Rights, rights_of
from server.web.errors import for_people
from server.web.forms import put_error

SESSION_LIFETIME = timedelta(days=7)
"""A session ends when it has not been used for so long."""
_PUBLIC = ("auth.login",)
_LIMITER = "hypersight_limiter"
_FEW = 2
"""From so many attempts left on, the page says how many."""
FORGOTTEN = (
    "If you have forgotten your password, an administrator can give you a new one under Users; whoever runs "
    "the server can with: flask --app server users password NAME"
)


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
    app.teardown_request(_nobody_acts)
    csrf = CSRFProtect(app)
    for name in ("metrics", "status", "detect"):
        if name in app.blueprints:
            csrf.exempt(app.blueprints[name])
    app.register_error_handler(CSRFError, _stale_form)
    app.extensions[_LIMITER] = _make_limiter(app, settings)
    app.register_blueprint(_make_blueprint(app.extensions[_LIMITER], settings))


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
    if request.endpoint == "admin.static":
        return None
    signed_in = bool(current_user.is_authenticated)
    address = get_remote_address()
    set_actor(Actor(current_user.name, current_user.id, address) if signed_in else Actor("", None, address))
    if signed_in or request.endpoint in _PUBLIC:
        return None
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.login", next=target))


def _nobody_acts(error: BaseException | None) -> None:
    """The thread that served this request may do something else next."""
    set_actor(SYSTEM)


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
    blueprint.register_error_handler(TooManyRequests, _too_many)
    return blueprint


def login() -> ResponseReturnValue:
    """The page to sign in at."""
    target = safe_target(request.args.get("next"))
    if current_user.is_authenticated:
        return redirect(target)
    form = LoginForm()
    if form.validate_on_submit():
        user = sign_in(form.name.data, form.password.data)
        if user is not None:
            begin_session(user)
            return redirect(target)
        g.sign_in_failed = True
        left, seconds = _left_after_this()
        words = "Name or password is wrong."
        if left == 0:
            words += f" That was the last attempt for now: wait {_in_words(seconds)}, then try again."
        elif left <= _FEW:
            words += f" {left} more {'attempts' if left > 1 else 'attempt'}, then you have to wait."
        put_error(form, "password", words)
        return _login_page(form, locked=left == 0)
    return _login_page(form)


def begin_session(user: User) -> None:
    """Sign somebody in. Nothing that was put into the session before survives it."""
    session.clear()
    session.permanent = True
    login_user(user)
    for cached in ("rights", "viewer_zone"):
        g.pop(cached, None)


def logout() -> ResponseReturnValue:
    """Sign out; by POST only, so that no link elsewhere can do it."""
    sign_out(current_user.id, current_user.name)
    logout_user()
    session.clear()
    return redirect(url_for("auth.login"))


def _login_page(form: LoginForm, *, locked: bool = False) -> str:
    """The page. What was wrong gets the focus, not the name."""
    form.name.render_kw = {**form.name.render_kw, "autofocus": not form.errors}
    help_ = FORGOTTEN if locked else ""
    return render_template("hypersight/login.html", form=form, help=help_)


def _left_after_this() -> tuple[int, int]:
    """How many attempts are left once this one has been counted, and the seconds until there are more."""
    limiter: Limiter = current_app.extensions[_LIMITER]
    try:
        stats = [(max(0, limit.remaining - 1), limit.reset_at) for limit in limiter.current_limits]
    except RedisError:
        stats = []
    left, reset = min(stats, default=(_FEW + 1, 0))
    return left, _seconds_until(reset)


def _seconds_until(moment: float) -> int:
    return max(1, math.ceil(moment - time.time()))


def _in_words(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} second{'s' if seconds > 1 else ''}"
    return f"{math.ceil(seconds / 60)} minutes"


def _too_many(error: TooManyRequests) -> ResponseReturnValue:
    form = LoginForm()
    with if_possible(TOO_MANY):
        record_block(form.name.data or "")
    limiter: Limiter = current_app.extensions[_LIMITER]
    limit = limiter.current_limit
    seconds = 60
    if limit is not None:
        with contextlib.suppress(RedisError):
            seconds = _seconds_until(limit.reset_at)
    message = f"Too many attempts. Wait {_in_words(seconds)}, then try again."
    put_error(form, "password", message)
    return _login_page(form, locked=True), 429, {"Retry-After": str(seconds)}


def _stale_form(error: CSRFError) -> ResponseReturnValue:
    """A page that lay open longer than its session, or a form from somewhere else."""
    if request.endpoint == "auth.login":
        flash("The page had been open for too long. Please try again.", "warning")
        return redirect(request.full_path.rstrip("?"))
    message = "This page is not current any more. Go back, load it again, and repeat what you did."
    return render_template("hypersight/error.html", status=400, message=message), 400

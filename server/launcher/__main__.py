"""`python -m server.launcher`, which is what ./start becomes once the environment is there."""

from __future__ import annotations

import errno
import http.client
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import NoReturn

from flask import Flask

from server import create_app
from server.config import DEFAULT_INSTANCE_DIR, Settings, embedded_redis_socket, is_set, load_settings
from server.errors import HypersightError
from server.launcher.arguments import Options, UsageError, check_port, parse
from server.launcher.fetching import fetch_weights
from server.launcher.instance import (
    DEMO_MARK,
    first_password,
    locked,
    migrate,
    prepare_directory,
    write_config,
)
from server.launcher.programs import programs
from server.launcher.screen import Screen
from server.launcher.supervisor import STOP_SIGNALS, Supervisor
from server.media.demo.clip import make_clip
from server.services.demo import add_demo_camera, first_event, is_used
from server.vision import weights

WEB_SECONDS = 90.0
"""How long the web server may take to answer for the first time, on a slow and busy machine."""
_LOOK_SECONDS = 2.0


def main(arguments: Sequence[str]) -> int:
    """Run until a signal comes. Returns the exit code."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        options = parse(arguments, DEFAULT_INSTANCE_DIR)
        if not options.instance.exists():
            check_port(options)
        prepare_directory(options.instance)
        with locked(options) as lock:
            check_port(options)
            return _Run(options, Screen(), lock).run()
    except (UsageError, HypersightError) as error:
        return _refuse(str(error), 1)
    except OSError as error:
        why = "the disk is full: make room" if error.errno == errno.ENOSPC else error.strerror or str(error)
        return _refuse(f"{error.filename or 'the system'}: {why}. Then run this again", 1)
    except KeyboardInterrupt:
        return _refuse("stopped; run it again to go on", 130)


class _Run:
    """One run: set up, start, watch, end."""

    def __init__(self, options: Options, screen: Screen, lock: int) -> None:
        self.options = options
        self.screen = screen
        self.lock = lock
        self.clip = options.instance / "demo" / "demo.mp4"
        self.began = datetime.now(timezone.utc)

    def run(self) -> int:
        """Everything, in order."""
        if write_config(self.options.instance):
            self.screen.say(f"  Configuration written: {self.options.instance / 'config.py'}")
        settings = load_settings(self.options.instance)
        fetch_weights(settings.WEIGHTS_DIR, self.screen)
        # What is written from here on holds passwords and pictures of people.
        os.umask(0o077)
        app = create_app(self.options.instance)
        with self.screen.step("Database ready"):
            migrate(app)
        self._draw_demo(app, settings)
        try:
            self._serve(app, settings, self._anonymous(settings))
        finally:
            shutil.rmtree(embedded_redis_socket(self.options.instance).parent, ignore_errors=True)
        self.screen.say("  Stopped")
        return 0

    def _serve(self, app: Flask, settings: Settings, anonymous: bool) -> None:
        """Run all processes until a signal comes."""
        with Supervisor(self.screen, self.options.instance / "log", self.lock) as supervisor:
            supervisor.start(programs(self.options, settings, anonymous))
            with self.screen.step("Processes started"):
                answered = supervisor.run(until=_Answer(self.options, supervisor))
            if answered:
                self._introduce(app, anonymous or settings.API_ANONYMOUS)
                look = _Look(app, self.began)
                if supervisor.run(until=look):
                    self.screen.say(f"  It works: {look.found}")
                supervisor.run()
            self.screen.say("  Stopping; Ctrl-C again stops it at once")

    def _draw_demo(self, app: Flask, settings: Settings) -> None:
        """The demo clip, where it is wanted or a camera still plays it."""
        if self.clip.exists():
            return
        with app.app_context():
            used = is_used(self.clip)
        if not used and (not self.options.demo or self._demo_mark.exists()):
            return
        astronaut = weights.path_of(weights.DEMO_ASTRONAUT, settings.WEIGHTS_DIR)
        admiral = weights.path_of(weights.DEMO_ADMIRAL, settings.WEIGHTS_DIR)
        with self.screen.step("Demo clip drawn") as step:
            make_clip(self.clip, astronaut, admiral, step.progress)

    @property
    def _demo_mark(self) -> Path:
        return self.clip.parent / DEMO_MARK

    def _anonymous(self, settings: Settings) -> bool:
        """Whether the API is to answer without a token although nobody has said so.

        Only where nobody but programs on this machine can connect. A reverse proxy in front would let
        the network in, so it counts as one.
        """
        if is_set("API_ANONYMOUS", self.options.instance):
            return False
        return self.options.loopback and not settings.TRUSTED_PROXIES

    def _introduce(self, app: Flask, anonymous: bool) -> None:
        """The account, the demo camera, and what a newcomer needs to know."""
        say = self.screen.say
        password = first_password(app)
        say()
        say(f"  Hypersight runs at  {self.options.url}admin/")
        if password:
            say(f"  Sign in as  admin  with the password  {password}  (shown this once)")
        say(f"  The metrics API answers {'without a token' if anonymous else 'with a token'}: docs/api.md")
        if anonymous and not self.options.loopback:
            say("  NOTE: API_ANONYMOUS lets everybody who can reach this address read the metrics")
        if not anonymous:
            say("  A token:  .venv/bin/flask --app server tokens create NAME   (or in /admin)")
        say(f"  Logs: {self.options.instance / 'log'}. Ctrl-C ends everything.")
        say()
        if self.options.demo and (password or not self._demo_mark.exists()):
            self._add_demo(app)

    def _add_demo(self, app: Flask) -> None:
        with app.app_context():
            added = add_demo_camera(self.clip)
        self._demo_mark.touch()
        if added is not None:
            self.screen.say("  A demo camera is being watched; it shows what counting looks like")


class _Answer:
    """Whether the web server answers yet. Raises HypersightError where it will not."""

    def __init__(self, options: Options, supervisor: Supervisor) -> None:
        self._options = options
        self._supervisor = supervisor
        self._deadline = time.monotonic() + WEB_SECONDS

    def __call__(self) -> bool:
        host = self._options.url.removeprefix("http://").rstrip("/")
        connection = http.client.HTTPConnection(host, timeout=2)
        try:
            connection.request("GET", "/statusWatch")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            fallen, words = self._supervisor.failures("web")
            if fallen > 1 or time.monotonic() > self._deadline:
                raise HypersightError(f"the web server does not start. It said: {words}") from None
            return False
        finally:
            connection.close()
        return True


class _Look:
    """Looks now and then whether something was counted."""

    def __init__(self, app: Flask, since: datetime) -> None:
        self._app = app
        self._since = since
        self._next = 0.0
        self.found = ""

    def __call__(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _LOOK_SECONDS
        try:
            with self._app.app_context():
                self.found = first_event(self._since) or ""
        except HypersightError:
            # The database is away for a moment: those who need it say so.
            return False
        return bool(self.found)


def _refuse(why: str, code: int) -> int:
    print(f"./start: {why}", file=sys.stderr)  # noqa: T201 - apart from what is said on the screen
    return code


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

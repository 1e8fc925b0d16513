"""Pictures of every page: `python -m tests.web.screens DIRECTORY [--video FILE]`.

Each page on a desktop and a phone, light and dark, of an installation that looks lived in: for people to
look at. `--video`: what the cameras show, instead of drawn rooms. `--only`: pages whose name holds this.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from flask import Flask
from playwright.sync_api import TimeoutError, sync_playwright

from server import create_app
from server.clock import SystemClock
from server.domain.video import Picture
from server.services.live import LiveBoard, Numbers
from tests.databases import SECRET, Databases
from tests.private_redis import PrivateRedis
from tests.web.browser import COOKIE, Browser
from tests.web.chromium import ARGUMENTS, CHROMIUM, SIZES
from tests.web.furnished import Ids, furnish
from tests.web.serving import serving
from tests.web.walk import pages

SCHEMES = ("light", "dark")
_PICTURES = 8
_FORMS = {"camera": "/admin/camera/new/", "processor": "/admin/processor/new/", "user": "/admin/user/new/"}


def main() -> None:
    """Take them all."""
    options = _options()
    options.directory.mkdir(parents=True, exist_ok=True)
    seen = _frames(options.video) if options.video else []
    with (
        tempfile.TemporaryDirectory() as scratch,
        PrivateRedis() as redis,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for furnished in (True, False):
            app = _app(Path(scratch) / ("furnished" if furnished else "empty"), redis.url)
            ids = furnish(app, seen) if furnished else None
            admin = Browser(app)
            admin.become("ann", "administrator")
            found = pages(app, admin, ids) | {"login": "/admin/login"}
            if not furnished:
                lists = {name: path for name, path in found.items() if name.endswith("index")}
                found = {f"empty {name}": path for name, path in lists.items()}
            found = {name: path for name, path in found.items() if options.only in name}
            with serving(app) as address, _alive(redis.url, ids):
                for size, scheme in itertools.product(SIZES, SCHEMES):
                    context = _context(chromium, address, admin.session(), size, scheme)
                    if furnished and not options.only:
                        _shoot_states(context, options.directory, f"{size}-{scheme}")
                    _shoot(context, found, options.directory, f"{size}-{scheme}")
                    context.close()
        chromium.close()


@contextlib.contextmanager
def _alive(redis: str, ids: Ids | None) -> Iterator[None]:
    """The camera posts numbers, as a watcher does, while the block runs."""
    board, ended = LiveBoard(redis, SystemClock()), threading.Event()

    def post() -> None:
        while ids and not ended.wait(1):
            board.post_numbers(ids.camera, _numbers(ids))

    poster = threading.Thread(target=post)
    board.start()
    poster.start()
    try:
        yield
    finally:
        ended.set()
        poster.join()
        board.close()


def _numbers(ids: Ids) -> Numbers:
    now = time.time_ns() // 1000
    rates = {"frames_in": 25.0, "decoded": 25.0, "analysed": 5.0, "skipped": 0.0, "kbps": 2150.0}
    return Numbers(now, "h264", 1920, 1080, **rates, delay_s=0.34, cpu=0.22, occupancy={ids.processor + 1: 3})


def _context(chromium: Any, address: str, session: str, size: str, scheme: str) -> Any:
    context = chromium.new_context(
        viewport=SIZES[size], base_url=address, color_scheme=scheme, reduced_motion="reduce"
    )
    context.add_cookies([{"name": COOKIE, "value": session, "url": address}])
    return context


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Take pictures of every page.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--only", default="")
    return parser.parse_args()


def _frames(video: Path) -> list[Picture]:
    """Some pictures of a video, spread over it."""
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    step = max(1, len(frames) // _PICTURES)
    return frames[step // 2 :: step][:_PICTURES]


def _app(instance: Path, redis: str) -> Flask:
    instance.mkdir()
    databases = Databases(instance)
    values = {"SECRET_KEY": SECRET, "NODE_NAME": "shop-1", "TIMEZONE": "Europe/Berlin", "REDIS_URL": redis}
    values["SQLALCHEMY_DATABASE_URI"] = databases.sqlite(instance)
    return create_app(instance, values)


def _shoot(context: Any, found: dict[str, str], directory: Path, suffix: str) -> None:
    page = context.new_page()
    for name, path in found.items():
        if name == "login":
            context.clear_cookies()
        page.goto(path)
        _take(page, directory / f"{_file_name(name)}-{suffix}.png")
    page.close()


def _shoot_states(context: Any, directory: Path, suffix: str) -> None:
    """What only comes up when something is pressed: forms that were refused, a question, the menu."""
    page = context.new_page()
    for name, path in _FORMS.items():
        page.goto(path)
        page.get_by_role("main").locator("form[method=post] button[type=submit]").last.click()
        page.locator("[data-errors]").wait_for()
        _take(page, directory / f"{name}-refused-{suffix}.png")
    page.goto("/admin/camera/")
    menu = page.get_by_role("button", name="Menu")
    if menu.is_visible():
        menu.click()
        _take(page, directory / f"menu-{suffix}.png")
    page.get_by_role("main").get_by_role("button", name="Delete").first.click()
    page.get_by_role("alertdialog").wait_for()
    _take(page, directory / f"question-{suffix}.png")
    page.close()


def _take(page: Any, path: Path) -> None:
    # Pages that ask for news again and again may never fall silent.
    with contextlib.suppress(TimeoutError):
        page.wait_for_load_state("networkidle", timeout=3_000)
    page.screenshot(path=str(path), full_page=True)
    sys.stdout.write(f"{path}\n")


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.=-]+", "-", name).strip("-")


if __name__ == "__main__":
    main()

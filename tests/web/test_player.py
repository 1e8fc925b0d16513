"""The player in a real browser, over a real preview. Skipped where playwright or a Chromium is missing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete
from werkzeug.serving import make_server

from server.config import Settings
from server.extensions import db
from server.models import Lease
from server.services.accounts import create_user
from tests.factories import camera, lease, processor
from tests.previewing import showing
from tests.web.browser import PASSWORD

WAYS = ("mse", "native")
ADVANCED = """async () => {
  const video = document.querySelector("video");
  const pixels = () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    const drawing = canvas.getContext("2d");
    drawing.drawImage(video, 0, 0);
    return drawing.getImageData(0, 0, canvas.width, canvas.height).data;
  };
  const before = pixels(), time = video.currentTime;
  const size = [video.videoWidth, video.videoHeight];
  await new Promise((done) => {
    const look = () => (video.currentTime > time + 1.2 ? done() : setTimeout(look, 50));
    look();
  });
  const after = pixels();
  let sum = 0, lit = 0;
  for (let i = 0; i < after.length; i += 4) { sum += Math.abs(after[i] - before[i]); lit += after[i]; }
  return { size, changed: sum / (after.length / 4), lit: lit / (after.length / 4) };
}"""


@pytest.fixture
def shop(app: Flask) -> Iterator[tuple[str, int, Path]]:
    """Address, a processor whose camera this node watches, and where its preview lies."""
    settings: Settings = app.extensions["hypersight"]
    with app.app_context():
        create_user("ann", PASSWORD)
        front = camera(name="Front")
        lease(front, 600, node=settings.NODE_NAME)
        rule = processor("persons", front, name="Room").id
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", rule, settings.PROCESSORS_PREVIEW_DIR / str(rule)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(chromium: Any, shop: tuple[str, int, Path]) -> Iterator[Any]:
    """Signed in; afterwards it must have complained of nothing."""
    complaints: list[str] = []
    context = chromium.new_context(viewport={"width": 390, "height": 800}, base_url=shop[0])
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto("/admin/login")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", level=1).wait_for()
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def said(message: Any) -> None:
        # A browser that plays by itself asks for a preview that is away just then, and logs the answer.
        if message.type == "error" and "503" not in message.text:
            complaints.append(message.text)

    page.on("console", said)
    yield page
    context.close()
    assert complaints == []


def look_at(page: Any, rule: int, way: str) -> Any:
    """Open the processor's page; gives the player."""
    page.goto(f"/admin/processor/details/?id={rule}&player={way}")
    return page.locator(".player")


def plays(page: Any) -> None:
    page.locator('.player[data-state="live"]').wait_for()
    page.wait_for_function("() => document.querySelector('video').videoWidth > 0")
    seen = page.evaluate(ADVANCED)
    assert seen["size"] == [320, 180]
    assert seen["changed"] > 2, "the picture stands still"
    assert 20 < seen["lit"] < 220, "the picture is empty"


@pytest.mark.parametrize("way", WAYS)
def test_it_plays_by_itself_and_the_picture_moves(page: Any, shop: tuple[str, int, Path], way: str) -> None:
    with showing(shop[2]):
        player = look_at(page, shop[1], way)
        plays(page)
        assert player.get_attribute("data-player") == way
        assert player.get_by_role("status").inner_text() == "Live"
        assert page.evaluate("document.querySelector('video').muted")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("way", WAYS)
def test_it_waits_for_a_preview_that_begins_later(page: Any, shop: tuple[str, int, Path], way: str) -> None:
    player = look_at(page, shop[1], way)
    player.get_by_text("The preview is starting.").wait_for()
    with showing(shop[2]):
        plays(page)


@pytest.mark.parametrize("way", WAYS)
def test_it_goes_on_with_an_encoder_that_began_anew(page: Any, shop: tuple[str, int, Path], way: str) -> None:
    with showing(shop[2]) as encoder:
        look_at(page, shop[1], way)
        plays(page)
        process = encoder._process
        assert process is not None
        process.kill()
        page.wait_for_timeout(1000)
        page.locator('.player[data-state="live"]').wait_for()
        plays(page)
        assert encoder.failures == 1


def test_mse_stays_near_the_end(page: Any, shop: tuple[str, int, Path]) -> None:
    with showing(shop[2]):
        look_at(page, shop[1], "mse")
        plays(page)
        behind = page.evaluate(
            "(() => { const v = document.querySelector('video');"
            " return v.buffered.end(v.buffered.length - 1) - v.currentTime; })()"
        )
        assert behind < 6


def test_a_picture_that_stands_is_said(page: Any, shop: tuple[str, int, Path]) -> None:
    with showing(shop[2]) as encoder:
        player = look_at(page, shop[1], "mse")
        plays(page)
        process = encoder._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        player.get_by_text("Waiting for new pictures").wait_for()
        process.send_signal(signal.SIGCONT)
        page.locator('.player[data-state="live"]').wait_for()
        plays(page)


def test_stopping_ends_the_questions_and_playing_begins_anew(page: Any, shop: tuple[str, int, Path]) -> None:
    asked: list[str] = []
    with showing(shop[2]):
        player = look_at(page, shop[1], "mse")
        plays(page)
        player.get_by_role("button", name="Stop").click()
        player.get_by_text("Stopped").wait_for()
        page.on("request", lambda sent: asked.append(sent.url) if "/admin/preview/" in sent.url else None)
        page.wait_for_timeout(1500)
        assert asked == []
        # By the keyboard alone.
        page.get_by_role("button", name="Play").focus()
        page.keyboard.press("Enter")
        plays(page)
        assert asked != []


def test_a_hidden_page_asks_for_nothing(page: Any, shop: tuple[str, int, Path]) -> None:
    asked: list[str] = []
    with showing(shop[2]):
        player = look_at(page, shop[1], "mse")
        plays(page)
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        player.get_by_text("Paused while the page is hidden").wait_for()
        page.on("request", lambda sent: asked.append(sent.url) if "/admin/preview/" in sent.url else None)
        page.wait_for_timeout(1500)
        assert asked == []
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        plays(page)


def test_why_there_is_no_picture_is_said(app: Flask, page: Any, shop: tuple[str, int, Path]) -> None:
    with app.app_context():
        db.session.execute(delete(Lease))
        db.session.commit()
    player = look_at(page, shop[1], "mse")
    player.get_by_text("The camera is not watched. No worker is running.").wait_for()
    assert player.get_by_role("status").get_attribute("aria-live") in (None, "polite")


def test_full_screen_by_keyboard(page: Any, shop: tuple[str, int, Path]) -> None:
    player = look_at(page, shop[1], "mse")
    player.get_by_role("button", name="Full screen").focus()
    page.keyboard.press("Enter")
    player.get_by_role("button", name="Leave full screen").wait_for()
    page.keyboard.press("Enter")
    player.get_by_role("button", name="Full screen", exact=True).wait_for()

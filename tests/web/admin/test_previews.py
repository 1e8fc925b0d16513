"""Previews over HTTP: here, and from another node."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete
from werkzeug.serving import make_server

from server.config import Settings
from server.extensions import db
from server.media.preview_encoder import PLAYLIST, TROUBLE
from server.models import Lease, User, UserCamera, Worker
from server.services.live import LiveReader
from server.services.node_media import LIFE_SECONDS, sign
from tests.conftest import AppMaker
from tests.factories import camera, lease, processor, save
from tests.web.browser import Browser

LIST = b'#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI="init-1.mp4"\n'
FILES = {PLAYLIST: LIST, "init-1.mp4": b"init", "1-7.m4s": b"segment"}


class Shop:
    """A camera with one processor, and where its preview lies."""

    def __init__(self, app: Flask, node: str | None = None, **values: Any) -> None:
        settings: Settings = app.extensions["hypersight"]
        with app.app_context():
            front = camera(name="Front")
            self.camera = front.id
            self.rule = processor("persons", front, **values).id
            if node != "":
                lease(front, 600, node=node or settings.NODE_NAME)
        self.directory = settings.PROCESSORS_PREVIEW_DIR / str(self.rule)

    def fill(self, directory: Path | None = None) -> None:
        directory = directory or self.directory
        directory.mkdir(parents=True)
        for name, content in FILES.items():
            (directory / name).write_bytes(content)

    def path(self, name: str = PLAYLIST) -> str:
        return f"/admin/preview/{self.rule}/{name}"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processors that somebody looked at."""
    seen: list[int] = []
    monkeypatch.setattr(LiveReader, "want_preview", lambda self, id_: seen.append(id_))
    return seen


def test_the_files_come_as_players_expect_them(app: Flask, viewer: Browser, looks: list[int]) -> None:
    shop = Shop(app)
    shop.fill()
    kinds = {PLAYLIST: "application/vnd.apple.mpegurl", "init-1.mp4": "video/mp4", "1-7.m4s": "video/mp4"}
    for name, content in FILES.items():
        answer = viewer.get(shop.path(name))
        assert answer.status_code == 200 and answer.data == content
        assert answer.content_type == kinds[name]
        assert answer.headers["Cache-Control"] == "no-store"
    assert looks == [shop.rule]


def test_each_playlist_that_is_asked_for_is_a_look_even_before_there_is_one(
    app: Flask, viewer: Browser, looks: list[int]
) -> None:
    shop = Shop(app)
    answer = viewer.get(shop.path())
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "1"
    assert answer.json == {"state": "starting", "reason": "The preview is starting."}
    assert viewer.get(shop.path("init-1.mp4")).status_code == 404
    assert looks == [shop.rule]


def test_the_player_is_told_without_an_error(app: Flask, viewer: Browser, looks: list[int]) -> None:
    shop = Shop(app)
    answer = viewer.get(f"{shop.path()}?say=1")
    assert answer.status_code == 200 and answer.json["state"] == "starting"
    shop.fill()
    assert viewer.get(f"{shop.path()}?say=1").data == LIST


def test_a_playlist_that_stands_still_is_none(app: Flask, viewer: Browser, looks: list[int]) -> None:
    shop = Shop(app)
    shop.fill()
    long_ago = time.time() - 60
    os.utime(shop.directory / PLAYLIST, (long_ago, long_ago))
    assert viewer.get(shop.path()).status_code == 503


def test_a_camera_that_is_not_watched_says_why(app: Flask, viewer: Browser, looks: list[int]) -> None:
    shop = Shop(app, node="")
    shop.fill()
    answer = viewer.get(shop.path())
    assert answer.status_code == 503
    assert answer.json == {
        "state": "not watched",
        "reason": "The camera is not watched. No worker is running.",
    }


def test_a_camera_that_gives_no_picture_says_why(app: Flask, viewer: Browser, looks: list[int]) -> None:
    shop = Shop(app)
    with app.app_context():
        db.session.execute(
            Lease.__table__.update().values(state="unreachable", reason="it cannot be reached")
        )
        db.session.commit()
    assert viewer.get(shop.path()).json == {
        "state": "starting",
        "reason": "The camera gives no picture: it cannot be reached.",
    }


def test_an_encoder_in_trouble_says_so(app: Flask, viewer: Browser, looks: list[int]) -> None:
    shop = Shop(app)
    shop.directory.mkdir(parents=True)
    (shop.directory / TROUBLE).write_text("The preview cannot be encoded: there is no ffmpeg")
    assert viewer.get(shop.path()).json == {
        "state": "failed",
        "reason": "The preview cannot be encoded: there is no ffmpeg",
    }
    assert viewer.get(shop.path(TROUBLE)).status_code == 404


@pytest.mark.parametrize("values", [{"preview": "off"}, {"enabled": False}])
def test_one_that_is_switched_off_is_not_asked_for(
    app: Flask, viewer: Browser, looks: list[int], values: dict[str, Any]
) -> None:
    shop = Shop(app, **values)
    answer = viewer.get(shop.path())
    assert answer.status_code == 404 and answer.json["state"] == "off"
    assert looks == []


@pytest.mark.parametrize(
    "name",
    ["other.m3u8", "init.mp4", "1.m4s", "..%2F..%2Fconfig.py", "1-7.m4s.tmp", "1-7.m4s%00", "index.m3u8%0a"],
)
def test_only_what_an_encoder_makes_can_be_asked_for(
    app: Flask, viewer: Browser, looks: list[int], name: str
) -> None:
    shop = Shop(app)
    shop.fill()
    (shop.directory / "1-7.m4s.tmp").write_bytes(b"half")
    (shop.directory.parent.parent / "config.py").write_text("SECRET")
    assert viewer.get(shop.path(name)).status_code == 404
    assert looks == []


@pytest.mark.parametrize("rule", ["999", "99999999999999999999999999", "x"])
def test_a_processor_that_is_not_there(viewer: Browser, looks: list[int], rule: str) -> None:
    assert viewer.get(f"/admin/preview/{rule}/index.m3u8").status_code == 404
    assert looks == []


def test_who_is_not_signed_in_sees_nothing(app: Flask, browser: Browser, looks: list[int]) -> None:
    shop = Shop(app)
    shop.fill()
    for name in FILES:
        answer = browser.get(shop.path(name))
        assert answer.status_code == 302 and "/admin/login" in answer.headers["Location"]
    assert looks == []


def test_who_was_not_given_the_camera_finds_nothing(app: Flask, viewer: Browser, looks: list[int]) -> None:
    mine, theirs = Shop.__new__(Shop), Shop(app)
    theirs.fill()
    with app.app_context():
        user = db.session.scalars(db.select(User).filter_by(name="vic")).one()
        user.all_cameras = False
        other = camera(name="Yard")
        lease(other, 600, node=app.extensions["hypersight"].NODE_NAME)
        mine.rule = processor("persons", other).id
        save(UserCamera(user_id=user.id, camera_id=other.id))
    for name in FILES:
        assert viewer.get(theirs.path(name)).status_code == 404
    assert looks == []
    assert viewer.get(mine.path()).status_code == 503
    assert looks == [mine.rule]


@pytest.fixture
def far(make_app: AppMaker, tmp_path: Path) -> Iterator[tuple[Flask, str]]:
    """The web server of the node `far`, and its address."""
    app = make_app(
        NODE_NAME="far", PROCESSORS_PREVIEW_DIR=tmp_path / "far-previews", CROPS_DIR=tmp_path / "far-crops"
    )
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield app, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def report(app: Flask, media_url: str) -> None:
    """Let a worker of the node `far` have reported itself."""
    with app.app_context():
        db.session.execute(delete(Worker))
        now = int(time.time() * 1000)
        worker = {"name": "w@far", "node": "far", "queue": "far", "capacity": 5, "beat_ms": now}
        started = db.session.scalars(db.select(User)).first().created_at
        save(Worker(**worker, started=started, media_url=media_url))


def test_what_another_node_makes_is_fetched_there(
    app: Flask, viewer: Browser, looks: list[int], far: tuple[Flask, str]
) -> None:
    shop = Shop(app, node="far")
    report(app, far[1])
    assert viewer.get(shop.path()).json["state"] == "starting"
    directory = far[0].extensions["hypersight"].PROCESSORS_PREVIEW_DIR / str(shop.rule)
    shop.fill(directory)
    for name, content in FILES.items():
        answer = viewer.get(shop.path(name))
        assert answer.status_code == 200 and answer.data == content
    (directory / TROUBLE).write_text("The preview cannot be encoded: the disk is full")
    (directory / PLAYLIST).unlink()
    assert viewer.get(shop.path()).json == {
        "state": "failed",
        "reason": "The preview cannot be encoded: the disk is full",
    }


def test_a_node_that_cannot_be_asked_is_named(
    app: Flask, viewer: Browser, looks: list[int], far: tuple[Flask, str]
) -> None:
    shop = Shop(app, node="far")
    report(app, "")
    said = viewer.get(shop.path()).json
    assert said["state"] == "elsewhere"
    assert "it lies on the node far, which has no MEDIA_URL to ask for it" in said["reason"]
    report(app, "http://127.0.0.1:1")
    assert "the node far does not answer at its MEDIA_URL" in viewer.get(shop.path()).json["reason"]


def test_another_secret_key_is_named(make_app: AppMaker, looks: list[int], far: tuple[Flask, str]) -> None:
    app = make_app(SECRET_KEY="another-key-of-some-length")
    viewer = Browser(app)
    viewer.become("vic", "viewer")
    shop = Shop(app, node="far")
    report(app, far[1])
    assert "its SECRET_KEY or its clock differs" in viewer.get(shop.path()).json["reason"]


@pytest.fixture
def preview_path(app: Flask) -> str:
    """A file that lies here, as other nodes name it."""
    shop = Shop(app)
    shop.fill()
    return f"previews/{shop.rule}/init-1.mp4"


def test_other_nodes_need_a_fresh_signature_for_that_very_path(
    app: Flask, client: FlaskClient, preview_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Settings = app.extensions["hypersight"]
    token = sign(settings, preview_path)
    answer = client.get(f"/media/{preview_path}", query_string={"token": token})
    assert answer.status_code == 200 and answer.data == FILES["init-1.mp4"]
    other = preview_path.replace("init-1.mp4", PLAYLIST)
    for path, given in (
        (preview_path, ""),
        (preview_path, token[:-1]),
        (other, token),
        (preview_path, "x.y"),
    ):
        refused = client.get(f"/media/{path}", query_string={"token": given})
        assert refused.status_code == 403 and refused.json["msg"].startswith("token:")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + LIFE_SECONDS + 2)
    assert client.get(f"/media/{preview_path}", query_string={"token": token}).status_code == 403
    # Clocks of nodes differ a little, either way.
    for ahead, expected in ((-30, 200), (30, 200), (-90, 403)):
        monkeypatch.setattr(time, "time", lambda ahead=ahead: real() + ahead)
        answer = client.get(f"/media/{preview_path}", query_string={"token": token})
        assert answer.status_code == expected, ahead


@pytest.mark.parametrize(
    "path",
    [
        "crops/../config.py",
        "crops/1/20260327/../../../config.py",
        "crops//etc/passwd",
        "crops/1/20260327/5-0123456789abcdef.png",
        "previews/1/..%2Fconfig.py",
    ],
)
def test_no_signature_opens_what_is_neither_preview_nor_crop(
    app: Flask, client: FlaskClient, path: str
) -> None:
    settings: Settings = app.extensions["hypersight"]
    settings.CROPS_DIR.mkdir(parents=True, exist_ok=True)
    (settings.INSTANCE_DIR / "config.py").write_text("SECRET")
    token = sign(settings, path.replace("%2F", "/"))
    answer = client.get(f"/media/{path}", query_string={"token": token})
    assert answer.status_code in (403, 404, 308)
    assert b"SECRET" not in answer.data


def test_a_crop_is_served_to_other_nodes(app: Flask, client: FlaskClient) -> None:
    settings: Settings = app.extensions["hypersight"]
    path = "crops/1/20260327/5-0123456789abcdef.jpg"
    file = settings.CROPS_DIR / "1/20260327/5-0123456789abcdef.jpg"
    token = {"token": sign(settings, path)}
    assert client.get(f"/media/{path}", query_string=token).status_code == 404
    file.parent.mkdir(parents=True)
    file.write_bytes(b"jpeg")
    answer = client.get(f"/media/{path}", query_string=token)
    assert (answer.status_code, answer.content_type, answer.data) == (200, "image/jpeg", b"jpeg")


def test_the_policy_lets_the_player_play(viewer: Browser) -> None:
    policy = viewer.get("/admin/").headers["Content-Security-Policy"]
    assert "media-src 'self' blob:" in policy

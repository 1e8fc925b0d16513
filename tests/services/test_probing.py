"""The test button's service: addresses of stored cameras, masks, and what to do about a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from server.domain.video import Picture
from server.errors import InvalidInput, NotFound
from server.services.probing import Answer, Failed, Question, probe, remedy_for
from tests.clips import H264, make_clip
from tests.factories import camera
from tests.media.httpd import WebServer, remuxed, status, whole
from tests.media.rtsp import RtspServer, video

pytestmark = pytest.mark.usefixtures("session")
LEFT = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
RIGHT = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(
        tmp_path_factory.mktemp("probing") / "door.ts",
        codec=H264,
        frames=100,
        size=(256, 128),
        draw=lambda number, width, height: np.full((height, width, 3), 220, np.uint8),
    )


@pytest.fixture(scope="module")
def rtsp(clip: Path) -> Iterator[RtspServer]:
    with RtspServer({"/door": video(clip)}, user="admin", password="hunter2") as running:
        yield running


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


def refused(address: str, **more: object) -> Failed:
    with pytest.raises(Failed) as error:
        probe(Question(address, **more), seconds=6)  # type: ignore[arg-type]
    return error.value


def shades(answer: Answer) -> tuple[float, float]:
    """How bright the left and the right half of its picture are."""
    picture: Picture = cv2.imdecode(np.frombuffer(answer.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    middle = picture.shape[1] // 2
    return float(picture[:, : middle - 8].mean()), float(picture[:, middle + 8 :].mean())


def test_an_address_gives_a_picture_and_what_it_is(clip: Path, web: WebServer, rtsp: RtspServer) -> None:
    web.answers["/ts"] = whole(remuxed(clip, "mpegts"))
    for address, transport in (
        (str(clip), "a file"),
        (web.url("/ts"), "MPEG-TS over HTTP"),
        (rtsp.url("/door", "admin:hunter2"), "RTSP over TCP"),
    ):
        answer = probe(Question(f" {address} "))
        assert (answer.seen.codec, answer.seen.width, answer.seen.height) == ("h264", 256, 128)
        assert answer.transport == transport
        assert min(shades(answer)) > 200 and answer.masked == 0


def test_a_stored_camera_is_tested_with_its_password_which_nobody_sees(rtsp: RtspServer) -> None:
    one = camera(stream_url=rtsp.url("/door", "admin:hunter2"))
    shown = rtsp.url("/door", "***")
    assert probe(Question(shown, camera_id=one.id)).seen.codec == "h264"
    with pytest.raises(InvalidInput, match="password") as error:
        probe(Question(shown.replace("door", "gate"), camera_id=one.id))
    assert error.value.field == "stream_url"
    assert "refuses" in str(refused(shown))
    with pytest.raises(NotFound):
        probe(Question(shown, camera_id=one.id + 1))


def test_masks_of_the_form_and_of_the_camera_both_hold(clip: Path) -> None:
    one = camera(stream_url=str(clip), masks=[LEFT])
    left, right = shades(probe(Question(str(clip), masks=[RIGHT])))
    assert left > 200 and right < 30
    # Whoever takes a mask out of the form does not see behind it before that is saved.
    answer = probe(Question(str(clip), masks=[], camera_id=one.id))
    left, right = shades(answer)
    assert left < 30 and right > 200 and answer.masked == 1
    both = probe(Question(str(clip), masks=[LEFT, RIGHT], camera_id=one.id))
    assert max(shades(both)) < 30 and both.masked == 2
    with pytest.raises(InvalidInput) as error:
        probe(Question(str(clip), masks=[[[0, 0], [1, 1]]]))
    assert error.value.field == "masks"


@pytest.mark.parametrize(
    "address, field",
    [
        ("", "stream_url"),
        ("gopher://x", "stream_url"),
        ("relative.mp4", "stream_url"),
        ("/x" * 2000, "stream_url"),
    ],
)
def test_what_is_no_address_is_refused_without_a_connection(address: str, field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        probe(Question(address))
    assert error.value.field == field


def test_every_refusal_says_what_to_do(clip: Path, web: WebServer, rtsp: RtspServer, tmp_path: Path) -> None:
    web.answers["/page"] = whole(b"<html></html>", "text/html")
    web.answers["/one"] = whole(b"\xff\xd8\xff\xe0" + bytes(2000), "image/jpeg")
    web.answers["/private"] = status(401, WWW_Authenticate='Basic realm="camera"')
    text = tmp_path / "notes.txt"
    text.write_text("nothing\n")
    expected = {
        rtsp.url("/door", "admin:wrong"): "Type both again",
        rtsp.url("/door"): "in front of the camera's name",
        rtsp.url("/gate", "admin:hunter2"): "differs from maker to maker",
        "rtsp://127.0.0.1:9/x": "Is the port right",
        "rtsp://no-such-host.invalid/x": "Check the spelling",
        web.url("/page"): "camera's own page",
        web.url("/one"): "address of its video",
        web.url("/missing"): "differs from maker to maker",
        str(tmp_path / "missing.mp4"): "on the server",
        str(text): "It has to be a film",
    }
    for address, remedy in expected.items():
        error = refused(address)
        assert remedy in error.remedy, f"{address}: {error}"
        assert "wrong" not in str(error) and "hunter2" not in str(error)
    assert "password" in str(refused(web.url("/private")))
    assert remedy_for("something nobody has thought of") == ""

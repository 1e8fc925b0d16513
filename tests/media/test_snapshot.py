"""One look at a source, against real servers and files."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.errors import InvalidInput, SourceError
from server.media import snapshot
from server.media.snapshot import Busy, Snapshot, take_snapshot
from tests.clips import H264, H265, MPEG4, make_clip
from tests.media.httpd import (
    Exchange,
    Playing,
    WebServer,
    dripping,
    mjpeg,
    remuxed,
    silent,
    status,
    ts_segments,
    whole,
)
from tests.media.rtsp import TONE, RtspServer, video

NETWORKS = frozenset({"loopback"})


def look(address: str | Path, seconds: float = 12.0, transport: str = "tcp") -> Snapshot:
    return take_snapshot(str(address), transport=transport, networks=NETWORKS, seconds=seconds)


def refusal(address: str | Path, seconds: float = 12.0) -> str:
    with pytest.raises(SourceError) as error:
        look(address, seconds)
    return str(error.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("snapshot")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return make_clip(folder / "h264.ts", codec=H264, frames=500, gop=25)


@pytest.fixture(scope="module")
def rtsp(folder: Path, clip: Path) -> Iterator[RtspServer]:
    mounts = {"/door": video(clip), "/tone": TONE}
    with RtspServer(mounts, user="admin", password="se@cret") as running:
        yield running


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_camera_shows_its_picture_codec_size_and_rate(rtsp: RtspServer, transport: str) -> None:
    seen = look(rtsp.url("/door", "admin:se%40cret"), transport=transport)
    assert (seen.codec, seen.width, seen.height, seen.packing) == ("h264", 128, 96, "rtsp")
    assert 20 < seen.rate < 30 and seen.kbps > 0 and seen.took_s > 0
    assert seen.frame.picture().shape == (96, 128, 3)


@pytest.mark.parametrize(
    "path, user, reason",
    [
        ("/door", "admin:wrong", "refuses the user name or password"),
        ("/door", "", "wants a user name and a password"),
        ("/nothing", "admin:se%40cret", "no such stream"),
        ("/tone", "admin:se%40cret", "there is no video in it"),
    ],
)
def test_a_camera_that_refuses_says_why(rtsp: RtspServer, path: str, user: str, reason: str) -> None:
    said = refusal(rtsp.url(path, user))
    assert reason in said
    assert "wrong" not in said and "cret" not in said


def test_a_camera_that_says_nothing_is_given_up(rtsp: RtspServer) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        port = mute.getsockname()[1]
        assert "does not answer within 1 s" in refusal(f"rtsp://127.0.0.1:{port}/x", 1)


def test_a_stream_without_a_whole_picture_is_told_from_a_silent_one(web: WebServer, folder: Path) -> None:
    clip = make_clip(folder / "long.mp4", codec=H265, frames=60, gop=500)
    packed = remuxed(clip, "mp4", movflags="frag_every_frame+empty_moov+default_base_moof+skip_trailer")
    cuts = [match.start() - 4 for match in re.finditer(b"moof", packed)]

    def answer(exchange: Exchange) -> None:
        exchange.begin("video/mp4")
        # All but the keyframe.
        exchange.wfile.write(packed[: cuts[0]] + packed[cuts[1] :])
        exchange.over.wait(30)

    web.answers["/half"] = answer
    assert "keyframe interval" in refusal(web.url("/half"), 3)


def test_a_port_at_which_nobody_listens_is_named(web: WebServer) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert f"port {port}" in refusal(f"rtsp://127.0.0.1:{port}/x")
        assert "nothing listens there" in refusal(f"http://127.0.0.1:{port}/x")
    assert "cannot be found" in refusal("rtsp://no-such-host.invalid/x")


def test_http_is_shown_whatever_it_is_packed_in(web: WebServer, clip: Path) -> None:
    web.answers["/ts"] = whole(remuxed(clip, "mpegts"))
    web.answers["/mjpeg"] = mjpeg(60, pause=0.02)
    playing = Playing(web, ts_segments(clip), shown=8)
    seen = look(web.url("/ts"))
    assert (seen.codec, seen.packing) == ("h264", "mpegts")
    assert seen.rate == pytest.approx(25, abs=0.1)
    hls = look(playing.url)
    assert (hls.codec, hls.packing, hls.width) == ("h264", "hls", 128)
    assert hls.rate == pytest.approx(25, abs=0.1)
    pictures = look(web.url("/mjpeg"))
    assert (pictures.codec, pictures.packing, pictures.height) == ("mjpeg", "mpjpeg", 96)


def test_http_that_is_no_stream_says_what_it_is(web: WebServer) -> None:
    web.answers["/page"] = whole(b"<html>hello</html>", "text/html")
    web.answers["/private"] = status(401, WWW_Authenticate='Basic realm="camera"')
    web.answers["/silent"] = silent
    web.answers["/drip"] = dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"\0")
    assert "page for browsers" in refusal(web.url("/page"))
    assert "404" in refusal(web.url("/missing"))
    assert "password" in refusal(web.url("/private"))
    assert "does not answer within 1 s" in refusal(web.url("/silent"), 1)
    assert "does not answer within 1 s" in refusal(web.url("/drip"), 1)


def test_a_file_is_read_at_once(folder: Path) -> None:
    for name, codec in (("a.mp4", H264), ("b.mkv", H265), ("c.avi", MPEG4)):
        path = make_clip(folder / name, codec=codec, frames=60, fps=10)
        seen = look(path)
        assert (seen.width, seen.height, round(seen.rate, 2)) == (128, 96, 10.0), name
        assert look(f"file://{path}").codec == seen.codec


def test_a_file_of_one_picture_has_a_picture(folder: Path) -> None:
    seen = look(make_clip(folder / "one.mp4", codec=H264, frames=1))
    assert seen.frame.picture().any()
    assert seen.kbps == 0


def test_a_file_that_is_none_says_so(folder: Path) -> None:
    text = folder / "notes.txt"
    text.write_text("not a video\n" * 50)
    empty = folder / "empty.mp4"
    empty.touch()
    assert refusal(text) == "notes.txt: this is a text and not a video that can be read"
    assert "not a video that can be read" in refusal(text.rename(folder / "notes.mp4"))
    assert "no such file" in refusal(folder / "missing.mp4")
    assert "directory" in refusal(folder)
    assert refusal(empty)
    assert "plugged in" in refusal("/dev/video99")
    with pytest.raises(InvalidInput):
        look("gopher://127.0.0.1/x")


def test_two_look_at_once_and_the_third_is_told_to_wait(web: WebServer, clip: Path) -> None:
    here = threading.Semaphore(0)

    def waits(exchange: Exchange) -> None:
        here.release()
        silent(exchange)

    web.answers["/waits"] = waits
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda: said.append(refusal(web.url("/waits"), 3)))
        for _ in range(snapshot.MOST_AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert here.acquire(timeout=10)
    with pytest.raises(Busy, match="try again"):
        look(clip)
    for thread in threads:
        thread.join(20)
    assert len(said) == 2 and all("does not answer" in one for one in said)
    assert look(clip).codec == "h264"

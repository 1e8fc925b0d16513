"""RTSP cameras, against a real server."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice, pairwise
from pathlib import Path

import pytest

from server.clock import SystemClock
from server.domain.video import Part
from server.errors import SourceError
from server.media import connection, stream_source
from server.media.decoder import Decoder
from server.media.stream_source import StreamSource
from tests.clips import H264, H265, make_clip
from tests.media.odd_clips import changing
from tests.media.rtsp import TONE, RtspServer, video

LOOPBACK = frozenset({"loopback"})
USER, PASSWORD = "admin", "se@cr:t"
ENCODED = "admin:se%40cr%3At"
ANCHOR_AGO_US = 5_000_000


def source(url: str, *, transport: str = "tcp", after: int | None = None) -> StreamSource:
    clock = SystemClock()
    return StreamSource(
        url,
        transport=transport,
        anchor_us=clock.now_us() - ANCHOR_AGO_US,
        after=after,
        clock=clock,
        networks=LOOPBACK,
    )


def some(url: str, count: int = 3, *, transport: str = "tcp") -> list[Part]:
    with closing(source(url, transport=transport)) as camera:
        camera.open()
        return list(islice(camera.parts(threading.Event()), count))


def refusal(url: str, *, transport: str = "tcp") -> SourceError:
    with closing(source(url, transport=transport)) as camera, pytest.raises(SourceError) as error:
        camera.open()
    assert "secret" not in str(error.value)
    return error.value


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("rtsp") / "h264.ts", codec=H264, frames=1_500, gop=25)


@pytest.fixture(scope="module")
def server(clip: Path) -> Iterator[RtspServer]:
    folder = clip.parent
    h265 = make_clip(folder / "h265.ts", codec=H265, frames=300, gop=25)
    short = make_clip(folder / "short.ts", codec=H264, frames=40, gop=20)
    slow = make_clip(folder / "slow.ts", codec=H264, frames=600, gop=500)
    growing = changing(folder / "growing.ts", H264, [(128, 96), (192, 144)], frames=75)
    mounts = {
        "/h264": video(clip),
        "/h265": video(h265, "h265"),
        "/talking": video(clip, audio="pcma"),
        "/short": video(short),
        "/slow": video(slow),
        "/growing": video(growing),
        "/tone": TONE,
    }
    with RtspServer(mounts) as running:
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits of seconds instead of tens."""
    for module in (connection, stream_source):
        monkeypatch.setattr(module, "OPEN_SECONDS", 2.0)
        monkeypatch.setattr(module, "READ_SECONDS", 2.0)


def check_line(parts: list[Part]) -> None:
    """All that holds of any run of parts that lost nothing."""
    packets = [packet for part in parts for packet in part.packets]
    steps = {other.dts - one.dts for one, other in pairwise(packets)}
    assert steps == {3_600}
    assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]
    assert not any(part.gap for part in parts)
    shown = [packet.pts for packet in packets]
    assert len(set(shown)) == len(shown)
    assert all(packet.pts >= packet.dts for packet in packets)


@pytest.mark.parametrize(
    ("path", "transport"), [("/h264", "tcp"), ("/h264", "udp"), ("/h265", "udp"), ("/talking", "tcp")]
)
def test_a_camera_is_watched(server: RtspServer, path: str, transport: str) -> None:
    parts = some(server.url(path), 4, transport=transport)
    check_line(parts)
    assert parts[0].video.codec == {"/h265": "hevc"}.get(path, "h264")
    assert (parts[0].video.width, parts[0].video.height) == (128, 96)
    decoder = Decoder(parts[0].video)
    frames = [frame for part in parts for frame in decoder.decode(part, lambda packet: True)]
    assert len(frames) >= 10
    assert (frames[0].width, frames[0].height) == (128, 96)
    late_us = SystemClock().now_us() - parts[-1].end_us
    assert -200_000 < late_us < 3_000_000


def test_the_first_picture_has_the_time_it_was_sent_at_and_not_when_the_codec_was_known(
    server: RtspServer,
) -> None:
    before_us = SystemClock().now_us()
    with closing(source(server.url("/slow"))) as camera:
        camera.open()
        first, *rest = islice(camera.parts(threading.Event()), 3)
    assert abs(first.start_us - before_us) < 1_000_000
    assert first.anchor_us - camera.anchor_us < 100_000
    check_line([first, *rest])


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_passwords(clip: Path, auth: str) -> None:
    with RtspServer({"/door": video(clip)}, user=USER, password=PASSWORD, auth=auth) as guarded:
        right = some(guarded.url("/door", ENCODED), 1)
        none = refusal(guarded.url("/door"))
        wrong = refusal(guarded.url("/door", "admin:secret"))
    assert right[0].independent
    assert str(none) == (
        f"127.0.0.1:{guarded.port}: wants a user name and a password: rtsp://user:password@…"
    )
    assert str(wrong) == f"127.0.0.1:{guarded.port}: refuses the user name or password"
    assert wrong.retryable
    assert wrong.__cause__ is None


def test_a_path_that_is_not_there(server: RtspServer) -> None:
    assert "there is no such stream there (404)" in str(refusal(server.url("/nothing")))


def test_a_stream_without_video(server: RtspServer) -> None:
    assert str(refusal(server.url("/tone"))).endswith("there is no video in it")


def test_a_port_where_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = refusal(f"rtsp://admin:secret@127.0.0.1:{port}/1")
    assert str(error) == f"127.0.0.1:{port}: nothing listens there on port {port} (connection refused)"
    assert (error.state, error.retryable) == ("unreachable", True)


def test_a_host_that_says_nothing(impatient: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        started = time.monotonic()
        error = refusal(f"rtsp://127.0.0.1:{port}/1")
    assert str(error) == f"127.0.0.1:{port}: does not answer within 2 s"
    assert time.monotonic() - started < 8


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b""])
def test_a_host_that_speaks_something_else(impatient: None, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(10)

        def serve() -> None:
            for _ in range(2):
                try:
                    client, _ = other.accept()
                except OSError:
                    return
                with client:
                    client.recv(1_000)
                    client.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        error = refusal(f"rtsp://127.0.0.1:{other.getsockname()[1]}/1")
    assert error.retryable
    assert ": " in str(error)
    assert "Errno" not in str(error)


def test_an_address_outside_the_networks_is_not_connected_to() -> None:
    with pytest.raises(SourceError, match="STREAM_NETWORKS"):
        source("rtsp://10.255.0.1/1").open()


def test_a_camera_that_stalls_is_said_to(clip: Path, impatient: None) -> None:
    with RtspServer({"/door": video(clip)}) as running, closing(source(running.url("/door"))) as camera:
        camera.open()
        parts = camera.parts(threading.Event())
        next(parts)
        running.stall()
        started = time.monotonic()
        with pytest.raises(SourceError, match=r"sends no video for 2 s$"):
            list(parts)
        assert time.monotonic() - started < 8


def test_a_stream_that_is_over_gives_its_last_pictures_and_ends_in_words(
    server: RtspServer, impatient: None
) -> None:
    with closing(source(server.url("/short"))) as camera:
        camera.open()
        parts = []
        with pytest.raises(SourceError, match=r"ended the connection|sends no video for 2 s"):
            for part in camera.parts(threading.Event()):
                parts.append(part)
    assert sum(len(part.packets) for part in parts) == 40


def test_a_camera_that_is_killed_and_comes_back_goes_on_later_on_the_same_line(clip: Path) -> None:
    with RtspServer({"/door": video(clip)}) as running:
        with closing(source(running.url("/door"))) as camera:
            camera.open()
            line = camera.parts(threading.Event())
            before = [next(line), next(line)]
            running.kill()
            with pytest.raises(SourceError, match=r"ended the connection$"):
                before.extend(line)
        assert "connection refused" in str(refusal(running.url("/door")))
        running.start()
        known = max(packet.pts for part in before for packet in part.packets)
        clock = SystemClock()
        again = StreamSource(
            running.url("/door"),
            transport="tcp",
            anchor_us=before[-1].anchor_us,
            after=known,
            clock=clock,
            networks=LOOPBACK,
        )
        with closing(again):
            again.open()
            after = list(islice(again.parts(threading.Event()), 2))
    assert after[0].gap == "lost"
    assert min(packet.pts for part in after for packet in part.packets) > known
    assert abs(after[-1].end_us - clock.now_us()) < 3_000_000
    assert before[-1].end_us < after[0].start_us


def test_a_camera_whose_resolution_changes_is_watched_on(server: RtspServer) -> None:
    with closing(source(server.url("/growing"))) as camera:
        camera.open()
        parts = list(islice(camera.parts(threading.Event()), 10))
    assert not any(part.gap for part in parts)
    shown = sorted(packet.pts for part in parts for packet in part.packets)
    assert max(other - one for one, other in pairwise(shown)) <= 4 * 3_600
    sizes = [(part.video.width, part.video.height) for part in parts]
    change = sizes.index((192, 144))
    assert sizes == [(128, 96)] * change + [(192, 144)] * (10 - change)
    assert parts[change].starts_segment
    decoder = Decoder(parts[change].video)
    frame = next(decoder.decode(parts[change], lambda packet: True))
    assert (frame.width, frame.height) == (192, 144)


def test_another_codec_is_picked_up_by_the_next_connection(server: RtspServer, clip: Path) -> None:
    other = {"/door": video(clip.with_name("h265.ts"), "h265")}
    with RtspServer({"/door": video(clip)}) as before:
        assert some(before.url("/door"), 1)[0].video.codec == "h264"
        port = before.port
    with RtspServer(other, port=port) as after:
        assert some(after.url("/door"), 1)[0].video.codec == "hevc"


def test_stopping_ends_it(server: RtspServer) -> None:
    stop = threading.Event()
    with closing(source(server.url("/h264"))) as camera:
        camera.open()
        parts = camera.parts(stop)
        next(parts)
        stop.set()
        assert list(parts) == []


def test_connections_leave_no_sockets_and_no_threads(clip: Path) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    with RtspServer({"/door": video(clip)}, user=USER, password=PASSWORD) as guarded:
        some(guarded.url("/door", ENCODED), 1)
        files, threads = open_files(), threading.active_count()
        for transport in ("tcp", "udp"):
            some(guarded.url("/door", ENCODED), 1, transport=transport)
            refusal(guarded.url("/door", "admin:secret"), transport=transport)
            refusal(guarded.url("/nothing", ENCODED), transport=transport)
        guarded.kill()
        refusal(guarded.url("/door", ENCODED))
        assert open_files() <= files
        assert threading.active_count() <= threads

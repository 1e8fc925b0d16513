"""Another server as the detector: over real HTTP to a server in a thread."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from server.errors import DetectorError
from server.vision.remote import FIRST_PAUSE, LONGEST_PAUSE, RemoteDetector

PICTURE = np.full((48, 64, 3), 90, np.uint8)
SOMEBODY = {"label": "person", "score": 0.9, "box": [0.1, 0.2, 0.3, 0.4]}


class FakeClock:
    """Stands still unless a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now_us(self) -> int:
        return round(self.seconds * 1e6)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.seconds += seconds
        return stop.is_set()


class Server(ThreadingHTTPServer):
    """Answers as the test says, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.answer: bytes = b"{}"
        self.hold: threading.Event | None = None
        self.asked: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/detect"

    def says(self, images: Any, status: int = 200) -> None:
        self.status, self.answer = status, json.dumps({"images": images}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((dict(self.headers), body))
        if self.server.hold is not None:
            self.server.hold.wait(30)
        try:
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(self.server.answer)))
            self.end_headers()
            self.wfile.write(self.server.answer)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    if made.hold is not None:
        made.hold.set()
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def detector(url: str, clock: FakeClock, *, timeout: float = 10.0, token: str = "") -> RemoteDetector:
    return RemoteDetector(url, timeout=timeout, token=token, clock=clock)


def test_a_good_answer_is_read(server: Server, clock: FakeClock) -> None:
    weaker = {"label": "car", "score": 0.4, "box": [-0.1, 0.0, 0.5, 1.2]}
    server.says([{"objects": [weaker, SOMEBODY, {"label": "cat"}]}, {"objects": []}])
    first, second = detector(server.url, clock, token="secret").detect([PICTURE, PICTURE])
    found = first.as_list()
    assert [(label, pytest.approx(score)) for label, score, _ in found] == [("person", 0.9), ("car", 0.4)]
    assert found[0][2] == pytest.approx((0.1, 0.2, 0.3, 0.4))
    assert found[1][2] == pytest.approx((0.0, 0.0, 0.5, 1.0))
    assert len(second) == 0
    ((headers, body),) = server.asked
    assert headers["Authorization"] == "Bearer secret"
    assert body.count(b"\xff\xd8\xff") == 2


def test_without_a_token_none_is_sent(server: Server, clock: FakeClock) -> None:
    server.says([{"objects": []}])
    detector(server.url, clock).detect([PICTURE])
    assert "Authorization" not in server.asked[0][0]


@pytest.mark.parametrize(
    "answer",
    [
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"images": {}}',
        b'{"images": []}',
        b'{"images": [{"objects": []}, {"objects": []}]}',
        b'{"images": [null]}',
        b'{"images": [{"objects": null}]}',
        b'{"images": [{"objects": [{"label": "person"}]}]}',
        b'{"images": [{"objects": [{"label": "person", "score": 0.9, "box": [NaN, 0, 1, 1]}]}]}',
        b'{"images": [{"objects": [{"label": "person", "score": 0.9, "box": [0, 0, Infinity, 1]}]}]}',
        b'{"images": [{"objects": [{"label": "person", "score": NaN, "box": [0, 0, 1, 1]}]}]}',
        b'{"images": [{"objects": [{"label": "person", "score": 0.9, "box": [0, 0, 1]}]}]}',
        b'{"images": [{"objects": [{"label": "person", "score": 0.9, "box": "0011"}]}]}',
        b'{"images": [{"objects": [{"label": "person", "score": 7, "box": [0, 0, 1, 1]}]}]}',
        b'{"images": [{"objects": [{"label": "person", "score": 0.9, "box": [1, 0, 0, 1]}]}]}',
        b'{"images": [{"objects": [{"label": "person", "score": 0.9, "box": {"x": 1}}]}]}',
        b'{"images": [{"objects": [' + b" " * 4_000_001 + b"]}]}",
    ],
    ids=lambda answer: answer[:90].decode("latin-1"),
)
def test_nonsense_is_a_detector_error(server: Server, clock: FakeClock, answer: bytes) -> None:
    server.answer = answer
    with pytest.raises(DetectorError, match="makes no sense"):
        detector(server.url, clock).detect([PICTURE])


@pytest.mark.parametrize("status", [500, 401, 302, 204])
def test_another_status_is_a_detector_error(server: Server, clock: FakeClock, status: int) -> None:
    server.says([{"objects": []}], status)
    with pytest.raises(DetectorError, match=f"answered with status {status}"):
        detector(server.url, clock).detect([PICTURE])


def test_a_slow_server_is_given_up_after_the_timeout(server: Server, clock: FakeClock) -> None:
    server.hold = threading.Event()
    with pytest.raises(DetectorError, match=r"did not answer within 0\.2 s"):
        detector(server.url, clock, timeout=0.2).detect([PICTURE])


def test_a_server_that_is_down_cannot_be_reached_and_its_password_is_not_told(clock: FakeClock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:hunter2@127.0.0.1:{taken.getsockname()[1]}/detect"
        with pytest.raises(DetectorError, match="cannot be reached") as caught:
            detector(url, clock).detect([PICTURE])
    assert "hunter2" not in str(caught.value)


def test_after_a_failure_nobody_asks_again_until_the_pause_is_over(server: Server, clock: FakeClock) -> None:
    remote = detector(server.url, clock)
    server.says([], 500)
    pause = FIRST_PAUSE
    for asked in range(1, 7):
        with pytest.raises(DetectorError, match="status 500"):
            remote.detect([PICTURE])
        assert len(server.asked) == asked
        clock.seconds += pause - 0.01
        with pytest.raises(DetectorError, match="status 500"):
            remote.detect([PICTURE])
        assert len(server.asked) == asked
        clock.seconds += 0.02
        pause = min(LONGEST_PAUSE, 2 * pause)


def test_it_recovers_and_begins_with_a_short_pause_again(server: Server, clock: FakeClock) -> None:
    remote = detector(server.url, clock)
    server.says([], 500)
    for _ in range(3):
        with pytest.raises(DetectorError):
            remote.detect([PICTURE])
        clock.seconds += LONGEST_PAUSE + 0.01
    server.says([{"objects": [SOMEBODY]}])
    assert len(remote.detect([PICTURE])[0]) == 1
    assert len(remote.detect([PICTURE])[0]) == 1
    server.says([], 500)
    with pytest.raises(DetectorError):
        remote.detect([PICTURE])
    server.says([{"objects": []}])
    clock.seconds += FIRST_PAUSE + 0.01
    assert len(remote.detect([PICTURE])[0]) == 0

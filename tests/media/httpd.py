"""A web server on the loopback that does what cameras and their networks do, good and bad."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np

from tests.clips import scene

Answer = Callable[["Exchange"], None]


class Exchange(BaseHTTPRequestHandler):
    """One request and the answer to it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.owner.requests.append((self.path, dict(self.headers)))
        self.server.owner.answer(path)(self)

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer. Underscores in names of headers stand for hyphens."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin(self, content_type: str) -> None:
        """The head of an answer without an announced end."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Connection", "close")
        self.end_headers()

    @property
    def over(self) -> threading.Event:
        """Set when the server is to end."""
        return self.server.owner.over

    def log_message(self, *args: object) -> None:
        """Tests are quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: WebServer

    def handle_error(self, *args: object) -> None:
        """A client that hangs up is nothing special here."""


class WebServer:
    """Answers by path. `requests` holds (path with query, headers) of all that came."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, Answer] = {}
        self.over = threading.Event()
        self._server = _Server(("127.0.0.1", 0), Exchange)
        self._server.owner = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def url(self, path: str, *, user: str = "", host: str = "127.0.0.1") -> str:
        """Address of a path; user: `name:password`."""
        return f"http://{user + '@' if user else ''}{host}:{self.port}{path}"

    def answer(self, path: str) -> Answer:
        """What a path is answered with."""
        return self.answers.get(path, lambda exchange: exchange.send(404))

    def asked(self, path: str) -> list[dict[str, str]]:
        """Headers of the requests for a path."""
        return [headers for asked, headers in self.requests if asked.partition("?")[0] == path]

    def close(self) -> None:
        """End it, and all streams."""
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def whole(body: bytes, content_type: str = "video/mp2t", *, ranges: bool = True) -> Answer:
    """A file."""

    def answer(exchange: Exchange) -> None:
        asked = exchange.headers.get("Range")
        if ranges and asked:
            first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
            exchange.send(206, body[first : last + 1], Content_Type=content_type)
        else:
            exchange.send(200, body, Content_Type=content_type)

    return answer


def stream(chunks: Callable[[], Iterator[bytes]], content_type: str = "video/mp2t") -> Answer:
    """Something without an announced end; the connection is closed after the last chunk."""

    def answer(exchange: Exchange) -> None:
        exchange.begin(content_type)
        for chunk in chunks():
            if exchange.over.is_set():
                return
            exchange.wfile.write(chunk)

    return answer


def status(code: int, **headers: str) -> Answer:
    """An answer without content."""
    return lambda exchange: exchange.send(code, **headers)


def moved(url: str, code: int = 302) -> Answer:
    """A redirect."""
    return status(code, Location=url)


def silent(exchange: Exchange) -> None:
    """No answer, ever."""
    exchange.close_connection = True
    exchange.over.wait(30)


def dripping(prefix: bytes, drop: bytes, pause: float = 0.05) -> Answer:
    """Raw bytes that come a few at a time and never end."""

    def answer(exchange: Exchange) -> None:
        exchange.close_connection = True
        exchange.wfile.write(prefix)
        while not exchange.over.wait(pause):
            exchange.wfile.write(drop)

    return answer


def mjpeg(pictures: int, size: tuple[int, int] = (128, 96), pause: float = 0.0) -> Answer:
    """Pictures in parts, as simple cameras send them."""

    def chunks() -> Iterator[bytes]:
        for number in range(pictures):
            _, encoded = cv2.imencode(".jpg", scene(number, *size))
            jpeg = np.asarray(encoded).tobytes()
            head = f"--frontier\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            yield head.encode() + jpeg + b"\r\n"
            if pause:
                threading.Event().wait(pause)

    return stream(chunks, "multipart/x-mixed-replace; boundary=frontier")


def remuxed(clip: Path, kind: str, *, rounds: int = 1, **options: str) -> bytes:
    """A clip in another container, several times over on one time line."""
    out = io.BytesIO()
    with av.open(str(clip)) as source, av.open(out, "w", format=kind, options=options) as sink:
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream, opaque=True)
        length = round(stream.duration or 0)
        for number in range(rounds):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.size:
                    packet.pts, packet.dts = packet.pts + number * length, packet.dts + number * length
                    packet.stream = copy
                    sink.mux(packet)
    return out.getvalue()


def ts_segments(clip: Path, first_s: float = 0.0) -> list[bytes]:
    """A clip cut at its keyframes, each piece an MPEG-TS of its own on a common time line."""
    pieces: list[list[av.Packet]] = []
    with av.open(str(clip)) as source:
        stream = source.streams.video[0]
        shift = round(first_s / stream.time_base)
        for packet in source.demux(stream):
            if packet.size:
                if packet.is_keyframe:
                    pieces.append([])
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                pieces[-1].append(packet)
        segments = []
        for piece in pieces:
            out = io.BytesIO()
            with av.open(out, "w", format="mpegts") as sink:
                copy = sink.add_stream_from_template(stream, opaque=True)
                for packet in piece:
                    packet.stream = copy
                    sink.mux(packet)
            segments.append(out.getvalue())
    return segments


def mp4_segments(clip: Path) -> tuple[bytes, list[bytes]]:
    """(what belongs in front of each, the pieces of a clip cut at its keyframes)."""
    whole_file = remuxed(clip, "mp4", movflags="frag_keyframe+empty_moov+default_base_moof+skip_trailer")
    init, segments, at = b"", [], 0
    while at < len(whole_file):
        length, name = int.from_bytes(whole_file[at : at + 4], "big"), whole_file[at + 4 : at + 8]
        box = whole_file[at : at + length]
        if name in (b"ftyp", b"moov"):
            init += box
        elif name == b"moof":
            segments.append(box)
        elif name == b"mdat":
            segments[-1] += box
        at += length
    return init, segments


@dataclass(slots=True)
class Playing:
    """A live HLS playlist that slides over segments. `lines` are put in front of a segment by number."""

    server: WebServer
    segments: list[bytes]
    window: int = 4
    duration: float = 1.0
    name: str = "live"
    init: bytes = b""
    shown: int = 4
    """How many segments there are so far."""
    first: int = 0
    """Sequence number of the first of all."""
    ended: bool = False
    lines: dict[int, str] = field(default_factory=dict)
    head: str = ""

    def __post_init__(self) -> None:
        self.server.answers[f"/{self.name}.m3u8"] = self._playlist
        if self.init:
            self.server.answers[f"/{self.name}-init.mp4"] = whole(self.init)
        for number, segment in enumerate(self.segments):
            self.server.answers[f"/{self.name}{number}.ts"] = whole(segment)

    @property
    def url(self) -> str:
        """Of the playlist."""
        return self.server.url(f"/{self.name}.m3u8")

    def text(self) -> str:
        """The playlist as it is now."""
        start = 0 if self.ended else max(0, self.shown - self.window)
        text = f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{self.duration:.0f}\n"
        text += f"#EXT-X-MEDIA-SEQUENCE:{self.first + start}\n{self.head}"
        if self.init:
            text += f'#EXT-X-MAP:URI="{self.name}-init.mp4"\n'
        for number in range(start, min(self.shown, len(self.segments))):
            text += f"{self.lines.get(number, '')}#EXTINF:{self.duration:.3f},\n{self.name}{number}.ts\n"
        return text + ("#EXT-X-ENDLIST\n" if self.ended else "")

    def _playlist(self, exchange: Exchange) -> None:
        exchange.send(200, self.text().encode(), Content_Type="application/vnd.apple.mpegurl")


class StepClock:
    """Time passes only by waiting. `passing` is called with the time that passed, in seconds."""

    def __init__(self, now_us: int = 1_700_000_000_000_000) -> None:
        self.us = now_us
        self.waits: list[float] = []
        self.passing: Callable[[float], None] = lambda seconds: None

    def now_us(self) -> int:
        """See `Clock`."""
        return self.us

    def monotonic(self) -> float:
        """See `Clock`."""
        return self.us / 1e6

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """See `Clock`."""
        self.waits.append(seconds)
        self.us += round(seconds * 1e6)
        self.passing(seconds)
        return stop.is_set()

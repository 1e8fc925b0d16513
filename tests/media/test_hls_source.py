"""HLS against a server that slides its playlist, forgets, restarts and refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import av
import pytest

from server.domain.video import TICKS_PER_SECOND, Part
from server.errors import SourceError
from server.media.http_source import HttpSource
from tests.clips import H265, make_clip
from tests.media.httpd import (
    Exchange,
    Playing,
    StepClock,
    WebServer,
    moved,
    mp4_segments,
    silent,
    status,
    ts_segments,
    whole,
)
from tests.media.playing import luma, see

LOOPBACK = frozenset({"loopback"})
SECONDS = 12
START = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
START_US = round(START.timestamp() * 1e6)


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds with a keyframe every second, and B-frames."""
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=25 * SECONDS, gop=25)


@pytest.fixture(scope="module")
def segments(clip: Path) -> list[bytes]:
    return ts_segments(clip)


@pytest.fixture(scope="module")
def pictures(clip: Path) -> list[int]:
    with av.open(str(clip)) as reference:
        return [luma(frame) for frame in reference.decode(video=0)]


class Viewer:
    """Plays an address on a clock that only goes on while the source waits."""

    def __init__(self, address: str, now_us: int = START_US) -> None:
        self.clock = StepClock(now_us)
        self.stop = threading.Event()
        self.source = HttpSource(address, anchor_us=now_us, after=None, clock=self.clock, networks=LOOPBACK)

    def play(self, wanted: Callable[[list[Part]], bool] = lambda parts: False) -> tuple[list[Part], str]:
        """(all parts, or until `wanted` is true of them; why it ended)."""
        parts: list[Part] = []
        try:
            self.source.open()
            for part in self.source.parts(self.stop):
                parts.append(part)
                if wanted(parts):
                    self.stop.set()
        except SourceError as error:
            self.state = error.state
            return parts, str(error)
        finally:
            self.source.close()
        return parts, ""


def live(playing: Playing, *, until: int | None = None) -> tuple[Viewer, list[Part], str]:
    """Play while a segment is added for each that passes in time; without end if `until` is None."""
    viewer = Viewer(playing.url)
    passed = 0.0

    def passing(seconds: float) -> None:
        nonlocal passed
        passed += seconds
        while passed >= playing.duration:
            passed -= playing.duration
            playing.shown = min(playing.shown + 1, len(playing.segments) if until is None else until)

    viewer.clock.passing = passing
    parts, why = viewer.play()
    return viewer, parts, why


def shown(parts: list[Part]) -> list[int]:
    """Brightness of each picture, which is what it is known by."""
    return [brightness for _, brightness, _ in see(parts)]


def gaps(parts: list[Part]) -> list[str]:
    return [part.gap for part in parts if part.gap]


def packets(parts: list[Part]) -> list[tuple[int, int]]:
    return [(packet.dts, packet.pts) for part in parts for packet in part.packets]


def test_a_live_stream_is_begun_near_its_end_and_misses_nothing_after(
    web: WebServer, segments: list[bytes], pictures: list[int]
) -> None:
    playing = Playing(web, segments, shown=6, window=6)
    _, parts, why = live(playing)
    assert shown(parts) == pictures[3 * 25 :]
    assert gaps(parts) == []
    assert {after - before for before, after in pairwise(sorted(pts for _, pts in packets(parts)))} == {3600}
    assert why.endswith("no new video for 10 s")


def test_fragmented_mp4(web: WebServer, clip: Path, pictures: list[int]) -> None:
    init, pieces = mp4_segments(clip)
    playing = Playing(web, pieces, init=init, shown=3)
    _, parts, _ = live(playing)
    assert shown(parts) == pictures
    assert gaps(parts) == []
    assert len(web.asked("/live-init.mp4")) == 1
    assert {part.video for part in parts} == {parts[0].video}


def test_h265(web: WebServer, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "h265.mp4", codec=H265, frames=75, gop=25)
    _, parts, _ = live(Playing(web, ts_segments(clip), shown=3))
    assert parts[0].video.codec == "hevc"
    assert len(see(parts)) == 75


def test_a_finished_recording_is_played_from_its_beginning_at_its_own_pace(
    web: WebServer, segments: list[bytes], pictures: list[int]
) -> None:
    playing = Playing(web, segments, shown=SECONDS, ended=True)
    viewer = Viewer(playing.url)
    parts, why = viewer.play()
    assert shown(parts) == pictures
    assert "the stream has ended" in why
    assert viewer.state == "ended"
    assert sum(viewer.clock.waits) == pytest.approx(SECONDS - 1, abs=1.01)
    assert len(web.asked("/live.m3u8")) == 1


def test_a_live_stream_that_ends(web: WebServer, segments: list[bytes], pictures: list[int]) -> None:
    playing = Playing(web, segments[:6], shown=3)
    viewer = Viewer(playing.url)

    def passing(seconds: float) -> None:
        playing.shown, playing.ended = 6, True

    viewer.clock.passing = passing
    parts, why = viewer.play()
    assert shown(parts) == pictures[: 6 * 25]
    assert "the stream has ended" in why


def test_the_playlist_is_asked_for_no_more_often_than_it_may_be(
    web: WebServer, segments: list[bytes]
) -> None:
    playing = Playing(web, segments, shown=4, duration=4.0)
    viewer, _, why = live(playing, until=6)
    assert why.endswith("no new video for 12 s")
    assert viewer.source.stall_seconds == 12
    # A target duration after one that had grown, half of one otherwise.
    assert viewer.clock.waits[:2] == pytest.approx([4, 4], abs=0.01)
    assert viewer.clock.waits[2:] == pytest.approx([4] + [2] * (len(viewer.clock.waits) - 3), abs=0.01)


def test_segments_that_were_missed_are_told(
    web: WebServer, segments: list[bytes], pictures: list[int]
) -> None:
    playing = Playing(web, segments, shown=3, window=3)
    viewer = Viewer(playing.url)

    def passing(seconds: float) -> None:
        playing.shown = 9

    viewer.clock.passing = passing
    parts, _ = viewer.play()
    assert shown(parts) == pictures[: 3 * 25] + pictures[6 * 25 : 9 * 25]
    assert gaps(parts) == ["lost"]
    assert next(part for part in parts if part.gap).independent


@pytest.mark.parametrize("how", ["gone", "broken", "gap", "no video", "silent"])
def test_a_segment_that_cannot_be_had_is_lost_and_the_rest_goes_on(
    web: WebServer, segments: list[bytes], pictures: list[int], how: str
) -> None:
    playing = Playing(web, segments[:8], shown=4, window=8)
    answers = {"gone": status(404), "broken": status(500), "no video": whole(b"?" * 5000), "silent": silent}
    if how == "gap":
        playing.lines[4] = "#EXT-X-GAP\n"
    else:
        web.answers["/live4.ts"] = answers[how]
    viewer = Viewer(playing.url)
    viewer.source._client._limits.read_seconds = 0.5
    viewer.clock.passing = lambda seconds: setattr(playing, "shown", 8)
    parts, _ = viewer.play()
    assert shown(parts) == pictures[25 : 4 * 25] + pictures[5 * 25 : 8 * 25]
    assert gaps(parts) == ["lost"]
    assert len(web.asked("/live4.ts")) == {"gap": 0, "no video": 1}.get(how, 2)


def test_a_segment_that_fails_once_is_asked_for_again(
    web: WebServer, segments: list[bytes], pictures: list[int]
) -> None:
    playing = Playing(web, segments[:8], shown=4, window=8)
    tries = []

    def answer(exchange: Exchange) -> None:
        tries.append(1)
        (status(404) if len(tries) == 1 else whole(segments[5]))(exchange)

    web.answers["/live5.ts"] = answer
    _, parts, _ = live(playing)
    assert shown(parts) == pictures[25 : 8 * 25]
    assert gaps(parts) == []


def test_a_segment_that_is_cut_off_is_played_up_to_there(web: WebServer, segments: list[bytes]) -> None:
    playing = Playing(web, segments[:6], shown=3)
    web.answers["/live4.ts"] = whole(segments[4][: len(segments[4]) // 2])
    _, parts, _ = live(playing)
    times = [pts for _, pts in packets(parts)]
    assert 5 * 25 < len(times) < 6 * 25
    assert max(times) - min(times) == pytest.approx(6 * TICKS_PER_SECOND, abs=3600 * 4)


def test_a_server_that_counts_anew_is_followed(
    web: WebServer, segments: list[bytes], pictures: list[int]
) -> None:
    old = Playing(web, segments[:6], shown=6, first=5000)
    Playing(web, segments[6:], shown=0, name="new", first=0)
    viewer = Viewer(old.url)

    def passing(seconds: float) -> None:
        # The same address, but segments with other names and numbers from 0 on.
        new.shown = min(new.shown + 1, 6)
        web.answers["/live.m3u8"] = lambda exchange: exchange.send(200, new.text().encode())

    new = Playing(web, segments[6:], shown=0, name="new")
    viewer.clock.passing = passing
    parts, _ = viewer.play()
    assert shown(parts) == pictures[3 * 25 :]
    assert gaps(parts) == ["lost"]


def test_an_old_copy_of_the_playlist_repeats_nothing(
    web: WebServer, segments: list[bytes], pictures: list[int]
) -> None:
    playing = Playing(web, segments, shown=5)
    viewer = Viewer(playing.url)
    turns = iter([6, 7, 5, 7, 8, 9, 6, 10, 11, 12])

    def passing(seconds: float) -> None:
        playing.shown = next(turns, 12)

    viewer.clock.passing = passing
    parts, _ = viewer.play()
    assert shown(parts) == pictures[2 * 25 :]
    assert gaps(parts) == []


def test_the_date_in_the_playlist_is_the_time_of_the_pictures(web: WebServer, segments: list[bytes]) -> None:
    # The stream is 7 s late; it says so, in various ways.
    begun = START - timedelta(seconds=7)
    playing = Playing(web, segments[:8], shown=3, window=8)
    playing.lines[0] = f"#EXT-X-PROGRAM-DATE-TIME:{begun:%Y-%m-%dT%H:%M:%S}.000Z\n"
    later = (begun + timedelta(seconds=5)).astimezone(timezone(timedelta(hours=5, minutes=30)))
    playing.lines[5] = f"#EXT-X-PROGRAM-DATE-TIME:{later:%Y-%m-%dT%H:%M:%S%z}\n"
    _, parts, _ = live(playing)
    assert gaps(parts) == []
    for part in parts:
        for packet in part.packets:
            shown_us = part.anchor_us + packet.pts * 100 // 9
            since_s = (shown_us - round(begun.timestamp() * 1e6)) / 1e6
            assert since_s == pytest.approx(
                (packet.pts - parts[0].packets[0].pts) / TICKS_PER_SECOND, abs=0.05
            )


def test_a_discontinuity_is_a_gap_with_another_format(web: WebServer, clip: Path, tmp_path: Path) -> None:
    other = make_clip(tmp_path / "other.mp4", frames=75, gop=25, size=(160, 120))
    both = ts_segments(clip, first_s=5000)[:3] + ts_segments(other)
    playing = Playing(web, both, shown=3, window=8)
    playing.lines[3] = "#EXT-X-DISCONTINUITY\n"
    _, parts, _ = live(playing)
    assert gaps(parts) == ["lost"]
    changed = next(index for index, part in enumerate(parts) if part.gap)
    assert {part.video.width for part in parts[:changed]} == {128}
    assert {part.video.width for part in parts[changed:]} == {160}
    assert len(see(parts[:changed])) == len(see(parts[changed:])) == 75
    times = [pts for _, pts in packets(parts)]
    assert max(times) - min(times) < 20 * TICKS_PER_SECOND


def test_a_format_stays_the_same_object_and_its_stream_open(web: WebServer, segments: list[bytes]) -> None:
    playing = Playing(web, segments, shown=3)
    viewer = Viewer(playing.url)
    viewer.clock.passing = lambda seconds: setattr(playing, "shown", SECONDS)
    viewer.source.open()
    seen = []
    with pytest.raises(SourceError):
        for part in viewer.source.parts(viewer.stop):
            seen.append(part.video)
    assert all(video is seen[0] for video in seen)
    with av.open("/dev/null", "w", format="mp4") as sink:
        assert sink.add_stream_from_template(seen[-1].template).width == 128
    viewer.source.close()


def test_timestamps_run_on_where_33_bits_are_full(web: WebServer, clip: Path, pictures: list[int]) -> None:
    playing = Playing(web, ts_segments(clip, first_s=2**33 / 90_000 - 5.5), shown=3)
    _, parts, _ = live(playing)
    assert shown(parts) == pictures
    assert gaps(parts) == []
    assert {after - before for before, after in pairwise(sorted(pts for _, pts in packets(parts)))} == {3600}


def test_parts_of_one_file(web: WebServer, clip: Path, pictures: list[int]) -> None:
    init, pieces = mp4_segments(clip)
    web.answers["/all.mp4"] = whole(init + b"".join(pieces))
    text = f'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI="all.mp4",BYTERANGE="{len(init)}@0"\n'
    at = len(init)
    for number, piece in enumerate(pieces):
        begins = f"@{at}" if number == 0 else ""
        text += f"#EXTINF:1,\n#EXT-X-BYTERANGE:{len(piece)}{begins}\nall.mp4\n"
        at += len(piece)
    web.answers["/a.m3u8"] = whole((text + "#EXT-X-ENDLIST\n").encode())
    parts, _ = Viewer(web.url("/a.m3u8")).play()
    assert shown(parts) == pictures


def test_the_best_variant_up_to_1080_lines_is_chosen(web: WebServer, segments: list[bytes]) -> None:
    playing = Playing(web, segments[:3], shown=3, ended=True)
    master = "#EXTM3U\n"
    for height, path in ((480, "/no.m3u8"), (2160, "/no.m3u8"), (1080, "/live.m3u8"), (720, "/no.m3u8")):
        size = f"{height * 16 // 9}x{height}"
        master += f'#EXT-X-STREAM-INF:BANDWIDTH={height}000,RESOLUTION={size},CODECS="avc1.64,mp4a"\n'
        master += f"{path}\n"
    master += '#EXT-X-STREAM-INF:BANDWIDTH=99999999,CODECS="mp4a.40.2"\n/no.m3u8\n'
    web.answers["/master.m3u8"] = whole(master.encode())
    parts, why = Viewer(web.url("/master.m3u8")).play()
    assert "the stream has ended" in why
    assert len(see(parts)) == 75
    assert playing.shown == 3


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('#EXT-X-KEY:METHOD=AES-128,URI="k"\n', "encrypted (AES-128)"),
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"\n', "encrypted (SAMPLE-AES)"),
    ],
)
def test_encryption_is_refused_in_words(
    web: WebServer, segments: list[bytes], lines: str, words: str
) -> None:
    playing = Playing(web, segments, shown=5, head=lines)
    parts, why = Viewer(playing.url).play()
    assert (parts, words in why) == ([], True)
    assert web.asked("/k") == []


def test_a_server_that_is_away_for_a_moment_is_asked_again(
    web: WebServer, segments: list[bytes], pictures: list[int]
) -> None:
    playing = Playing(web, segments[:8], shown=3, window=8)
    viewer = Viewer(playing.url)
    working = web.answers["/live.m3u8"]
    turns = iter([status(500), status(404), working])

    def passing(seconds: float) -> None:
        playing.shown = min(playing.shown + 1, 8)
        web.answers["/live.m3u8"] = next(turns, working)

    viewer.clock.passing = passing
    parts, _ = viewer.play()
    assert shown(parts) == pictures[: 8 * 25]
    assert gaps(parts) == []


def test_a_server_that_stays_away_is_told_in_words(web: WebServer, segments: list[bytes]) -> None:
    playing = Playing(web, segments[:8], shown=3)
    viewer = Viewer(playing.url)
    viewer.clock.passing = lambda seconds: web.answers.update({"/live.m3u8": status(503)})
    _, why = viewer.play()
    assert "problem of its own (503)" in why


def test_segments_that_cannot_be_had_for_long_are_told_in_words(
    web: WebServer, segments: list[bytes]
) -> None:
    playing = Playing(web, segments * 4, shown=3)
    for number in range(3, 4 * SECONDS):
        web.answers[f"/live{number}.ts"] = status(403)
    _, parts, why = live(playing)
    assert "refuses access (403)" in why
    assert len(packets(parts)) == 75
    assert len(web.asked("/live9.ts")) == 2
    assert web.asked("/live16.ts") == []


def test_a_playlist_without_video(web: WebServer) -> None:
    web.answers["/a.m3u8"] = whole(b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n")
    assert "no segments yet" in Viewer(web.url("/a.m3u8")).play()[1]
    web.answers["/a.m3u8"] = whole(b'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="mp4a.40.2"\nb.m3u8\n')
    assert "there is no video in it" in Viewer(web.url("/a.m3u8")).play()[1]
    web.answers["/a.m3u8"] = whole(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n")
    assert "without end" in Viewer(web.url("/a.m3u8")).play()[1]


@pytest.mark.parametrize(
    "forbidden",
    ["file:///etc/passwd", "http://169.254.169.254/latest/", "http://10.0.0.1/a.ts", "data:,x", "http://["],
)
@pytest.mark.parametrize("place", ["segment", "map", "variant"])
def test_a_playlist_leads_nowhere_else(web: WebServer, forbidden: str, place: str) -> None:
    text = {
        "segment": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{forbidden}\n",
        "map": f'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI="{forbidden}"\n#EXTINF:1,\na.ts\n',
        "variant": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{forbidden}\n",
    }[place]
    web.answers["/a.m3u8"] = whole(text.encode())
    parts, why = Viewer(web.url("/a.m3u8")).play()
    assert parts == []
    assert any(word in why for word in ("not allowed", "allow", "valid", "cannot be read")), why
    assert [path for path, _ in web.requests] == ["/a.m3u8"]


def test_credentials_go_to_the_playlists_own_server_only(web: WebServer, segments: list[bytes]) -> None:
    other = WebServer()
    try:
        playing = Playing(web, segments[:3], shown=3, ended=True)
        real = web.answers["/live.m3u8"]

        def guarded(exchange: Exchange) -> None:
            if "Authorization" in exchange.headers:
                real(exchange)
            else:
                exchange.send(401, WWW_Authenticate='Basic realm="x"')

        web.answers["/live.m3u8"] = guarded
        web.answers["/live1.ts"] = moved(other.url("/elsewhere.ts"))
        other.answers["/elsewhere.ts"] = whole(segments[1])
        parts, _ = Viewer(playing.url.replace("http://", "http://admin:hidden@")).play()
        assert len(see(parts)) == 75
        assert "Authorization" in web.asked("/live0.ts")[0]
        assert "Authorization" not in other.asked("/elsewhere.ts")[0]
    finally:
        other.close()


def test_a_huge_playlist_is_refused(web: WebServer) -> None:
    web.answers["/a.m3u8"] = whole(b"#EXTM3U\n" + b"#EXTINF:1,\na.ts\n" * 200_000)
    assert "longer than 1 MB" in Viewer(web.url("/a.m3u8")).play()[1]
    assert len(web.requests) == 1


def test_stopping_ends_a_wait(web: WebServer, segments: list[bytes]) -> None:
    playing = Playing(web, segments, shown=3)
    viewer = Viewer(playing.url)
    viewer.clock.passing = lambda seconds: viewer.stop.set()
    parts, why = viewer.play()
    assert why == ""
    assert len(viewer.clock.waits) == 1
    assert parts == [] or len(packets(parts)) <= 75

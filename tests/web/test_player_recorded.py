"""The player's other half: recordings, with byte ranges, discontinuities and seeking; and what it reads."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from flask import Flask, render_template_string, send_from_directory
from werkzeug.serving import make_server

from server.services.accounts import create_user
from tests.clips import make_clip
from tests.hls_rules import check_playlist
from tests.web.browser import PASSWORD

PAGE = """{% extends "hypersight/page.html" %}{% from "hypersight/player.html" import player_head %}
{% block head %}{{ super() }}{{ player_head() }}{% endblock %}
{% block content %}<h1>Recording</h1>
<div class="player" data-playlist="/admin/recorded/{{ name }}" data-label="Recording" data-autoplay></div>
{% endblock %}"""
POSITION = "() => document.querySelector('video').currentTime"


def record(directory: Path, name: str, frames: int, size: tuple[int, int], single: bool) -> None:
    """A recording of 25 pictures a second as fMP4, in one file with byte ranges or in many."""
    clip = make_clip(directory / f"{name}.mp4", frames=frames, size=size, gop=25)
    flags = ["-hls_flags", "single_file"] if single else []
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", clip, "-c:v", "libx264", "-bf", "0",
            "-g", "25", "-sc_threshold", "0", "-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", "1",
            "-hls_playlist_type", "vod",
            "-hls_fmp4_init_filename", f"{name}-init.mp4", *flags, f"{name}.m3u8",
        ],
        cwd=directory, check=True, stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """one.m3u8: a file of 10 s in byte ranges; two.m3u8: two recordings of different sizes, one after
    the other."""
    directory = tmp_path_factory.mktemp("recordings")
    record(directory, "one", 250, (320, 180), single=True)
    record(directory, "a", 75, (320, 180), single=False)
    record(directory, "b", 75, (160, 96), single=False)
    first, second = ((directory / f"{name}.m3u8").read_text() for name in ("a", "b"))
    body = second[second.index("#EXT-X-MAP") :]
    joined = first.replace("#EXT-X-ENDLIST\n", "") + "#EXT-X-DISCONTINUITY\n" + body
    (directory / "two.m3u8").write_text(joined)
    return directory


@pytest.fixture
def page(app: Flask, chromium: Any, recordings: Path) -> Iterator[Any]:
    """Signed in; /admin/recorder/<name> plays a recording."""
    complaints: list[str] = []
    app.add_url_rule(
        "/admin/recorder/<name>", "recorder", lambda name: render_template_string(PAGE, name=name)
    )
    app.add_url_rule("/admin/recorded/<name>", "recorded", lambda name: send_from_directory(recordings, name))
    with app.app_context():
        create_user("ann", PASSWORD)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    context = chromium.new_context(base_url=f"http://127.0.0.1:{server.server_port}")
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto("/admin/login")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", level=1).wait_for()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    server.shutdown()
    thread.join()
    server.server_close()
    assert complaints == []


def test_the_recordings_are_what_they_are_meant_to_be(recordings: Path) -> None:
    assert "#EXT-X-BYTERANGE" in (recordings / "one.m3u8").read_text()
    two = check_playlist((recordings / "two.m3u8").read_bytes())
    assert two.ended and len(two.segments) == 6


def test_a_recording_in_byte_ranges_plays_and_can_be_sought_in(page: Any) -> None:
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.headers.get("range", "")))
    page.goto("/admin/recorder/one.m3u8?player=mse")
    page.locator('.player[data-state="ready"]').wait_for()
    page.wait_for_function(f"() => ({POSITION})() > 0.5")
    assert page.evaluate("() => Math.round(document.querySelector('video').duration)") == 10
    assert any(range_.startswith("bytes=") for range_ in asked)
    page.evaluate("() => { document.querySelector('video').currentTime = 8.2; }")
    page.wait_for_function(f"() => ({POSITION})() > 8.6")
    page.wait_for_function("() => document.querySelector('video').ended")


def test_a_discontinuity_with_another_size_plays_on(page: Any) -> None:
    page.goto("/admin/recorder/two.m3u8?player=mse")
    page.wait_for_function("() => document.querySelector('video').videoWidth === 320")
    page.evaluate("() => { document.querySelector('video').playbackRate = 2; }")
    page.wait_for_function("() => document.querySelector('video').videoWidth === 160")
    page.wait_for_function("() => document.querySelector('video').ended")
    assert page.evaluate(POSITION) == pytest.approx(6, abs=0.3)


def test_what_a_playlist_says_is_read(page: Any) -> None:
    text = "\n".join(
        [
            "#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:4", "#EXT-X-MEDIA-SEQUENCE:17",
            '#EXT-X-MAP:URI="i.mp4",BYTERANGE="700@10"', "#EXTINF:4.0,",
            "#EXT-X-BYTERANGE:100@1000", "all.mp4", "#EXTINF:3.5,a title",
            "#EXT-X-BYTERANGE:50", "all.mp4", "#EXT-X-DISCONTINUITY",
            '#EXT-X-MAP:URI="/j.mp4"', "#EXT-X-GAP", "#EXTINF:2,", "b/c.m4s?x=1", "#EXT-X-ENDLIST",
        ]
    )  # fmt: skip
    page.goto("/admin/")
    read = page.evaluate(
        """async (text) => (await import("/static/player-playlist.js"))
            .parsePlaylist(text, "https://host/a/list.m3u8")""",
        text,
    )
    assert (read["target"], read["first"], read["ended"], read["duration"]) == (4, 17, True, 9.5)
    first, second, third = read["segments"]
    assert first["range"] == {"first": 1000, "last": 1099}
    assert second["range"] == {"first": 1100, "last": 1149} and second["start"] == 4
    assert first["init"] == {"url": "https://host/a/i.mp4", "range": {"first": 10, "last": 709}}
    assert third["url"] == "https://host/a/b/c.m4s?x=1" and third["init"]["url"] == "https://host/j.mp4"
    assert third["discontinuity"] and third["gap"] and third["range"] is None
    assert (first["sequence"], third["sequence"]) == (17, 19) and not second["discontinuity"]


def test_the_codec_is_read_from_the_init_segment(page: Any, recordings: Path) -> None:
    page.goto("/admin/")
    read = page.evaluate(
        """async () => {
          const { readInit, readStart } = await import("/static/player-mp4.js");
          const bytes = async (name) => (await fetch("/admin/recorded/" + name)).arrayBuffer();
          const init = readInit(await bytes("a-init.mp4"));
          return { type: init.type, starts: [readStart(await bytes("a0.m4s"), init),
                                             readStart(await bytes("a2.m4s"), init)] };
        }"""
    )
    assert read["type"].startswith('video/mp4; codecs="avc1.')
    assert len(read["type"]) == len('video/mp4; codecs="avc1.64000d"')
    durations = [one[1] for one in check_playlist((recordings / "a.m3u8").read_bytes()).segments]
    assert read["starts"] == pytest.approx([0, sum(durations[:2])], abs=0.05)

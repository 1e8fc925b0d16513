from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import pytest

from server.errors import ConfigError
from server.media.ffmpeg import ffmpeg_binary, hls_abilities


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_configured_one_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = script(tmp_path / "ffmpeg", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    named = script(tmp_path / "mine", "exit 0")
    assert ffmpeg_binary(str(named)) == str(named)
    assert ffmpeg_binary("") == str(on_path)


def test_without_one_on_path_that_of_the_wheel_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ffmpeg_binary("") == imageio_ffmpeg.get_ffmpeg_exe()


def test_a_configured_one_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FFMPEG_BINARY"):
        ffmpeg_binary(str(tmp_path / "none"))


def test_none_at_all_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    def none() -> str:
        raise RuntimeError("no ffmpeg exe")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", none)
    with pytest.raises(ConfigError, match="install it, or name one in FFMPEG_BINARY"):
        ffmpeg_binary("")


def test_it_knows_what_the_ffmpeg_can_do() -> None:
    abilities = hls_abilities(imageio_ffmpeg.get_ffmpeg_exe())
    assert {"fmp4", "delete_segments", "temp_file", "hls_delete_threshold", "start_number"} <= abilities
    assert "no_such_flag" not in abilities


def test_one_that_cannot_write_hls_in_fmp4_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write HLS in fMP4"):
        hls_abilities(str(script(tmp_path / "old", "echo '  -hls_time  <duration>  E.. set it'")))


def test_one_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="libx264"):
        hls_abilities(str(script(tmp_path / "poor", "echo '     fmp4            1            E.........'")))


def test_one_that_does_not_run_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    text.chmod(0o755)
    with pytest.raises(ConfigError, match="cannot be run"):
        hls_abilities(str(text))

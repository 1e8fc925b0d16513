"""Segments whose muxer refuses a part are not left lying about."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from server.media.file_source import FileSource
from server.watchers.disk import SegmentKeeper
from tests.clips import make_clip
from tests.watchers.harness import FastClock


def test_a_segment_completed_just_before_the_muxer_refuses_is_deleted_too(tmp_path: Path) -> None:
    source = FileSource(make_clip(tmp_path / "clip.mp4"))
    source.open()
    good, *others = source.parts(threading.Event())
    bad = next(part for part in others if part.starts_segment and len(part.packets) > 2)
    again = bad.packets[1]
    bad = replace(bad, packets=(*bad.packets[:2], again, again))
    keeper = SegmentKeeper(tmp_path / "segments", 7, 1, 0, FastClock())
    keeper.open()
    keeper.write(good)
    keeper.write(bad)
    assert keeper.trouble
    keeper.close()
    source.close()
    assert list((tmp_path / "segments").rglob("*.mp4")) == []

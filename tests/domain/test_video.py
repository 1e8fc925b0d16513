"""Times that survive every conversion, and pictures put together from planes."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.video import (
    Frame,
    Packet,
    Part,
    VideoFormat,
    datetime_to_us,
    ticks_to_us,
    us_to_datetime,
    us_to_ticks,
)

anything = st.integers(-(10**15), 10**15)


@given(anything)
def test_ticks_survive_microseconds(ticks: int) -> None:
    assert us_to_ticks(ticks_to_us(ticks)) == ticks


@given(anything)
def test_a_tick_is_told_to_the_microsecond_before_it(ticks: int) -> None:
    assert 0 <= ticks * 100 - ticks_to_us(ticks) * 9 < 9


def test_a_second_is_90000_ticks() -> None:
    assert ticks_to_us(90_000) == 1_000_000
    assert ticks_to_us(-90_000) == -1_000_000
    assert us_to_ticks(500_000) == 45_000


@given(st.integers(0, 4_000_000_000_000_000))
def test_microseconds_survive_a_datetime(us: int) -> None:
    assert datetime_to_us(us_to_datetime(us)) == us


def test_a_moment_is_the_same_in_every_time_zone() -> None:
    noon = datetime(2026, 3, 29, 12, tzinfo=timezone.utc)
    elsewhere = noon.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert datetime_to_us(elsewhere) == datetime_to_us(noon) == 1_774_785_600_000_000


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        datetime_to_us(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_a_part_knows_its_times_and_size() -> None:
    packets = (
        Packet(3000, 0, 3000, True, b"abc"),
        Packet(9000, 3000, 3000, False, b"de"),
        Packet(6000, 6000, 3000, False, b"f"),
    )
    part = Part(packets, VideoFormat("h264", b"", 2, 2), 1_000_000, starts_segment=True, independent=True)
    assert (part.start, part.end) == (0, 9000)
    assert (part.start_us, part.end_us) == (1_000_000, 1_100_000)
    assert part.size == 6


def frame(y: np.ndarray, rotation: int = 0) -> Frame:
    half = np.full(((y.shape[0] + 1) // 2, (y.shape[1] + 1) // 2), 128, np.uint8)
    return Frame(pts=0, ts_us=1_500_000, y=y, u=half, v=half.copy(), rotation=rotation)


def test_a_grey_frame_becomes_a_grey_picture_with_its_brightness_in_place() -> None:
    y = np.full((40, 60), 16, np.uint8)
    y[:20] = 235
    picture = frame(y).picture()
    assert picture.shape == (40, 60, 3)
    assert picture[:18].min() > 250
    assert picture[22:].max() < 5


@pytest.mark.parametrize(("rotation", "bright"), [(0, "top"), (90, "left"), (180, "bottom"), (270, "right")])
def test_a_turned_frame_comes_out_upright(rotation: int, bright: str) -> None:
    y = np.full((40, 60), 16, np.uint8)
    y[:20] = 235
    turned = frame(y, rotation)
    picture = turned.picture()
    assert picture.shape[:2] == (turned.height, turned.width)
    assert (turned.width, turned.height) == ((60, 40) if rotation in (0, 180) else (40, 60))
    edges = {"top": picture[2], "bottom": picture[-3], "left": picture[:, 2], "right": picture[:, -3]}
    assert [name for name, edge in edges.items() if edge.mean() > 200] == [bright]


@pytest.mark.parametrize("size", [(31, 17), (30, 17), (120, 80), (1, 1)])
@pytest.mark.parametrize("rotation", [0, 90])
def test_a_picture_has_the_size_that_was_asked_for(size: tuple[int, int], rotation: int) -> None:
    y = np.full((41, 61), 120, np.uint8)
    picture = frame(y, rotation).picture(*size)
    assert picture.shape == (size[1], size[0], 3)
    assert np.ptp(picture) < 6


def test_a_frame_tells_when_it_was_captured() -> None:
    assert frame(np.zeros((2, 2), np.uint8)).ts == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=timezone.utc)

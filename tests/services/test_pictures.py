from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from server.errors import InvalidInput
from server.services.pictures import read_jpeg

ENOUGH = (416, 416)


def jpeg(width: int, height: int, *flags: int) -> bytes:
    picture = np.full((height, width, 3), (10, 120, 240), np.uint8)
    return cv2.imencode(".jpg", picture, list(flags))[1].tobytes()


def turned(data: bytes, orientation: int) -> bytes:
    """The JPEG with an Exif note that says how to turn it."""
    tiff = b"MM\x00*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\x00\x00" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


@pytest.mark.parametrize("width, height", [(1, 1), (64, 48), (417, 416), (831, 832)])
def test_a_picture_is_decoded_at_its_own_size(width: int, height: int) -> None:
    sent = read_jpeg(jpeg(width, height), "body", ENOUGH)
    assert (sent.width, sent.height) == (width, height)
    assert sent.picture.shape == (height, width, 3)
    assert np.abs(sent.picture[0, 0].astype(int) - (10, 120, 240)).max() < 12


@pytest.mark.parametrize("flags", [(cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4)])
def test_other_kinds_of_jpeg_are_read_too(flags: tuple[int, int]) -> None:
    assert read_jpeg(jpeg(64, 48, *flags), "body", ENOUGH).width == 64


def test_a_large_picture_is_decoded_no_larger_than_needed_and_reports_its_own_size() -> None:
    sent = read_jpeg(jpeg(3840, 2161), "body", ENOUGH)
    assert (sent.width, sent.height) == (3840, 2161)
    assert 832 <= sent.picture.shape[1] < 1664


@pytest.mark.parametrize(
    "orientation, size", [(1, (640, 480)), (3, (640, 480)), (6, (480, 640)), (8, (480, 640))]
)
def test_a_picture_taken_upright_is_turned(orientation: int, size: tuple[int, int]) -> None:
    sent = read_jpeg(turned(jpeg(640, 480), orientation), "body", ENOUGH)
    assert (sent.width, sent.height) == size
    assert sent.picture.shape[:2] == size[::-1]


def test_a_picture_that_claims_to_be_enormous_is_refused_before_it_is_decoded() -> None:
    data = bytearray(jpeg(64, 48))
    header = data.index(b"\xff\xc0")
    data[header + 5 : header + 9] = struct.pack(">HH", 65_000, 65_000)
    with pytest.raises(InvalidInput, match="65000 x 65000") as caught:
        read_jpeg(bytes(data), "picture 2", ENOUGH)
    assert caught.value.field == "picture 2"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        b"not a picture at all",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\xff\xd8" + b"\xff" * 1000,
        b"\xff\xd8\xff\xe0\x00\x00" + bytes(100),
        b"\xff\xd8\xff\xe0\xff\xff" + bytes(100),
        b"\xff\xd8" + bytes(1000),
        jpeg(64, 48)[:200],
        jpeg(640, 480)[:-2],
    ],
)
def test_what_is_no_whole_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="JPEG") as caught:
        read_jpeg(data, "body", ENOUGH)
    assert caught.value.field == "body"

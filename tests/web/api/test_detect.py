from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient

from server.config import Settings
from server.domain.detections import Detections
from server.domain.video import Picture
from server.errors import DetectorError
from server.services import detection
from tests.conftest import AppMaker


class Fake:
    """Finds a person as wide as the picture is blue, and a car that it is hardly sure of."""

    name = "fake"
    size = (416, 416)
    batch = 1

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        self.seen += [picture.shape for picture in pictures]
        return [
            Detections(
                np.array([[0, 0, picture[0, 0, 0] / 255, 1], [0.5, 0.5, 0.75, 1]], np.float32),
                np.array([0.9, 0.2], np.float32),
                np.array([0, 2]),
            )
            for picture in pictures
        ]


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Stands in for the detector of this server."""
    fake = Fake()

    def local(settings: Settings) -> Fake:
        return fake

    monkeypatch.setattr(detection, "local_detector", local)
    return fake


def jpeg(width: int = 64, height: int = 48, blue: int = 0) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), (blue, 0, 0), np.uint8))[1].tobytes()


def form(*pictures: bytes, **fields: str) -> dict[str, Any]:
    files = [(io.BytesIO(data), f"{number}.jpg", "image/jpeg") for number, data in enumerate(pictures)]
    return {"data": {"image": files, **fields}, "content_type": "multipart/form-data"}


def said(response: Any) -> str:
    assert response.status_code == 400
    assert response.get_json()["err"] is True
    return str(response.get_json()["msg"])


def test_one_picture_is_answered_with_its_size_and_boxes_in_fractions(
    client: FlaskClient, detector: Fake
) -> None:
    response = client.post("/detect", data=jpeg(640, 480), content_type="image/jpeg")
    assert response.get_json() == {
        "err": False,
        "model": "fake",
        "images": [
            {
                "width": 640,
                "height": 480,
                "objects": [
                    {"label": "person", "score": 0.9, "box": [0, 0, 0, 1]},
                    {"label": "car", "score": 0.2, "box": [0.5, 0.5, 0.75, 1]},
                ],
            }
        ],
    }


def test_several_pictures_are_answered_in_their_order(client: FlaskClient, detector: Fake) -> None:
    sent = [jpeg(64 + number, 48, blue=40 * number) for number in range(6)]
    images = client.post("/detect", **form(*sent, note="ignored")).get_json()["images"]
    assert [image["width"] for image in images] == [64, 65, 66, 67, 68, 69]
    rights = [image["objects"][0]["box"][2] for image in images]
    assert rights == sorted(rights) and rights[0] < 0.1 < 0.7 < rights[-1]


@pytest.mark.parametrize("least, labels", [("", 2), ("0", 2), ("0.2", 2), ("0.5", 1), ("1", 0)])
def test_what_is_less_sure_than_asked_for_is_left_out(
    client: FlaskClient, detector: Fake, least: str, labels: int
) -> None:
    response = client.post(f"/detect?min_score={least}", data=jpeg(), content_type="image/jpeg")
    assert len(response.get_json()["images"][0]["objects"]) == labels


@pytest.mark.parametrize("least", ["-0.1", "1.1", "nan", "inf", "high", "0,5", "1e999"])
def test_a_score_that_is_none_is_refused_by_name(client: FlaskClient, detector: Fake, least: str) -> None:
    response = client.post(f"/detect?min_score={least}", data=jpeg(), content_type="image/jpeg")
    assert said(response).startswith("min_score: ")


@pytest.mark.parametrize("content_type", ["", "application/json", "image/png", "text/plain"])
def test_another_content_type_is_refused_by_name(
    client: FlaskClient, detector: Fake, content_type: str
) -> None:
    response = client.post("/detect", data=jpeg(), content_type=content_type)
    assert said(response).startswith("Content-Type: ")


@pytest.mark.parametrize("body", [b"", b"{}", b"\x89PNG\r\n\x1a\n", jpeg()[:100], b"\xff\xd8\xff\xd9"])
def test_what_is_no_jpeg_is_refused(client: FlaskClient, detector: Fake, body: bytes) -> None:
    assert said(client.post("/detect", data=body, content_type="image/jpeg")).startswith("body: ")
    assert said(client.post("/detect", **form(jpeg(), body))).startswith("picture 2: ")
    assert detector.seen == []


def test_a_form_without_pictures_is_refused(client: FlaskClient, detector: Fake) -> None:
    for sent in (form(), form(note="no file")):
        assert said(client.post("/detect", **sent)).startswith("body: ")
    broken = client.post("/detect", data=b"nonsense", content_type="multipart/form-data; boundary=x")
    assert said(broken).startswith("body: ")
    unbound = client.post("/detect", data=b"nonsense", content_type="multipart/form-data")
    assert said(unbound).startswith("body: ")


def test_too_many_pictures_are_refused(make_app: AppMaker, detector: Fake) -> None:
    client = make_app(API_ANONYMOUS=True, DETECT_MAX_IMAGES=3).test_client()
    assert client.post("/detect", **form(*[jpeg()] * 3)).status_code == 200
    assert "3 at most" in said(client.post("/detect", **form(*[jpeg()] * 4)))
    assert "3 pictures at most" in said(client.post("/detect", **form(*[jpeg()] * 400)))


def test_too_large_a_body_is_refused(make_app: AppMaker, detector: Fake) -> None:
    client = make_app(API_ANONYMOUS=True, MAX_BODY_BYTES=1_000).test_client()
    large = jpeg() + bytes(32_000)
    response = client.post("/detect", data=large, content_type="image/jpeg")
    assert said(response) == "body: is larger than 32000 bytes"
    assert said(client.post("/detect", **form(large))) == "body: is larger than 32000 bytes"


def test_a_large_picture_reaches_the_detector_no_larger_than_it_needs(
    client: FlaskClient, detector: Fake
) -> None:
    response = client.post("/detect", data=jpeg(4000, 3000), content_type="image/jpeg")
    image = response.get_json()["images"][0]
    assert (image["width"], image["height"]) == (4000, 3000)
    assert max(detector.seen[0]) <= 1664


def test_a_detector_that_cannot_answer_is_told(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(settings: Settings) -> Fake:
        raise DetectorError("the model gave an answer that makes no sense")

    monkeypatch.setattr(detection, "local_detector", fail)
    response = client.post("/detect", data=jpeg(), content_type="image/jpeg")
    assert response.status_code == 503
    assert response.get_json()["msg"] == "the model gave an answer that makes no sense"

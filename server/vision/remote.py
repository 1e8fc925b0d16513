"""Another server as the detector, over HTTP: the `POST /detect` that this server offers as well."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import urllib3

from server.clock import Clock
from server.domain.detections import LABELS, Detections
from server.domain.video import Picture
from server.errors import DetectorError
from server.log import redact

SIDE = 640
"""Pictures are sent no larger than this many pixels a side: detectors shrink them further anyway."""
JPEG_QUALITY = 90
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 10.0
"""After a failure nobody asks again for this long (seconds), doubling from the first to the longest:
waiting for a dead server again and again would hold up every camera."""
MAX_ANSWER_BYTES = 4_000_000


class RemoteDetector:
    """Sends JPEGs, reads boxes. A failure is remembered for all cameras of the process."""

    def __init__(self, url: str, *, timeout: float, token: str, clock: Clock) -> None:
        """timeout: seconds for the whole call. token: shown as `Authorization: Bearer`, if not empty."""
        self._url = url
        self._clock = clock
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = urllib3.PoolManager(
            maxsize=8, retries=False, timeout=urllib3.Timeout(total=timeout), block=False
        )
        self._timeout = timeout
        self._lock = threading.Lock()
        self._pause = 0.0
        self._ask_again_at = 0.0
        self._last_failure = ""
        self.name = redact(url)
        self.size = (SIDE, SIDE)
        self.batch = 1

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """See `Detector.detect`."""
        with self._lock:
            if self._clock.monotonic() < self._ask_again_at:
                raise DetectorError(self._last_failure)
        try:
            answers = self._ask(pictures)
        except DetectorError as error:
            with self._lock:
                self._last_failure = str(error)
                self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
                self._ask_again_at = self._clock.monotonic() + self._pause
            raise
        with self._lock:
            self._pause = 0.0
        return answers

    def _ask(self, pictures: Sequence[Picture]) -> list[Detections]:
        files = [("image", (f"{i}.jpg", _jpeg(p), "image/jpeg")) for i, p in enumerate(pictures)]
        try:
            response = self._http.request(
                "POST", self._url, fields=files, headers=self._headers, preload_content=False
            )
            try:
                body = response.read(MAX_ANSWER_BYTES + 1)
            finally:
                response.release_conn()
        except urllib3.exceptions.NewConnectionError as error:
            # Refused or no such host; some versions of urllib3 make it a kind of time-out.
            raise DetectorError(f"{self.name} cannot be reached") from error
        except (urllib3.exceptions.TimeoutError, urllib3.exceptions.ReadTimeoutError) as error:
            raise DetectorError(f"{self.name} did not answer within {self._timeout:g} s") from error
        except urllib3.exceptions.HTTPError as error:
            raise DetectorError(f"{self.name} cannot be reached") from error
        if response.status != 200:
            raise DetectorError(f"{self.name} answered with status {response.status}")
        return self._parse(body, len(pictures))

    def _parse(self, body: bytes, expected: int) -> list[Detections]:
        try:
            if len(body) > MAX_ANSWER_BYTES:
                raise ValueError("too long")
            images = json.loads(body)["images"]
            if not isinstance(images, list) or len(images) != expected:
                raise ValueError("not one entry a picture")
            return [_detections(image["objects"]) for image in images]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DetectorError(f"{self.name} gave an answer that makes no sense ({error})") from error


def _detections(objects: list[dict[str, Any]]) -> Detections:
    """Objects of an answer; labels we do not know are left out. Raises ValueError, KeyError, TypeError."""
    known = [entry for entry in objects if entry["label"] in LABELS]
    if not known:
        return Detections.empty()
    boxes = np.array([entry["box"] for entry in known], np.float32)
    scores = np.array([entry["score"] for entry in known], np.float32)
    labels = np.array([LABELS.index(entry["label"]) for entry in known], np.int64)
    if boxes.shape != (len(known), 4) or not np.isfinite(boxes).all() or not np.isfinite(scores).all():
        raise ValueError("boxes are not four numbers each")
    if (boxes[:, 2:] < boxes[:, :2]).any() or scores.min() < 0 or scores.max() > 1:
        raise ValueError("a box is turned over or a score beyond 0..1")
    order = np.argsort(-scores, kind="stable")
    return Detections(np.clip(boxes[order], 0, 1), scores[order], labels[order])


def _jpeg(picture: Picture) -> bytes:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise DetectorError("a picture could not be encoded as JPEG")
    return bytes(data)

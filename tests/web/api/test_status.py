from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.databases import every_database
from tests.factories import camera, lease

pytestmark = pytest.mark.usefixtures("session")


@every_database
def test_without_cameras_the_answer_is_empty(client: FlaskClient) -> None:
    assert client.get("/statusWatch").get_json() == {}


@every_database
def test_a_camera_is_watched_while_its_lease_is_valid(client: FlaskClient) -> None:
    watched = camera(name="Door", stream_url="rtsp://user:secret@192.0.2.1/live?token=abc")
    lease(watched, seconds_left=60, state="watching")
    abandoned = camera()
    lease(abandoned, seconds_left=-1, state="watching")
    broken = camera()
    lease(broken, seconds_left=-1, state="unreachable", reason="connection refused")
    lost = camera()
    lease(lost, seconds_left=60, state="unreachable", reason="connection refused")
    new, disabled = camera(), camera(enabled=False)
    answer = client.get("/statusWatch").get_json()
    assert answer[str(watched.id)] == {
        "watching": True,
        "url": "rtsp://***@192.0.2.1/live?token=***",
        "name": "Door",
        "state": "watching",
        "reason": "",
    }
    assert [answer[str(one.id)]["watching"] for one in (abandoned, broken, lost, new, disabled)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert answer[str(abandoned.id)]["state"] == "stopped"
    assert answer[str(lost.id)]["reason"] == "connection refused"
    assert "disabled" in answer[str(disabled.id)]["reason"]
    assert "worker" in answer[str(new.id)]["reason"]

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from flask.testing import FlaskClient

from server.models import Processor
from tests.conftest import AppMaker
from tests.databases import every_database
from tests.factories import at, event, observation, processor

pytestmark = pytest.mark.usefixtures("session")


@pytest.fixture
def door() -> Processor:
    """Counts passes; watched from noon to five past, UTC."""
    door = processor("traffic")
    observation(door, at(0), at(300))
    event(door, at(10), passes=1, direction="in")
    event(door, at(20.25), passes=1, direction="in")
    event(door, at(30), direction="out")
    return door


@pytest.fixture
def room() -> Processor:
    """Counts who is there; watched from noon to five past, UTC."""
    room = processor("persons")
    observation(room, at(0), at(300))
    event(room, at(10), count=1)
    event(room, at(20.25), count=3)
    return room


def ask(client: FlaskClient, path: str, **fields: Any) -> tuple[int, Any]:
    response = client.post(path, json=fields)
    return response.status_code, response.get_json()


@every_database
def test_traffic_answers_the_passes_of_a_span_in_local_time(client: FlaskClient, door: Processor) -> None:
    status, answer = ask(
        client,
        "/traffic",
        proc_id=door.id,
        start_ts="2026-03-27 12:00:00.0",
        stop_ts="2026-03-27 12:05:00.0",
    )
    assert status == 200
    assert answer == {
        "err": False,
        "traffic": 2,
        "in": 2,
        "out": 1,
        "net": 1,
        "min_ts": "2026-03-27 12:00:10.000000",
        "max_ts": "2026-03-27 12:00:30.000000",
        "observed": 1.0,
    }


@every_database
def test_an_observed_span_without_passes_answers_zero(client: FlaskClient, door: Processor) -> None:
    _, answer = ask(
        client,
        "/traffic",
        proc_id=door.id,
        start_ts="2026-03-27 12:01:00",
        stop_ts="2026-03-27 12:09:00",
    )
    assert answer == {
        "err": False,
        "traffic": 0,
        "in": 0,
        "out": 0,
        "net": 0,
        "min_ts": None,
        "max_ts": None,
        "observed": 0.5,
    }


@pytest.mark.parametrize("path, time", [("/traffic", "start_ts"), ("/objects", "ts")])
@every_database
def test_a_time_nobody_watched_at_has_no_records(
    client: FlaskClient, door: Processor, room: Processor, path: str, time: str
) -> None:
    fields = {"proc_id": (door if path == "/traffic" else room).id, time: "2026-04-01 00:00:00"}
    if path == "/traffic":
        fields["stop_ts"] = "2026-04-02 00:00:00"
    assert ask(client, path, **fields) == (404, {"err": True, "msg": "No records found"})


@every_database
def test_without_a_stop_the_span_goes_up_to_now(client: FlaskClient) -> None:
    door = processor("traffic")
    now = datetime.now(timezone.utc)
    observation(door, now - timedelta(hours=1), now - timedelta(seconds=1), ended=None)
    event(door, now - timedelta(minutes=5), passes=1)
    start = (now - timedelta(minutes=30)).replace(tzinfo=None).isoformat(" ")
    status, answer = ask(client, "/traffic", proc_id=door.id, start_ts=start)
    assert (status, answer["traffic"], answer["observed"]) == (200, 1, 1.0)


@every_database
def test_objects_answers_the_count_and_since_when(client: FlaskClient, room: Processor) -> None:
    assert ask(client, "/objects", proc_id=room.id, ts="2026-03-27 12:00:25") == (
        200,
        {"err": False, "count": 3, "ts": "2026-03-27 12:00:20.250000"},
    )


@every_database
def test_objects_without_a_time_answers_for_now(client: FlaskClient) -> None:
    room = processor("persons")
    now = datetime.now(timezone.utc)
    observation(room, now - timedelta(hours=1), now - timedelta(seconds=1), ended=None)
    event(room, now - timedelta(minutes=5), count=7)
    status, answer = ask(client, "/objects", proc_id=room.id)
    assert (status, answer["count"]) == (200, 7)


@every_database
def test_times_are_in_the_configured_zone_and_answered_as_they_were_asked(make_app: AppMaker) -> None:
    client = make_app(API_ANONYMOUS=True, TIMEZONE="Europe/Berlin").test_client()
    door, room = processor("traffic"), processor("persons")
    for one in (door, room):
        observation(one, at(0), at(300))
    event(door, at(10), passes=1)
    event(room, at(10), count=1)
    local, aware = ("2026-03-27 13:00:00", "2026-03-27 13:04:00"), "2026-03-27T12:00:00Z"
    _, answer = ask(client, "/traffic", proc_id=door.id, start_ts=local[0], stop_ts=local[1])
    assert (answer["traffic"], answer["min_ts"]) == (1, "2026-03-27 13:00:10.000000")
    _, answer = ask(client, "/traffic", proc_id=door.id, start_ts=aware, stop_ts=local[1])
    assert (answer["traffic"], answer["min_ts"]) == (1, "2026-03-27T13:00:10.000000+01:00")
    _, answer = ask(client, "/objects", proc_id=room.id, ts="2026-03-27T08:01:00-04:00")
    assert (answer["count"], answer["ts"]) == (1, "2026-03-27T13:00:10.000000+01:00")


STOP_FIRST = {"start_ts": "2026-03-27 00:00:00.0", "stop_ts": "2026-03-26 00:00:00.0"}


@pytest.mark.parametrize(
    "fields, named",
    [
        ({}, "proc_id"),
        ({"proc_id": 1}, "start_ts"),
        ({"proc_id": None, "start_ts": "2026-03-27"}, "proc_id"),
        ({"proc_id": "1", "start_ts": "2026-03-27"}, "proc_id"),
        ({"proc_id": True, "start_ts": "2026-03-27"}, "proc_id"),
        ({"proc_id": 1.0, "start_ts": "2026-03-27"}, "proc_id"),
        ({"proc_id": [1], "start_ts": "2026-03-27"}, "proc_id"),
        ({"proc_id": 1, "start_ts": 1585267200}, "start_ts"),
        ({"proc_id": 1, "start_ts": None}, "start_ts"),
        ({"proc_id": 1, "start_ts": "last week"}, "start_ts"),
        ({"proc_id": 1, "start_ts": "9999-01-01"}, "start_ts"),
        ({"proc_id": 1, "start_ts": "2026-03-27", "stop_ts": None}, "stop_ts"),
        ({"proc_id": 1, "start_ts": "2026-03-27", "stop_ts": "soon"}, "stop_ts"),
        ({"proc_id": 1, **STOP_FIRST}, "stop_ts"),
    ],
)
def test_traffic_refuses_a_wrong_field_by_its_name(
    client: FlaskClient, door: Processor, fields: dict[str, Any], named: str
) -> None:
    status, answer = ask(client, "/traffic", **fields)
    assert status == 400
    assert answer["err"] is True
    assert answer["msg"].startswith(f"{named}: ")


@pytest.mark.parametrize(
    "fields, named",
    [({}, "proc_id"), ({"proc_id": {}}, "proc_id"), ({"proc_id": 1, "ts": False}, "ts")],
)
def test_objects_refuses_a_wrong_field_by_its_name(
    client: FlaskClient, room: Processor, fields: dict[str, Any], named: str
) -> None:
    status, answer = ask(client, "/objects", **fields)
    assert status == 400
    assert answer["msg"].startswith(f"{named}: ")


@every_database
@pytest.mark.parametrize("proc_id", [0, -5, 12_345, 2**31, 2**63, 10**19])
def test_an_unknown_processor_is_not_found(client: FlaskClient, proc_id: int) -> None:
    for path in ("/traffic", "/objects"):
        status, answer = ask(client, path, proc_id=proc_id, start_ts="2026-03-27")
        assert status == 404
        assert answer["err"] is True
        assert answer["msg"].startswith("Wrong processor id") and "proc_id" in answer["msg"]


def test_a_processor_of_the_other_kind_is_refused(
    client: FlaskClient, door: Processor, room: Processor
) -> None:
    status, answer = ask(client, "/traffic", proc_id=room.id, start_ts="2026-03-27")
    assert status == 400 and answer["msg"].startswith("proc_id: ")
    status, answer = ask(client, "/objects", proc_id=door.id)
    assert status == 400 and answer["msg"].startswith("proc_id: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"proc_id=1",
        b"{",
        b"[1]",
        b"null",
        b'"text"',
        b"1",
        b"NaN",
        b'{"proc_id": NaN}',
        b'{"proc_id": Infinity}',
        b'{"proc_id": 1, "start_ts": -Infinity}',
        b"\xff\xfe\x00",
        b"\x80abc",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
@pytest.mark.parametrize("path", ["/traffic", "/objects"])
def test_a_body_that_is_no_json_object_is_refused(client: FlaskClient, path: str, body: bytes) -> None:
    response = client.post(path, data=body, content_type="application/json")
    assert response.status_code == 400
    assert response.get_json()["err"] is True
    assert response.get_json()["msg"].startswith("body: ")
    assert len(response.data) < 500


def test_a_number_of_many_digits_is_refused_by_its_field(client: FlaskClient) -> None:
    response = client.post("/objects", data=b'{"proc_id": ' + b"9" * 500_000 + b"}")
    assert response.status_code == 400
    assert response.get_json()["msg"].startswith("proc_id: ")


def test_a_body_of_ten_megabytes_is_refused_by_name(client: FlaskClient) -> None:
    for path in ("/traffic", "/objects"):
        response = client.post(path, data=b'{"proc_id": "' + b"x" * 10_000_000 + b'"}')
        assert response.status_code == 400
        assert response.get_json() == {"err": True, "msg": "body: is larger than 1000000 bytes"}


def test_a_body_of_ten_megabytes_in_chunks_is_refused_by_name(client: FlaskClient) -> None:
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    stream = io.BytesIO(b'{"proc_id": 1}'.ljust(10_000_000))
    response = client.post("/traffic", input_stream=stream, environ_overrides=environ)
    assert response.status_code == 400
    assert response.get_json() == {"err": True, "msg": "body: is larger than 1000000 bytes"}


def test_the_limit_of_the_body_is_a_setting(make_app: AppMaker) -> None:
    client = make_app(API_ANONYMOUS=True, MAX_BODY_BYTES=1_000).test_client()
    fitting = b'{"proc_id": 1}'.ljust(1_000)
    assert client.post("/objects", data=fitting).status_code == 404
    assert client.post("/objects", data=fitting + b" ").status_code == 400


def test_the_content_type_does_not_matter(client: FlaskClient, room: Processor) -> None:
    body = b'{"proc_id": %d, "ts": "2026-03-27 12:00:25"}' % room.id
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "", "nonsense"):
        response = client.post("/objects", data=body, content_type=content_type)
        assert response.get_json()["count"] == 3

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy.event import listen

from server.errors import InvalidInput
from server.extensions import db
from server.models import AuditEntry, User
from server.services import accounts, audit, cameras, tokens
from server.services.audit import Actor, acting
from server.services.cameras import CameraInput, ProcessorInput
from server.services.transactions import writing
from tests.databases import every_database
from tests.factories import NOON, save

pytestmark = pytest.mark.usefixtures("session")
PASSWORD = "correct horse battery"
OTHER = "staple staple staple"
DOOR = CameraInput("Door", "/clips/door.mp4")
LINE = ProcessorInput("Line", lines=[[[0, 0.5], [1, 0.5]]])


def entries() -> list[AuditEntry]:
    db.session.rollback()
    return list(db.session.query(AuditEntry).order_by(AuditEntry.id))


def last() -> AuditEntry:
    return entries()[-1]


@every_database
def test_an_entry_says_who_did_what_to_what_and_what_differs() -> None:
    ann = accounts.create_user("Ann", PASSWORD)
    with acting(Actor("Ann", ann, "192.0.2.7")):
        key = cameras.create_camera(DOOR)
        cameras.update_camera(key, CameraInput("Front door", "/clips/door.mp4", watch_fps=10))
    made, changed = entries()[1:]
    assert (made.who, made.user_id, made.address) == ("Ann", ann, "192.0.2.7")
    assert (made.action, made.kind, made.object_id, made.name) == ("created", "camera", key, "Door")
    assert made.before is None and made.after["watch_fps"] == 5 and made.after["enabled"] is True
    assert (changed.action, changed.name) == ("changed", "Front door")
    assert changed.before == {"name": "Door", "watch_fps": 5}
    assert changed.after == {"name": "Front door", "watch_fps": 10}


@every_database
def test_saving_without_a_change_leaves_no_entry() -> None:
    key = cameras.create_camera(DOOR)
    processor = cameras.create_processor(key, "traffic", LINE)
    ann = accounts.create_user("Ann", PASSWORD)
    before = len(entries())
    cameras.update_camera(key, DOOR)
    cameras.update_processor(processor, LINE)
    accounts.update_user(ann, name="Ann", role="administrator", active=True)
    assert len(entries()) == before


@every_database
def test_a_refused_change_leaves_no_entry() -> None:
    key = cameras.create_camera(DOOR)
    cameras.create_camera(CameraInput("Gate", "/clips/a.mp4"))
    before = len(entries())
    with pytest.raises(InvalidInput):
        cameras.update_camera(key, CameraInput("Gate", "/clips/door.mp4"))
    with pytest.raises(InvalidInput):
        cameras.create_processor(key, "traffic", ProcessorInput("Line"))
    assert len(entries()) == before


@every_database
def test_what_is_deleted_is_found_with_all_that_it_was() -> None:
    key = cameras.create_camera(CameraInput("Door", "/clips/door.mp4", watch_fps=7))
    line = cameras.create_processor(key, "traffic", LINE)
    room = cameras.create_processor(key, "persons", ProcessorInput("Room"))
    cameras.delete_processor(line)
    gone = last()
    assert (gone.action, gone.kind, gone.object_id, gone.name) == ("deleted", "processor", line, "Line")
    assert gone.before["lines"] == LINE.lines and gone.before["camera"] == "Door"
    assert gone.before["enabled"] is True and gone.after is None
    cameras.delete_camera(key)
    gone = last()
    assert (gone.action, gone.kind, gone.object_id) == ("deleted", "camera", key)
    assert gone.before["watch_fps"] == 7 and gone.before["enabled"] is True
    assert gone.before["processors"] == ["Room"]
    assert room


@every_database
def test_an_account_is_recorded_with_its_rights_and_without_its_password() -> None:
    door, gate = cameras.create_camera(DOOR), cameras.create_camera(CameraInput("Gate", "/clips/a.mp4"))
    accounts.create_user("Ann", PASSWORD)
    bob = accounts.create_user("Bob", PASSWORD, "viewer", cameras=[gate, door], timezone="Europe/Berlin")
    assert last().after == {
        "name": "Bob",
        "role": "viewer",
        "active": True,
        "cameras": ["Door", "Gate"],
        "timezone": "Europe/Berlin",
        "password": "***",
    }
    accounts.update_user(bob, name="Bob", role="operator", active=True, cameras=[gate], password=OTHER)
    assert last().before == {"role": "viewer", "cameras": ["Door", "Gate"], "password": "***"}
    assert last().after == {"role": "operator", "cameras": ["Gate"], "password": "***"}
    accounts.update_user(bob, name="Bob", role="operator", active=True, cameras="all")
    assert last().after == {"cameras": "all"}
    accounts.change_own_password(bob, OTHER, PASSWORD)
    assert (last().action, last().after) == ("changed", {"password": "***"})
    accounts.change_own_zone(bob, "")
    assert (last().before, last().after) == ({"timezone": "Europe/Berlin"}, {"timezone": ""})
    with acting(Actor("Bob", bob)):
        accounts.delete_user(bob)
    assert (last().action, last().who, last().user_id) == ("deleted", "Bob", None)
    assert last().before["cameras"] == "all" and "password" not in last().before


@every_database
def test_who_acts_may_be_gone_by_then() -> None:
    with acting(Actor("Ghost", 4711)):
        cameras.create_camera(DOOR)
    assert (last().who, last().user_id) == ("Ghost", None)


@every_database
def test_a_token_is_recorded_with_its_scopes_and_never_itself() -> None:
    token = tokens.create_token("office", scopes=["detect", "metrics"])
    assert last().after == {"name": "office", "scopes": ["metrics", "detect"]}
    tokens.revoke_token("office")
    tokens.revoke_token("office")
    assert [entry.action for entry in entries()] == ["created", "revoked"]
    assert token[:9] not in str([(entry.before, entry.after) for entry in entries()])


def test_an_address_is_recorded_without_its_password_and_a_new_password_is_noticed() -> None:
    key = cameras.create_camera(CameraInput("Door", "rtsp://joe:hunter2@192.0.2.1/live?token=abc"))
    cameras.update_camera(key, CameraInput("Door", "rtsp://joe:swordfish@192.0.2.1/live?token=abc"))
    assert last().before == {"stream_url": "rtsp://***@192.0.2.1/live?token=***"}
    assert "another password" in last().after["stream_url"]
    cameras.delete_camera(key)
    kept = str([(entry.name, entry.before, entry.after) for entry in entries()])
    for secret in ("joe", "hunter2", "swordfish", "abc"):
        assert secret not in kept


def test_values_are_redacted_at_any_depth_and_long_ones_are_cut() -> None:
    deep: dict[str, Any] = {"a": [{"rtsp://x:y@h/": 'http://u:p@h/?key="\\"'}], "New Password": [1, 2]}
    with writing() as session:
        audit.record(session, "changed", "camera", 1, "rtsp://u:p@h/\n", after={**deep, "long": "x" * 50_000})
        audit.record(session, "changed", "camera", 1, "masks", after={"masks": [[0.5, 0.5]] * 5_000})
    one, two = entries()
    assert one.name == "rtsp://***@h/"
    assert one.after["a"] == [{"rtsp://***@h/": 'http://***@h/?key=***"\\"'}]
    assert one.after["New Password"] == "***"
    assert len(one.after["long"]) < 11_000 and "50000 characters" in one.after["long"]
    assert isinstance(two.after["masks"], str)


@every_database
def test_signing_in_and_being_refused_are_recorded() -> None:
    ann = accounts.create_user("Ann", PASSWORD)
    with acting(Actor("", None, "192.0.2.7")):
        assert accounts.sign_in("ann", PASSWORD).id == ann
        assert (last().action, last().who, last().user_id) == ("signed in", "Ann", ann)
        assert last().address == "192.0.2.7"
        assert accounts.sign_in("ann", OTHER) is None
        assert accounts.sign_in("x" * 200 + "\x07\n", OTHER) is None
    assert (last().action, last().who, last().user_id) == ("sign-in refused", "x" * 80, None)
    assert entries()[-2].name == "ann" and entries()[-2].address == "192.0.2.7"
    assert OTHER not in str([(entry.name, entry.before, entry.after) for entry in entries()])


def test_people_sign_in_and_out_while_nothing_can_be_stored(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    ann = accounts.create_user("Ann", PASSWORD)
    db.session.remove()
    listen(db.engine, "connect", lambda connection, record: connection.execute("PRAGMA query_only = ON"))
    db.engine.dispose()
    assert accounts.sign_in("ann", PASSWORD).id == ann
    assert accounts.sign_in("ann", OTHER) is None
    accounts.sign_out(ann, "Ann")
    assert [entry.action for entry in entries()] == ["created"]
    missing = [record.getMessage() for record in caplog.records if "missing from the audit log" in record.msg]
    assert len(missing) == 3 and "signed in by 'Ann'" in missing[0] and "read-only" in missing[0]


_secret = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=12, max_size=20)
_addresses = st.sampled_from(
    (
        "rtsp://{0}:{1}@192.0.2.1/live",
        "rtsp://{0}:{1}%40{0}@192.0.2.1:554/live?channel=1",
        "http://192.0.2.1/video.cgi?user=x&pwd={1}&token={0}",
        "http://192.0.2.1/live.m3u8?access_token={0}.{1}",
        "rtsp://192.0.2.1:554/user=admin&password={0}&channel=1.sdp",
        "rtsp://192.0.2.1:554/user=admin_password={0}_channel=1_stream=0.sdp",
        "rtsp://{0}:x@192.0.2.1/live?apikey={1}",
    )
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(address=_addresses, first=_secret, second=_secret)
def test_no_part_of_a_secret_in_an_address_is_kept(address: str, first: str, second: str) -> None:
    assume(first not in second and second not in first)
    db.session.query(AuditEntry).delete()
    db.session.commit()
    before, after = address.format(first, second), address.format(second, first)
    # Names of more than 80 characters are refused.
    key = cameras.create_camera(CameraInput(before if len(before) <= 80 else "Door", before))
    cameras.update_camera(key, CameraInput(after if len(after) <= 80 else "Door", after))
    with acting(Actor(before)):
        cameras.delete_camera(key)
    kept = repr([(entry.who, entry.name, entry.before, entry.after) for entry in entries()])
    assert len(entries()) == 3 and "192.0.2.1" in kept
    assert first not in kept and second not in kept


@every_database
def test_whoever_tries_for_ever_fills_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        audit.record_refusal("sign-in refused", "ann")
    assert len(entries()) == 1 and last().after == {"attempts": 5}
    monkeypatch.setattr(audit, "MAX_REFUSALS", 4)
    for number in range(20):
        with acting(Actor("", None, f"192.0.2.{number}")):
            audit.record_refusal("sign-in refused", f"name {number}")
    # Four by name, and the other seventeen in one.
    assert [entry.name for entry in entries()] == ["ann", "name 0", "name 1", "name 2", "several"]
    assert last().after == {"attempts": 17}
    audit.record_refusal("too many attempts", "ann")
    assert (len(entries()), last().action, last().name) == (6, "too many attempts", "several")


@every_database
def test_old_entries_are_forgotten(app: Flask) -> None:
    for days in (0, 29, 31, 400):
        ts = NOON - timedelta(days=days)
        save(AuditEntry(ts=ts, who="ann", action="changed", kind="camera", name=str(days)))
    assert audit.forget(db.engine, 30, NOON) == 2
    assert [entry.name for entry in entries()] == ["0", "29"]


@every_database
@pytest.mark.parametrize("how", ["role", "active", "delete"])
def test_two_administrators_who_take_each_others_rights_at_once_leave_one(app: Flask, how: str) -> None:
    ids = [accounts.create_user(name, PASSWORD) for name in ("Ann", "Bob")]
    start = threading.Barrier(2, timeout=30)
    refused: list[str] = []

    def strike(own: int, other: int, name: str) -> None:
        with app.app_context(), acting(Actor(str(own), own)):
            start.wait()
            try:
                if how == "delete":
                    accounts.delete_user(other)
                else:
                    role = "viewer" if how == "role" else "administrator"
                    accounts.update_user(other, name=name, role=role, active=how == "role")
            except InvalidInput as error:
                refused.append(error.message)
            db.session.remove()

    strikes = [(ids[0], ids[1], "Bob"), (ids[1], ids[0], "Ann")]
    threads = [threading.Thread(target=strike, args=args) for args in strikes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    db.session.rollback()
    left = db.session.query(User).filter(User.role == "administrator", User.active).count()
    assert left == 1 and len(refused) == 1 and "last administrator" in refused[0]

"""Which addresses a camera may have."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.config import _NETWORKS as CONFIGURABLE
from server.config import load_settings
from server.errors import ConfigError, InvalidInput, SourceError
from server.media.addresses import (
    NETWORKS,
    allowed_addresses,
    check_address,
    device_of,
    file_of,
    scheme_of,
)

UNHURRIED = settings(deadline=None)
"""A busy machine is no failure."""


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "the path of a video file"),
        ("   ", "such as rtsp://192.168.1.20/stream1"),
        ("rtsp://camera/" + "a" * 2_000, "at most 2,000 characters"),
        ("/srv/a\nb.mp4", "control characters"),
        ("/srv/a\x00.mp4", "control characters"),
        ("rtmp://camera/1", "rtmp:// is not supported; rtsp://"),
        ("concat:/etc/passwd", "concat:// is not supported"),
        ("srt://camera:9000", "srt:// is not supported"),
        ("rtsp:///stream1", "host is missing: rtsp://192.168.1.20/stream1 has one"),
        ("http:stream1", "host is missing"),
        ("rtsp://camera:99999/1", "number from 1 to 65535"),
        ("rtsp://camera:0/1", "number from 1 to 65535"),
        ("rtsp://camera:x/1", "number from 1 to 65535"),
        ("rtsp://camera/a b", "write %20"),
        ("rtsp://[::1/1", "in \\[brackets\\]"),
        ("http://169.254.169.254/latest/meta-data", "address is not allowed"),
        ("http://[fd00:ec2::254]/", "address is not allowed"),
        ("http://[::ffff:169.254.169.254]/", "address is not allowed"),
        ("http://metadata.google.internal./", "address is not allowed"),
        ("rtsp://0.0.0.0/1", "address is not allowed"),
        ("rtsp://239.1.2.3/1", "address is not allowed"),
        ("v4l2:///dev/sda", "names a camera on this server: v4l2:///dev/video0"),
        ("v4l2://dev/video0", "names a camera on this server"),
        ("/dev/sda", "a camera on this server is /dev/video0"),
        ("/dev/video0/../mem", "a camera on this server is /dev/video0"),
        ("file:///proc/self/environ", "no video file is there"),
        ("//proc/self/environ", "no video file is there"),
        ("file://elsewhere/srv/door.mp4", "a file on this server"),
        ("door.mp4", "the whole path from /"),
        ("../door.mp4", "the whole path from /"),
        ("file:door.mp4", "the whole path from /"),
    ],
)
def test_an_address_that_cannot_be_played_is_refused_in_words(address: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refusal:
        check_address(address)
    assert refusal.value.field == "stream_url"


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/srv/video/door.mp4", "/srv/video/door.mp4"),
        ("/srv/100%/door 1.mp4", "/srv/100%/door 1.mp4"),
        ("file:///srv/video/door.mp4", "/srv/video/door.mp4"),
        ("file://localhost/srv/door%201.mp4", "/srv/door 1.mp4"),
    ],
)
def test_a_path_and_a_file_url_name_a_file(address: str, path: str) -> None:
    check_address(address)
    assert file_of(address) == Path(path)


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://192.168.1.20/stream1",
        "RTSP://admin:se%20cret@camera.local:8554/Streaming/Channels/101?transportmode=unicast",
        "rtsps://[2001:db8::7]:322/1",
        "http://127.0.0.1:8080/live.m3u8",
        "https://example.org/a/b.ts?token=1",
        "/dev/video0",
        "v4l2:///dev/video12",
        "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam-video-index0",
        "/srv/video/rtsp:/door.mp4",
    ],
)
def test_what_a_source_can_play_is_taken(address: str) -> None:
    check_address(address)


def test_an_address_outside_the_networks_of_the_setting_is_refused_when_it_is_saved() -> None:
    check_address("rtsp://192.168.1.20/1", frozenset({"private"}))
    with pytest.raises(
        InvalidInput, match="it is public, and the setting STREAM_NETWORKS does not name public"
    ):
        check_address("rtsp://8.8.8.8/1", frozenset({"private"}))


def test_devices_are_told_from_files() -> None:
    assert device_of("/dev/video0") == device_of("v4l2:///dev/video0") == Path("/dev/video0")
    assert device_of("/srv/dev/video0") is None
    assert device_of("rtsp://camera/dev/video0") is None
    assert scheme_of("/srv/a:b") == ""
    assert scheme_of("RTSP://x") == "rtsp"


KINDS = {
    "8.8.8.8": "public",
    "2a00:1450:4001::1": "public",
    "10.1.2.3": "private",
    "172.31.0.1": "private",
    "192.168.178.20": "private",
    "100.64.0.7": "private",
    "fd12::1": "private",
    "::ffff:192.168.1.1": "private",
    "64:ff9b::a00:1": "private",
    "127.0.0.1": "loopback",
    "127.9.9.9": "loopback",
    "::1": "loopback",
    "::ffff:127.0.0.1": "loopback",
    "2002:7f00:1::": "loopback",
    "169.254.10.20": "link-local",
    "fe80::1": "link-local",
}


@pytest.mark.parametrize(("address", "kind"), KINDS.items())
def test_each_kind_of_network_is_let_in_by_its_own_name_alone(address: str, kind: str) -> None:
    plain = allowed_addresses(address, 554, frozenset({kind}))
    assert [ipaddress.ip_address(one) for one in plain] == [ipaddress.ip_address(address)]
    with pytest.raises(SourceError, match=f"{address}: its address is not allowed: it is {kind}") as refusal:
        allowed_addresses(address, 554, NETWORKS - {kind})
    assert not refusal.value.retryable
    assert refusal.value.state == "unreachable"


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "2852039166",
        "0xa9fea9fe",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "0.0.0.0",
        "0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
    ],
)
def test_some_addresses_are_never_connected_to(address: str) -> None:
    with pytest.raises(SourceError, match="its address is not allowed"):
        allowed_addresses(address, 80, NETWORKS)


@UNHURRIED
@given(st.ip_addresses())
def test_every_address_has_a_kind_and_no_metadata_slips_through(address: Any) -> None:
    try:
        assert allowed_addresses(str(address), 80, NETWORKS)
    except SourceError as refusal:
        assert "not allowed" in str(refusal)


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def answer(host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def test_of_a_name_only_the_allowed_addresses_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "169.254.169.254", "10.0.0.1", "8.8.8.8", "10.0.0.1")
    assert allowed_addresses("camera.example", 554, frozenset({"private"})) == ["10.0.0.1"]
    with pytest.raises(SourceError, match="not allowed"):
        allowed_addresses("camera.example", 554, frozenset({"loopback"}))


def test_a_name_that_does_not_exist_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(SourceError, match=r"^door\.example: the name cannot be found$") as refusal:
        allowed_addresses("door.example", 554, NETWORKS)
    assert refusal.value.retryable


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b", "\udcff"])
def test_what_is_no_name_is_said_in_words(host: str) -> None:
    with pytest.raises(SourceError, match=r"no host name|cannot be found"):
        allowed_addresses(host, 554, NETWORKS)


def test_the_setting_names_networks(tmp_path: Path) -> None:
    assert CONFIGURABLE == NETWORKS
    settings = load_settings(tmp_path, {"STREAM_NETWORKS": " Private, link-local"})
    assert settings.stream_networks == {"private", "link-local"}
    assert load_settings(tmp_path).stream_networks == {"public", "private", "loopback"}
    for wrong in ("lan", "", " , ", "public;private"):
        with pytest.raises(
            ConfigError, match=r"STREAM_NETWORKS: .* is not public, private, loopback or link-local"
        ):
            load_settings(tmp_path, {"STREAM_NETWORKS": wrong})

"""Which addresses a camera may have, and which of the network's the server connects to for it."""

from __future__ import annotations

import ipaddress
import os.path
import re
import socket
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from server.errors import InvalidInput, SourceError

NETWORKS = frozenset({"public", "private", "loopback", "link-local"})
"""The kinds of network that STREAM_NETWORKS may name."""
RTSP_SCHEMES = ("rtsp", "rtsps")
HTTP_SCHEMES = ("http", "https")
_SCHEMES = ("", "file", "v4l2", *RTSP_SCHEMES, *HTTP_SCHEMES)
_LONGEST = 2_000
_FIELD = "stream_url"
_DEVICE = re.compile(r"/dev/(video\d{1,3}|v4l/by-(id|path)/[\w.:+-]+)")
_NO_FILES = ("/dev", "/proc", "/sys")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    )
)
"""Where clouds hand out the keys of the machine that asks."""
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "metadata", "instance-data"})
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def check_address(address: str, networks: frozenset[str] = NETWORKS) -> None:
    """Refuse an address that no source can play. Raises InvalidInput for the field `stream_url`.

    networks: kinds of network allowed. Names are looked up only when the camera is connected to.
    """
    if not address.strip():
        raise InvalidInput(
            _FIELD,
            "the camera's address, such as rtsp://192.168.1.20/stream1, "
            "or the path of a video file on the server, such as /srv/video/door.mp4",
        )
    if any(ord(character) < 32 or ord(character) == 127 for character in address):
        raise InvalidInput(_FIELD, "an address has no line breaks or control characters")
    if len(address) > _LONGEST:
        raise InvalidInput(_FIELD, f"an address has at most {_LONGEST:,} characters")
    scheme = scheme_of(address)
    if scheme not in _SCHEMES:
        raise InvalidInput(
            _FIELD, f"{scheme}:// is not supported; rtsp://, rtsps://, http://, https:// or a path is"
        )
    if scheme in (*RTSP_SCHEMES, *HTTP_SCHEMES):
        _check_url(address, networks)
    elif scheme == "v4l2" or device_of(address) is not None:
        if device_of(address) is None:
            raise InvalidInput(_FIELD, "v4l2:// names a camera on this server: v4l2:///dev/video0")
    else:
        _check_file(address, scheme)


def scheme_of(address: str) -> str:
    """What stands before ://, in lower case; empty for a path."""
    return "" if address.startswith("/") else _split(address).scheme


def file_of(address: str) -> Path:
    """The file that a path or a file:// URL names."""
    if address.startswith("file:"):
        return Path(unquote(urlsplit(address).path))
    return Path(address)


def device_of(address: str) -> Path | None:
    """The camera device that /dev/videoN or v4l2:///dev/videoN names; None for any other address."""
    path = address
    if address.startswith("v4l2:"):
        parts = _split(address)
        path = unquote(parts.path) if not parts.netloc else ""
    return Path(path) if _DEVICE.fullmatch(path) else None


def allowed_addresses(host: str, port: int, networks: frozenset[str]) -> list[str]:
    """The IP addresses of `host` that may be connected to, in the order to try them.

    Connect to one of these, not to the name: it may mean another address the next time it is asked for.
    Raises SourceError in words. Blocks as long as the look-up takes.
    """
    if host.rstrip(".").lower() in _METADATA_NAMES:
        raise SourceError(f"{host}: {_NEVER}", retryable=False)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise SourceError(
                f"{host}: the name cannot be looked up; does this server's DNS work?"
            ) from error
        raise SourceError(f"{host}: the name cannot be found") from error
    except (UnicodeError, ValueError, OverflowError) as error:
        raise SourceError(f"{host}: this is no host name", retryable=False) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    allowed = [address for address in addresses if _kind(address) in networks]
    if not allowed:
        raise SourceError(f"{host}: {_refusal(_kind(addresses[0]))}", retryable=False)
    return allowed


_NEVER = "its address is not allowed: no camera is there (cloud metadata, multicast or unspecified)"


def _refusal(kind: str) -> str:
    if not kind:
        return _NEVER
    return f"its address is not allowed: it is {kind}, and the setting STREAM_NETWORKS does not name {kind}"


def _kind(address: str) -> str:
    """Which kind of network an address belongs to; empty for one that is never connected to."""
    ip = _plain(ipaddress.ip_address(address.partition("%")[0]))
    if ip in _METADATA or ip.is_multicast or ip.is_unspecified:
        return ""
    if ip.is_loopback:
        return "loopback"
    if ip.is_link_local:
        return "link-local"
    if any(ip in network for network in _PRIVATE if network.version == ip.version):
        return "private"
    if ip.version == 4 and (ip.is_reserved or int(ip) < 1 << 24):
        return ""
    return "public" if ip.is_global else "private"


def _plain(ip: _Address) -> _Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.teredo is not None:
        return ip.teredo[1]
    return ip.ipv4_mapped or ip.sixtofour or ip


def _check_url(address: str, networks: frozenset[str]) -> None:
    parts = _split(address)
    if any(character.isspace() for character in address):
        raise InvalidInput(_FIELD, "an address has no spaces; write %20 for one")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInput(_FIELD, "the port is a number from 1 to 65535") from error
    if not host:
        raise InvalidInput(
            _FIELD, f"the camera's host is missing: {parts.scheme}://192.168.1.20/stream1 has one"
        )
    if port == 0:
        raise InvalidInput(_FIELD, "the port is a number from 1 to 65535")
    if host.rstrip(".") in _METADATA_NAMES:
        raise InvalidInput(_FIELD, f"{host}: {_NEVER}")
    try:
        kind = _kind(host)
    except ValueError:
        return
    if kind not in networks:
        raise InvalidInput(_FIELD, f"{host}: {_refusal(kind)}")


def _check_file(address: str, scheme: str) -> None:
    if scheme == "file" and _split(address).netloc not in ("", "localhost"):
        raise InvalidInput(_FIELD, "file:// names a file on this server: file:///srv/video/door.mp4")
    path = file_of(address)
    if not path.is_absolute():
        raise InvalidInput(_FIELD, "the whole path from /, because workers run in other directories")
    plain = "/" + os.path.normpath(str(path)).lstrip("/")
    if any(plain == place or plain.startswith(f"{place}/") for place in _NO_FILES):
        raise InvalidInput(_FIELD, "no video file is there; a camera on this server is /dev/video0")


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        raise InvalidInput(_FIELD, "this is no address; an IPv6 address stands in [brackets]") from error

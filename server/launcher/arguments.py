"""The arguments of ./start, and whether its port is free.

Only the standard library: tools/bootstrap.py loads this file before anything is installed.
"""

from __future__ import annotations

import argparse
import errno
import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn


class UsageError(Exception):
    """The command cannot be carried out as it was given. The text is one line that says what to do."""


@dataclass(frozen=True)
class Options:
    """What ./start was asked for. `instance` is absolute."""

    host: str
    port: int
    instance: Path
    demo: bool

    @property
    def loopback(self) -> bool:
        """Whether only programs on this machine can connect."""
        return all(ipaddress.ip_address(address[0]).is_loopback for _, address in addresses(self))

    @property
    def bind(self) -> str:
        """host:port, as servers and addresses take it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the server."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
        if self.host in everywhere:
            return f"http://{everywhere[self.host]}:{self.port}/"
        return f"http://{self.bind}/"


def parse(arguments: Sequence[str], default_instance: Path) -> Options:
    """Read the arguments. Raises UsageError; --help prints itself and exits."""
    parser = _Parser(
        prog="./start", description="Set Hypersight up and run it until Ctrl-C.", allow_abbrev=False
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", default=5000, type=_port, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--instance", type=Path, metavar="DIR", help="where this installation keeps what is its own"
    )
    parser.add_argument("--no-demo", action="store_true", help="do not add the demo camera")
    given = parser.parse_args(arguments)
    instance = given.instance or Path(os.environ.get("HYPERSIGHT_INSTANCE") or default_instance)
    return Options(given.host.strip("[]"), given.port, instance.expanduser().absolute(), not given.no_demo)


def addresses(options: Options) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """The addresses that the host stands for. Raises UsageError where it stands for none."""
    try:
        found = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {options.host}: no such host; 127.0.0.1 is this machine alone") from error
    return [(family, (str(address[0]), int(address[1]))) for family, _, _, _, address in found]


def check_port(options: Options) -> None:
    """Whether the server will be able to listen. Raises UsageError that says why not."""
    for family, address in addresses(options):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
                # A bind beside a listening socket may succeed; listening beside it does not.
                probe.listen(1)
            except OSError as error:
                raise UsageError(_port_trouble(options, error)) from error


def _port_trouble(options: Options, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        other = options.port + 1 if options.port < 65_535 else 5000
        return f"port {options.port} is taken by another program: end that, or run ./start --port {other}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {options.port} may not be used by this user: run ./start --port 5000, or as root"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {options.host} is no address of this machine; 0.0.0.0 is all of them"
    return f"{options.bind} cannot be listened on: {error.strerror}"


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 1 to 65535")
    return port


class _Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (./start --help lists the arguments)")

"""Signing in to cameras over HTTP: Basic (RFC 7617) and Digest (RFC 7616)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from urllib.parse import unquote, urlsplit

_SCHEME = re.compile(r"(?:^|,)\s*(Basic|Digest)(?:\s+|$)", re.IGNORECASE)
_PARAMETER = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_HASHES = {"md5": "md5", "sha-256": "sha256"}


class Credentials:
    """The user name and password of a camera's address, and what its server wants done with them.

    Nothing is sent before the server has asked: a camera that knows Digest never gets the password itself.
    """

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._password = password
        self._digest: dict[str, str] | None = None
        self._basic = False
        self._count = 0

    @classmethod
    def of(cls, address: str) -> Credentials | None:
        """Those in the address, if there are any."""
        parts = urlsplit(address)
        if parts.username is None and parts.password is None:
            return None
        return cls(unquote(parts.username or ""), unquote(parts.password or ""))

    def challenged(self, headers: Iterable[str]) -> bool:
        """Take note of the WWW-Authenticate headers of a 401; False if none of them can be answered."""
        self._digest, self._basic = None, False
        for scheme, parameters in _challenges(headers):
            if scheme == "basic":
                self._basic = True
            elif self._digest is None and _answerable(parameters):
                self._digest, self._count = parameters, 0
        return self._basic or self._digest is not None

    def header(self, method: str, target: str) -> str | None:
        """Value of Authorization for a request, once it is known what the server wants."""
        if self._digest is not None:
            return self._digested(self._digest, method, target)
        if self._basic:
            pair = f"{self._user}:{self._password}".encode()
            return "Basic " + base64.b64encode(pair).decode("ascii")
        return None

    def _digested(self, asked: dict[str, str], method: str, target: str) -> str:
        name, session = _algorithm(asked)
        digest = _digest_of(name)
        self._count += 1
        count, own = f"{self._count:08x}", secrets.token_hex(8)
        realm, nonce = asked.get("realm", ""), asked["nonce"]
        secret = digest(f"{self._user}:{realm}:{self._password}")
        if session:
            secret = digest(f"{secret}:{nonce}:{own}")
        request = digest(f"{method}:{target}")
        if "qop" in asked:
            response = digest(f"{secret}:{nonce}:{count}:{own}:auth:{request}")
        else:
            response = digest(f"{secret}:{nonce}:{request}")
        said = {"username": self._user, "realm": realm, "nonce": nonce, "uri": target, "response": response}
        if "opaque" in asked:
            said["opaque"] = asked["opaque"]
        fields = [f'{key}="{_quoted(value)}"' for key, value in said.items()]
        if "algorithm" in asked:
            fields.append(f"algorithm={asked['algorithm']}")
        if "qop" in asked:
            fields += ["qop=auth", f"nc={count}"]
        if session or "qop" in asked:
            fields.append(f'cnonce="{own}"')
        return "Digest " + ", ".join(fields)


def _challenges(headers: Iterable[str]) -> Iterable[tuple[str, dict[str, str]]]:
    """(scheme, parameters); one header may hold several challenges."""
    for header in headers:
        pieces = _SCHEME.split(header)
        for scheme, rest in zip(pieces[1::2], pieces[2::2], strict=True):
            yield (
                scheme.lower(),
                {key.lower(): _plain(quoted) or bare for key, quoted, bare in _PARAMETER.findall(rest)},
            )


def _answerable(asked: dict[str, str]) -> bool:
    offered = [word.strip() for word in asked.get("qop", "auth").lower().split(",")]
    return "nonce" in asked and "auth" in offered and _algorithm(asked)[0] in _HASHES


def _algorithm(asked: dict[str, str]) -> tuple[str, bool]:
    """(name of the hash, whether the server's nonce goes into the secret)."""
    name = asked.get("algorithm", "MD5").lower()
    return name.removesuffix("-sess"), name.endswith("-sess")


def _digest_of(name: str) -> Callable[[str], str]:
    def digest(text: str) -> str:
        return hashlib.new(_HASHES[name], text.encode(), usedforsecurity=False).hexdigest()

    return digest


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')

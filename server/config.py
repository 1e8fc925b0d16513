"""The only reader of the environment and of `instance/config.py`.

A setting comes from the environment variable of its name, else from `instance/config.py`, else from
its default here. Everything is read once, checked, and frozen.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import runpy
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.errors import ConfigError

PROJECT_DIR = Path(__file__).resolve().parent.parent
DEFAULT_INSTANCE_DIR = PROJECT_DIR / "instance"
INSTANCE_VARIABLE = "HYPERSIGHT_INSTANCE"
"""Environment variable that names the instance directory (default: `instance/` of the project)."""

_NETWORKS = frozenset({"public", "private", "loopback", "link-local"})


def setting(default: object, help_: str, **limits: float) -> Any:
    """A field with its sentence of help and, for numbers, its `low` and `high` limits."""
    return dataclasses.field(default=default, metadata={"help": help_, **limits})


@dataclass(frozen=True)
class Settings:
    """All settings. docs/configuration.md lists them; a test holds that."""

    INSTANCE_DIR: Path = setting(DEFAULT_INSTANCE_DIR, "Where this installation keeps what is its own.")
    SECRET_KEY: str = setting(
        "", "Signs cookies: at least 16 random characters. Changing it signs everybody out."
    )
    SQLALCHEMY_DATABASE_URI: str = setting(
        "", "The database. Empty: SQLite, hypersight.db in the instance directory."
    )
    REDIS_URL: str = setting("", "The Celery broker. Empty: the embedded Redis that ./start runs.")
    NODE_NAME: str = setting("", "This host's name among the nodes. Empty: the host name.")
    TIMEZONE: str = setting("UTC", "IANA time zone of times without an offset, in the API and in /admin.")
    LOG_LEVEL: str = setting("INFO", "DEBUG, INFO, WARNING or ERROR.")

    SEGMENTS_DIR: Path = setting(Path("segments"), "Where segments are written. Relative to the instance.")
    SEGMENTS_KEEP_SECONDS: int = setting(
        0, "How long an analysed segment stays on disk, in seconds. 0: deleted at once.", low=0, high=86_400
    )
    STREAM_NETWORKS: str = setting(
        "public,private,loopback",
        "Where cameras may be: public, private, loopback, link-local, separated by commas.",
    )
    INGEST_MAX_BYTES: int = setting(
        48_000_000, "How much of a live camera's video may wait for analysis, in bytes.", low=1_000_000
    )
    SPOOL_DIR: Path = setting(
        Path("spool"), "Where events wait while the database is away. Relative to the instance."
    )
    SPOOL_MAX_BYTES: int = setting(
        16_000_000, "How much of a camera's events may wait there, in bytes.", low=100_000
    )
    PROCESSORS_PREVIEW_DIR: Path = setting(
        Path("previews"), "Where previews of processors are made. Relative to the instance."
    )
    FFMPEG_BINARY: str = setting(
        "", "The ffmpeg that encodes previews. Empty: the one on PATH, else that of imageio-ffmpeg."
    )
    CROPS_DIR: Path = setting(Path("crops"), "Where pictures of events lie. Relative to the instance.")
    CROPS_KEEP_DAYS: int = setting(
        30, "How long the picture of an event is kept, in days. 0: none is made.", low=0, high=3650
    )
    CROPS_MAX_BYTES: int = setting(
        10_000_000_000,
        "How much of this host's disk pictures of events may take, in bytes; the oldest make room.",
        low=10_000_000,
    )
    MEDIA_URL: str = setting(
        "", "Where the web server of this host answers to those of other nodes. Empty: nowhere."
    )
    WEIGHTS_DIR: Path = setting(
        PROJECT_DIR / ".cache" / "weights", "Where fetched model weights lie. Relative to the instance."
    )

    DETECTOR_MODEL: str = setting(
        "", "A YOLOX ONNX export to use. Empty: the YOLOX-Nano that ./start fetches."
    )
    OBJECT_DETECTOR_URL: str = setting(
        "", "Detect on another server: the address of its POST /detect. Empty: here, on the CPU."
    )
    OBJECT_DETECTOR_TOKEN: str = setting("", "API token to show to OBJECT_DETECTOR_URL.")
    OBJECT_DETECTOR_TIMEOUT: float = setting(
        2.0, "How long to wait for OBJECT_DETECTOR_URL, in seconds.", low=0.05, high=60
    )
    DETECT_MAX_IMAGES: int = setting(64, "Most pictures in one POST /detect.", low=1, high=1024)

    WORKER_POOL: str = setting("threads", "Celery pool of the watchers: threads (one process) or prefork.")
    WORKER_CONCURRENCY: int = setting(64, "Most cameras that one worker watches.", low=1, high=1000)
    BACKLOG_SECONDS: float = setting(
        10.0, "How far analysis may fall behind before it skips to the newest part.", low=1, high=600
    )
    RESUME_SECONDS: float = setting(
        60.0, "Longest gap after which a watcher goes on from its checkpoint, in seconds.", low=0, high=3600
    )
    LEASE_SECONDS: float = setting(
        10.0, "How long a watcher's claim on a camera lasts without renewal, in seconds.", low=2, high=300
    )

    API_ANONYMOUS: bool = setting(False, "Whether the metrics API answers without a token.")
    MAX_BODY_BYTES: int = setting(
        1_000_000, "Largest body of an API call, in bytes (POST /detect: 32 times as much).", low=1_000
    )
    SESSION_COOKIE_SECURE: bool = setting(
        False, "Send the session cookie over HTTPS only. Set it behind TLS."
    )
    LOGIN_ATTEMPTS: str = setting(
        "5 per minute", "Allowed sign-in attempts for an address and for an account."
    )
    AUDIT_KEEP_DAYS: int = setting(365, "How long the audit log is kept, in days.", low=1, high=36_500)
    TRUSTED_PROXIES: int = setting(0, "How many reverse proxies stand in front and set X-Forwarded-*.", low=0)

    @property
    def stream_networks(self) -> frozenset[str]:
        """STREAM_NETWORKS as words."""
        return frozenset(word.strip().lower() for word in self.STREAM_NETWORKS.split(",") if word.strip())

    @property
    def timezone(self) -> ZoneInfo:
        """TIMEZONE as an object."""
        return ZoneInfo(self.TIMEZONE)


def load_settings(
    instance_dir: Path | None = None, overrides: Mapping[str, object] | None = None
) -> Settings:
    """Read, check and freeze the settings.

    instance_dir: the instance directory (default: $HYPERSIGHT_INSTANCE, else `instance/`).
    overrides: values that win over everything else. Raises ConfigError, naming the setting.
    """
    named = os.environ.get(INSTANCE_VARIABLE)
    directory = (instance_dir or (Path(named) if named else DEFAULT_INSTANCE_DIR)).resolve()
    fields = {f.name: f for f in dataclasses.fields(Settings) if f.name != "INSTANCE_DIR"}
    raw: dict[str, object] = _read_file(directory / "config.py", fields)
    raw |= {name: os.environ[name] for name in fields if name in os.environ}
    raw |= overrides or {}
    unknown = raw.keys() - fields.keys()
    if unknown:
        raise ConfigError(f"unknown setting {sorted(unknown)[0]}; docs/configuration.md lists them all")
    values: dict[str, Any] = {name: _coerce(fields[name], value) for name, value in raw.items()}
    return _complete(Settings(INSTANCE_DIR=directory, **values))


def is_set(name: str, instance_dir: Path) -> bool:
    """Whether the environment or the instance's config.py says anything about a setting."""
    fields = {f.name: f for f in dataclasses.fields(Settings)}
    return name in os.environ or name in _read_file(instance_dir.resolve() / "config.py", fields)


def embedded_redis_socket(instance_dir: Path) -> Path:
    """Where the embedded Redis of an instance listens.

    Not in the instance itself: a Unix socket's path may have 107 characters at most.
    """
    digest = hashlib.sha256(str(instance_dir.resolve()).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"hypersight-{os.getuid()}-{digest}" / "redis.sock"


def _read_file(path: Path, fields: Mapping[str, object]) -> dict[str, object]:
    if not path.exists():
        return {}
    try:
        names = runpy.run_path(str(path))
    except (OSError, SyntaxError, NameError, ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    found = {name: value for name, value in names.items() if name.isupper() and not name.startswith("_")}
    for name in found.keys() - fields.keys():
        raise ConfigError(f"{path}: unknown setting {name}; docs/configuration.md lists them all")
    return found


def _coerce(field: dataclasses.Field[Any], value: object) -> object:
    kind = str(field.type)
    try:
        if kind == "bool":
            return _boolean(value)
        if kind == "int":
            return _within(field, int(str(value)))
        if kind == "float":
            return _within(field, float(str(value)))
    except ValueError as error:
        raise ConfigError(f"{field.name}: {error}") from error
    return Path(str(value)) if kind == "Path" else str(value)


def _boolean(value: object) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    word = str(value).strip().lower()
    if word not in words:
        raise ValueError(f"{value!r} is not a yes or a no: use true or false")
    return words[word]


def _within(field: dataclasses.Field[Any], number: float) -> float:
    low, high = field.metadata.get("low"), field.metadata.get("high")
    if (low is not None and number < low) or (high is not None and number > high) or number != number:
        raise ValueError(f"{number} is not allowed: at least {low}" + (f", at most {high}" if high else ""))
    return number


def _complete(settings: Settings) -> Settings:
    """Fill in what depends on the instance, and check what no single field shows."""
    directory = settings.INSTANCE_DIR
    if settings.SECRET_KEY and len(settings.SECRET_KEY) < 16:
        raise ConfigError("SECRET_KEY: at least 16 characters; make one with `openssl rand -hex 32`")
    try:
        ZoneInfo(settings.TIMEZONE)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(
            f"TIMEZONE: {settings.TIMEZONE!r} is no IANA time zone, such as Europe/Berlin"
        ) from error
    if settings.WORKER_POOL not in ("threads", "prefork"):
        raise ConfigError(f"WORKER_POOL: {settings.WORKER_POOL!r} is neither threads nor prefork")
    if settings.LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ConfigError(f"LOG_LEVEL: {settings.LOG_LEVEL!r} is not DEBUG, INFO, WARNING or ERROR")
    unknown = sorted(settings.stream_networks - _NETWORKS)
    if unknown or not settings.stream_networks:
        raise ConfigError(
            f"STREAM_NETWORKS: {unknown[0] if unknown else 'nothing'!r} is not public, private, loopback or "
            "link-local; several have commas between them"
        )
    url = settings.OBJECT_DETECTOR_URL
    if url and not url.startswith(("http://", "https://")):
        raise ConfigError("OBJECT_DETECTOR_URL: an address that begins with http:// or https://")
    if settings.MEDIA_URL and not settings.MEDIA_URL.startswith(("http://", "https://")):
        raise ConfigError("MEDIA_URL: an address that begins with http:// or https://")
    if settings.OBJECT_DETECTOR_TIMEOUT > settings.LEASE_SECONDS / 2:
        raise ConfigError("OBJECT_DETECTOR_TIMEOUT: at most half of LEASE_SECONDS, or leases run out")
    if settings.REDIS_URL and not settings.REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigError("REDIS_URL: an address that begins with redis://, rediss:// or unix://")
    return dataclasses.replace(
        settings,
        SQLALCHEMY_DATABASE_URI=settings.SQLALCHEMY_DATABASE_URI
        or f"sqlite:///{directory / 'hypersight.db'}",
        REDIS_URL=settings.REDIS_URL or f"unix://{embedded_redis_socket(directory)}",
        NODE_NAME=settings.NODE_NAME or socket.gethostname(),
        SEGMENTS_DIR=directory / settings.SEGMENTS_DIR,
        SPOOL_DIR=directory / settings.SPOOL_DIR,
        PROCESSORS_PREVIEW_DIR=directory / settings.PROCESSORS_PREVIEW_DIR,
        CROPS_DIR=directory / settings.CROPS_DIR,
        MEDIA_URL=settings.MEDIA_URL.rstrip("/"),
        WEIGHTS_DIR=directory / settings.WEIGHTS_DIR,
    )

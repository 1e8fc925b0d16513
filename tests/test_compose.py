"""docker-compose.yml and the Dockerfile, as far as they can be held without an engine."""

from __future__ import annotations

import re
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from server.cli import init_app
from server.config import PROJECT_DIR, load_settings
from server.launcher.instance import write_config
from tests.servers import free_port
from tools import container

TEXT = (PROJECT_DIR / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (PROJECT_DIR / "Dockerfile").read_text()
OURS = {"keys", "migrate", "web", "worker", "jobs", "reconciler"}
ONCE = {"keys", "migrate"}


def _command(name: str) -> list[str]:
    """What a service runs: its own command, else the image's."""
    default = re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert default
    return list(SERVICES[name].get("command") or yaml.safe_load(default[1]))


def test_the_services_are_these() -> None:
    assert SERVICES.keys() == OURS | {"redis", "mariadb"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_services_share_one_image_and_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert (service["image"], service["build"]) == ("hypersight", ".")
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "instance:/var/lib/hypersight" in service["volumes"]


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_command_exists(name: str) -> None:
    program, *arguments = _command(name)
    if program == "python":
        assert arguments[:2] == ["-m", "tools.container"]
        assert arguments[2] in ("keys", "prepare")
    elif program == "flask":
        app = Flask("commands")
        init_app(app)
        assert arguments[2] in app.cli.commands
    else:
        assert program in {entry.name for entry in metadata.distribution(program).entry_points}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONCE))
def test_what_lasts_is_restarted_and_looked_at(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


@pytest.mark.parametrize("name", sorted(OURS - ONCE))
def test_the_schema_is_made_once_before_the_others(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["mariadb"] == {"condition": "service_healthy"}
    assert SERVICES["migrate"]["restart"] == SERVICES["keys"]["restart"] == "no"


def test_what_a_service_waits_for_is_there_and_can_be_waited_for() -> None:
    for service in SERVICES.values():
        for other, how in dict(service.get("depends_on") or {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"]
            else:
                assert other in ONCE


def test_every_named_volume_is_declared() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == COMPOSE["volumes"].keys()


@pytest.mark.parametrize("name", ["worker", "jobs"])
def test_workers_are_called_as_the_units_call_them(name: str) -> None:
    unit = {"worker": "hypersight-worker@.service", "jobs": "hypersight-jobs.service"}[name]
    line = re.search("^ExecStart=(.*)$", (PROJECT_DIR / "systemd" / unit).read_text(), re.MULTILINE)
    assert line
    expected = line[1].replace("%%h", "%h").replace("%i", "w1").removesuffix(" $HYPERSIGHT_WORKER_OPTIONS")
    assert _command(name)[1:] == shlex.split(expected)[1:]


def test_the_health_of_a_worker_is_asked_by_its_name() -> None:
    for name in ("worker", "jobs"):
        node = _command(name)[_command(name).index("-n") + 1].replace("%h", "$$HOSTNAME")
        assert f"inspect ping -d {node} " in SERVICES[name]["healthcheck"]["test"][1]


def test_the_web_server_alone_is_reached_from_outside_and_on_loopback() -> None:
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["web"]
    assert SERVICES["web"]["ports"] == ["${BIND:-127.0.0.1:5000}:5000"]


def test_no_secret_is_written_down() -> None:
    for name, value in re.findall(r"(?im)^\s*(\w*(?:password|secret|token|key)\w*)\s*[:=]\s*(\S+)", TEXT):
        assert name in ("MARIADB_PASSWORD_FILE", "MARIADB_RANDOM_ROOT_PASSWORD", "keys"), value
    assert not re.search(r"(?i)^ENV .*(password|secret)", DOCKERFILE, re.MULTILINE)


def test_the_image_runs_as_nobody_in_particular() -> None:
    last = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.findall(r"^USER (\S+)$", last, re.MULTILINE) == ["hypersight"]
    assert last.index("\nUSER ") < last.index("\nCMD ")
    assert set(re.findall(r"^FROM ([^\s:]+:[\w.-]+)", DOCKERFILE, re.MULTILINE)) == {
        "python:3.12-slim-bookworm"
    }


@pytest.mark.parametrize("path", ["instance/*", ".env", ".git", ".cache", "**/*.key"])
def test_what_is_an_installations_own_stays_out_of_the_image(path: str) -> None:
    assert path in (PROJECT_DIR / ".dockerignore").read_text().splitlines()


@pytest.mark.parametrize("name", ["server", "migrations", "tools", "celery_worker.py", "requirements.txt"])
def test_what_the_image_needs_is_not_left_out(name: str) -> None:
    assert name not in (PROJECT_DIR / ".dockerignore").read_text().splitlines()


def test_keys_are_made_once(tmp_path: Path) -> None:
    instance, password = tmp_path / "instance", tmp_path / "mariadb"
    instance.mkdir()
    container.keys(instance, password)
    first = (instance / "config.py").read_text(), password.read_text()
    container.keys(instance, password)
    assert ((instance / "config.py").read_text(), password.read_text()) == first
    settings = load_settings(instance)
    assert len(settings.SECRET_KEY) >= 32
    assert len(first[1]) >= 32
    assert first[1] in settings.SQLALCHEMY_DATABASE_URI


def test_keys_keep_what_a_person_wrote(tmp_path: Path) -> None:
    write_config(tmp_path)
    with (tmp_path / "config.py").open("a") as file:
        file.write('TIMEZONE = "Europe/Berlin"\n')
    container.keys(tmp_path, tmp_path / "mariadb")
    assert load_settings(tmp_path).TIMEZONE == "Europe/Berlin"


def test_a_web_server_that_is_not_there_is_not_healthy() -> None:
    assert container.healthy(free_port()) is False

"""The units in systemd/: only what systemd 237 knows, hardened, and naming commands that exist."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest
from flask import Flask

from server.cli import init_app
from server.config import PROJECT_DIR, Settings

UNITS = sorted(path for path in (PROJECT_DIR / "systemd").iterdir() if path.suffix in (".service", ".target"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
LASTING = [path for path in SERVICES if path.name != "hypersight-watchers.service"]
HOME = "/opt/hypersight/"

# What the parser of systemd 237 takes, without names it keeps for older versions' sake.
KNOWN = {
    "Unit": """
        After AllowIsolate Before BindsTo CollectMode ConditionACPower ConditionArchitecture
        ConditionCapability ConditionDirectoryNotEmpty ConditionFileIsExecutable ConditionFileNotEmpty
        ConditionFirstBoot ConditionGroup ConditionHost ConditionKernelCommandLine ConditionKernelVersion
        ConditionNeedsUpdate ConditionPathExists ConditionPathExistsGlob ConditionPathIsDirectory
        ConditionPathIsMountPoint ConditionPathIsReadWrite ConditionPathIsSymbolicLink ConditionSecurity
        ConditionUser ConditionVirtualization Conflicts DefaultDependencies Description Documentation
        FailureAction IgnoreOnIsolate JobRunningTimeoutSec JobTimeoutAction JobTimeoutRebootArgument
        JobTimeoutSec JoinsNamespaceOf OnFailure OnFailureJobMode PartOf PropagatesReloadTo RebootArgument
        RefuseManualStart RefuseManualStop ReloadPropagatedFrom Requires RequiresMountsFor Requisite
        SourcePath StartLimitAction StartLimitBurst StartLimitIntervalSec StopWhenUnneeded SuccessAction
        Wants""",
    "Service": """
        AmbientCapabilities BindPaths BindReadOnlyPaths BusName CPUAccounting CPUAffinity CPUQuota
        CPUSchedulingPolicy CPUSchedulingPriority CPUSchedulingResetOnFork CPUShares CPUWeight CacheDirectory
        CacheDirectoryMode CapabilityBoundingSet ConfigurationDirectory ConfigurationDirectoryMode Delegate
        DeviceAllow DevicePolicy DynamicUser Environment EnvironmentFile ExecReload ExecStart ExecStartPost
        ExecStartPre ExecStop ExecStopPost FileDescriptorStoreMax Group GuessMainPID IOAccounting
        IODeviceWeight IOReadBandwidthMax IOReadIOPSMax IOSchedulingClass IOSchedulingPriority IOWeight
        IOWriteBandwidthMax IOWriteIOPSMax IPAccounting IPAddressAllow IPAddressDeny IgnoreSIGPIPE
        InaccessiblePaths KeyringMode KillMode KillSignal LimitAS LimitCORE LimitCPU LimitDATA LimitFSIZE
        LimitLOCKS LimitMEMLOCK LimitMSGQUEUE LimitNICE LimitNOFILE LimitNPROC LimitRSS LimitRTPRIO
        LimitRTTIME LimitSIGPENDING LimitSTACK LockPersonality LogExtraFields LogLevelMax LogsDirectory
        LogsDirectoryMode MemoryAccounting MemoryDenyWriteExecute MemoryHigh MemoryLimit MemoryLow MemoryMax
        MemorySwapMax MountAPIVFS MountFlags Nice NoNewPrivileges NonBlocking NotifyAccess OOMScoreAdjust
        PAMName PIDFile PassEnvironment Personality PrivateDevices PrivateNetwork PrivateTmp PrivateUsers
        ProtectControlGroups ProtectHome ProtectKernelModules ProtectKernelTunables ProtectSystem
        ReadOnlyPaths ReadWritePaths RemainAfterExit RemoveIPC Restart RestartForceExitStatus
        RestartPreventExitStatus RestartSec RestrictAddressFamilies RestrictNamespaces RestrictRealtime
        RootDirectory RootDirectoryStartOnly RootImage RuntimeDirectory RuntimeDirectoryMode
        RuntimeDirectoryPreserve RuntimeMaxSec SecureBits SendSIGHUP SendSIGKILL Slice Sockets StandardError
        StandardInput StandardInputData StandardInputText StandardOutput StartupCPUShares StartupCPUWeight
        StartupIOWeight StateDirectory StateDirectoryMode SuccessExitStatus SupplementaryGroups
        SyslogFacility SyslogIdentifier SyslogLevel SyslogLevelPrefix SystemCallArchitectures
        SystemCallErrorNumber SystemCallFilter TTYPath TTYReset TTYVHangup TTYVTDisallocate TasksAccounting
        TasksMax TimeoutSec TimeoutStartSec TimeoutStopSec TimerSlackNSec Type UMask UnsetEnvironment User
        UtmpIdentifier UtmpMode WatchdogSec WorkingDirectory""",
    "Install": "Alias Also DefaultInstance RequiredBy WantedBy",
}
SYSTEM_CALLS = """
    @aio @basic-io @chown @clock @cpu-emulation @debug @default @file-system @io-event @ipc @keyring @memlock
    @module @mount @network-io @obsolete @privileged @process @raw-io @reboot @resources @setuid @signal @swap
    @sync @timer"""
SPECIFIERS = "nNpPiIftSCLuUhsmbHv%"

HARDENING = {
    "CapabilityBoundingSet": "",
    "LimitCORE": "0",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "NoNewPrivileges": "yes",
    "PrivateTmp": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectSystem": "strict",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "StateDirectory": "hypersight",
    "SystemCallArchitectures": "native",
    "UMask": "0027",
    "User": "hypersight",
}


def _read(text: str) -> list[tuple[str, str, str]]:
    """(section, directive, value) of every line that is no comment."""
    found, section = [], ""
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith(("#", ";")):
            continue
        heading = re.fullmatch(r"\[(\w+)\]", line.strip())
        if heading:
            section = heading[1]
        else:
            name, equals, value = line.partition("=")
            assert equals, line
            found.append((section, name, value))
    return found


def _unknown(text: str) -> list[str]:
    """What systemd 237 would not understand."""
    found = []
    for section, name, value in _read(text):
        if name not in KNOWN.get(section, "").split():
            found.append(f"[{section}] {name}")
        if name == "SystemCallFilter":
            found += [word for word in value.lstrip("~").split() if word not in SYSTEM_CALLS.split()]
        if name in ("StandardOutput", "StandardError") and value.startswith(
            ("append:", "file:", "truncate:")
        ):
            found.append(value)
        found += [f"%{letter}" for letter in re.findall("%(.)", value) if letter not in SPECIFIERS]
    values = {name: value for _, name, value in _read(text)}
    if values.get("Type") in ("exec", "notify-reload") or (
        values.get("Type") == "oneshot" and "Restart" in values
    ):
        found.append(f"Type={values['Type']}")
    return found


def _values(path: Path) -> dict[str, str]:
    return {name: value for _, name, value in _read(path.read_text())}


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_237_knows_every_directive(path: Path) -> None:
    assert _unknown(path.read_text()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Service]\nProtectClock=yes", "[Service] ProtectClock"),
        ("[Service]\nProtectHostname=yes", "[Service] ProtectHostname"),
        ("[Service]\nRestrictSUIDSGID=yes", "[Service] RestrictSUIDSGID"),
        ("[Service]\nExecCondition=/bin/true", "[Service] ExecCondition"),
        ("[Service]\nRestartSteps=5", "[Service] RestartSteps"),
        ("[Service]\nStartLimitIntervalSec=0", "[Service] StartLimitIntervalSec"),
        ("[Unit]\nRestart=always", "[Unit] Restart"),
        ("[Service]\nSystemCallFilter=@system-service", "@system-service"),
        ("[Service]\nExecStart=/bin/x %g", "%g"),
        ("[Service]\nType=exec", "Type=exec"),
        ("[Service]\nType=oneshot\nRestart=on-failure", "Type=oneshot"),
        ("[Service]\nStandardOutput=append:/x", "append:/x"),
    ],
)
def test_what_is_newer_is_noticed(text: str, expected: str) -> None:
    assert _unknown(text) == [expected]


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_service_is_hardened(path: Path) -> None:
    values = _values(path)
    assert {name: values.get(name) for name in HARDENING} == HARDENING
    assert {"@mount", "@module", "@debug", "@reboot"} <= set(values["SystemCallFilter"].lstrip("~").split())


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_only_the_watching_worker_sees_devices_and_those_are_webcams(path: Path) -> None:
    values = _values(path)
    if path.name == "hypersight-worker@.service":
        assert values["DevicePolicy"] == "closed"
        assert values["DeviceAllow"] == "char-video4linux rw"
        assert "PrivateDevices" not in values
    else:
        assert values["PrivateDevices"] == "yes"


@pytest.mark.parametrize("path", LASTING, ids=lambda path: path.name)
def test_a_service_that_ends_is_started_again_for_ever(path: Path) -> None:
    lines = _read(path.read_text())
    assert ("Unit", "StartLimitIntervalSec", "0") in lines
    assert ("Service", "Restart", "always") in lines
    assert 1 <= int(_values(path)["RestartSec"]) <= 10
    assert _values(path)["KillMode"] == "mixed"


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_service_belongs_to_the_target(path: Path) -> None:
    values = _values(path)
    assert values["PartOf"] == values["WantedBy"] == "hypersight.target"


def _scripts(name: str) -> set[str]:
    return {
        entry.name for entry in metadata.distribution(name).entry_points if entry.group == "console_scripts"
    }


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_command_exists(path: Path) -> None:
    program, *arguments = shlex.split(_values(path)["ExecStart"].replace("create_app()", "create_app"))
    name = program.removeprefix(f"{HOME}.venv/bin/")
    assert _values(path)["WorkingDirectory"] == HOME.rstrip("/")
    if name == "/bin/sh":
        script = arguments[1].split()
        assert list(Path(sys.prefix).glob(script[1].removeprefix(".venv/")))
        return
    if name == "python":
        assert (PROJECT_DIR / arguments[0]).is_file()
        return
    assert name in _scripts(name)
    if name == "gunicorn":
        module, _, factory = arguments[0].partition(":")
        assert callable(getattr(import_module(module), factory))
    elif name == "celery":
        assert (PROJECT_DIR / "celery_worker.py").is_file()
        assert arguments[:3] == ["-A", "celery_worker.celery", "worker"]
    else:
        app = Flask("commands")
        init_app(app)
        assert arguments[:2] == ["--app", "server"]
        assert arguments[2] in app.cli.commands


def test_workers_are_called_as_the_fleet_describes() -> None:
    fleet = (PROJECT_DIR / "docs" / "fleet.md").read_text()
    watching = _values(PROJECT_DIR / "systemd" / "hypersight-worker@.service")["ExecStart"]
    jobs = _values(PROJECT_DIR / "systemd" / "hypersight-jobs.service")["ExecStart"]
    common = "--loglevel INFO --without-gossip --without-mingle --without-heartbeat"
    assert f"worker -n watchers@%h {common}`" in fleet
    assert f"worker -n jobs@%h -Q jobs -c 2 {common}`" in fleet
    assert f"worker -n %i@%%h {common} " in watching
    assert "-Q" not in watching
    assert jobs.endswith(f"worker -n jobs@%%h -Q jobs -c 2 {common}")


def test_the_environment_example_names_what_the_units_use() -> None:
    example = (PROJECT_DIR / "systemd" / "hypersight.env.example").read_text()
    named = set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    used = {name for path in SERVICES for name in re.findall(r"\$\{?(HYPERSIGHT_\w+)", path.read_text())}
    assert named == used | {"HYPERSIGHT_INSTANCE"}
    assert not named & Settings.__dataclass_fields__.keys()


def test_the_account_and_the_instance_directory_are_declared() -> None:
    folder = PROJECT_DIR / "systemd"
    assert "\nu hypersight - " in (folder / "hypersight.sysusers.conf").read_text()
    assert (
        "\nd /var/lib/hypersight 0750 hypersight hypersight"
        in (folder / "hypersight.tmpfiles.conf").read_text()
    )

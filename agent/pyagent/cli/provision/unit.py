"""The unit of an instance: starting it, and whether it runs."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from pyagent.cli.provision.values import ProvisionError
from pyagent.cli.terminal import harmless

__all__ = ["enable_command", "is_active", "start", "stop"]

_PATIENCE = 120.0
"""Seconds for systemctl: a start returns when the agent is ready, which it is at once."""


def enable_command(name: str) -> str:
    """What a person types."""
    return f"{'' if os.geteuid() == 0 else 'sudo '}systemctl enable --now pyagent@{name}"


def is_active(name: str) -> bool:
    """False also where there is no systemd."""
    if not _has_systemd():
        return False
    return _systemctl("is-active", "--quiet", f"pyagent@{name}").returncode == 0


def start(name: str, file: Path, *, restart: bool) -> str:
    """Start it now and at every boot; what its status line says. `file`: of its settings. `restart`: one that runs takes its
    settings anew.

    Raises ProvisionError.
    """
    unit = f"pyagent@{name}"
    if not _has_systemd():
        raise ProvisionError(
            f"cannot start {unit}: systemd does not run here; "
            f"without it: (set -a; . {shlex.quote(str(file))}; exec pyagent)"
        )
    ran = restart and is_active(name)
    done = _systemctl("enable", "--now", unit)
    if done.returncode == 0 and ran:
        done = _systemctl("restart", unit)
    if done.returncode:
        words = (
            " ".join(harmless(done.stderr.strip(), "\n").splitlines())
            or f"systemctl ended with status {done.returncode}"
        )
        if "not found" in words or "does not exist" in words:
            words += "; install the unit: make install"
        elif os.geteuid() != 0:
            words += "; run it with sudo"
        raise ProvisionError(f"cannot start {unit}: {words}; see journalctl -u {unit}")
    return harmless(_systemctl("show", unit, "--property=StatusText", "--value").stdout.strip())


def stop(name: str) -> bool:
    """End it, now and for later boots; whether it ran or was to start at a boot."""
    if not _has_systemd():
        return False
    unit = f"pyagent@{name}"
    known = is_active(name) or _systemctl("is-enabled", "--quiet", unit).returncode == 0
    if known and (done := _systemctl("disable", "--now", unit)).returncode:
        raise ProvisionError(f"cannot stop {unit}: {' '.join(harmless(done.stderr.strip()).splitlines())}")
    return known


def _has_systemd() -> bool:
    return shutil.which("systemctl") is not None and os.path.isdir("/run/systemd/system")


def _systemctl(*words: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(  # noqa: S603
            ["systemctl", *words],  # noqa: S607
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProvisionError(f"cannot run systemctl {words[0]}: {error}") from None

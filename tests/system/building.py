"""Builds what the tests install, and tries it, in the root folder of a Debian and with that Debian's Python."""

import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from container import NSPAWN, PYTHONS, copy_project, debian_root, wheels

from pyagent.testing.servers import ServerError, ServerMissing


def in_debian(release: int, folder: Path, *command: str, building: bool = False) -> str:
    """Run a command as root in a Debian that is not booted, not changed and has no network; returns what it prints.

    It runs in /mnt, which is `folder`; pip finds what the requirements name. `building`: there is a compiler.
    """
    if os.geteuid() != 0:
        raise ServerMissing("cannot run in a Debian of its own: not root; run the tests as root")
    if shutil.which("systemd-nspawn") is None:
        raise ServerMissing(
            "cannot run in a Debian of its own: systemd-nspawn is missing; apt install systemd-container"
        )
    root = debian_root(release, building=building)
    machine = f"--machine=pyagent-{os.getpid()}-{release}"
    binds = [f"--bind={folder}:/mnt", f"--bind-ro={wheels(PYTHONS[release])}:/srv", "--chdir=/mnt"]
    settings = ["HOME=/tmp", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/srv", "PYAGENT_REQUIRE_NATIVE=1"]
    words = [*NSPAWN, "-D", str(root), machine, "--read-only", "--private-network", *binds, "env", *settings, *command]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=1200)
    if done.returncode:
        raise ServerError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def debian_package(release: int, folder: Path) -> Path:
    """Build the package for one release into a folder: on this host, as `make deb` does it, where it is of that release.

    The native core is optimized as little as its size here allows: that takes the half of the time.
    """
    with tempfile.TemporaryDirectory(prefix="pyagent-building-") as scratch:
        project = Path(scratch) / "pyagent"
        copy_project(project)
        command = ["env", "PYAGENT_OPTIMIZE=1", "scripts/build-deb"]
        if _own_release() == release:
            done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=1200)
            if done.returncode:
                raise ServerError(done.stdout + done.stderr)
            said = done.stdout
        else:
            said = in_debian(release, project, *command, building=True)
        return Path(shutil.copy(project / _built(said), folder))


def _own_release() -> int | None:
    """12 or 13 where this host is that Debian."""
    known = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    release = known.get("VERSION_ID", "")
    return int(release) if known.get("ID") == "debian" and release in map(str, PYTHONS) else None


def _built(told: str) -> str:
    """`Built dist/pyagent_VERSION_ARCH.deb: ...` is the last line."""
    return told.strip().splitlines()[-1].removeprefix("Built ").partition(":")[0]

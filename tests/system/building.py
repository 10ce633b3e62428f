"""Builds what the tests install, in the root folder of the Debian that it is for, by that Debian's Python and compiler."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from container import NSPAWN, PROJECT, PYTHONS, copy_project, debian_root, wheels

from pyagent.testing.servers import ServerError, ServerMissing


def own_release() -> int | None:
    """12 or 13 where this host is that Debian."""
    known = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    release = known.get("VERSION_ID", "")
    return int(release) if known.get("ID") == "debian" and release in map(str, PYTHONS) else None


@contextmanager
def building(release: int) -> Iterator[tuple[Path, Callable[..., str]]]:
    """A copy of the project, and what runs a command in it, without a network: as root, in the Debian of that release."""
    if os.geteuid() != 0:
        raise ServerMissing("cannot build in a Debian of its own: not root; run the tests as root")
    root = debian_root(release, building=True)
    with tempfile.TemporaryDirectory(prefix="pyagent-building-") as folder:
        project = Path(folder) / "pyagent"
        copy_project(project)
        binds = [f"--bind={project}:/mnt", f"--bind-ro={wheels(PYTHONS[release])}:/srv"]
        settings = ["PIP_NO_INDEX=1", "PIP_FIND_LINKS=/srv", "PYAGENT_REQUIRE_NATIVE=1", "HOME=/tmp"]
        machine = f"--machine={Path(folder).name.replace('_', '-')}"

        def run(*command: str) -> str:
            words = [*NSPAWN, "-D", str(root), machine, "--read-only", "--private-network", *binds, "--chdir=/mnt"]
            words += ["env", *settings, *command]
            done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=1200)
            if done.returncode:
                raise ServerError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
            return done.stdout

        yield project, run


def debian_package(release: int, folder: Path) -> Path:
    """Build the package for one release into a folder: as `make deb` does it where that is this host's release."""
    if own_release() == release:
        done = subprocess.run([PROJECT / "scripts/build-deb"], capture_output=True, text=True, timeout=1200)
        if done.returncode:
            raise ServerError(done.stdout + done.stderr)
        source, told = PROJECT, done.stdout
        return Path(shutil.copy(source / _built(told), folder))
    with building(release) as (project, run):
        return Path(shutil.copy(project / _built(run("scripts/build-deb")), folder))


def _built(told: str) -> str:
    """`Built dist/pyagent_VERSION_ARCH.deb: ...` is the last line."""
    return told.strip().splitlines()[-1].removeprefix("Built ").partition(":")[0]

"""The image of `Containerfile`: built by buildah, without a network, and run as a container is.

Debian's root folders stand in for the base images, which no registry has to be asked for then: one with a compiler, one
without. They have the same Python in another place.
"""

import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from container import PROJECT, PYTHONS, copy_project, debian_root, wheels
from test_systemd import RAM

from pyagent.sandbox import Sandbox
from pyagent.testing.servers import ServerMissing

RELEASE = 13
MEMINFO = "MemTotal: 1000000 kB\nMemFree: 100000 kB\nBuffers: 20000 kB\nCached: 300000 kB\n"
# A container has neither a registry nor an index here: what pip needs is a folder. Nothing here runs long enough for an
# optimized core, which takes three times as long to build.
BASE = "FROM scratch\nCOPY . /\nENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv PYAGENT_OPTIMIZE=0\n"
CHROOT = "--isolation=chroot"


def limit(name: str, kind: int, enough: int) -> str:
    """What a builder asks for by itself, a root in a container may not have."""
    hard = resource.getrlimit(kind)[1]
    most = enough if hard == resource.RLIM_INFINITY else min(hard, enough)
    return f"--ulimit={name}={most}:{most}"


LIMITS = [limit("nproc", resource.RLIMIT_NPROC, 16384), limit("nofile", resource.RLIMIT_NOFILE, 4096)]

pytestmark = [pytest.mark.system, pytest.mark.timeout(1500)]


class Buildah:
    """The builder, with images and containers of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = [f"--root={folder}/images", f"--runroot={folder}/run"]

    def __call__(self, *words: str | Path, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["buildah", *self.storage, *words],
            cwd=cwd,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=600,
        )
        assert done.returncode == 0, f"buildah {' '.join(map(str, words))}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


class Image:
    """A container of the image, which does not run yet. `root`: its folder as the host sees it."""

    def __init__(self, buildah: Buildah, name: str) -> None:
        self._buildah = buildah
        self.id = buildah("from", "--pull-never", *LIMITS, name)
        self.root = Path(buildah("mount", self.id))
        self.settings: dict[str, Any] = json.loads(buildah("inspect", self.id))["Docker"]["config"]

    def run(self, *command: str, **environment: str) -> list[str]:
        """The command line that runs `command` as the image's account, with what a user gives to `podman run`."""
        given = [f"--env={name}={value}" for name, value in environment.items()]
        volume = f"--volume={self._buildah.folder / 'proc'}:/host/proc:ro"
        return ["buildah", *self._buildah.storage, "run", CHROOT, volume, *given, self.id, "--", *command]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str], None]) -> Iterator[Image]:
    if os.geteuid() != 0:
        unavailable("cannot build an image: not root; run the tests as root")
    if shutil.which("buildah") is None:
        unavailable("cannot build an image: buildah is missing; apt install buildah")
    folder = tmp_path_factory.mktemp("buildah")
    try:
        bases = {
            f"{PYTHONS[RELEASE]}-slim": debian_root(RELEASE),
            PYTHONS[RELEASE]: debian_root(RELEASE, building=True),
        }
    except ServerMissing as error:
        unavailable(str(error))
        raise
    buildah = Buildah(folder)
    (folder / "base").write_text(BASE)
    (folder / "proc").mkdir()
    (folder / "proc" / "meminfo").write_text(MEMINFO)
    copy_project(folder / "project")
    shutil.copy(PROJECT / ".dockerignore", folder / "project")
    try:
        for tag, root in bases.items():
            buildah("bud", CHROOT, *LIMITS, "-f", folder / "base", "-t", f"docker.io/library/python:{tag}", root)
        offline = ["--pull-never", f"--volume={wheels(PYTHONS[RELEASE])}:/srv:ro"]
        buildah("bud", CHROOT, *LIMITS, "--format=docker", *offline, "-t", "pyagent", ".", cwd=folder / "project")
        yield Image(buildah, "pyagent")
    finally:
        buildah("rm", "--all")
        shutil.rmtree(folder)


def test_what_is_in_it(image: Image) -> None:
    packages = image.root / "opt/pyagent/lib/python3.13/site-packages"
    installed = {path.name.partition("-")[0].lower() for path in packages.glob("*.dist-info")}
    assert {"pyagent_telemetry", "psycopg", "influxdb_client"} <= installed
    assert not installed & {"pip", "setuptools", "cython"}, "what only the build needs"
    cores = list((packages / "pyagent/lineprotocol/native").glob("_core.*"))
    assert [core.name.split("-")[1] for core in cores if core.suffix == ".so"] == ["313"]
    assert not any((image.root / name).exists() for name in ("source", "build", "wheels", "empty", "usr/bin/c++"))
    theirs = {path for path in image.root.rglob("*") if not path.is_symlink() and path.stat().st_uid == 65532}
    assert theirs == {image.root / name for name in ("var/lib/pyagent", "run/pyagent", "run/pyagent/default")}


async def test_it_runs_without_a_shell_and_sees_the_host(image: Image) -> None:
    for name in ("sh", "bash", "dash"):
        (image.root / "bin" / name).unlink()
    assert image.settings["User"] == "65532:65532"
    assert image.settings["Healthcheck"]["Test"][0] == "CMD", "CMD-SHELL needs a shell"
    check = image.run(*image.settings["Healthcheck"]["Test"][1:])
    assert await (await asyncio.create_subprocess_exec(*check)).wait() != 0, "no agent runs yet"

    async with Sandbox() as server:
        await server.setup(org="home", bucket="monitoring-system")
        id = await server.add_telegraf("ram", RAM.format(url=server.url))
        environment = {
            "TELEGRAF_CONFIG": f"{server.url}/api/v2/telegrafs/{id}",
            "INFLUX_TOKEN": await server.authorize(write=["monitoring-system"], telegrafs=[id]),
            "HOST_PROC": "/host/proc",
        }
        agent = await asyncio.create_subprocess_exec(*image.run(*image.settings["Entrypoint"], **environment))
        try:
            async with asyncio.timeout(60):
                while await server.count("mem") == 0:
                    assert agent.returncode is None
                    await asyncio.sleep(0.05)
            # A point's time may be half a second ahead.
            flux = 'from(bucket: "monitoring-system") |> range(start: -1h, stop: 1h) |> filter(fn: (r) => r._field == "total")'
            assert {row["_value"] for row in await server.query(flux)} == {1_024_000_000}
            assert await (await asyncio.create_subprocess_exec(*check)).wait() == 0
            assert [path.name for path in (image.root / "var/lib/pyagent").iterdir()] != []
            os.kill(_last_descendant(agent.pid), signal.SIGTERM)
            assert await asyncio.wait_for(agent.wait(), 60) == 0
        finally:
            if agent.returncode is None:
                os.kill(_last_descendant(agent.pid), signal.SIGKILL)
                await agent.wait()


def _last_descendant(pid: int) -> int:
    """The agent, below the processes of the builder that wait for it."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            return _last_descendant(int(child))
    return pid

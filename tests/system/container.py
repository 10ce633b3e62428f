"""A Debian that boots under systemd in a container, with the agent installed into it as an operator does it."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pyagent.testing.servers import Server, ServerError, ServerMissing

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyagent-tests"
PYTHONS = {12: "3.11", 13: "3.13"}
"""The Python of each release that is tested."""
NSPAWN = ("systemd-nspawn", "-q", "--register=no", "--keep-unit", "--console=pipe")
# Three seconds are enough for some points, unless the machine has much else to do.
DEMONSTRATION = 'for seconds in 3 10 30; do shown=$(pyagent demo --for $seconds --json 2>/dev/null) && break; done; printf "%s" "$shown"'
# What an operator does, but for the network.
_INSTALL = ("env", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/root/wheels", "make", "-C", "/root/pyagent", "install")


class Container(Server):
    """One container of a release, 12 or 13; it shares the host's network, so what listens on the host's loopback is at hand.

    `root` is its root folder as the host sees it, a copy that ends with the container.
    """

    def __init__(self, release: int) -> None:
        super().__init__()
        self.release = release
        self.name = f"the container of Debian {release}"
        if os.geteuid() != 0:
            raise ServerMissing("cannot boot a Debian container: not root; run the tests as root")
        for program, package in (("systemd-nspawn", "systemd-container"), ("debootstrap", "debootstrap")):
            if shutil.which(program) is None:
                raise ServerMissing(f"cannot boot a Debian container: {program} is missing; apt install {package}")

    @property
    def root(self) -> Path:
        return self.directory / "root"

    def prepare(self) -> None:
        root = debian_root(self.release)
        tried = subprocess.run(
            [*NSPAWN, "-D", root, "--read-only", "--resolv-conf=off", "true"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        if tried.returncode:
            raise ServerMissing(
                f"cannot boot a Debian container: systemd-nspawn may not make one here ({_last(tried.stderr)}); run the "
                "tests where root may mount and make namespaces, not in a container without these rights"
            )
        subprocess.run(["cp", "-a", "--reflink=auto", root, self.root], check=True, timeout=300)
        self.install()

    def install(self) -> None:
        """Install the agent, before the container boots."""
        copy_project(self.root / "root" / "pyagent")
        packages = wheels(PYTHONS[self.release])
        subprocess.run(["cp", "-a", "--reflink=auto", packages, self.root / "root" / "wheels"], check=True, timeout=300)
        self.run([*NSPAWN, "-D", str(self.root), *_INSTALL], timeout=600)

    def command(self) -> list[str]:
        return [*NSPAWN, "-D", str(self.root), f"--machine=pyagent-{os.getpid()}-{self.port}", "-b"]

    def answers(self) -> bool:
        leader = self._leader()
        if leader is None:
            return False
        state = subprocess.run(_inside(leader, ["systemctl", "is-system-running"]), capture_output=True, timeout=60)
        return state.stdout.strip() in (b"running", b"degraded")

    async def reboot(self) -> None:
        """Restart the whole container, as a host restarts."""
        await self("systemctl", "reboot", check=False)  # it may end before it can say that it went well
        await asyncio.to_thread(self._boot_again)

    def _end(self) -> None:
        """At once: an orderly end would stop what tests have left hanging, and `reboot` has shown it."""
        leader = self._leader()
        if leader is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader, signal.SIGKILL)
        super()._end()

    def _boot_again(self) -> None:
        assert self._process is not None
        self._process.wait(60)
        self._end()
        self._launch()
        if not self._wait_until_it_answers():
            raise ServerError(f"cannot boot the container again: {self.log_tail()}")

    async def __call__(self, *command: str, check: bool = True, timeout: float = 120) -> str:
        """Run a command inside, as root; returns what it prints. With `check`, a status other than 0 is an error."""
        leader = self._leader()
        assert leader is not None, "the container does not run"
        process = await asyncio.create_subprocess_exec(
            *_inside(leader, command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await asyncio.wait_for(process.communicate(), timeout))[0].decode(errors="replace").strip()
        assert not check or process.returncode == 0, f"{' '.join(command)}: {process.returncode}\n{output}"
        return output

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        """Write a file inside, owned by root."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def _leader(self) -> int | None:
        """The container's first process, as the host numbers it."""
        pending = [] if self._process is None else [self._process.pid]
        for pid in pending:
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                for children in Path(f"/proc/{pid}/task").glob("*/children"):
                    pending.extend(map(int, children.read_text().split()))
            except OSError:  # ended meanwhile
                continue
            ids = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
            if len(ids) > 1 and ids[-1] == "1":
                return pid
        return None


def booting(make: Callable[[], Container], unavailable: Callable[[str], None]) -> Iterator[Container]:
    """A container for a fixture; skips, with the reason, where none can be booted."""
    try:
        container = make()
        container.start()
    except ServerMissing as error:
        unavailable(str(error))
        return
    try:
        yield container
    finally:
        container.stop()


def debian_root(release: int, *, building: bool = False) -> Path:
    """The root folder of a Debian, which is never changed: bare, or with a compiler. Raises ServerMissing."""
    script = HERE / ("make-building-root" if building else "make-root")
    made = subprocess.run([script, str(release)], capture_output=True, text=True, timeout=1200)
    if made.returncode:
        raise ServerMissing(_last(made.stderr))
    return Path(made.stdout.strip())


def copy_project(to: Path) -> None:
    """The project without what was built in it, its tests and its hidden files."""
    skipped = (".*", "__pycache__", "*.egg-info", "*.so", "build", "dist", "bench", "tests")
    shutil.copytree(PROJECT, to, ignore=shutil.ignore_patterns(*skipped))


def _inside(leader: int, command: Sequence[str]) -> list[str]:
    # What continuous integration asks of this machine's build is nothing to a host.
    clean = ["env", "-u", "PYAGENT_REQUIRE_NATIVE", "-u", "PYAGENT_REQUIRE_SERVERS"]
    return ["nsenter", "-t", str(leader), "-a", "--", *clean, *command]


def _last(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def wheels(python: str) -> Path:
    """The folder of the wheels that the installation needs, for this Python; downloaded once."""
    needed = [PROJECT / "requirements" / name for name in ("run.txt", "build.txt")]
    sources = PROJECT / "requirements" / "documents.txt"  # one of them is a source distribution
    key = hashlib.sha256(b"".join(file.read_bytes() for file in (*needed, sources))).hexdigest()[:12]
    folder = _CACHE / f"wheels-{python}-{key}"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder
        new = _CACHE / f"new-wheels-{os.getpid()}"
        shutil.rmtree(new, ignore_errors=True)
        target = ["--only-binary=:all:", f"--python-version={python}", "--implementation=cp"]
        target += [f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")]
        target += [f"--platform={libc}_{platform.machine()}" for libc in ("manylinux_2_28", "manylinux2014")]
        _download(new, *target, *(argument for file in needed for argument in ("-r", str(file))))
        _download(new, "--no-deps", "--no-build-isolation", "-r", str(sources))
        for old in _CACHE.glob(f"wheels-{python}-*"):
            shutil.rmtree(old)
        new.rename(folder)
    return folder


def _download(folder: Path, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    done = subprocess.run([*pip, *arguments, "-d", str(folder)], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise ServerError(f"cannot download what the container installs: {done.stderr.strip()[-2000:]}")

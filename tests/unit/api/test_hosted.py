"""What a configuration from a URL may read: by every way that leads to a file, and none that leads to a secret."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyagent.api.files import open_file, readable_path
from pyagent.api.hosted import Guard, HostedPath
from pyagent.kit.globpath import check_readable, match_files

SECRET = b"INFLUX_TOKEN=s3cret\n"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "0.toml").write_bytes(SECRET)
    return folder


@pytest.fixture
def guard(tmp_path: Path, state: Path) -> Guard:
    for path in ("etc/telegraf/telegraf-ram.env", "etc/pyagent/ram.env", "run/credentials/x.service/token"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(SECRET)
    (tmp_path / "etc/telegraf/ca.pem").write_text("certificate")
    (tmp_path / "home/.ssh").mkdir(parents=True)
    (tmp_path / "home/.ssh/id").write_bytes(SECRET)
    environ = {"STATE_DIRECTORY": str(state), "HOME": str(tmp_path / "home")}
    return Guard(environ, str(tmp_path))


def read(path: str | Path, guard: Guard) -> bytes:
    with open_file(HostedPath(str(path), guard)) as file:
        return file.read()


@pytest.mark.parametrize(
    "path",
    [
        "/proc/self/environ",
        "/proc/thread-self/environ",
        "/proc/PID/environ",
        "/proc/PID/task/PID/environ",
        "/proc/self/task/../environ",
        "/proc/1/environ",
        "/proc/self/root/etc/hostname",
        "/proc/PID/cwd/x",
        "/proc/PID/net/dev",
        "/proc/sys/../self/environ",
        "/proc/./self//environ",
        "//proc/self/environ",
        "/dev/fd/0",
        "/dev/stdin",
        "/proc/self/../self/maps",
        "/proc/self/fd/../environ",
        "../" * 40 + "proc/self/environ",
    ],
)
def test_no_process_is_read(path: str, guard: Guard, tmp_path: Path) -> None:
    path = path.replace("PID", str(os.getpid()))  # not in the test's name, which is to be the same in each run
    link = tmp_path / "link"
    link.symlink_to(path)
    (tmp_path / "relative").symlink_to(os.path.relpath("/proc", tmp_path))
    for way in (path, str(link), f"{tmp_path}/relative/self/environ"):
        with pytest.raises(PermissionError, match="a configuration from a URL may not read"):
            read(way, guard)
        with pytest.raises(PermissionError):
            check_readable(HostedPath(way, guard))


@pytest.mark.parametrize(
    "path", ["/proc/meminfo", "/proc/net/dev", "/proc/mounts", "/proc/sys/kernel/ostype", "/etc/passwd"]
)
def test_what_is_about_the_host_is_read(path: str, guard: Guard) -> None:
    assert read(path, guard) == Path(path).read_bytes() or path == "/proc/meminfo"
    check_readable(HostedPath(path, guard))


@pytest.mark.parametrize(
    "path",
    [
        "state/config/0.toml",
        "etc/telegraf/telegraf-ram.env",
        "etc/pyagent/ram.env",
        "run/credentials/x.service/token",
        "home/.ssh/id",
        "etc/telegraf/../pyagent/ram.env",
    ],
)
def test_no_secret_is_read_by_whatever_link(path: str, guard: Guard, tmp_path: Path) -> None:
    file = tmp_path / path
    (tmp_path / "to the file").symlink_to(file)
    (tmp_path / "to its folder").symlink_to(file.parent)
    (tmp_path / "twice").symlink_to("to its folder")
    os.link(file, tmp_path / "hard link")
    ways = [path, "to the file", f"to its folder/{file.name}", f"twice/{file.name}", "hard link", f"etc/../{path}"]
    for way in ways:
        assert (tmp_path / way).read_bytes() == SECRET
        with pytest.raises(PermissionError):
            read(tmp_path / way, guard)
        with pytest.raises(PermissionError):
            check_readable(HostedPath(str(tmp_path / way), guard))


def test_other_files_are_read(guard: Guard, tmp_path: Path) -> None:
    log = tmp_path / "var/log/app/x.log"
    log.parent.mkdir(parents=True)
    log.write_text("x")
    os.link(log, tmp_path / "second name")
    (tmp_path / "link").symlink_to("var/log/app")
    for way in ("var/log/app/x.log", "second name", "link/x.log", "link/../app/x.log", "etc/telegraf/ca.pem"):
        assert read(tmp_path / way, guard) == (tmp_path / way).read_bytes()
    assert match_files(HostedPath(f"{tmp_path}/var/log/**.log", guard)) == [str(log)]


@pytest.mark.parametrize(
    "pattern",
    [
        "/proc/*/environ",
        "/proc/[0-9]*/environ",
        "/proc/{self,net}/environ",
        "/proc/s?lf/environ",
        "/proc/**",
        "/proc/?/maps",
    ],
)
def test_patterns_of_processes(pattern: str, guard: Guard) -> None:
    with pytest.raises(PermissionError):
        check_readable(HostedPath(pattern, guard))
    # The agent's own is among them, where it can be named so.
    for path in match_files(HostedPath(pattern, guard))[:20]:
        assert isinstance(path, HostedPath)
    with pytest.raises(PermissionError):
        read("/proc/self/environ", guard)


def test_what_a_pattern_finds_has_its_guard(guard: Guard, tmp_path: Path, state: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.log").symlink_to(state / "config/0.toml")
    pattern = HostedPath(f"{tmp_path}/logs/*.log", guard)
    check_readable(pattern)
    (path,) = match_files(pattern)
    with pytest.raises(PermissionError):
        open_file(path)


@pytest.mark.parametrize("pattern", ["/proc/*info", "/var/log/**.log", "/proc/net/*", "{a"])
def test_patterns_of_other_files(pattern: str, guard: Guard) -> None:
    check_readable(HostedPath(pattern, guard))


def test_a_path_that_leads_nowhere_is_checked_when_it_leads_somewhere(
    guard: Guard, tmp_path: Path, state: Path
) -> None:
    later = HostedPath(str(tmp_path / "later"), guard)
    check_readable(later)
    with pytest.raises(FileNotFoundError):
        open_file(later)
    (tmp_path / "later").symlink_to(state / "config/0.toml")
    with pytest.raises(PermissionError):
        open_file(later)


def test_a_step_back_from_the_net_of_the_host_does_not_lead_into_a_process(guard: Guard) -> None:
    with pytest.raises(FileNotFoundError):
        read("/proc/net/../environ", guard)


def test_links_in_a_circle(guard: Guard, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        read(tmp_path / "a", guard)


@pytest.fixture
def swapping(tmp_path: Path, state: Path) -> Iterator[Path]:
    """A path that leads now to a harmless file, now to a secret one, and changes all the time."""
    (tmp_path / "harmless").write_bytes(b"harmless")
    links = []
    for name, target in (("one", tmp_path / "harmless"), ("two", state / "config/0.toml")):
        (tmp_path / name).symlink_to(target)
        links.append(tmp_path / name)
    path, ended = tmp_path / "swapping", threading.Event()
    path.symlink_to(tmp_path / "harmless")

    def swap() -> None:
        while not ended.is_set():
            for target in (state / "config/0.toml", tmp_path / "harmless"):
                (tmp_path / "new").symlink_to(target)
                (tmp_path / "new").rename(path)

    thread = threading.Thread(target=swap)
    thread.start()
    yield path
    ended.set()
    thread.join()


def test_no_race_between_the_check_and_the_opening(guard: Guard, swapping: Path) -> None:
    refused = 0
    for _ in range(300):
        try:
            assert read(swapping, guard) == b"harmless"
        except PermissionError:
            refused += 1
    assert refused


def test_a_path_for_a_library_holds_on_to_what_was_checked(guard: Guard, tmp_path: Path, state: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("certificate")
    with readable_path(HostedPath(str(path), guard)) as found:
        path.unlink()
        path.symlink_to(state / "config/0.toml")
        assert Path(found).read_text() == "certificate"


def test_no_descriptor_is_left_open(guard: Guard, tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for path in (
        "/proc/self/environ",
        "/etc/passwd",
        "/nosuch",
        str(tmp_path / "etc/pyagent/ram.env"),
        "/etc/passwd/x",
    ):
        try:
            read(path, guard)
        except OSError:
            continue
    assert os.listdir("/proc/self/fd") == before


def test_a_local_configuration_reads_what_it_likes(state: Path) -> None:
    with open_file(str(state / "config/0.toml")) as file:
        assert file.read() == SECRET
    with readable_path("x") as path:
        assert path == "x"

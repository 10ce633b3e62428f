"""Programs of plugins. That their children are ended with them is tested with the input exec."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from waiting import wait_until

from pyagent.api import ConfigError, PyagentError
from pyagent.kit import command
from pyagent.kit.command import Account, CommandFailed, Commands, CommandStopped, find_program, shown


@pytest.fixture
def commands() -> Commands:
    return Commands(timeout=60)


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_output_and_status(commands: Commands) -> None:
    done = commands.run(["sh", "-c", "printf 'a\\377'; echo b >&2; exit 3"], expected=(0, 3))
    assert (done.stdout, done.stderr, done.status) == (b"a\xff", b"b\n", 3)
    assert done.text == "a\udcff"
    assert commands.run(["sh", "-c", "kill -9 $$"], expected=None).status == -9


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("exit 3", "exit status 3"),
        ("echo 'no such volume' >&2; exit 5", "exit status 5: no such volume"),
        ("kill -15 $$", "it was ended by signal 15"),
    ],
)
def test_a_failure(text: str, cause: str, commands: Commands) -> None:
    with pytest.raises(PyagentError) as caught:
        commands.run(["sh", "-c", text])
    assert str(caught.value) == f"cannot run `{shown(['sh', '-c', text])}`: {cause}"


def test_a_program_that_is_not_there(commands: Commands) -> None:
    with pytest.raises(PyagentError, match=r"^cannot run `/none/such -x`: No such file or directory$"):
        commands.run(["/none/such", "-x"])


def test_a_deadline_names_its_option() -> None:
    with pytest.raises(PyagentError, match=r"`: it took longer than 100ms; see `collect_timeout`$"):
        Commands(timeout=0.1, timeout_option="collect_timeout").run(["sleep", "1000"])


def test_words_and_numbers_are_those_that_the_plugin_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    text = "echo $LC_ALL $OWN $NOTIFY_SOCKET"
    assert Commands(timeout=60, environment={"OWN": "1"}).run(["sh", "-c", text]).text == "C 1\n"
    assert Commands(timeout=60, plain_words=False).run(["sh", "-c", text]).text == "de_DE.UTF-8\n"


def test_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "sudo", 'printf "%s\\n" "$*"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Commands(timeout=60, use_sudo=True).run(["lvs", "--x"]).text == "lvs --x\n"
    assert Commands(timeout=60, use_sudo=True, sudo_options=["-n"]).run(["lvs"]).text == "-n lvs\n"
    script(tmp_path / "sudo", "echo 'sudo: a password is required' >&2; exit 1")
    with pytest.raises(PyagentError) as caught:
        Commands(timeout=60, use_sudo=True).run(["lvs"])
    assert str(caught.value) == (
        "cannot run `sudo lvs`: exit status 1: sudo: a password is required; allow the agent's account to run it in"
        " /etc/sudoers.d, with NOPASSWD"
    )


def test_standard_input(commands: Commands) -> None:
    large = b"x" * 3_000_000
    assert commands.run(["cat"], given=large).stdout == large
    assert commands.run(["cat"]).stdout == b""
    # One that does not read it all, and one that closes it.
    assert commands.run(["head", "-c", "5"], given=large).text == "xxxxx"
    assert commands.run(["sh", "-c", "exec <&-; sleep 0.05; echo done"], given=large).text == "done\n"


def test_output_is_bounded() -> None:
    with pytest.raises(PyagentError, match=r"`: it printed more than 1000 bytes$"):
        Commands(timeout=60, most_output=1000).run(["yes"])


class UntilThen:
    """A clock that stands still until something has happened; then much time has passed."""

    def __init__(self, happened: Callable[[], bool]) -> None:
        self._happened, self._began = happened, time.monotonic()

    def __call__(self) -> float:
        return time.monotonic() + 1000 if self._happened() else self._began


def test_one_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    clock = UntilThen(lambda: pids.exists() and bool(pids.read_text()))
    commands = Commands(timeout=0.1, kill_grace=0.2, clock=clock)
    with pytest.raises(PyagentError, match="it took longer than 100ms"):
        commands.run(["sh", "-c", f"trap '' TERM; echo $$ > {pids}; while :; do sleep 0.05; done"])
    wait_until(lambda: not psutil.pid_exists(int(pids.read_text())))


def test_a_grandchild_that_keeps_the_output_open_is_not_waited_for(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    clock = UntilThen(lambda: pids.exists() and bool(pids.read_text()))
    # In a session of its own, so that no signal to the group reaches it.
    text = f"setsid sh -c 'echo $$ > {pids}; exec sleep 1000' & echo done"
    try:
        with pytest.raises(PyagentError, match="it took longer than 100ms"):
            Commands(timeout=0.1, kill_grace=0.2, clock=clock).run(["sh", "-c", text])
    finally:
        os.kill(int(pids.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("text", ["yes >&2", "while :; do echo x >&2; done", "while :; do echo; done"])
def test_one_that_never_stops_talking_is_ended_all_the_same(text: str) -> None:
    with pytest.raises(PyagentError, match="it took longer than 100ms"):
        Commands(timeout=0.1, kill_grace=0.1).run(["sh", "-c", f"trap '' TERM; {text}"])


def test_what_is_run_after_the_stop_is_ended(commands: Commands) -> None:
    commands.stop()
    with pytest.raises(CommandStopped, match="cannot run `sleep 1000`: it was ended with the plugin that runs it"):
        commands.run(["sleep", "1000"], expected=None)


def test_a_signal_of_others_is_no_stop(commands: Commands) -> None:
    assert commands.run(["sh", "-c", "kill -9 $$"], expected=None).status == -9
    commands.stop()


def test_no_descriptor_is_left(commands: Commands) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    for words in (["cat"], ["head", "-c", "1"], ["/none/such"], ["false"]):
        with suppress(PyagentError):
            commands.run(words, given=b"x" * 100_000)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_where_a_program_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script(tmp_path / "lvs", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("lvs") == path
    assert find_program(path) == path
    with pytest.raises(ConfigError) as caught:
        find_program("nosuch-program", "binary", package="lvm2")
    assert str(caught.value) == (
        "cannot run nosuch-program: there is no such program; apt install lvm2, or set `binary`"
    )
    assert caught.value.option == "binary"


def test_a_failure_has_the_output_and_says_what_to_do_where_rights_are_missing() -> None:
    commands = Commands(timeout=30, refused="give it CAP_X", hidden=["pass word", ""])
    with pytest.raises(CommandFailed) as failed:
        commands.run(["sh", "-c", "echo half; echo you must be root >&2; exit 3", "pass word"])
    assert failed.value.output.stdout == b"half\n"
    assert failed.value.output.status == 3
    assert str(failed.value).endswith("`: exit status 3: you must be root; give it CAP_X")
    assert "pass word" not in str(failed.value)
    with pytest.raises(CommandFailed, match=r"exit status 3: other$"):
        commands.run(["sh", "-c", "echo other >&2; exit 3"])


def test_a_deadline_that_no_option_gives_names_none() -> None:
    with pytest.raises(CommandFailed, match=r"it took longer than 50ms$"):
        Commands(timeout=0.05, timeout_option="").run(["sleep", "20"])


def test_a_program_of_administrators_counts_only_where_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.kit.command._OF_ADMINISTRATORS", str(tmp_path))
    (tmp_path / "xyz").write_text("#!/bin/sh\n")
    (tmp_path / "xyz").chmod(0o755)
    assert find_program("xyz") == str(tmp_path / "xyz")
    with pytest.raises(ConfigError, match="there is no such program"):
        find_program("xyz", in_path=True)


@pytest.fixture
def setpriv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What was asked of a setpriv that changes nothing; one that changes the account takes root."""
    asked = tmp_path / "asked"
    path = script(tmp_path / "setpriv", f'echo "$@" >{asked}\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"')
    monkeypatch.setattr(command, "_setpriv", lambda: path)
    return asked


NOBODYS = 2_000_000_000
"""No account and no group has this number."""


@pytest.mark.parametrize(
    ("groups", "word"), [((NOBODYS, NOBODYS + 1), f"--groups={NOBODYS},{NOBODYS + 1}"), ((), "--clear-groups")]
)
def test_an_account_is_changed_by_a_program(setpriv: Path, groups: tuple[int, ...], word: str) -> None:
    account = Account(NOBODYS, NOBODYS, groups)
    commands = Commands(timeout=60, account=account, environment={"PGUSER": "me"}, umask=0o27)
    assert commands.run(["sh", "-c", "echo $PGUSER; umask"]).text == "me\n0027\n"
    assert setpriv.read_text() == f"--reuid={NOBODYS} --regid={NOBODYS} {word} -- sh -c echo $PGUSER; umask\n"


@pytest.mark.parametrize(
    ("number", "words"), [(5, "--reuid=ann --regid=all --groups=all"), (6, "--reuid=5 --regid=5 --groups=5")]
)
def test_an_account_is_told_by_a_name_that_is_its_own(
    setpriv: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """`number`: what the name of account and group 5 is looked up as."""
    monkeypatch.setattr("pwd.getpwuid", {5: SimpleNamespace(pw_name="ann")}.__getitem__)
    monkeypatch.setattr("pwd.getpwnam", {"ann": SimpleNamespace(pw_uid=number)}.__getitem__)
    monkeypatch.setattr("grp.getgrgid", {5: SimpleNamespace(gr_name="all")}.__getitem__)
    monkeypatch.setattr("grp.getgrnam", {"all": SimpleNamespace(gr_gid=number)}.__getitem__)
    Commands(timeout=60, account=Account(5, 5, (5,))).run(["true"])
    assert setpriv.read_text() == f"{words} -- true\n"


def test_what_that_program_says_of_another_is_as_if_it_were_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(tmp_path / "setpriv", "echo 'setpriv: failed to execute /a: b: Permission denied' >&2; exit 126")
    monkeypatch.setattr(command, "_setpriv", lambda: path)
    with pytest.raises(PyagentError, match=r"^cannot run `/a x`: Permission denied$"):
        Commands(timeout=60, account=Account(5, 6)).run(["/a", "x"])


def test_a_variable_that_loads_code_does_not_reach_it(setpriv: Path) -> None:
    account = Account(os.geteuid(), os.getegid(), tuple(os.getgroups()))
    with suppress(PyagentError):  # nobody but root may set groups, not even his own
        Commands(timeout=60, account=account, environment={"LD_LIBRARY_PATH": "/none"}).run(["true"])
    assert not setpriv.exists()


@pytest.mark.parametrize(("target", "used"), [("busybox", False), ("setpriv", True)])
def test_the_program_of_busybox_changes_no_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, used: bool
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    link = str(folder / "setpriv")
    os.symlink(script(tmp_path / target, ""), link)
    monkeypatch.setattr("shutil.which", lambda name, path: link)
    assert command._setpriv.__wrapped__() == (link if used else "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("#!/bin/sh\n", ""),
        ("#!/bin/sh\r\n", "its first line ends in CR LF; save it with lines that end in LF"),
        ("#!/bin/sh -e\r\n", ""),
        (
            "#! /none/python -u\n",
            "there is no '/none/python', which its first line names; install it, or name another one",
        ),
        ("#!\n", "there is no '', which its first line names; install it, or name another one"),
        ("echo\n", "begin it with a line such as #!/bin/sh"),
        ("", "begin it with a line such as #!/bin/sh"),
        ("\x7fELF", ""),
    ],
)
def test_why_a_script_is_not_started(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "script"
    path.write_bytes(text.encode())
    path.chmod(0o755)
    assert command.why_not_started(str(path)) == why
    assert command.why_not_started("script", str(tmp_path)) == why
    assert command.why_not_started(str(path), tried=False) == ("" if why.startswith("begin") else why)


def test_why_what_is_no_program_is_not_started(tmp_path: Path) -> None:
    (tmp_path / "plain").touch(0o644)
    assert command.why_not_started(str(tmp_path)) == "it is a directory; name the program in it"
    assert command.why_not_started(str(tmp_path / "plain")) == "let the agent's account execute it"
    assert command.why_not_started(str(tmp_path / "none")) == ""
    assert command.why_not_started("none", str(tmp_path)) == ""
    with pytest.raises(PyagentError, match=r"Permission denied; it is a directory; name the program in it$"):
        Commands(timeout=60, missing="apt install it").run([str(tmp_path)])

"""Programs that a plugin runs, each with a deadline, bounded output, and a process group of its own.

    def setup(self) -> None:
        self._commands = Commands(timeout=self.options.timeout.seconds, use_sudo=self.options.use_sudo)

    def gather(self, acc: Accumulator) -> None:
        output = self._commands.run(["lvs", "--noheadings"])

    async def stop(self) -> None:
        self._commands.stop()

An option that names a program is declared with `executes=True`: a configuration from a URL may not set it then.
"""

import grp
import os
import pwd
import re
import select
import selectors
import shlex
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

from pyagent.api.errors import ConfigError, PyagentError
from pyagent.api.units import Duration
from pyagent.kit.shown import quoted

__all__ = [
    "NOT_INHERITED",
    "Account",
    "CommandFailed",
    "CommandStopped",
    "Commands",
    "Output",
    "find_program",
    "shown",
    "why_not_started",
]

_KILL_GRACE = 5.0
_MAX_OUTPUT = 64 * 1024 * 1024
_MAX_STDERR = 64 * 1024
_STDERR_IN_ERROR = 512
_LONGEST_SHOWN = 200
# What systemd tells the agent is not meant for its children: one could report for it, or keep its watchdog quiet.
NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_LACKING = (b"ermission denied", b"not permitted", b"must be root", b"need to be root")
_OF_ADMINISTRATORS = "/usr/local/sbin:/usr/sbin:/sbin"
_NOT_STARTED = re.compile(rb"setpriv: failed to execute .*: ([^:\n]+)\n?")
# What the C library and its kin obey, and leave aside only in a program whose rights were raised.
_MAY_LOAD_CODE = (
    "LD_",
    "GCONV_",
    "GETCONF_",
    "GLIBC_",
    "LANGUAGE",
    "LOC",
    "MALLOC_",
    "NIS_",
    "NLSPATH",
    "OUTPUT_",
    "TEXTDOMAIN",
)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose rights a program has. To change them needs root."""

    user: int
    group: int
    groups: tuple[int, ...] = ()
    """Besides `group`."""


@dataclass(frozen=True, slots=True)
class Output:
    stdout: bytes
    stderr: bytes
    """The first 64 KiB."""
    status: int
    """The exit status; of one that a signal ended, its number negated."""

    @property
    def text(self) -> str:
        """Standard output."""
        return self.stdout.decode("utf-8", "surrogateescape")


class CommandFailed(PyagentError):
    """A program that ended as it should not, or was ended. `output`: what it wrote until then."""

    def __init__(self, message: str, output: Output) -> None:
        super().__init__(message)
        self.output = output


class CommandStopped(PyagentError):
    """A program that was ended, or not started any more, as `Commands.stop` was called: nothing is wrong with it."""


class Commands:
    """Runs programs, and ends all that run when it is stopped. Thread-safe.

    `timeout`: seconds for each; `timeout_option` names where they are from ("": no option does). One that takes longer gets
    SIGTERM and, `kill_grace` seconds later, SIGKILL, with all that it started. `environment`: variables besides those of the
    agent; without `inherit` there are no others. `account`: whose rights they have, in place of the agent's. `umask`: theirs,
    in place of the agent's. `plain_words`: with LC_ALL=C, so that numbers and words are those that the plugin reads.
    `use_sudo`: they are run by `sudo`, with `sudo_options` (`-n`, where Telegraf's plugin gives that); there is no terminal
    that it could ask at. `refused`: what to do where the program says that it lacks rights, for the message; `missing`: the
    same where there is no such program. `hidden`: words
    that messages show as `***`. `most_output`: bytes. `clock`: seconds that never go back.
    """

    def __init__(
        self,
        *,
        timeout: float,
        timeout_option: str = "timeout",
        environment: Mapping[str, str] | None = None,
        plain_words: bool = True,
        use_sudo: bool = False,
        sudo_options: Sequence[str] = (),
        refused: str = "",
        missing: str = "",
        hidden: Sequence[str] = (),
        most_output: int | None = None,
        inherit: bool = True,
        account: Account | None = None,
        umask: int = -1,
        kill_grace: float = _KILL_GRACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout = timeout
        self._timeout_option = timeout_option
        self._environment = ({"LC_ALL": "C"} if plain_words else {}) | dict(environment or {})
        self._before = ["sudo", *sudo_options] if use_sudo else []
        self._refused = refused
        self._missing = "apt install sudo, or do without it" if use_sudo else missing
        self._hidden = frozenset(hidden) - {""}
        self._most_output = most_output
        self._inherit = inherit
        self._umask = umask
        self._account = account
        self._rights = _setpriv_options(account) if account is not None else []
        self._kill_grace = kill_grace
        self._clock = clock
        self._running: set[int] = set()
        self._stopped = False

    def run(self, command: Sequence[str], *, given: bytes = b"", expected: Collection[int] | None = (0,)) -> Output:
        """Run a program and its arguments to the end. `given`: its standard input. `expected`: statuses that are no failure;
        None: all of them.

        Raises CommandFailed, with the first line of what the program wrote to standard error; CommandStopped; PyagentError
        where it cannot be started.
        """
        words = [*self._before, *command]
        name = shown(["***" if word in self._hidden else word for word in words])
        process = self._start(words, name, wants_input=bool(given))
        self._running.add(process.pid)
        try:
            if self._stopped:
                _signal(process.pid, signal.SIGKILL)
            where = f"; see `{self._timeout_option}`" if self._timeout_option else ""
            deadline = f"it took longer than {Duration(round(self._timeout * 1e9))}{where}"
            most = self._most_output or _MAX_OUTPUT
            output, errors, problem = self._communicate(process, given, deadline, most)
        finally:
            self._running.discard(process.pid)
        status = process.returncode or 0
        if self._stopped and status == -signal.SIGKILL:
            raise CommandStopped(f"cannot run `{name}`: it was ended with the plugin that runs it")
        if self._account is not None and status in (126, 127) and (found := _NOT_STARTED.fullmatch(errors)):
            raise PyagentError(f"cannot run `{name}`: {found[1].decode('utf-8', 'replace')}")
        if not problem and expected is not None and status not in expected:
            problem = f"it was ended by signal {-status}" if status < 0 else f"exit status {status}"
        if problem:
            cause = f"{problem}{_brief(errors)}{self._advice(errors)}"
            raise CommandFailed(f"cannot run `{name}`: {cause}", Output(output, errors, status))
        return Output(output, errors, status)

    def stop(self) -> None:
        """Kill what runs, and what is run from now on."""
        self._stopped = True
        for group in tuple(self._running):
            _signal(group, signal.SIGKILL)

    def _start(self, words: list[str], name: str, *, wants_input: bool) -> "subprocess.Popen[bytes]":
        inherited = os.environ.items() if self._inherit else ()
        environment = {name: value for name, value in inherited if name not in NOT_INHERITED} | self._environment
        rights: dict[str, Any] = {}
        if (account := self._account) is not None:
            # Python starts a program of another account by fork, which copies all page tables of the agent and holds it up for
            # so long: with a program that changes the account it is vfork. That one still has the agent's rights when it is
            # loaded, so none of these variables may reach it.
            setpriv = "" if any(name.startswith(_MAY_LOAD_CODE) for name in environment) else _setpriv()
            if setpriv:
                words = [setpriv, *self._rights, "--", *words]
            else:
                rights = {"user": account.user, "group": account.group, "extra_groups": account.groups}
        try:
            return subprocess.Popen(  # noqa: S603  # running what the configuration says is its purpose
                words,
                stdin=subprocess.PIPE if wants_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
                umask=self._umask,
                **rights,
            )
        except (OSError, ValueError) as error:
            cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
            missing = self._missing if isinstance(error, FileNotFoundError) else ""
            hint = why_not_started(words[0], environment.get("PATH", "")) if isinstance(error, OSError) else ""
            advice = f"; {hint or missing}" if hint or missing else ""
            raise PyagentError(f"cannot run `{name}`: {cause}{advice}") from None

    def _communicate(
        self, process: "subprocess.Popen[bytes]", given: bytes, too_long: str, most: int
    ) -> tuple[bytes, bytes, str]:
        """Standard output, standard error and what went wrong on the way. Ends within the timeout and the grace, whatever
        the process and those that it started do."""
        assert process.stdout is not None
        assert process.stderr is not None
        received = {process.stdout: bytearray(), process.stderr: bytearray()}
        problem = ""
        deadline = self._clock() + self._timeout
        with process.stdout, process.stderr, selectors.PollSelector() as selector:
            for stream in received:
                selector.register(stream, selectors.EVENT_READ)
            if process.stdin is not None:
                os.set_blocking(process.stdin.fileno(), False)
                selector.register(process.stdin, selectors.EVENT_WRITE)
            rest = memoryview(given)
            while selector.get_map():
                events = selector.select(min(max(deadline - self._clock(), 0), 3600))
                for key, _ in events:
                    if key.fileobj is process.stdin:
                        rest = _write(process.stdin, rest)
                        if not rest:
                            selector.unregister(process.stdin)
                            _close(process.stdin)
                        continue
                    stream = process.stdout if key.fileobj is process.stdout else process.stderr
                    chunk = os.read(key.fd, 65536)
                    if not chunk:
                        selector.unregister(stream)
                    elif stream is process.stdout or len(received[stream]) < _MAX_STDERR:
                        received[stream] += chunk
                if len(received[process.stdout]) > most:
                    problem = (
                        f"it printed more than {most >> 20} MiB" if most >> 20 else f"it printed more than {most} bytes"
                    )
                    break
                # Also while something comes: it may come for ever.
                if self._clock() >= deadline and selector.get_map():
                    if problem:
                        break
                    problem = too_long
                    _signal(process.pid, signal.SIGTERM)
                    deadline = self._clock() + self._kill_grace
            if process.stdin is not None:
                _close(process.stdin)
        if not problem and not _has_ended(process, max(deadline - self._clock(), 0.1)):
            problem = "it closed its output and did not end"
        if problem:
            # Before the process is waited for: until then nobody else can have its number.
            _signal(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(self._kill_grace)
        return bytes(received[process.stdout]), bytes(received[process.stderr]), problem

    def _advice(self, errors: bytes) -> str:
        if self._before and errors.startswith(b"sudo:"):
            return "; allow the agent's account to run it in /etc/sudoers.d, with NOPASSWD"
        lacking = self._refused and not self._before and any(words in errors for words in _LACKING)
        return f"; {self._refused}" if lacking else ""


def find_program(name: str, option: str = "", *, package: str = "", in_path: bool = False) -> str:
    """The path of a program, also of one for administrators; with `in_path` only of one in PATH. Raises ConfigError with what
    to do: install `package`, or set `option`."""
    path = os.environ.get("PATH") or os.defpath
    found = shutil.which(name, path=path if in_path else f"{path}:{_OF_ADMINISTRATORS}")
    if found is None:
        remedies = [*([f"apt install {package}"] if package else []), *([f"set `{option}`"] if option else [])]
        advice = f"; {', or '.join(remedies)}" if remedies else ""
        raise ConfigError(f"cannot run {name}: there is no such program{advice}", option=option or None)
    return found


def why_not_started(program: str, path: str = "", *, tried: bool = True) -> str:
    """Why a program that is there cannot be started, and what to do; "" where it is not there, or nothing is wrong with it.
    `path`: where it is looked for, if it has no slash; "": in the agent's PATH. `tried`: it was, and the kernel refused it."""
    place = program if "/" in program else shutil.which(program, os.F_OK, path or None)
    try:
        if place is None or not (mode := os.stat(place).st_mode):
            return ""
        if stat.S_ISDIR(mode):
            return "it is a directory; name the program in it"
        if not os.access(place, os.X_OK):
            return "let the agent's account execute it"
        with open(place, "rb") as file:
            first, end, _ = file.read(256).partition(b"\n")
    except PermissionError:
        return "let the agent's account execute it"
    except (OSError, ValueError):
        return ""
    if first.startswith(b"\x7fELF"):
        return ""
    if not first.startswith(b"#!"):
        return "begin it with a line such as #!/bin/sh" if tried else ""  # kernels can be taught other formats
    words = first[2:].split()
    interpreter = words[0].decode("utf-8", "backslashreplace") if words else ""
    if end and first.endswith(b"\r") and len(words) == 1:
        return "its first line ends in CR LF; save it with lines that end in LF"
    if os.path.exists(interpreter):
        return ""
    return f"there is no {quoted(interpreter)}, which its first line names; install it, or name another one"


@lru_cache
def _setpriv() -> str:
    """The path of util-linux's setpriv; "" where there is none. BusyBox' own knows no accounts."""
    path = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin")
    return path if path and os.path.basename(os.path.realpath(path)) == "setpriv" else ""


def _setpriv_options(account: Account) -> list[str]:
    groups = f"--groups={','.join(map(_group_name, account.groups))}" if account.groups else "--clear-groups"
    return [f"--reuid={_user_name(account.user)}", f"--regid={_group_name(account.group)}", groups]


def _user_name(number: int) -> str:
    """setpriv looks for a number among all names first, which may ask systemd or the network. The number, where no name means
    just this one."""
    with suppress(KeyError):
        name = pwd.getpwuid(number).pw_name
        if pwd.getpwnam(name).pw_uid == number:
            return name
    return str(number)


def _group_name(number: int) -> str:
    with suppress(KeyError):
        name = grp.getgrgid(number).gr_name
        if grp.getgrnam(name).gr_gid == number:
            return name
    return str(number)


def shown(command: Sequence[str]) -> str:
    """A command for a message."""
    text = shlex.join(command)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _has_ended(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Wait so long at most. Python's own waiting with a deadline looks after 0.5 ms, 1 ms, 2 ms and so on."""
    with suppress(OSError):  # of a kernel, or a sandbox, that has no pidfd
        descriptor = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(min(seconds, 3600) * 1000):
                return False
            seconds = 1  # it has ended, and only its status is to be fetched
        finally:
            os.close(descriptor)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _write(stream: IO[bytes], rest: memoryview) -> memoryview:
    """What is left to write; nothing where nobody reads it."""
    try:
        return rest[os.write(stream.fileno(), rest[:65536]) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[:0]


def _close(stream: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        stream.close()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _brief(errors: bytes) -> str:
    """The first line of standard error, for a message."""
    text = errors.decode("utf-8", "replace").strip()
    line = text.partition("\n")[0][:_STDERR_IN_ERROR]
    return f": {line}{'...' if len(line) < len(text) else ''}" if line else ""

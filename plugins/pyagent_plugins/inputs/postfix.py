"""The queues of Postfix: number, size and age."""

import errno
import os
import stat
import time
from typing import Annotated

from pyagent.api import Accumulator, Chart, Field, Input, Measurement, Options, PyagentError, option
from pyagent.kit.command import Commands, find_program
from pyagent.kit.each import joined_failures

__all__ = ["Postfix", "PostfixOptions"]


class PostfixOptions(Options, frozen=True):
    queue_directory: Annotated[
        str, option('the folder with the queues ("": `postconf -h queue_directory` says it)', reads_path=True)
    ] = "/var/spool/postfix"


_QUEUES = ("active", "hold", "incoming", "maildrop", "deferred")
_TIMEOUT = 5.0


class Postfix(Input[PostfixOptions]):
    measurements = (
        Measurement(
            "postfix_queue",
            "A queue.",
            tags={"queue": ", ".join(_QUEUES)},
            fields={
                "length": Field("int", "1", "messages in it"),
                "size": Field("int", "bytes", "of all of them"),
                "age": Field("int", "s", "of the oldest; 0 where there is none"),
            },
            charts=(
                Chart("Messages", ("length",)),
                Chart("Size", ("size",)),
                Chart("Age of the oldest message", ("age",)),
            ),
        ),
    )

    def setup(self) -> None:
        self._commands = Commands(timeout=_TIMEOUT, timeout_option="")
        self._directory = self.options.queue_directory

    def gather(self, acc: Accumulator) -> None:
        if not self._directory:
            output = self._commands.run([find_program("postconf", "queue_directory"), "-h", "queue_directory"])
            self._directory = output.text.strip()
        failures: list[Exception] = []
        for queue in _QUEUES:
            found, problem = _scan(os.path.join(self._directory, queue))
            if problem:
                failures.append(PyagentError(problem))
            acc.add("postfix_queue", found, {"queue": queue})
        if len(failures) == len(_QUEUES) and not os.path.lexists(self._directory):
            raise PyagentError(
                f"cannot read the queues in {self._directory}: it is not there, or may not be looked at; apt install postfix,"
                " or set `queue_directory`"
            )
        if failures:
            raise joined_failures(failures)

    async def stop(self) -> None:
        self._commands.stop()


def _scan(path: str) -> tuple[dict[str, int], str]:
    """The fields, and the first thing that could not be read."""
    length = size = 0
    oldest = None
    problem = ""
    waiting = [path]
    while waiting:
        place = waiting.pop()
        try:
            about = os.lstat(place)
            if stat.S_ISDIR(about.st_mode):
                waiting += [os.path.join(place, name) for name in os.listdir(place)]
                continue
        except OSError as error:
            # Postfix moves messages from queue to queue at all times.
            if place == path or error.errno not in (errno.ENOENT, errno.ENOTDIR):
                problem = problem or _explained(place, error)
            continue
        length += 1
        size += about.st_size
        oldest = about.st_ctime_ns if oldest is None else min(oldest, about.st_ctime_ns)
    age = 0 if oldest is None else (time.time_ns() - oldest) // 1_000_000_000
    return {"length": length, "size": size, "age": age}, problem


def _explained(path: str, error: OSError) -> str:
    remedy = "see `queue_directory`"
    if error.errno in (errno.EACCES, errno.EPERM):
        remedy = "let the agent's account read it, such as by `setfacl -R -m u:pyagent:rX` and the same with `-d`"
    return f"cannot read the queue {path}: {error.strerror}; {remedy}"

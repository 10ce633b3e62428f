"""How old and how large the backups are that `backup-tool list` prints as lines `NAME SECONDS BYTES`."""

from typing import Annotated

from pyagent.api import Accumulator, Duration, Field, Input, Measurement, Options, PyagentError, option
from pyagent.kit.command import Commands


class BackupsOptions(Options, frozen=True):
    binary: Annotated[str, option("the program", executes=True)] = "/usr/bin/backup-tool"
    timeout: Annotated[Duration, option("how long it may take")] = Duration("5s")
    use_sudo: Annotated[bool, option("run it by sudo")] = False


class Backups(Input[BackupsOptions]):
    measurements = (
        Measurement(
            "backups",
            tags={"name": "of the backup"},
            fields={"age": Field("int", "s", "since it was made"), "size": Field("int", "bytes", "its size")},
        ),
    )

    def setup(self) -> None:
        self._commands = Commands(timeout=self.options.timeout.seconds, use_sudo=self.options.use_sudo)

    def gather(self, acc: Accumulator) -> None:
        output = self._commands.run([self.options.binary, "list"])
        for number, line in enumerate(output.text.splitlines(), start=1):
            try:
                name, age, size = line.split()
                acc.add("backups", {"age": int(age), "size": int(size)}, {"name": name})
            except ValueError:
                raise PyagentError(f"cannot read the list of backups: line {number} is {line[:80]!r}") from None

    async def stop(self) -> None:
        self._commands.stop()

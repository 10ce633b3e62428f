"""Failed and banned addresses of fail2ban's jails.

Runs `fail2ban-client status`. Names and types are those of Telegraf 1.40.
"""

from typing import Annotated

from pyagent.api import Accumulator, Chart, Input, Measurement, Options, PyagentError, fields, option
from pyagent.kit.command import Commands, find_program, shown
from pyagent.kit.numbers import parse_integer

__all__ = ["Fail2ban", "Fail2banOptions"]


class Fail2banOptions(Options, frozen=True):
    use_sudo: Annotated[bool, option("run fail2ban-client by sudo")] = False
    socket: Annotated[str, option("socket of the server (empty: that of fail2ban's configuration)")] = ""


_TIMEOUT = 30.0
_COUNTS = {"Currently failed:": "failed", "Currently banned:": "banned"}
_JAILS = "Jail list:"
_REFUSED = "fail2ban-client needs root: set `use_sudo` and allow it in /etc/sudoers.d"


class Fail2ban(Input[Fail2banOptions]):
    measurements = (
        Measurement(
            "fail2ban",
            "A jail. A count that is no number is left out.",
            tags={"jail": "its name"},
            fields=fields(
                "int", "1", failed="addresses that failed and are not banned", banned="addresses that are banned"
            ),
            charts=(Chart("Addresses failed and banned", ("failed", "banned")),),
        ),
    )

    def setup(self) -> None:
        options = self.options
        program = find_program("fail2ban-client", package="fail2ban", in_path=True)
        self._command = [program, *(["--socket", options.socket] if options.socket else []), "status"]
        self._commands = Commands(timeout=_TIMEOUT, timeout_option="", use_sudo=options.use_sudo, refused=_REFUSED)

    def gather(self, acc: Accumulator) -> None:
        for jail in self._jails():
            values: dict[str, int] = {}
            for line in self._commands.run([*self._command, jail]).text.split("\n"):
                for words, name in _COUNTS.items():
                    _, found, count = line.rpartition(words)
                    if not found:
                        continue
                    number = parse_integer(count.strip())
                    if number is not None:
                        values[name] = number
                    break
            if not values:
                command = shown([*self._command, jail])
                raise PyagentError(f"cannot read the output of `{command}`: it has no number of failures or bans")
            acc.add("fail2ban", values, {"jail": jail})

    async def stop(self) -> None:
        self._commands.stop()

    def _jails(self) -> list[str]:
        for line in self._commands.run(self._command).text.split("\n"):
            _, found, names = line.rpartition(_JAILS)
            if found:
                return [name for name in names.strip().split(", ") if name]
        raise PyagentError(f"cannot read the output of `{shown(self._command)}`: it has no list of jails")

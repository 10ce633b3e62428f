"""Statistics of OpenSMTPD."""

from typing import Annotated

from pyagent.api import Accumulator, Duration, Input, Measurement, Options, PyagentError, option
from pyagent.kit.command import Commands, find_program
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_finite
from pyagent.kit.shown import quoted

__all__ = ["Opensmtpd", "OpensmtpdOptions"]


class OpensmtpdOptions(Options, frozen=True):
    use_sudo: Annotated[bool, option("run smtpctl by sudo", executes=True)] = False
    binary: Annotated[str, option("the program smtpctl", executes=True)] = "/usr/sbin/smtpctl"
    timeout: Annotated[Duration, option("how long it may take")] = Duration("1s")


class Opensmtpd(Input[OpensmtpdOptions]):
    measurements = (
        Measurement(
            "opensmtpd",
            "What the server counts, with _ in place of dots: smtp_session, queue_envelope, uptime, ... All are floats.",
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._commands = Commands(timeout=options.timeout.seconds, use_sudo=options.use_sudo)

    def gather(self, acc: Accumulator) -> None:
        options = self.options
        # With sudo it may be one that the agent's account cannot run.
        program = options.binary if options.use_sudo else find_program(options.binary, "binary", package="opensmtpd")
        output = self._commands.run([program, "show", "stats"])
        found: dict[str, float] = {}
        failures: list[Exception] = []
        for number, line in enumerate(output.stdout.decode("utf-8", "replace").split("\n"), start=1):
            name, separator, text = line.removesuffix("\r").partition("=")
            if not separator or "=" in text or name == "uptime.human":
                continue
            value = parse_finite(text)
            if value is None:
                message = f"line {number}: {quoted(name[:80])} is {quoted(text[:40])}, which is no number"
                failures.append(PyagentError(f"cannot read the output of {self.options.binary}: {message}"))
            found[name.replace(".", "_")] = value or 0.0
        if found:
            acc.add("opensmtpd", found)
        if failures:
            raise joined_failures(failures)

    async def stop(self) -> None:
        self._commands.stop()

"""Whether hosts answer to ping, and how fast."""

import asyncio
import math
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal

from pyagent.api import (
    Accumulator,
    Chart,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    Options,
    PyagentError,
    Size,
    fields,
    option,
)
from pyagent.api.units import format_number
from pyagent.kit.command import Commands, find_program
from pyagent.kit.each import AT_ONCE, for_each
from pyagent.kit.icmp import PingResult, ping
from pyagent.kit.interfaces import interface_addresses, is_address
from pyagent.kit.shown import quoted

__all__ = ["Ping", "PingOptions", "read_output"]

_LONGEST = 65.0
"""Seconds that the program may take, whatever its options say."""
_LEAST_INTERVAL = 0.2
_DEFAULT_SIZE = 56
_NO_ANSWER, _FAILED = 1, 2
_WITHOUT_DEADLINE = 10.0
_TTL = re.compile(r"(?:ttl|hlim)=(\d{1,9})(?!\d)", re.ASCII)
_COUNT = re.compile(r"\d{1,18}", re.ASCII)
_TIME = re.compile(r"\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_TIMES = ("minimum_response_ms", "average_response_ms", "maximum_response_ms", "standard_deviation_ms")
_Fields = dict[str, int | float | None]
_Work = Callable[[str], Awaitable[_Fields]]


class PingOptions(Options, frozen=True):
    urls: Annotated[list[str], option("hosts")] = []
    method: Annotated[
        Literal["", "exec", "native"], option("exec: run the program ping; native: without a program")
    ] = "exec"
    count: Annotated[int, option("requests for each gather")] = 1
    ping_interval: Annotated[Duration, option("pause between two requests; native: 200ms at least", ge=0)] = Duration(
        "1s"
    )
    timeout: Annotated[Duration, option("how long ping waits for a reply (0s: its own default); exec alone", ge=0)] = (
        Duration(0)
    )
    deadline: Annotated[Duration, option("how long all of it may take (0s: 10s if native)", ge=0)] = Duration("10s")
    interface: Annotated[str, option("interface or address to send from")] = ""
    percentiles: Annotated[list[int], option("percentiles of the response times to add; native alone")] = []
    privileged: Annotated[
        bool, option("native: try raw sockets first, and datagram sockets after them; false: the other way round")
    ] = True
    binary: Annotated[str, option("the program", executes=True)] = "ping"
    arguments: Annotated[
        list[str], option("its arguments, in place of all that the other options say", executes=True)
    ] = []
    ipv4: Annotated[bool, option("use IPv4 alone; native alone")] = False
    ipv6: Annotated[bool, option("use IPv6 alone; native alone")] = False
    size: Annotated[Size, option("bytes in a request (0: 56); native alone", ge=0)] = Size("56B")

    def remarks(self) -> Iterable[tuple[str, str]]:
        if self.method == "native" and self.timeout:
            yield "timeout", 'has no effect with method = "native"; use deadline'


class Ping(Input[PingOptions]):
    measurements = (
        Measurement(
            "ping",
            "The replies of each host, or that there was none.",
            tags={"url": "the host"},
            fields=fields(
                "int",
                "1",
                packets_transmitted="requests sent",
                packets_received="replies",
                ttl="time to live of the first reply",
            )
            | {
                "percent_packet_loss": Field("float", "%", "requests without a reply"),
                "result_code": Field("int", "1", "0: success; 1: no reply; 2: error"),
            }
            | fields(
                "float",
                "ms",
                minimum_response_ms="shortest response time",
                average_response_ms="mean response time",
                maximum_response_ms="longest response time",
                standard_deviation_ms="of the response times",
            ),
            charts=(
                Chart("Response time", ("minimum_response_ms", "average_response_ms", "maximum_response_ms")),
                Chart("Packet loss", ("percent_packet_loss",)),
            ),
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._count = max(options.count, 1)
        self._source = ""
        self._commands: Commands | None = None
        if options.method == "native":
            self._source = self._address() if options.interface else ""
            return
        self._arguments = options.arguments or self._own_arguments()
        self._commands = Commands(timeout=_LONGEST, timeout_option="deadline")
        self._threads = ThreadPoolExecutor(min(len(options.urls), AT_ONCE) or 1, "ping")

    def _address(self) -> str:
        name = self.options.interface
        if is_address(name):
            return name
        found = interface_addresses(name)
        wanted = [one for one in found if (":" in one) is (self.options.ipv6 and not self.options.ipv4)]
        if not (wanted or found):
            raise ConfigError(f"cannot ping from the interface {name!r}: it has no address", option="interface")
        return (wanted or found)[0]

    def _own_arguments(self) -> list[str]:
        options = self.options
        found = ["-c", str(self._count), "-n", "-s", "16"]
        if options.ping_interval:
            found += ["-i", format_number(options.ping_interval.seconds)]
        if options.timeout:
            found += ["-W", format_number(options.timeout.seconds)]
        if options.deadline:
            found += ["-w", str(int(options.deadline.seconds))]
        return [*found, "-I", options.interface] if options.interface else found

    async def gather(self, acc: Accumulator) -> None:
        work = self._ask if self.options.method == "native" else self._run
        await for_each(self.options.urls, lambda host: self._gather(work, host, acc))

    async def _gather(self, work: _Work, host: str, acc: Accumulator) -> None:
        try:
            found = await work(host)
        except PyagentError:
            acc.add("ping", {"result_code": _FAILED}, {"url": host})
            raise
        acc.add("ping", found, {"url": host})

    async def _run(self, host: str) -> _Fields:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run_program, host)

    def _run_program(self, host: str) -> _Fields:
        assert self._commands is not None
        name = self.options.binary
        try:
            package = "iputils-ping" if os.path.basename(name) == "ping" else ""
            program = find_program(name, "binary", package=package)
            output = self._commands.run([program, *self._arguments, host], expected=None)
        except PyagentError as error:
            raise PyagentError(f"cannot ping {host}: {error}") from None
        text = "\n".join((output.text, output.stderr.decode("utf-8", "replace")))
        if output.status not in (0, _NO_ANSWER):
            said = " ".join(text.split())[:500]
            raise PyagentError(f"cannot ping {host}: exit status {output.status}{said and f': {said}'}")
        try:
            return read_output(text) | {"result_code": output.status}
        except ValueError as error:
            raise PyagentError(f"cannot ping {host}: the output of {name} is not understood: {error}") from None

    async def _ask(self, host: str) -> _Fields:
        options = self.options
        versions = [6, 4] if ":" in self._source else [4, 6]
        if options.ipv4 != options.ipv6:
            versions = [4 if options.ipv4 else 6]
        result = await ping(
            host,
            count=self._count,
            interval=max(options.ping_interval.seconds, _LEAST_INTERVAL),
            deadline=options.deadline.seconds or _WITHOUT_DEADLINE,
            size=options.size or _DEFAULT_SIZE,
            source=self._source,
            versions=versions,
            raw_first=options.privileged,
        )
        return self._fields(result)

    def _fields(self, result: PingResult) -> _Fields:
        times, sent = sorted(result.times), result.sent
        found: _Fields = {"packets_transmitted": sent, "packets_received": len(times), "result_code": 0}
        if not sent:
            return found | {"result_code": _FAILED}
        if not times:
            return found | {"percent_packet_loss": 100.0, "result_code": _NO_ANSWER}
        mean = sum(times) / len(times)
        deviation = math.sqrt(sum((one - mean) ** 2 for one in times) / len(times))
        numbers = (times[0], int(mean), times[-1], int(deviation))
        found |= {name: number / 1e6 for name, number in zip(_TIMES, numbers, strict=True)}
        found |= {f"percentile{one}_ms": _percentile(times, one) / 1e6 for one in self.options.percentiles}
        return found | {"percent_packet_loss": (sent - len(times)) / sent * 100, "ttl": result.ttl}

    async def stop(self) -> None:
        if self._commands is not None:
            self._commands.stop()
            self._threads.shutdown(wait=False)


def read_output(text: str) -> _Fields:
    """What the ping of iputils, of busybox and of the BSDs prints at its end. Raises ValueError, with the line."""
    found: _Fields = {}
    counted = False
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            if "ttl" not in found and ("ttl=" in line or "hlim=" in line):
                found["ttl"] = int(_TTL.findall(line)[0])
            elif "transmitted" in line and "received" in line:
                sent, received = (int(_whole(_COUNT, part.split(" ")[0])) for part in line.split(", ")[:2])
                found |= {"packets_transmitted": sent, "packets_received": received}
                found["percent_packet_loss"] = (sent - received) / sent * 100 if sent else None
                counted = True
            elif "min/avg/max" in line:
                values = line.split(" ")[3].split("/")
                if len(values) not in (3, 4):
                    raise ValueError
                names = _TIMES[: len(values)]
                found |= {name: float(_whole(_TIME, one)) for name, one in zip(names, values, strict=True)}
        except (ValueError, IndexError):
            raise ValueError(f"line {number} is {quoted(line[:80])}") from None
    if not counted:
        raise ValueError("it does not say how many packets were transmitted and received")
    return found


def _whole(pattern: re.Pattern[str], text: str) -> str:
    """Raises ValueError where a text is not what the pattern says."""
    if not pattern.fullmatch(text):
        raise ValueError
    return text


def _percentile(times: list[int], wanted: int) -> int:
    """R7 of Hyndman and Fan, as spreadsheets have it."""
    rank = min(max(wanted, 0), 100) / 100 * (len(times) - 1)
    below = int(rank)
    if below >= len(times) - 1:
        return times[-1]
    return times[below] + int((rank - below) * (times[below + 1] - times[below]))

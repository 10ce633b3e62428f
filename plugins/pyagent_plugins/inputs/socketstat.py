"""Traffic of each socket.

Runs `ss -in --PROTOCOL` of iproute2. Names and types are those of Telegraf 1.40.
"""

import re
from typing import Annotated

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    Duration,
    Field,
    Input,
    Measurement,
    Options,
    PyagentError,
    Uint,
    counters,
    fields,
    option,
)
from pyagent.kit.command import Commands, find_program
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_unsigned
from pyagent.kit.once import Once
from pyagent.kit.procfs import Row, rows_of

__all__ = ["Socketstat", "SocketstatOptions"]


class SocketstatOptions(Options, frozen=True):
    protocols: Annotated[list[str], option("tcp, udp, raw, unix, packet, dccp, sctp ([]: tcp and udp)")] = []
    timeout: Annotated[Duration, option("how long ss may take, for each protocol")] = Duration("1s")


_COUNTER = re.compile("(bytes_acked|bytes_received|segs_out|segs_in|data_segs_in|data_segs_out):([0-9]+)")
_WITH_STATE = ("tcp", "dccp", "sctp")
_WITHOUT_STATE = ("udp", "raw")
_WITH_NETID = ("unix", "packet")


class Socketstat(Input[SocketstatOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "socketstat",
            "A socket; its counters only where the kernel has them, which is for TCP.",
            tags={
                "proto": "of `protocols`",
                "local_addr": "its own address",
                "local_port": "its own port",
                "remote_addr": "the address of the other side",
                "remote_port": "the port of the other side",
            },
            fields={
                "state": Field("str", "", "state of the connection (tcp, dccp, sctp)"),
                "netid": Field("str", "", "kind of the socket (unix, packet)"),
            }
            | fields("uint", "bytes", recv_q="received and not read yet", send_q="sent and not acknowledged yet")
            | counters("uint", "bytes", bytes_acked="sent and acknowledged", bytes_received="received")
            | counters(
                "uint",
                "1",
                segs_out="segments sent",
                segs_in="segments received",
                data_segs_out="segments with data sent",
                data_segs_in="segments with data received",
            ),
            charts=(Chart("Waiting", ("recv_q", "send_q")), Chart("Bytes", ("bytes_acked", "bytes_received"))),
        ),
    )

    def setup(self) -> None:
        self._once = Once()
        self._program = find_program("ss", package="iproute2", in_path=True)
        self._commands = Commands(timeout=self.options.timeout.seconds)

    def gather(self, acc: Accumulator) -> None:
        failures: list[Exception] = []
        for protocol in self.options.protocols or ["tcp", "udp"]:
            try:
                output = self._commands.run([self._program, "-in", f"--{protocol}"]).stdout
                self._add(acc, protocol, output)
            except PyagentError as error:
                failures.append(error)
        if failures:
            raise joined_failures(failures)

    async def stop(self) -> None:
        self._commands.stop()

    def _add(self, acc: Accumulator, protocol: str, output: bytes) -> None:
        tags: dict[str, str] = {}
        values: dict[str, Uint | str] = {}
        waiting = False
        """A socket was read, and may have a line with counters."""
        where = f"the output of `ss -in --{protocol}`"
        if not output.strip():
            raise PyagentError(f"cannot read {where}: it is empty")
        for row in rows_of(where, output, whole=True):
            if row.number == 1:
                continue
            if row.text[0].isspace():
                values |= self._counters(row)
                if not waiting and self._once("orphan"):
                    self.log.warning(
                        "ss: line %d has counters and no socket; they are added to the last one: %r",
                        row.number,
                        row.text[:80],
                    )
                acc.add("socketstat", values, tags)
                waiting = False
                continue
            if waiting:
                acc.add("socketstat", values, tags)
                waiting = False
            tags, values = self._socket(protocol, row)
            waiting = True
        if waiting:
            acc.add("socketstat", values, tags)

    def _counters(self, row: Row) -> dict[str, Uint]:
        found = {}
        for word in row.words:
            if match := _COUNTER.fullmatch(word):
                number = parse_unsigned(match[2])
                if number is not None:
                    found[match[1]] = Uint(number)
                elif self._once(match[1]):
                    self.log.warning("ss: line %d: %s is beyond 64 bits and left out", row.number, word[:80])
        return found

    def _socket(self, protocol: str, row: Row) -> tuple[dict[str, str], dict[str, Uint | str]]:
        words = ["", *row.words] if protocol in _WITHOUT_STATE else row.words
        tags = {"proto": protocol}
        values: dict[str, Uint | str] = {}
        if protocol in _WITH_NETID:
            if len(words) < 8:
                row.fail("it has fewer than 8 columns")
            values["netid"] = words[0]
            tags |= dict(zip(("local_addr", "local_port", "remote_addr", "remote_port"), words[4:8], strict=True))
        elif protocol in _WITH_STATE or protocol in _WITHOUT_STATE:
            if len(words) < 5 or ":" not in words[3] or ":" not in words[4]:
                row.fail("it has no two addresses with ports")
            if protocol in _WITH_STATE:
                values["state"] = words[0]
            for side, word in (("local", words[3]), ("remote", words[4])):
                tags[f"{side}_addr"], _, tags[f"{side}_port"] = word.rpartition(":")
        for name, place in (("recv_q", 1), ("send_q", 2)):
            number = parse_unsigned(words[place]) if place < len(words) else None
            if number is not None:
                values[name] = Uint(number)
            elif self._once(f"{protocol} {name}"):
                self.log.warning(
                    "ss: line %d: there is no number for %s, which is left out: %r", row.number, name, row.text[:80]
                )
        return tags, values

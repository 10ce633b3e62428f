"""Whether a TCP or UDP port answers, and how fast."""

import asyncio
import socket
import time
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
    Uint,
    fields,
    option,
)
from pyagent.kit.connect_errors import explained
from pyagent.kit.regex import compile_regex

__all__ = ["NetResponse", "NetResponseOptions"]

_SECOND = 1.0
_LONGEST_LINE = 1 << 20
_DATAGRAM = 1024
_RESULTS = ("success", "timeout", "connection_failed", "read_failed", "string_mismatch")
_Outcome = tuple[str, float | None]
"""A result, and the response time in seconds where there is one."""


class NetResponseOptions(Options, frozen=True, kw_only=True):
    protocol: Annotated[Literal["tcp", "udp"], option("protocol; over udp both `send` and `expect` are needed")]
    address: Annotated[str, option("HOST:PORT; without a host, this one")]
    timeout: Annotated[Duration, option("longest time until a connection is there (0s: 1s)", ge=0)] = Duration("1s")
    read_timeout: Annotated[Duration, option("longest time until the answer is there (0s: 1s)", ge=0)] = Duration("1s")
    send: Annotated[str, option("text to send")] = ""
    expect: Annotated[
        str, option("regular expression that the first line of the answer has to match (empty: no answer)")
    ] = ""


class NetResponse(Input[NetResponseOptions]):
    measurements = (
        Measurement(
            "net_response",
            "The answer of the port, or that there was none.",
            tags={"server": "host", "port": "port", "protocol": "tcp or udp", "result": "success, or what failed"},
            fields=fields("float", "s", response_time="until the connection, or the answer, was there")
            | {
                "result_code": Field(
                    "uint", "1", "0: success; 1: timeout; 2: no connection; 3: no answer; 4: the answer does not match"
                ),
                "result_type": Field("str", "", "as the tag result"),
                "string_found": Field("bool", "", "whether the answer matches"),
            },
            charts=(Chart("Response time", ("response_time",)), Chart("Result", ("result_code",))),
        ),
    )

    def setup(self) -> None:
        options = self.options
        for name in ("send", "expect"):
            if options.protocol == "udp" and not getattr(options, name):
                raise ConfigError(f"cannot ask over udp: {name} is empty; give a text", option=name)
        host, colon, port = options.address.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if (
            not colon
            or not port
            or (":" in host and not bracketed)
            or "[" in port + host[1:]
            or "]" in port + host[:-1]
        ):
            raise ConfigError(
                f"cannot use the address {options.address!r}: it is not HOST:PORT; write localhost:80 or [::1]:80",
                option="address",
            )
        self._host = (host[1:-1] if bracketed else host) or "localhost"
        self._port = port
        self._expect = None
        if options.expect:
            try:
                compile_regex(options.expect)  # its messages show what was written
                self._expect = compile_regex(f".*{options.expect}.*")
            except ValueError as error:
                raise ConfigError(str(error), option="expect") from None

    async def gather(self, acc: Accumulator) -> None:
        options = self.options
        result, seconds = await (self._ask_udp() if options.protocol == "udp" else self._ask_tcp())
        found: dict[str, Uint | str | bool | float | None] = {
            "result_code": Uint(_RESULTS.index(result)),
            "result_type": result,
            "response_time": seconds,
            "string_found": result == "success" if options.expect else None,
        }
        tags = {"server": self._host, "port": self._port, "protocol": options.protocol, "result": result}
        acc.add("net_response", found, tags)

    async def _ask_tcp(self) -> _Outcome:
        start = time.perf_counter()
        try:
            async with asyncio.timeout(self.options.timeout.seconds or _SECOND):
                reader, writer = await asyncio.open_connection(self._host, self._port, limit=_LONGEST_LINE)
        except TimeoutError:
            return "timeout", None
        except OSError:
            return "connection_failed", None
        try:
            seconds = time.perf_counter() - start
            if self.options.send:
                try:
                    async with asyncio.timeout(self.options.read_timeout.seconds or _SECOND):
                        writer.write(self.options.send.encode())
                        await writer.drain()
                except OSError as error:
                    raise self._cannot_send(error) from None
                seconds = time.perf_counter() - start
            if self._expect is None:
                return "success", seconds
            line = await self._line(reader)
            seconds = time.perf_counter() - start
            return ("read_failed" if line is None else self._judged(line)), seconds
        finally:
            writer.transport.abort()

    async def _line(self, reader: asyncio.StreamReader) -> bytes | None:
        """The first line. One that does not end in time, or that the server breaks off, counts as far as it came."""
        line = bytearray()
        try:
            async with asyncio.timeout(self.options.read_timeout.seconds or _SECOND):
                while b"\n" not in line and len(line) < _LONGEST_LINE and (more := await reader.read(4096)):
                    line += more
        except OSError:  # TimeoutError is one
            pass
        first, ended, _ = bytes(line).partition(b"\n")
        return first.removesuffix(b"\r") if first or ended else None

    async def _ask_udp(self) -> _Outcome:
        loop = asyncio.get_running_loop()
        start = time.perf_counter()
        try:
            infos = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
            family, kind, protocol, _, where = min(infos, key=lambda info: info[0] != socket.AF_INET)
            asked = socket.socket(family, kind, protocol)
        except OSError:
            return "connection_failed", None
        with asked:
            asked.setblocking(False)
            try:
                asked.connect(where)
            except OSError:
                return "connection_failed", None
            try:
                await loop.sock_sendall(asked, self.options.send.encode())
            except OSError as error:
                raise self._cannot_send(error) from None
            try:
                async with asyncio.timeout(self.options.read_timeout.seconds or _SECOND):
                    data = await loop.sock_recv(asked, _DATAGRAM)
            except OSError:
                return "read_failed", None
            # Telegraf looks at all of its buffer.
            return self._judged(data.ljust(_DATAGRAM, b"\0")), time.perf_counter() - start

    def _judged(self, data: bytes) -> str:
        assert self._expect is not None
        try:
            found = self._expect.find(data.decode("utf-8", "replace"))
        except ValueError as error:
            raise PyagentError(f"cannot match the answer of {self.options.address}: {error}") from None
        return "success" if found is not None and found[0] else "string_mismatch"

    def _cannot_send(self, error: OSError) -> PyagentError:
        return PyagentError(f"cannot send to {self.options.address}: {explained(error)}")

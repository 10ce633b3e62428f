"""Clock, sources and statistics of chronyd."""

import struct
from typing import Annotated
from urllib.parse import urlsplit

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
from pyagent.kit.connection import ServerAddress
from pyagent.kit.each import joined_failures
from pyagent_plugins.inputs.chrony.protocol import Client, Reply, address_text, numbers_of

__all__ = ["Chrony", "ChronyOptions"]


class ChronyOptions(Options, frozen=True):
    server: Annotated[
        str,
        option('udp://HOST[:PORT] or unixgram:///PATH ("": the unix socket of this host, and without it udp)'),
    ] = ""
    timeout: Annotated[Duration, option("how long an answer may take")] = Duration("3s")
    dns_lookup: Annotated[bool, option("of no effect, as in Telegraf: chronyd tells the names")] = False
    socket_group: Annotated[str, option("group of our end of a unix socket; chronyd's")] = "chrony"
    socket_perms: Annotated[str, option("its permissions, in octal")] = "0660"
    metrics: Annotated[
        list[str], option("what to read: activity, tracking, serverstats, sources, sourcestats ([]: tracking)")
    ] = []


_SOCKET = "/run/chrony/chronyd.sock"
_PORT = 323
_MOST_SOURCES = 10_000
_N_SOURCES, _SOURCE_DATA, _TRACKING, _SOURCE_STATS, _ACTIVITY, _SERVER_STATS, _SOURCE_NAME = 14, 15, 33, 34, 44, 54, 65
_COUNT = struct.Struct(">I")
_SOURCE = struct.Struct(">16sHHhHHHHHIIII")
_STATS = struct.Struct(">I16sHHIIIIIIII")
_CLOCK = struct.Struct(">I16sHHHHIIIIIIIIIIII")
_FIVE = struct.Struct(">5i")
_LEAPS = ("normal", "insert second", "delete second", "not synchronized")
_STATES = ("sync", "unreach", "falseticker", "jittery", "candidate", "outlier")
_MODES = ("client", "peer", "reference clock")
_REFERENCE = 2
_ACTIVITIES = {
    "online": "sources that are asked",
    "offline": "sources that are not",
    "burst_online": "sources that are asked often for a while, and then as usual",
    "burst_offline": "sources that are asked often for a while, and then not",
    "unresolved": "sources whose name has no address yet",
}
_SERVER_FIRST = ("ntp_hits", "cmd_hits", "ntp_drops", "cmd_drops", "log_drops")
_SERVER = {
    "ntp_hits": "requests of NTP",
    "nke_hits": "connections to agree on keys",
    "cmd_hits": "requests of chronyc and the like",
    "ntp_drops": "requests of NTP that were dropped",
    "nke_drops": "connections to agree on keys that were dropped",
    "cmd_drops": "requests of chronyc and the like that were dropped",
    "log_drops": "entries of clients that were dropped",
    "ntp_auth_hits": "requests of NTP with authentication",
    "ntp_interleaved_hits": "requests in interleaved mode",
    "ntp_timestamps": "timestamps that are kept for that mode",
    "ntp_span_seconds": "s that these span",
    "ntp_daemon_rx_timestamps": "times received, by the daemon",
    "ntp_daemon_tx_timestamps": "times sent, by the daemon",
    "ntp_kernel_rx_timestamps": "times received, by the kernel",
    "ntp_kernel_tx_timestamps": "times sent, by the kernel",
    "ntp_hardware_rx_timestamps": "times received, by the hardware",
    "ntp_hardware_tx_timestamps": "times sent, by the hardware",
}
_SERVER_LAYOUTS = {
    14: (_SERVER_FIRST, struct.Struct(">5I")),
    22: (tuple(_SERVER)[:8], struct.Struct(">8I")),
    24: (tuple(_SERVER)[:11], struct.Struct(">11I")),
    25: (tuple(_SERVER), struct.Struct(">17Q")),
}
"""By the number of the reply: those of chrony 3, 4.0, 4.2 and 4.4."""
_GATHERED = ("activity", "tracking", "serverstats", "sources", "sourcestats")
_SOURCE_TAG = {"source": "the server that was asked, where the option names one"}
_PEER_TAG = {"peer": "name or address of the source", **_SOURCE_TAG}


class Chrony(Input[ChronyOptions]):
    measurements = (
        Measurement(
            "chrony",
            "The clock of the host (tracking).",
            tags={
                "reference_id": "what it follows, in hexadecimal",
                "stratum": "its distance from a reference clock",
                "leap_status": ", ".join(_LEAPS),
                **_SOURCE_TAG,
            },
            fields=fields(
                "float",
                "s",
                system_time="of the clock that is still to correct",
                last_offset="at the last update",
                rms_offset="over a long time",
                root_delay="to the reference clock",
                root_dispersion="on the way there",
                update_interval="between the last two updates",
            )
            | fields(
                "float",
                "ppm",
                frequency="error without chronyd",
                residual_freq="of the source",
                skew="bound of that error",
            ),
            charts=(
                Chart("Offset of the clock", ("system_time", "last_offset", "rms_offset")),
                Chart("Frequency", ("frequency", "residual_freq", "skew")),
            ),
        ),
        Measurement(
            "chrony_activity", "Sources by their state.", tags=_SOURCE_TAG, fields=fields("int", "1", **_ACTIVITIES)
        ),
        Measurement(
            "chrony_serverstats",
            "What chronyd serves; a field that its version does not have is left out.",
            tags=_SOURCE_TAG,
            fields={name: Field("uint", "1", text, counter=True) for name, text in _SERVER.items()},
        ),
        Measurement(
            "chrony_sources",
            "A source.",
            tags=_PEER_TAG,
            fields={
                "index": Field("int", "1", "in the list"),
                "ip": Field("str", "", "its address"),
                "poll": Field("int", "1", "interval of polls, as a power of 2 in s"),
                "stratum": Field("uint", "1", "its distance from a reference clock"),
                "state": Field("str", "", ", ".join(_STATES)),
                "mode": Field("str", "", ", ".join(_MODES)),
                "flags": Field("uint", "1", "1 not selected, 2 preferred, 4 trusted, 8 required, as bits"),
                "reachability": Field("uint", "1", "the last eight polls, as bits"),
                "sample": Field("uint", "s", "since the last sample"),
                "latest_measurement": Field("float", "s", "offset at the last sample"),
                "latest_measurement_error": Field("float", "s", "bound of its error"),
            },
            charts=(Chart("Offset of the sources", ("latest_measurement",)),),
        ),
        Measurement(
            "chrony_sourcestats",
            "How a source drifts.",
            tags={"reference_id": "of the source, in hexadecimal", **_PEER_TAG},
            fields={
                "index": Field("int", "1", "in the list"),
                "ip": Field("str", "", "its address"),
                "samples": Field("uint", "1", "that are kept"),
                "runs": Field("uint", "1", "of residuals with the same sign"),
                "span_seconds": Field("uint", "s", "between the oldest sample and the newest"),
                "stddev": Field("float", "s", "standard deviation of the samples"),
                "residual_frequency": Field("float", "ppm", "of the source"),
                "skew": Field("float", "ppm", "bound of the error of that"),
                "offset": Field("float", "s", "of the source"),
                "offset_error": Field("float", "s", "bound of its error"),
            },
            charts=(Chart("Offset of the sources", ("offset", "stddev")),),
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._wanted = options.metrics or ["tracking"]
        for name in self._wanted:
            if name not in _GATHERED:
                raise ConfigError(f"cannot read {name!r}; there are {', '.join(_GATHERED)}", option="metrics")
        permissions = options.socket_perms or "0660"
        if not 0 < len(permissions) <= 6 or not set(permissions) <= set("01234567"):
            raise ConfigError(f"cannot use {permissions!r}; permissions are as 0660, in octal", option="socket_perms")
        self._permissions = int(permissions, 8)
        self._server = _address(options.server) if options.server else None
        self._tags = {"source": str(self._server)} if self._server else {}

    async def gather(self, acc: Accumulator) -> None:
        client = await self._connected()
        failures: list[Exception] = []
        try:
            for name in self._wanted:
                try:
                    await getattr(self, f"_add_{name}")(client, acc)
                except PyagentError as error:
                    failures.append(error)
        finally:
            client.close()
        if failures:
            raise joined_failures(failures)

    async def _connected(self) -> Client:
        timeout = self.options.timeout.seconds
        server = self._server or ServerAddress("unix", path=_SOCKET)
        if server.scheme == "unix":
            group = self.options.socket_group or "chrony"
            try:
                return Client.over_unix(server.path, timeout, group=group, permissions=self._permissions)
            except PyagentError:
                if self._server:
                    raise
                server = ServerAddress("udp", "127.0.0.1", _PORT)
        return await Client.over_udp(server, timeout)

    async def _add_activity(self, client: Client, acc: Accumulator) -> None:
        values = _read(await client.ask("activity", _ACTIVITY), 12, _FIVE)
        acc.add("chrony_activity", dict(zip(_ACTIVITIES, values, strict=True)), self._tags)

    async def _add_tracking(self, client: Client, acc: Accumulator) -> None:
        values = _read(await client.ask("tracking", _TRACKING), 5, _CLOCK)
        reference, _, _, _, stratum, leap = values[:6]
        correction, last, rms, frequency, residual, skew, delay, dispersion, interval = numbers_of(*values[9:])
        tags = {"reference_id": f"{reference:08X}", "stratum": str(stratum), **self._tags}
        if leap < len(_LEAPS):
            tags["leap_status"] = _LEAPS[leap]
        found = {
            "frequency": frequency,
            "system_time": correction,
            "last_offset": last,
            "residual_freq": residual,
            "rms_offset": rms,
            "root_delay": delay,
            "root_dispersion": dispersion,
            "skew": skew,
            "update_interval": interval,
        }
        acc.add("chrony", found, tags)

    async def _add_serverstats(self, client: Client, acc: Accumulator) -> None:
        reply = await client.ask("serverstats", _SERVER_STATS)
        if reply.kind not in _SERVER_LAYOUTS:
            raise PyagentError(f"cannot read serverstats: reply {reply.kind} is unknown")
        names, layout = _SERVER_LAYOUTS[reply.kind]
        found = {name: Uint(value) for name, value in zip(names, reply.read(layout), strict=True)}
        acc.add("chrony_serverstats", found, self._tags)

    async def _add_sources(self, client: Client, acc: Accumulator) -> None:
        for index in range(await _count(client)):
            reply = await client.ask(f"source {index}", _SOURCE_DATA, index.to_bytes(4, "big"))
            _, family, _, poll, stratum, state, mode, flags, reach, since, _, latest, error = _read(reply, 3, _SOURCE)
            ip = address_text(reply.data[:16], family)
            if mode == _REFERENCE and ":" not in ip:
                peer = _letters(int.from_bytes(reply.data[:4], "big"))
            else:
                peer = await _name(client, reply.data[:20])
            measured, bound = numbers_of(latest, error)
            found = {
                "index": index,
                "ip": ip,
                "poll": poll,
                "stratum": Uint(stratum),
                "state": _named(_STATES, state),
                "mode": _named(_MODES, mode),
                "flags": Uint(flags),
                "reachability": Uint(reach),
                "sample": Uint(since),
                "latest_measurement": measured,
                "latest_measurement_error": bound,
            }
            acc.add("chrony_sources", found, {"peer": peer or ip, **self._tags})

    async def _add_sourcestats(self, client: Client, acc: Accumulator) -> None:
        for index in range(await _count(client)):
            reply = await client.ask(f"statistics of source {index}", _SOURCE_STATS, index.to_bytes(4, "big"))
            reference, _, family, _, samples, runs, span, *numbers = _read(reply, 6, _STATS)
            ip = address_text(reply.data[4:20], family)
            peer = _letters(reference) if ip == "::" else await _name(client, reply.data[4:24])
            deviation, residual, skew, offset, error = numbers_of(*numbers)
            found = {
                "index": index,
                "ip": ip,
                "samples": Uint(samples),
                "runs": Uint(runs),
                "span_seconds": Uint(span),
                "stddev": deviation,
                "residual_frequency": residual,
                "skew": skew,
                "offset": offset,
                "offset_error": error,
            }
            acc.add("chrony_sourcestats", found, {"reference_id": f"{reference:08X}", "peer": peer or ip, **self._tags})


def _address(text: str) -> ServerAddress:
    try:
        found = urlsplit(text)
        if found.scheme == "unixgram" and found.path:
            return ServerAddress("unix", path=found.path)
        if found.scheme == "udp" and found.hostname and found.path in ("", "/"):
            return ServerAddress("udp", found.hostname, found.port or _PORT)
        cause = "write udp://HOST:PORT or unixgram:///PATH"
    except ValueError as error:
        cause = str(error)
    raise ConfigError(f"cannot use the address {text!r}: {cause}", option="server")


def _read(reply: Reply, kind: int, layout: struct.Struct) -> tuple[int, ...]:
    if reply.kind != kind:
        raise PyagentError(f"cannot read the answer of chronyd: it is reply {reply.kind}, and {kind} is expected")
    return reply.read(layout)


async def _count(client: Client) -> int:
    [count] = _read(await client.ask("sources", _N_SOURCES), 2, _COUNT)
    if count > _MOST_SOURCES:
        raise PyagentError(f"cannot read the sources of chronyd: it has {count}, and {_MOST_SOURCES} is the most")
    return count


async def _name(client: Client, address: bytes) -> str:
    """By which the configuration of chronyd names it."""
    reply = await client.ask("the name of a source", _SOURCE_NAME, address)
    if reply.kind != 19:
        raise PyagentError(f"cannot read the name of a source: it is reply {reply.kind}, and 19 is expected")
    return reply.data[:256].partition(b"\0")[0].decode("utf-8", "replace")


def _letters(reference: int) -> str:
    return "".join(letter for letter in reference.to_bytes(4, "big").decode("latin-1") if letter.isprintable())


def _named(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else f"unknown ({number})"

"""The input ping: what the program prints in whole and in pieces, and requests without it on the loopback."""

import os
import socket
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, PyagentError
from pyagent.kit import icmp
from pyagent.kit.icmp import PingResult, ping
from pyagent.testing import gather, make_input
from pyagent_plugins.inputs.ping import Ping, read_output

OUTPUT = """PING gateway (192.0.2.1) 16(44) bytes of data.
24 bytes from 192.0.2.1: icmp_seq=1 ttl=57 time=35.2 ms

--- gateway ping statistics ---
2 packets transmitted, 2 received, +1 duplicates, 0% packet loss, time 2002ms
rtt min/avg/max/mdev = 35.225/38.750/42.300/3.537 ms, pipe 2
"""
RAW = os.geteuid() == 0
IPV6 = os.path.exists("/proc/net/if_inet6")


def test_the_output_of_iputils() -> None:
    assert read_output(OUTPUT) == {
        "ttl": 57,
        "packets_transmitted": 2,
        "packets_received": 2,
        "percent_packet_loss": 0.0,
        "minimum_response_ms": 35.225,
        "average_response_ms": 38.75,
        "maximum_response_ms": 42.3,
        "standard_deviation_ms": 3.537,
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ttl=57", "ttl=", "line 2 is '24 bytes from"),
        ("ttl=57", "ttl=" + "9" * 5000, "line 2 is"),
        ("2 packets", "9" * 5000 + " packets", "line 5 is"),
        ("2 received", "received", "line 5 is"),
        ("35.225/", "nan/", "line 6 is"),
        ("35.225/38.750/42.300/3.537 ms, pipe 2", "", "line 6 is"),
        ("transmitted", "sent", "it does not say how many packets"),
    ],
)
def test_an_output_that_is_none(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_output(OUTPUT.replace(old, new))


@given(st.integers(0, len(OUTPUT)), st.text(max_size=20))
def test_any_output_is_read_or_refused(at: int, text: str) -> None:
    with suppress(ValueError):
        read_output(OUTPUT[:at] + text + OUTPUT[at:])
    with suppress(ValueError):
        read_output(OUTPUT[:at])


@pytest.mark.skipif(not RAW, reason="only root may open raw sockets everywhere")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("size", [0, 1, 3000])
async def test_the_loopback_answers(host: str, size: int) -> None:
    if ":" in host and not IPV6:
        pytest.skip("the kernel has no IPv6")
    result = await ping(host, count=2, interval=0.001, size=size)
    assert (result.sent, result.ttl, len(result.times)) == (2, 64, 2)
    assert all(one > 0 for one in result.times)


async def test_without_any_right_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(icmp.socket, "socket", refuse)
    with pytest.raises(PyagentError, match=r"net.ipv4.ping_group_range.*CAP_NET_RAW"):
        await ping("127.0.0.1")


async def answered(result: PingResult, monkeypatch: pytest.MonkeyPatch, **options: Any) -> dict[str, Any]:
    async def give(host: str, **asked: Any) -> PingResult:
        return result

    monkeypatch.setattr("pyagent_plugins.inputs.ping.ping", give)
    [metric] = await gather(make_input(Ping, {"urls": ["h"], "method": "native", **options}))
    return dict(metric.fields)


async def test_percentiles_and_deviation(monkeypatch: pytest.MonkeyPatch) -> None:
    result = PingResult(sent=5, ttl=60, times=[4_000_000, 1_000_000, 2_000_000, 3_000_000])
    found = await answered(result, monkeypatch, percentiles=[-1, 50, 95, 200])
    assert found == {
        "packets_transmitted": 5,
        "packets_received": 4,
        "percent_packet_loss": 20.0,
        "result_code": 0,
        "ttl": 60,
        "minimum_response_ms": 1.0,
        "average_response_ms": 2.5,
        "maximum_response_ms": 4.0,
        "standard_deviation_ms": 1.118033,
        "percentile-1_ms": 1.0,
        "percentile50_ms": 2.5,
        "percentile95_ms": 3.849999,  # cut to whole nanoseconds, as in Go
        "percentile200_ms": 4.0,
    }


async def test_no_reply_and_nothing_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await answered(PingResult(sent=1), monkeypatch))["result_code"] == 1
    assert (await answered(PingResult(), monkeypatch))["result_code"] == 2


def test_an_interface_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="cannot use the interface 'none0'"):
        make_input(Ping, {"method": "native", "interface": "none0"})


@pytest.mark.skipif(not RAW, reason="only root may open raw sockets everywhere")
async def test_an_interface_is_sent_from() -> None:
    [metric] = await gather(make_input(Ping, {"urls": ["127.0.0.1"], "method": "native", "interface": "lo"}))
    assert metric.fields["packets_received"] == 1

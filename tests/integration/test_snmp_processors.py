"""processors.ifname and snmp_lookup ask a real snmpd."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_servers import running
from snmp_agent import COMMUNITY, USER, Snmpd

from pyagent.api import ConfigError, Metric
from pyagent.kit.snmp import conversion, numeric_oid
from pyagent.testing import make_processor, process_async
from pyagent_plugins.processors.ifname import IfName
from pyagent_plugins.processors.snmp_lookup import SnmpLookup

LO = Path("/sys/class/net/lo")
QUICK = {"timeout": "5s", "retries": 2}
CLIENTS = [{"version": 1, "community": COMMUNITY}, {"version": 2, "community": COMMUNITY}, USER]


@pytest.fixture(scope="module")
def snmpd() -> Iterator[Snmpd]:
    yield from running(Snmpd)


async def processed(kind: Any, options: dict[str, Any], *metrics: Metric) -> tuple[list[Metric], Any]:
    processor = make_processor(kind, options)
    try:
        return await process_async(processor, list(metrics)), processor
    finally:
        await processor.stop()


def metric(agent: str, index: str) -> Metric:
    return Metric("m", {"agent": agent, "ifIndex": index}, {"v": 1}, 1)


@pytest.mark.parametrize("client", CLIENTS, ids=["1", "2c", "3"])
async def test_names_of_interfaces(client: dict[str, Any], snmpd: Snmpd) -> None:
    index = (LO / "ifindex").read_text().strip()
    found, _ = await processed(
        IfName, {**QUICK, **client}, metric(snmpd.address, index), metric(snmpd.address, "99999"), metric("", index)
    )
    assert [one.tags.get("ifName") for one in found] == ["lo", None, None]


@pytest.mark.parametrize("client", CLIENTS, ids=["1", "2c", "3"])
async def test_columns_of_a_row(client: dict[str, Any], snmpd: Snmpd) -> None:
    index = (LO / "ifindex").read_text().strip()
    columns = [
        {"oid": "IF-MIB::ifDescr"},
        {"oid": ".1.3.6.1.2.1.2.2.1.4", "name": "mtu"},
        {"oid": ".1.3.6.1.2.1.2.2.1.4", "name": "half", "conversion": "float(1)"},
    ]
    options = {**QUICK, **client, "agent_tag": "agent", "index_tag": "ifIndex", "tag": columns}
    found, _ = await processed(SnmpLookup, options, metric(snmpd.address, index), metric(snmpd.address, "99999"))
    mtu = (LO / "mtu").read_text().strip()
    row = {"ifDescr": "lo", "mtu": mtu, "half": str(int(mtu) / 10).removesuffix(".0")}
    assert [one.tags.keys() & row.keys() for one in found] == [row.keys(), set()]
    assert found[0].tags | row == found[0].tags


@pytest.mark.parametrize(
    ("client", "cause"),
    [
        ({"community": "wrong"}, "no answer within 200ms; is SNMP on there"),
        ({**USER, "auth_password": "another12"}, "the user, its protocols or its passwords are not right"),
        ({**USER, "sec_name": "nobody"}, "cannot ask"),
    ],
)
async def test_who_may_not_ask_is_told(
    client: dict[str, Any], cause: str, snmpd: Snmpd, caplog: pytest.LogCaptureFixture
) -> None:
    found, _ = await processed(IfName, {**client, "timeout": "200ms", "retries": 0}, metric(snmpd.address, "1"))
    assert found == [metric(snmpd.address, "1")]
    assert cause in caplog.text
    assert "another12" not in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 4}, "cannot be 4"),
        ({"version": 3, "sec_level": "high"}, "cannot be 'high'"),
        ({"version": 3, "sec_level": "authPriv"}, "needs priv_protocol and priv_password"),
        ({"version": 3, "context_name": "x"}, "'context_name' is not supported"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_processor(IfName, options)


def test_conversions() -> None:
    assert conversion("")(b"\xff\x00") == "ff00"
    assert conversion("hwaddr")(b"\0\x1b\x21") == "00:1b:21"
    assert conversion("ipaddr")(b"\x7f\0\0\1") == "127.0.0.1"
    assert conversion("hextoint:LittleEndian:uint32")(b"\1\2") == 513
    assert conversion("hextoint:BigEndian:uint16")(b"\1\2\3") == 258
    assert conversion("int")(b"12") == 12
    for name in ("enum", "displayhint", "nonsense"):
        with pytest.raises(ConfigError, match=name):
            conversion(name)
    with pytest.raises(ValueError, match="no IP address"):
        conversion("ipaddr")(b"abc")


def test_names_need_no_file() -> None:
    assert numeric_oid("IF-MIB::ifAlias", []) == ("1.3.6.1.2.1.31.1.1.1.18", "ifAlias")
    assert numeric_oid(".1.3.6.1.2.1.2.2.1.2", []) == ("1.3.6.1.2.1.2.2.1.2", "ifDescr")
    with pytest.raises(ConfigError, match="give it in numbers"):
        numeric_oid("NO-MIB::nothing", [])

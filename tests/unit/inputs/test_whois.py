"""inputs.whois and servers of several registries on loopback: their forms, what they refer to, and servers that mean no good."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Input, Metric, PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import gather, make_input
from pyagent_plugins.inputs.whois import Whois
from pyagent_plugins.inputs.whois.record import NoRecord, Record, read_date, read_record

# The forms are those of the registries; the domains and companies are nobody's.
VERISIGN = """\
   Domain Name: EXAMPLE.COM
   Registry Domain ID: 1_DOMAIN_COM-VRSN
   Registrar WHOIS Server: {registrar}
   Registrar URL: http://registrar.example
   Updated Date: 2024-08-14T07:01:34Z
   Creation Date: 1995-08-14T04:00:00Z
   Registry Expiry Date: 2030-08-13T04:00:00Z
   Registrar: Example Names, Inc.
   Registrar IANA ID: 9999
   Registrar Abuse Contact Phone: +1.5555550100
   Domain Status: clientDeleteProhibited https://icann.org/epp#clientDeleteProhibited
   Domain Status: clientTransferProhibited https://icann.org/epp#clientTransferProhibited
   Name Server: A.NS.EXAMPLE
   Name Server: B.NS.EXAMPLE
   DNSSEC: signedDelegation
   URL of the ICANN Whois Inaccuracy Complaint Form: https://www.icann.org/wicf/
>>> Last update of whois database: 2026-01-01T00:00:00Z <<<

NOTICE: The expiration date displayed in this record is the date the registrar's sponsorship ends.
"""
REGISTRAR = """\
Domain Name: example.com
Registrar WHOIS Server: {registrar}
Updated Date: 2024-08-15T00:00:00.0Z
Registrar: Example Names, Incorporated
Domain Status: clientTransferProhibited (https://icann.org/epp#clientTransferProhibited)
Registrant Name: Ann Example
Registrant Organization: Examples
Name Server: a.ns.example
"""
IANA = """\
% IANA WHOIS server

refer:        {registry}

domain:       COM

organisation: Example Global Registry
whois:        {registry}
status:       ACTIVE
created:      1985-01-01
changed:      2023-12-07
nserver:      A.GTLD.EXAMPLE 192.0.2.30
source:       IANA
"""


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


FORMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "com": (
        "example.com",
        VERISIGN,
        {
            "status": ["clientDeleteProhibited", "clientTransferProhibited"],
            "name_servers": ["a.ns.example", "b.ns.example"],
            "signed": True,
            "created": seconds("1995-08-14 04:00"),
            "updated": seconds("2024-08-14 07:01:34"),
            "expires": seconds("2030-08-13 04:00"),
            "registrar": "Example Names, Inc.",
        },
    ),
    "org": (
        "example.org",
        "Domain Name: example.org\nCreation Date: 1995-08-31T04:00:00Z\nRegistry Expiry Date: 2030-08-30T04:00:00.123Z\n"
        "Registrar: Example\nDomain Status: serverHold\nRegistrant State/Province: CA\nRegistrant Country: US\n"
        "Name Server: a.ns.example\nDNSSEC: unsigned\n",
        {
            "status": ["serverHold"],
            "name_servers": ["a.ns.example"],
            "created": seconds("1995-08-31 04:00"),
            "expires": seconds("2030-08-30 04:00"),
            "registrar": "Example",
            "registrant": "",
        },
    ),
    "de": (
        "example.de",
        "Domain: example.de\nNserver: a.ns.example\nNserver: b.ns.example 192.0.2.1\nStatus: connect\n"
        "Changed: 2018-03-12T21:44:25+01:00\n",
        {
            "status": ["connect"],
            "name_servers": ["a.ns.example", "b.ns.example"],
            "updated": seconds("2018-03-12 20:44:25"),
        },
    ),
    "uk": (
        "example.uk",
        "\n    Domain name:\n        example.uk\n\n    Registrar:\n        Example Ltd t/a names [Tag = EXAMPLE]\n"
        "        URL: https://www.registrar.example\n\n    Relevant dates:\n        Registered on: 22-Oct-2017\n"
        "        Expiry date:  22-Oct-2029\n        Last updated:  29-Jun-2025\n\n    Registration status:\n"
        "        Registered until expiry date.\n\n    Name servers:\n        a.ns.example          192.0.2.1\n"
        "        b.ns.example          2001:db8::1\n\n    WHOIS lookup made at 09:41:55 12-Oct-2025\n",
        {
            "status": ["Registered"],
            "name_servers": ["a.ns.example", "b.ns.example"],
            "created": seconds("2017-10-22"),
            "updated": seconds("2025-06-29"),
            "expires": seconds("2029-10-22"),
            "registrar": "Example Ltd t/a names [Tag = EXAMPLE]",
        },
    ),
    "fr": (
        "example.fr",
        "%%\n\ndomain:      example.fr\nstatus:      ACTIVE\nholder-c:    EX1-FRNIC\nadmin-c:     EX2-FRNIC\nregistrar:   NAMES\n"
        "Expiry Date: 2030-05-05T08:07:09Z\ncreated:     1999-12-22T23:00:00Z\nlast-update: 2024-05-05T08:38:28Z\n"
        "dsl-id:      SIGN1-FRNIC\n\nnserver:     a.ns.example\n\nregistrar:   NAMES\ntype:        Isp Option 1\n"
        "registered:  1998-10-21T12:00:00Z\n\nnic-hdl:     EX2-FRNIC\ncontact:     The Admin\nchanged:     2001-01-01T00:00:00Z\n"
        "\nnic-hdl:     EX1-FRNIC\ntype:        ORGANIZATION\ncontact:     EXAMPLE SARL\ncountry:     FR\n",
        {
            "status": ["ACTIVE"],
            "name_servers": ["a.ns.example"],
            "signed": True,
            "created": seconds("1999-12-22 23:00"),
            "updated": seconds("2024-05-05 08:38:28"),
            "expires": seconds("2030-05-05 08:07:09"),
            "registrar": "NAMES",
            "registrant": "EXAMPLE SARL",
        },
    ),
    "jp": (
        "example.jp",
        "[ JPRS database provides information on network administration. ]\n\nDomain Information:\n"
        "[Domain Name]                   EXAMPLE.JP\n\n[Registrant]                    Example K.K.\n\n"
        "[Name Server]                   a.ns.example\n[Signing Key]\n\n[Created on]                    2001/05/14\n"
        "[Expires on]                    2030/05/31\n[Status]                        Active\n"
        "[Last Updated]                  2025/06/01 04:52:02 (JST)\n\nContact Information:\n[Name]     Somebody\n",
        {
            "status": ["Active"],
            "name_servers": ["a.ns.example"],
            "created": seconds("2001-05-14"),
            "updated": seconds("2025-05-31 19:52:02"),
            "expires": seconds("2030-05-31"),
            "registrant": "Example K.K.",
        },
    ),
    "co.jp": (
        "example.co.jp",
        "Domain Information:\na. [Domain Name]                EXAMPLE.CO.JP\ng. [Organization]               Example Corporation\n"
        "p. [Name Server]                a.ns.example\n[State]                         Connected (2030/03/31)\n"
        "[Registered Date]               1996/10/03\n",
        {
            "status": ["Connected"],
            "name_servers": ["a.ns.example"],
            "created": seconds("1996-10-03"),
            "registrant": "",
        },
    ),
    "it": (
        "example.it",
        "\nDomain:             example.it\nStatus:             ok\nSigned:             no\nCreated:            1999-12-10 00:00:00\n"
        "Last Update:        2025-05-07 00:57:30\nExpire Date:        2030-04-21\n\nRegistrant\n  Organization:     Example S.r.l.\n"
        "\nRegistrar\n  Organization:     Names S.p.A.\n  Name:             NAMES-REG\n\nNameservers\n  a.ns.example\n  b.ns.example\n",
        {
            "status": ["ok"],
            "name_servers": ["a.ns.example", "b.ns.example"],
            "created": seconds("1999-12-10"),
            "updated": seconds("2025-05-07 00:57:30"),
            "expires": seconds("2030-04-21"),
            "registrar": "NAMES-REG",
            "registrant": "",
        },
    ),
    "eu": (
        "example.eu",
        "% WHOIS\nDomain: example.eu\nScript: LATIN\n\nRegistrant:\n        NOT DISCLOSED!\n        Visit www.eurid.example\n\n"
        "Technical:\n        Organisation: Tech\n        Email: a@b.example\n\nRegistrar:\n        Name: Names BV\n"
        "        Website: https://names.example\n\nName servers:\n        a.ns.example (192.0.2.1)\n        b.ns.example\n",
        {"name_servers": ["a.ns.example", "b.ns.example"], "registrar": "Names BV", "registrant": ""},
    ),
    "nl": (
        "example.nl",
        "Domain name: example.nl\nStatus:      active\n\nRegistrar:\n   Names B.V.\n   Street 1\n   1000AA Town\n   Netherlands\n\n"
        "DNSSEC:      yes\n\nDomain nameservers:\n   a.ns.example   192.0.2.1\n   b.ns.example\n\nCreation Date: 1999-05-27\n",
        {
            "status": ["active"],
            "name_servers": ["a.ns.example", "b.ns.example"],
            "signed": True,
            "created": seconds("1999-05-27"),
            "registrar": "Names B.V.",
        },
    ),
    "pl": (
        "example.pl",
        "\nDOMAIN NAME:           example.pl\nregistrant type:       organization\nnameservers:           a.ns.example. [192.0.2.1]\n"
        "                       b.ns.example. [192.0.2.2][2001:db8::1]\ncreated:               2002-09-19 13:00:00\n"
        "last modified:         2025-06-18 12:22:06\nrenewal date:          2030-09-18 14:00:00\ndnssec:                Unsigned\n\n"
        "REGISTRAR:\nNames sp. z o.o.\nul. Example 1\n",
        {
            "name_servers": ["a.ns.example", "b.ns.example"],
            "created": seconds("2002-09-19 13:00"),
            "updated": seconds("2025-06-18 12:22:06"),
            "expires": seconds("2030-09-18 14:00"),
            "registrar": "Names sp. z o.o.",
        },
    ),
    "ru": (
        "example.ru",
        "domain:        EXAMPLE.RU\nnserver:       a.ns.example.ru. 192.0.2.1, 2001:db8::1\nstate:         REGISTERED, DELEGATED\n"
        "person:        Private Person\nregistrar:     NAMES-RU\ncreated:       2004-03-03T21:00:00Z\n"
        "paid-till:     2030-03-04T21:00:00Z\nfree-date:     2030-04-05\n",
        {
            "status": ["REGISTERED", "DELEGATED"],
            "name_servers": ["a.ns.example.ru"],
            "created": seconds("2004-03-03 21:00"),
            "expires": seconds("2030-03-04 21:00"),
            "registrar": "NAMES-RU",
            "registrant": "Private Person",
        },
    ),
    "br": (
        "example.com.br",
        "domain:      example.com.br\nowner:       Example Ltda\nowner-c:     EXA1\nnserver:     a.ns.example\n"
        "created:     19990518 #162310\nexpires:     20300518\nchanged:     20250417\nstatus:      published\n\n"
        "nic-hdl-br:  EXA1\nperson:      Ana Exemplo\ncreated:     20000101\n",
        {
            "status": ["published"],
            "name_servers": ["a.ns.example"],
            "created": seconds("1999-05-18"),
            "updated": seconds("2025-04-17"),
            "expires": seconds("2030-05-18"),
            "registrant": "Ana Exemplo",
        },
    ),
    "kr": (
        "example.kr",
        "Domain Name                 : example.kr\nRegistrant                  : Example\nRegistered Date             : 2012. 05. 19.\n"
        "Expiration Date             : 2030. 05. 19.\nAuthorized Agency           : Names(http://names.example)\n"
        "DNSSEC                      : unsigned\nDomain Status               : ok\n\nPrimary Name Server\n"
        "   Host Name                : a.ns.example\n",
        {
            "status": ["ok"],
            "name_servers": ["a.ns.example"],
            "created": seconds("2012-05-19"),
            "expires": seconds("2030-05-19"),
            "registrar": "Names(http://names.example)",
            "registrant": "Example",
        },
    ),
    "fi": (
        "example.fi",
        "\ndomain.............: example.fi\nstatus.............: Registered\ncreated............: 30.6.2006 00:00:00\n"
        "expires............: 4.7.2030 10:15:55\nmodified...........: 2.6.2025\n\nNameservers\n\nnserver............: a.ns.example [OK]\n"
        "\nDNSSEC\n\ndnssec.............: no\n\nHolder\n\nname...............: Example Oy\n\nRegistrar\n\nregistrar..........: Names Oy\n",
        {
            "status": ["Registered"],
            "name_servers": ["a.ns.example"],
            "created": seconds("2006-06-30"),
            "updated": seconds("2025-06-02"),
            "expires": seconds("2030-07-04 10:15:55"),
            "registrar": "Names Oy",
            "registrant": "Example Oy",
        },
    ),
    "tw": (
        "example.tw",
        "Domain Name: example.tw\n   Domain Status: ok\n   Registrant:\n      Example\n\n"
        "   Record expires on 2030-11-09 00:00:00 (UTC+8)\n   Record created on 2000-08-29 10:22:50 (UTC+8)\n\n"
        "   Domain servers in listed order:\n      a.ns.example\n      b.ns.example\n\nRegistration Service Provider: Names\n",
        {
            "status": ["ok"],
            "name_servers": ["a.ns.example", "b.ns.example"],
            "created": seconds("2000-08-29 02:22:50"),
            "expires": seconds("2030-11-08 16:00"),
            "registrar": "Names",
            "registrant": "",
        },
    ),
    "dk": (
        "example.dk",
        "Domain:               example.dk\nDNS:                  example.dk\nRegistered:           1999-01-10\n"
        "Expires:              2030-03-31\nDnssec:               Unsigned delegation\nStatus:               Active\n\nNameservers\n"
        "Hostname:             a.ns.example\n",
        {
            "status": ["Active"],
            "name_servers": ["a.ns.example"],
            "created": seconds("1999-01-10"),
            "expires": seconds("2030-03-31"),
        },
    ),
    "gg": (
        "example.gg",
        "Domain:\n     example.gg\n\nDomain Status:\n     Active\n\nRegistrant:\n     Example\n\nRelevant dates:\n"
        "     Registered on 30th April 2003 at 00:00:00.000\n",
        {"status": ["Active"], "created": seconds("2003-04-30"), "registrant": "Example"},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_of_registries(form: str) -> None:
    domain, text, wanted = FORMS[form]
    for written in (text, text.replace("\n", "\r\n")):
        assert read_record(written, domain) == Record(**wanted)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('No match for "EXAMPLE.COM".\n>>> Last update of whois database: 2026-01-01T00:00:00Z <<<\n', "not found"),
        ("Domain: example.com\nStatus: free\n", "not found"),
        ("Domain: example.com\nStatus: AVAILABLE\n", "not found"),
        ("The queried object does not exist: example.com\n", "not found"),
        ("% This query returned 0 objects.\n", "not found"),
        ("This name is reserved by the registry.\n", "reserved"),
        ("This premium domain is available for purchase.\n", "premium"),
        ("The registration of this domain is restricted by DPML Brand Protection.\n", "blocked"),
        ("Number of allowed queries exceeded.\r\n", "limit exceeded"),
        ("WHOIS LIMIT EXCEEDED - SEE WWW.PIR.ORG/WHOIS FOR DETAILS\n", "limit exceeded"),
        (IANA, ""),
        ("Domain Name: EXAMPLE.COM.EVIL.EXAMPLE\nCreation Date: 2001-01-01\n", ""),
        ("hello\n", ""),
        ("", ""),
    ],
)
def test_what_is_no_record(text: str, status: str) -> None:
    with pytest.raises(NoRecord) as raised:
        read_record(text, "example.com")
    assert raised.value.status == status


def test_only_what_is_of_the_domain_counts() -> None:
    text = "Domain Name: NOT-EXAMPLE.COM\nCreation Date: 2001-01-01\n\nDomain Name: EXAMPLE.COM\nCreation Date: 2002-02-02\n"
    assert read_record(text, "example.com").created == seconds("2002-02-02")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2024-02-29T12:30:00Z", "2024-02-29 12:30"),
        ("2024-02-29T12:30:00.123456Z", "2024-02-29 12:30"),
        ("2024-02-29T12:30:00+02:00", "2024-02-29 10:30"),
        ("2024-02-29 12:30:00+03", "2024-02-29 09:30"),
        ("2024-02-29 12:30:00 (GMT+0:00)", "2024-02-29 12:30"),
        ("2024-02-29 12:30:00 (UTC-3:30)", "2024-02-29 16:00"),
        ("29-Feb-2024", "2024-02-29"),
        ("29-Feb-2024 12:30:00", "2024-02-29 12:30"),
        ("29.02.2024", "2024-02-29"),
        ("2024. 02. 29.", "2024-02-29"),
        ("Thu Feb 29 2024", "2024-02-29"),
        ("Thu, 29 Feb 2024 12:30:00 GMT", "2024-02-29 12:30"),
        ("February 29 2024", "2024-02-29"),
        ("20240229", "2024-02-29"),
        ("2024/02/29", "2024-02-29"),
        ("before Aug-1996", "1996-08-01"),
        ("2023-02-29", None),
        ("soon", None),
        ("", None),
    ],
)
def test_dates(text: str, wanted: str | None) -> None:
    assert read_date(text) == (None if wanted is None else seconds(wanted))


@given(st.text(max_size=400), st.sampled_from(sorted(FORMS)), st.data())
def test_any_text_is_a_record_or_none(junk: str, form: str, data: st.DataObject) -> None:
    domain, text, _ = FORMS[form]
    place = data.draw(st.integers(0, len(text)))
    for damaged in (text[:place] + junk + text[place:], text[:place] + text[place + 7 :], junk):
        try:
            record = read_record(damaged, domain)
        except NoRecord:
            continue
        assert all(one and " " not in one for one in record.name_servers)


# Servers --------------------------------------------------------------------------------------------------------------


class Server:
    """A whois server on loopback: what it answers to each question."""

    def __init__(self, answer: Callable[[str], str | bytes]) -> None:
        self.asked: list[str] = []
        self._answer = answer

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readuntil(b"\r\n")
        self.asked.append(line.decode().strip())
        answer = self._answer(self.asked[-1])
        writer.write(answer.encode() if isinstance(answer, str) else answer)
        writer.close()


@asynccontextmanager
async def serving(*answers: Callable[[str], str | bytes] | str | bytes) -> AsyncIterator[list[Server]]:
    """Servers; in an answer that is a text, {0} is the address of the first one, {1} of the second."""
    servers: list[Server] = []

    def of(answer: Any) -> Callable[[str], str | bytes]:
        if callable(answer):
            return lambda asked: answer(asked)
        if isinstance(answer, bytes):
            return lambda _: answer
        return lambda _: answer.format(*[server.address for server in servers])

    servers += [Server(of(answer)) for answer in answers]
    running = [await server.start() for server in servers]
    try:
        yield servers
    finally:
        for server in running:
            server.close()
            await server.wait_closed()


async def ask(server: Server, *domains: str, **options: Any) -> list[Metric]:
    given: Mapping[str, Any] = {"domains": list(domains) or ["example.com"], "server": server.address, **options}
    plugin = make_input(Whois, given)
    try:
        return await gather(plugin)
    finally:
        await plugin.stop()


async def _gather(plugin: Input[Any], acc: InputAccumulator) -> None:
    """What was added before an error stays in `acc`."""
    gathering = plugin.gather(acc)
    assert gathering is not None
    await gathering


IANA_1 = IANA.format(registry="{1}")
VERISIGN_2 = VERISIGN.format(registrar="{2}")


async def test_one_server_is_referred_to_and_no_more() -> None:
    async with serving(IANA_1, VERISIGN_2, "never asked") as servers:
        [metric] = await ask(servers[0])
        assert [server.asked for server in servers] == [["example.com"], ["example.com"], []]
    assert metric.tags == {"domain": "example.com", "status": "clientDeleteProhibited,clientTransferProhibited"}
    assert metric.fields["creation_timestamp"] == seconds("1995-08-14 04:00")
    assert metric.fields["registrar"] == "Example Names, Inc."
    assert metric.fields["registrant"] == "not set"
    assert metric.fields["name_servers"] == "a.ns.example,b.ns.example"


async def test_the_chain_to_the_registrar() -> None:
    async with serving(IANA_1, VERISIGN_2, REGISTRAR.format(registrar="{2}")) as servers:
        [metric] = await ask(servers[0], referral_chain_query=True)
        assert [len(server.asked) for server in servers] == [1, 1, 1]
    assert metric.tags["status"] == "clientTransferProhibited"
    assert metric.fields["registrant"] == "Ann Example"
    assert metric.fields["registrar"] == "Example Names, Incorporated"
    assert metric.fields["updated_timestamp"] == seconds("2024-08-15")
    assert metric.fields["expiration_timestamp"] == seconds("2030-08-13 04:00")  # the registrar does not say it
    assert metric.fields["dnssec_enabled"] is True


async def test_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    for now, wanted in (("2030-08-12 04:00", 86400), ("2030-08-13 05:00", -3600)):
        monkeypatch.setattr("pyagent_plugins.inputs.whois.time.time", lambda now=now: float(seconds(now)))
        async with serving(VERISIGN.format(registrar="")) as servers:
            [metric] = await ask(servers[0])
        assert metric.fields["expiry"] == wanted


async def test_a_loop_of_referrals_ends() -> None:
    async with serving("refer: {1}\n", "refer: {2}\n", "refer: {1}\n") as servers:
        with pytest.raises(PyagentError, match="it says nothing of this domain; it begins with 'refer: "):
            await ask(servers[0], referral_chain_query=True)
        assert [len(server.asked) for server in servers] == [1, 1, 1]


async def test_a_chain_without_an_end_ends() -> None:
    async with serving(*[f"refer: {{{number + 1}}}\n" for number in range(9)], "never asked") as servers:
        with pytest.raises(PyagentError, match="it says nothing of this domain"):
            await ask(servers[0], referral_chain_query=True)
        assert sum(len(server.asked) for server in servers) == 6


@pytest.mark.parametrize(
    "referral",
    [
        "127.0.0.1:99999",
        "127.0.0.1:0",
        "a b",
        "-",
        "file:///etc/passwd",
        "x" * 5000,
        "\x00",
        "http://",
        "whois: whois: ",
    ],
)
async def test_referrals_that_are_none(referral: str) -> None:
    async with serving(VERISIGN.format(registrar=referral)) as servers:
        [metric] = await ask(servers[0])
    assert metric.fields["registrar"] == "Example Names, Inc."


async def test_a_registrar_that_does_not_answer_costs_nothing_that_is_known() -> None:
    acc = InputAccumulator(Whois.measurements)
    async with serving(VERISIGN.format(registrar="127.0.0.1:1")) as servers:
        plugin = make_input(Whois, {"domains": ["example.com"], "server": servers[0].address})
        with pytest.raises(PyagentError, match=r"cannot connect to 127\.0\.0\.1:1"):
            await _gather(plugin, acc)
    [metric] = acc.drain()
    assert metric.fields["registrar"] == "Example Names, Inc."


async def test_a_registry_that_does_not_answer_is_an_error() -> None:
    """And not a record of the top-level domain."""
    acc = InputAccumulator(Whois.measurements)
    async with serving(IANA.format(registry="127.0.0.1:1")) as servers:
        plugin = make_input(Whois, {"domains": ["example.com"], "server": servers[0].address})
        with pytest.raises(PyagentError, match=r"cannot connect to 127\.0\.0\.1:1"):
            await _gather(plugin, acc)
    assert acc.drain() == []


async def test_what_is_not_registered() -> None:
    async with serving('No match for domain "EXAMPLE.COM".\n') as servers:
        [metric] = await ask(servers[0])
    assert metric.tags == {"domain": "example.com", "status": "not found"}
    assert metric.fields == {"error": "whoisparser: domain is not found"}


async def test_names_with_other_letters_are_asked_for_as_they_are_registered() -> None:
    answers: Callable[[str], str] = lambda asked: f"Domain: {asked}\nStatus: connect\nNserver: a.ns.example\n"  # noqa: E731
    async with serving(answers) as servers:
        metrics = await ask(servers[0], "münchen.de", "Example.ORG")
        assert sorted(servers[0].asked) == ["example.org", "xn--mnchen-3ya.de"]
    assert sorted(metric.tags["domain"] for metric in metrics) == ["Example.ORG", "münchen.de"]


@pytest.mark.parametrize(
    "domain",
    [
        "no-tld",
        "*.example.com",
        "invalid..com",
        "a b.com",
        "a.com\r\nb.com",
        "-a.com",
        "1.2.3.4",
        "",
        "x" * 64 + ".com",
        "a." * 130 + "com",
    ],
)
async def test_what_is_no_domain_is_not_asked_for(domain: str) -> None:
    async with serving("never asked") as servers:
        with pytest.raises(PyagentError, match="invalid domain format"):
            await ask(servers[0], domain)
        assert servers[0].asked == []


async def test_a_name_of_two_meanings() -> None:
    async with serving("never asked") as servers:
        with pytest.raises(PyagentError, match="write it as it is registered, xn--"):
            await ask(servers[0], "straße.de")


async def test_an_answer_that_is_too_long() -> None:
    async with serving(b"Domain Name: EXAMPLE.COM\n" * 20_000) as servers:
        with pytest.raises(PyagentError, match="the answer is larger than 262144 bytes"):
            await ask(servers[0])


@pytest.mark.parametrize("answer", [b"", b"\r\n \r\n"])
async def test_an_empty_answer(answer: bytes) -> None:
    async with serving(answer) as servers:
        with pytest.raises(PyagentError, match=r"for example\.com: it is empty"):
            await ask(servers[0])


async def test_a_server_that_says_nothing_in_time() -> None:
    gate = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        plugin = make_input(Whois, {"domains": ["example.com"], "server": address, "timeout": "20ms"})
        with pytest.raises(PyagentError, match=r"no answer within 0\.02 s"):
            await gather(plugin)
    finally:
        gate.set()
        server.close()
        await server.wait_closed()


async def test_bytes_that_are_not_utf_8() -> None:
    async with serving(b"Domain: example.com\nRegistrar: M\xfcller\nCreated: 2001-01-01\n") as servers:
        [metric] = await ask(servers[0])
    assert metric.fields["registrar"] == "Müller"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, "none is named"),
        ({"domains": ["a.de"], "server": "udp:/x"}, "cannot use the address"),
        ({"domains": ["a.de"], "timeout": "0s"}, "timeout"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        make_input(Whois, options)

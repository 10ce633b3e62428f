"""When domains expire, and who registered them.

What registries say of domains: until when they are paid for, by whom they are registered, their states and name servers.

Asks whois servers (RFC 3912). The first one refers to that of the registry, and that one to the registrar's.
"""

import re
import time
from typing import Annotated

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
    fields,
    option,
)
from pyagent.kit.connection import ServerAddress, connected
from pyagent.kit.each import for_each
from pyagent.kit.shown import quoted
from pyagent_plugins.inputs.whois.record import NoRecord, Record, read_record

__all__ = ["Whois", "WhoisOptions"]

_FIRST = "whois.iana.org"
_PORT = 43
_AT_ONCE = 4
"""Registries refuse who asks too much at once."""
_MOST = 256 << 10
"""Bytes of an answer."""
_MOST_REFERRALS = 5
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})")
_LONGEST_NAME = 253
_AMBIGUOUS = re.compile("[ßς\u200c\u200d]")
_REFERRALS = tuple(
    re.compile(rb"^[ \t]*" + label + rb" (.*)", re.MULTILINE)
    for label in (b"Registrar WHOIS Server:", b"whois:", b"ReferralServer:", b"refer:", b"%referral")
)
"""In the order in which they count."""
_SERVER = re.compile(
    r"(?:(?:https?|r?whois)://)?([a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?(?:/.*)?"
)
_OTHER_SERVERS = {"whois.godaddy": "whois.godaddy.com", "porkbun.com/whois": "whois.porkbun.com"}
_QUERIES = {"whois.jprs.jp": "{}/e"}
"""JPRS answers in Japanese otherwise."""
_ERRORS = {
    "not found": "whoisparser: domain is not found",
    "reserved": "whoisparser: domain is reserved to register",
    "premium": "whoisparser: domain is available at premium price",
    "blocked": "whoisparser: domain is blocked due to brand protection",
    "limit exceeded": "whoisparser: domain whois query limit exceeded",
}
"""Of the field `error`, as Telegraf has them."""
_NOT_SET = "not set"


class WhoisOptions(Options, frozen=True):
    domains: Annotated[list[str], option("domains to ask for")] = []
    server: Annotated[str, option("the server that is asked first, HOST or HOST:PORT")] = _FIRST
    timeout: Annotated[Duration, option("how long each server may take", gt=0)] = Duration("30s")
    referral_chain_query: Annotated[
        bool, option("ask all servers that are referred to, to the registrar's, and take what each says")
    ] = False


class Whois(Input[WhoisOptions]):
    measurements = (
        Measurement(
            "whois",
            "A domain. One that is not registered, or that the server says nothing of, has the field `error` alone.",
            tags={
                "domain": "the domain",
                "status": "its states, such as clientTransferProhibited, with commas between; unknown; or not found, reserved,"
                " premium, blocked, limit exceeded",
            },
            fields=fields(
                "int",
                "s",
                expiration_timestamp="until when it is registered, as seconds since 1970; 0 if it is not said, as the others",
                creation_timestamp="since when",
                updated_timestamp="the last change",
                expiry="time left until expiration_timestamp; below 0 if it is over",
            )
            | {"dnssec_enabled": Field("bool", "", "it is signed")}
            | fields(
                "str",
                "",
                registrar="who has registered it",
                registrant="whom it is of, where that is public",
                name_servers="its name servers, with commas between",
                error="why there is nothing else",
            ),
            charts=(Chart("Time until domains expire", ("expiry",)),),
        ),
    )

    def setup(self) -> None:
        if not self.options.domains:
            raise ConfigError('cannot ask for domains: none is named; give domains = ["example.com"]', option="domains")
        self._first = ServerAddress.of(self.options.server.lower() or _FIRST, default_port=_PORT, option="server")

    async def gather(self, acc: Accumulator) -> None:
        await for_each(self.options.domains, lambda domain: self._domain(domain, acc), at_once=_AT_ONCE)

    async def _domain(self, domain: str, acc: Accumulator) -> None:
        name = _ascii(domain)
        try:
            record, failure = await self._record(name)
        except NoRecord as cause:
            acc.add("whois", {"error": _ERRORS[cause.status]}, {"domain": domain, "status": cause.status})
            return
        acc.add(
            "whois",
            {
                "creation_timestamp": record.created,
                "dnssec_enabled": record.signed,
                "expiration_timestamp": record.expires,
                "expiry": int(record.expires - time.time()) if record.expires else 0,
                "name_servers": ",".join(record.name_servers),
                "registrant": _NOT_SET if record.registrant is None else record.registrant,
                "registrar": _NOT_SET if record.registrar is None else record.registrar,
                "updated_timestamp": record.updated,
            },
            {"domain": domain, "status": ",".join(record.status) or "unknown"},
        )
        if failure is not None:
            raise failure

    async def _record(self, name: str) -> tuple[Record, PyagentError | None]:
        """What is known, and why it is not all. Raises NoRecord with a status, PyagentError."""
        chain = self.options.referral_chain_query
        server: ServerAddress | None = self._first
        asked: set[ServerAddress] = set()
        record: Record | None = None
        reason = ""
        while server is not None:
            asked.add(server)
            try:
                answer = await self._ask(server, name)
            except PyagentError as failure:
                if record is None:
                    raise
                return record, failure
            text = _text(answer)
            try:
                found = read_record(text, name)
            except NoRecord as cause:
                reason = cause.status
            else:
                if chain and record is not None:
                    found.fill_from(record)  # the registrar knows best, but for what only the registry says
                record = found
            last, server = server, _referral(answer)
            if server in asked or len(asked) > (_MOST_REFERRALS if chain else 1):
                server = None
        if record is not None:
            return record, None
        if reason:
            raise NoRecord(reason)
        raise PyagentError(
            f"cannot read the answer of {last} for {name}: it says nothing of this domain; it begins with {quoted(text[:80])}"
        )

    async def _ask(self, server: ServerAddress, name: str) -> bytes:
        query = _QUERIES.get(server.host, "{}").format(name)
        async with connected(server, timeout=self.options.timeout.seconds, most=_MOST) as connection:
            await connection.send(f"{query}\r\n".encode("ascii"))
            answer = await connection.rest()
        if not answer.strip():
            raise PyagentError(f"cannot read the answer of {server} for {name}: it is empty")
        return answer


def _ascii(domain: str) -> str:
    """In small letters, as the servers know it. Raises PyagentError."""
    name = domain.lower()
    if not name.isascii():
        if _AMBIGUOUS.search(name):
            raise PyagentError(
                f"cannot ask for {domain!r}: it has characters that stand for different domains by old and new rules; write it"
                " as it is registered, xn--..."
            )
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            name = ""
    if len(name) > _LONGEST_NAME or not _DOMAIN.fullmatch(name):
        raise PyagentError(f"cannot ask for {domain[:300]!r}: invalid domain format; write it as example.com")
    return name


def _text(answer: bytes) -> str:
    try:
        return answer.decode("utf-8")
    except UnicodeDecodeError:
        return answer.decode("latin-1")


def _referral(answer: bytes) -> ServerAddress | None:
    """The server that an answer refers to, by the first kind of line of which there is one."""
    for pattern in _REFERRALS:
        if found := pattern.search(answer):
            text = found[1][:300].decode("latin-1").strip().lower()
            match = _SERVER.fullmatch(_OTHER_SERVERS.get(text, text))
            port = int(match[2] or _PORT) if match else 0
            return ServerAddress("tcp", match[1].strip("[]"), port) if match and 0 < port <= 65535 else None
    return None

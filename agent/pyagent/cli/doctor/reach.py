"""Whether a server can be reached, each step on its own: the name, each address, TLS, and what answers there."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pyagent.api import ConfigError
from pyagent.api.units import counted
from pyagent.cli.doctor.findings import Report
from pyagent.kit.connect_errors import SPEAKS_HTTPS, cause_and_advice, wants_https
from pyagent.kit.http_client import HttpClient, HttpError, HttpResponse, environment_proxy
from pyagent.kit.tls import TlsOptions, system_context

__all__ = ["Place", "Server", "in_container", "reach"]

PATIENCE = 5.0
"""Seconds for each step."""
CLOCK_TOLERANCE, CLOCK_FAILS = 2.5, 60.0
"""Seconds that two clocks may differ (the server gives whole ones), and from which on data are where nobody looks."""
CERTIFICATE_DAYS = 14


@dataclass(frozen=True, slots=True)
class Place:
    """An address as a configuration gives it: http://, https:// or unix://."""

    url: str
    tls: TlsOptions
    proxy: str = ""
    """Of the configuration; empty: the environment's."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the configuration sends with each request."""

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def is_unix(self) -> bool:
        return self.parts.scheme == "unix"

    @property
    def base(self) -> str:
        """The URL without user, query and a slash at the end."""
        if self.is_unix:
            return "http://localhost"
        parts = self.parts
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"

    @property
    def origin(self) -> str:
        parts = self.parts
        return self.base if self.is_unix else f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class Server:
    """What answers at a place. Close it in the end."""

    def __init__(self, place: Place) -> None:
        """Raises ConfigError for TLS options that cannot be used."""
        self.place = place
        self.version = ""
        """Of InfluxDB 2; empty: it is another server, which may take InfluxDB's writes."""
        self._client = HttpClient(
            timeout=2 * PATIENCE,
            tls=place.tls,
            proxy=place.proxy,
            unix_socket=place.parts.path if place.is_unix else "",
        )

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """Raises HttpError where there is no answer."""
        sent = {**({"Authorization": f"Token {token}"} if token else {}), **(headers or {})}
        own = {name.lower() for name in self.place.headers}
        sent = {name: value for name, value in sent.items() if name.lower() not in own} | dict(self.place.headers)
        return await self._client.request(method, f"{self.place.base}{path}", headers=sent, body=body)

    async def close(self) -> None:
        await self._client.close()


async def reach(report: Report, place: Place) -> Server | None:
    """Find out where the way to a server ends. None where it does; what is wrong is in the report then."""
    parts = place.parts
    if place.is_unix:
        return await _answers(report, place) if _socket_file(report, parts.path) else None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        report.failed("url", f"{place.url!r} is no URL of a server", "write http://HOST:8086 or https://HOST")
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if proxy := place.proxy or environment_proxy(place.url):
        report.note(
            "proxy", f"requests go through the proxy {urlsplit(proxy).hostname}", "NO_PROXY names what it is not for"
        )
        proxied = urlsplit(proxy)
        host, port = proxied.hostname or "", proxied.port or 80
        if await _connected(report, host, port, "the proxy ") is None:
            return None
        return await _answers(report, place)
    address = await _connected(report, parts.hostname, port)
    if address is None:
        return None
    if parts.scheme == "https" and not await _encrypted(report, place, address, port):
        return None
    return await _answers(report, place)


def _socket_file(report: Report, path: str) -> bool:
    try:
        is_socket = Path(path).is_socket()
        reason = "" if is_socket else "it is no socket" if Path(path).exists() else "No such file or directory"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        report.failed("connect", f"cannot connect to {path}: {reason}", "start the server, or correct `urls`")
    return not reason


async def _connected(report: Report, host: str, port: int, what: str = "") -> str | None:
    """An address that accepts a connection."""
    report.busy(f"looking up {host}")
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), PATIENCE)
    except TimeoutError:
        report.failed("dns", f"{what}{host}: the name server does not answer", "look at /etc/resolv.conf")
        return None
    except (OSError, UnicodeError) as error:
        remedy = "correct the name"
        if "." not in host:
            remedy += "; names of a compose file are known in its network only, with network_mode: host write localhost"
        report.failed("dns", f"{what}{host}: {getattr(error, 'strerror', None) or error}", remedy)
        return None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if addresses != [host]:
        report.ok("dns", f"{what}{host} is {', '.join(addresses)}")
    report.busy(f"connecting to {host}:{port}")
    problems = await asyncio.gather(*(_connect(address, port) for address in addresses))
    open_ = [address for address, problem in zip(addresses, problems, strict=True) if not problem]
    closed = [
        problem if addresses == [host] else f"{address}: {problem}"
        for address, problem in zip(addresses, problems, strict=True)
        if problem
    ]
    if not open_:
        report.failed("connect", f"{what}port {port} of {host}: {'; '.join(closed)}", _connect_remedy(host, problems))
        return None
    if closed:
        # Most programs try the first address and then the next; some do not.
        report.note("connect", f"port {port} of {'; '.join(closed)}", f"write {open_[0]} in place of {host}")
    report.ok("connect", f"{what}port {port} of {open_[0]} accepts connections")
    return open_[0]


async def _connect(address: str, port: int) -> str:
    """Why it does not accept a connection; empty where it does."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), PATIENCE)
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    writer.close()
    return ""


def _connect_remedy(host: str, problems: list[str]) -> str:
    if host in ("localhost", "127.0.0.1", "::1") and in_container():
        return (
            "in a container localhost is the container itself: write the service's name, or the host's address; if it is to"
            " listen here, start it"
        )
    if any("refused" in problem for problem in problems):
        return "nothing listens there: start the server, or correct the port (InfluxDB has 8086)"
    return "a firewall drops it, or the host is down: open the port, or correct the address"


def in_container() -> bool:
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() or os.environ.get("container"):  # noqa: SIM112  # systemd's name
        return True
    try:
        groups = Path("/proc/1/cgroup").read_text()
    except OSError:
        return False
    return any(name in groups for name in ("docker", "kubepods", "containerd", "lxc"))


async def _encrypted(report: Report, place: Place, address: str, port: int) -> bool:
    host = place.tls.tls_server_name or place.parts.hostname or ""
    try:
        context = place.tls.ssl_context() or system_context()
    except ConfigError as error:
        report.failed("tls", str(error))
        return False
    report.busy(f"TLS with {host}:{port}")
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(address, port, ssl=context, server_hostname=host), PATIENCE
        )
    except TimeoutError:
        report.failed("tls", f"port {port} of {address} does not answer in TLS", "write http:// if it is no TLS port")
        return False
    except OSError as error:
        cause, advice = cause_and_advice(error)
        report.failed("tls", f"no TLS with {host}:{port}: {cause}", advice or "look at the server's log")
        return False
    certificate = writer.get_extra_info("ssl_object").getpeercert() or {}
    writer.close()
    if place.tls.insecure_skip_verify:
        report.warning(
            "tls", "the certificate is not verified", "give its authority with tls_ca, and no insecure_skip_verify"
        )
        return True
    ends = certificate.get("notAfter")
    days = (ssl.cert_time_to_seconds(ends) - time.time()) / 86400 if ends else CERTIFICATE_DAYS
    if days < CERTIFICATE_DAYS:
        report.warning("tls", f"the certificate of {host} ends in {counted(round(days), 'day')}", "renew it")
    else:
        report.ok(
            "tls", f"the certificate of {host} is good" + (f", for {counted(round(days), 'day')}" if ends else "")
        )
    return True


async def _answers(report: Report, place: Place) -> Server | None:
    """What answers: InfluxDB, of which version, with which clock, set up or not."""
    try:
        server = Server(place)
    except ConfigError as error:
        report.failed("tls", str(error))
        return None
    report.busy(f"asking {place.base}")
    before = time.time()
    try:
        answer = await server.ask("GET", "/ping")
        middle, half = (before + time.time()) / 2, (time.time() - before) / 2
        good = _is_influxdb(report, place, server, answer)
        if good:
            _clock(report, answer, middle, half)
        if good and server.version:
            good = await _is_set_up(report, server)
    except HttpError as error:
        report.failed(
            "server", f"{place.base} does not answer as a web server does: {error}", "correct the URL and its port"
        )
        good = False
    if not good:
        await server.close()
        return None
    return server


def _is_influxdb(report: Report, place: Place, server: Server, answer: HttpResponse) -> bool:
    version = answer.headers.get("X-Influxdb-Version", "")
    if wants_https(answer.status, answer.body):
        report.failed("server", f"what listens there wants TLS: {answer.status} {answer.reason}", SPEAKS_HTTPS)
        return False
    if version.lstrip("v").startswith("1."):
        report.failed(
            "server",
            f"this is InfluxDB {version}, which has no tokens, organizations and buckets as InfluxDB 2 has them",
            "upgrade it to InfluxDB 2",
        )
        return False
    if answer.status == 503:
        report.failed(
            "server",
            f"it is not ready: {answer.status} {answer.reason}",
            "wait until it has started; where it goes on, look at its log, or whether a proxy has no server behind it",
        )
        return False
    if not version and answer.status == 204:
        # VictoriaMetrics and others take the same writes.
        report.note("server", "what answers is not InfluxDB 2, though it may take its writes: only a write is tried")
        return True
    if not version:
        what = answer.headers.get("Server", "")
        text = f"what answers is not InfluxDB: {answer.status} {answer.reason}" + (f" of {what}" if what else "")
        if place.parts.path.strip("/"):
            remedy = f"write {place.origin}, without {place.parts.path}; a proxy must hand on what InfluxDB says"
        else:
            remedy = "correct the host and port; a proxy must hand on what InfluxDB says"
        report.failed("server", text, remedy)
        return False
    server.version = version.lstrip("v")
    report.ok("server", f"InfluxDB {server.version} answers")
    return True


def _clock(report: Report, answer: HttpResponse, middle: float, half: float) -> None:
    try:
        date = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except (TypeError, ValueError):
        report.skipped("clock", "the server's clock is not known: its answer has no Date")
        return
    ahead = middle - (date + 0.5)  # whole seconds: it is half a second later in the mean
    if abs(ahead) - half <= CLOCK_TOLERANCE:
        report.ok("clock", "this host's clock and the server's agree")
        return
    tell = report.failed if abs(ahead) > CLOCK_FAILS else report.warning
    tell(
        "clock",
        f"this host's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the server's",
        "set the clocks by NTP: timedatectl set-ntp true",
    )


async def _is_set_up(report: Report, server: Server) -> bool:
    answer = await server.ask("GET", "/api/v2/setup")
    if answer.status == 200 and b'"allowed":true' in answer.body.replace(b" ", b""):
        report.failed(
            "setup",
            "this server was never set up: it refuses every token",
            f"open {server.place.base} in a browser, or: pyagent provision setup --url {server.place.base}",
        )
        return False
    return True

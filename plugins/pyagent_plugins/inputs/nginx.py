"""Reads the status page of nginx (`stub_status`)."""

import re
from collections.abc import Iterable
from typing import Annotated
from urllib.parse import urlsplit

from pyagent.api import Accumulator, Chart, Input, Measurement, PyagentError, Uint, counters, fields, option
from pyagent.api.masking import mask_url
from pyagent.kit.each import for_each
from pyagent.kit.http import HttpOptions, UrlClient

__all__ = ["Nginx", "NginxOptions"]


class NginxOptions(HttpOptions, frozen=True):
    urls: Annotated[
        list[str], option("status pages of nginx; http+unix:///run/nginx.sock:/path is one on a unix socket")
    ] = []

    def remarks(self) -> Iterable[tuple[str, str]]:
        if not self.urls:
            yield "urls", "is empty; nothing is gathered"


_LEAST_TIMEOUT, _DEFAULT_TIMEOUT = 1.0, 5.0
_PORTS = {"http": "80", "https": "443"}
_LONGEST_PAGE = 64 << 10
_PAGE = re.compile(
    r"""[^:]*:[ \t]*(?P<active>\d{1,20})\s*\n
        [^\n]*\n
        [ \t]*(?P<accepts>\d{1,20})[ \t]+(?P<handled>\d{1,20})[ \t]+(?P<requests>\d{1,20})[^\n]*\n
        [ \t]*\S+[ \t]+(?P<reading>\d{1,20})[ \t]+\S+[ \t]+(?P<writing>\d{1,20})[ \t]+\S+[ \t]+(?P<waiting>\d{1,20})(?!\d)""",
    re.VERBOSE | re.ASCII,
)


class Nginx(Input[NginxOptions]):
    measurements = (
        Measurement(
            "nginx",
            "Connections and requests of a server.",
            tags={
                "server": "host of the URL; none for a unix socket",
                "port": "port of the URL; none for a unix socket",
            },
            fields=counters(
                "uint",
                "1",
                accepts="connections accepted since the start",
                handled="connections handled since the start; fewer than accepted where a limit was reached",
                requests="requests since the start",
            )
            | fields(
                "uint",
                "1",
                active="connections that are open, with those that wait",
                reading="connections whose request's head is being read",
                writing="connections whose answer is being written",
                waiting="connections that are idle",
            ),
            charts=(
                Chart("Requests", ("requests",)),
                Chart("Connections", ("accepts", "handled")),
                Chart("Connections that are open", ("reading", "writing", "waiting"), stacked=True),
            ),
        ),
    )

    def setup(self) -> None:
        answer_timeout = self.options.response_timeout.seconds
        if answer_timeout < _LEAST_TIMEOUT:
            answer_timeout = _DEFAULT_TIMEOUT
        self._http = UrlClient(self.options, self.options.urls, answer_timeout=answer_timeout, max_body=_LONGEST_PAGE)

    async def gather(self, acc: Accumulator) -> None:
        await for_each(self.options.urls, lambda url: self._read(url, acc))

    async def _read(self, url: str, acc: Accumulator) -> None:
        answer = await self._http.request(url)
        found = _PAGE.match(answer.text)
        if found is None:
            start = answer.text[:80]
            raise PyagentError(
                f"cannot read {mask_url(url)}: it is no status page of nginx but {start!r}; give the URL of a location that"
                " has `stub_status`"
            )
        acc.add("nginx", {name: Uint(int(value)) for name, value in found.groupdict().items()}, _tags(url))

    async def stop(self) -> None:
        await self._http.close()


def _tags(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    if parts.scheme.endswith("+unix"):
        return {}
    port = str(parts.port) if parts.port is not None else _PORTS[parts.scheme]
    return {"server": parts.hostname or "", "port": port}

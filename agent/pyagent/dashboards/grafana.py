"""A running Grafana, by its API: the folder, the data source, the dashboards, the alert rules.

The identifiers are fixed, so that doing it again changes only what differs. Redirects are not followed, as the token is for
the address that was named.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from pyagent.api import PyagentError, redact
from pyagent.api.masking import mask_url
from pyagent.api.units import joined
from pyagent.dashboards.alerts import FOLDER, FOLDER_TITLE, GROUP
from pyagent.dashboards.boards import Board
from pyagent.dashboards.subjects import Destination
from pyagent.kit.http_client import HttpClient, HttpError, HttpResponse
from pyagent.kit.tls import TlsOptions

__all__ = ["Grafana", "GrafanaError", "checked_address", "checked_source_address"]

_LONGEST = 300
"""Characters of what a stranger says."""
_RULES = f"/api/v1/provisioning/folder/{FOLDER}/rule-groups/{GROUP}"


class GrafanaError(PyagentError):
    """Grafana cannot be reached, is none, or refuses. One line, with what to do."""


def checked_address(url: str) -> str:
    """Grafana's address, with the path that it is served below, without a slash at its end. Raises GrafanaError."""
    remedy = "make a token of a service account in Grafana, and give it by GRAFANA_TOKEN or --grafana-token-file"
    return _checked(url, "http://localhost:3000", remedy)


def checked_source_address(url: str) -> str:
    """The same of InfluxDB, as Grafana reaches it."""
    return _checked(url, "http://HOST:8086", "InfluxDB's token is in Grafana's environment: GRAFANA_INFLUX_TOKEN")


def _checked(given: str, example: str, remedy: str) -> str:
    given = given.strip()
    url = given.rstrip("/")
    shown = repr(mask_url(given))
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise GrafanaError(f"cannot use the URL {shown}: {error}; write one like {example}") from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise GrafanaError(f"cannot use the URL {shown}: it is none of a server; write one like {example}")
    if parts.username is not None:
        raise GrafanaError(f"cannot use the URL {shown}: a password in it is seen by everybody on this host; {remedy}")
    if parts.query or parts.fragment:
        address = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
        raise GrafanaError(f"cannot use the URL {shown}: it holds more than an address; write one like {address}")
    return url


class Grafana:
    """`url` as `checked_address` gives it; `token` of a service account."""

    def __init__(self, url: str, token: str, *, tls_ca: str = "", timeout: float = 10.0) -> None:
        self.url = url
        self._token = token
        self._client = HttpClient(timeout=timeout, tls=TlsOptions(tls_ca=tls_ca), max_body=16 << 20)

    async def close(self) -> None:
        await self._client.close()

    async def check(self) -> str:
        """Its version. Raises GrafanaError where something else answers, or where the token is refused."""
        answer = await self._ask("GET", "/api/health")
        health = _json(answer)
        if answer.status not in (200, 503) or not isinstance(health, dict) or "database" not in health:
            raise GrafanaError(f"cannot use {self.url}: it does not answer as Grafana does; check host, port and path")
        if health["database"] != "ok":
            raise GrafanaError(
                f"cannot use {self.url}: Grafana has no database ({_shown(health['database'])}); see its log"
            )
        await self._call("GET", "/api/org", what="use the token", needs="a role in the organization")
        return _shown(health.get("version", "")) or "of an unknown version"

    async def put_folder(self) -> bool:
        """Make the folder; False where it is there."""
        path = f"/api/folders/{FOLDER}"
        if await self._find(path, what=f"read the folder {FOLDER_TITLE}", needs="folders:read") is not None:
            return False
        body = {"uid": FOLDER, "title": FOLDER_TITLE}
        answer = await self._ask("POST", "/api/folders", body)
        if answer.status in (409, 412):
            raise GrafanaError(
                f"cannot make the folder {FOLDER_TITLE}: {self.url} has another one of this name ({_message(answer)}); "
                "rename that, or delete it where it is empty"
            )
        self._checked(answer, what=f"make the folder {FOLDER_TITLE}", needs="the role Editor")
        return True

    async def put_source(self, uid: str, destination: Destination, token: str) -> str:
        """Look for the data source, make it where it is missing and there is a token for it; returns what its test says. Raises
        GrafanaError where it is missing, or none in Flux."""
        path = f"/api/datasources/uid/{quote(uid)}"
        found = await self._find(path, what=f"read the data source {uid}", needs="datasources:read")
        if found is None:
            await self._make_source(uid, destination, token)
        else:
            self._check_source(uid, found)
        answer = await self._ask("GET", f"{path}/health")
        if answer.status in (401, 403, 404):
            return "cannot be tested with this token"
        return _message(answer) or f"its test is answered with {answer.status}"

    async def put_board(self, board: Board) -> tuple[str, str]:
        """`created`, `updated` or `unchanged`, and its address."""
        what = f"put the dashboard {board.title}"
        found = await self._find(f"/api/dashboards/uid/{board.uid}", what=what, needs="dashboards:read")
        address = f"{self.url}/d/{board.uid}"
        if found is not None:
            kept = found.get("dashboard")
            meta = found.get("meta") or {}
            if meta.get("provisioned"):
                file = _shown(meta.get("provisionedExternalId", ""))
                raise GrafanaError(
                    f"cannot {what}: Grafana reads it from files ({file}); change those, or remove them first"
                )
            if isinstance(kept, dict) and _same(kept, board.document) and meta.get("folderUid", FOLDER) == FOLDER:
                return "unchanged", address
        body = {"dashboard": board.document, "folderUid": FOLDER, "overwrite": True, "message": "pyagent dashboards"}
        answer = await self._ask("POST", "/api/dashboards/db", body)
        if answer.status == 412:
            raise GrafanaError(
                f"cannot {what}: {self.url} says {_message(answer)!r}; rename or delete the other one in the folder "
                f"{FOLDER_TITLE}, and try again"
            )
        self._checked(answer, what=what, needs="the role Editor")
        return ("created" if found is None else "updated"), address

    async def put_rules(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """The group of alert rules; people may change them in Grafana, until they are put again."""
        body = {"title": GROUP, "folderUid": FOLDER, "interval": 60, "rules": list(rules)}
        answer = await self._ask("PUT", _RULES, body, {"X-Disable-Provenance": "true"})
        if answer.status == 404:
            raise GrafanaError(f"cannot put the alert rules: {self.url} has no alerting; give --no-alerts")
        self._checked(
            answer, what="put the alert rules", needs="alert.provisioning:write (the role Admin), or give --no-alerts"
        )

    async def _make_source(self, uid: str, destination: Destination, token: str) -> None:
        how = "provision the file datasources/pyagent.yaml, or name an existing one with --datasource UID"
        if not token:
            raise GrafanaError(
                f"cannot find the data source {uid} in {self.url}: set GRAFANA_INFLUX_TOKEN to a token that reads the bucket "
                f"and it is made, {how}"
            )
        missing = [
            name for name, value in (("url", destination.url), ("organization", destination.organization)) if not value
        ]
        if missing:
            raise GrafanaError(
                f"cannot make the data source {uid}: InfluxDB's {' and '.join(missing)} are not known; name a configuration "
                f"that writes to it with --config, {how}"
            )
        body = {
            "name": "InfluxDB of pyagent",
            "uid": uid,
            "type": "influxdb",
            "access": "proxy",
            "url": destination.url,
            "jsonData": {
                "version": "Flux",
                "organization": destination.organization,
                "defaultBucket": destination.bucket,
                "httpMode": "POST",
            },
            "secureJsonData": {"token": token},
        }
        answer = await self._ask("POST", "/api/datasources", body)
        if answer.status == 409:
            raise GrafanaError(
                f"cannot make the data source {uid}: {self.url} has another one named 'InfluxDB of pyagent'; name it with "
                "--datasource UID"
            )
        self._checked(answer, what=f"make the data source {uid}", needs="the role Admin (datasources:create)")

    def _check_source(self, uid: str, found: Mapping[str, Any]) -> None:
        kind = found.get("type")
        if kind != "influxdb":
            raise GrafanaError(
                f"cannot use the data source {uid}: it is one of {_shown(kind)}, not of influxdb; name another"
            )
        language = (found.get("jsonData") or {}).get("version") or "InfluxQL"
        if language != "Flux":
            raise GrafanaError(
                f"cannot use the data source {uid}: its query language is {_shown(language)}; the dashboards ask in Flux: "
                "choose it there, or name another"
            )

    async def _find(self, path: str, *, what: str, needs: str) -> Mapping[str, Any] | None:
        """What is there; None where nothing is."""
        answer = await self._ask("GET", path)
        if answer.status == 404:
            return None
        found = self._checked(answer, what=what, needs=needs)
        if not isinstance(found, dict):
            raise GrafanaError(f"cannot {what}: {self.url} does not answer as Grafana does; check host, port and path")
        return found

    async def _call(self, method: str, path: str, *, what: str, needs: str) -> Any:
        return self._checked(await self._ask(method, path), what=what, needs=needs)

    async def _ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """Any answer but a redirect."""
        given = {"Accept": "application/json", "Authorization": f"Bearer {self._token}", **(headers or {})}
        data = None
        if body is not None:
            given["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        try:
            answer = await self._client.request(method, self.url + path, headers=given, body=data)
        except HttpError as error:
            reason = joined(redact(str(error)), "check the address")
            raise GrafanaError(f"cannot reach Grafana at {self.url}: {reason}") from None
        if 300 <= answer.status < 400:
            target = _shown(mask_url(answer.headers.get("Location", "")))
            raise GrafanaError(
                f"cannot use {self.url}: it redirects to {target or 'another address'}; write the address that it leads to, "
                "without /login"
            )
        return answer

    def _checked(self, answer: HttpResponse, *, what: str, needs: str) -> Any:
        """The document of an answer of success. Raises GrafanaError."""
        if 200 <= answer.status < 300:
            return _json(answer)
        said = _message(answer) or answer.reason
        reasons = {
            401: "the token is refused: make one for a service account in Grafana (Administration, Service accounts)",
            403: f"the token may not: it needs {needs}",
            404: "there is no such page in this Grafana: check the path of its address",
        }
        advice = reasons.get(answer.status)
        if advice is None:
            advice = "try again later, and see Grafana's log" if answer.status >= 500 else "see Grafana's log"
        raise GrafanaError(f"cannot {what}: {self.url} answers {answer.status} {said}; {advice}".replace("  ", " "))


def _json(answer: HttpResponse) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _message(answer: HttpResponse) -> str:
    found = _json(answer)
    return _shown(found.get("message", "")) if isinstance(found, dict) else ""


def _shown(value: object) -> str:
    """What a stranger says, in one line."""
    text = "".join(c if c.isprintable() else " " for c in str(value)[: 2 * _LONGEST])
    return redact(" ".join(text.split())[:_LONGEST])


def _same(kept: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether Grafana has this dashboard: it adds its number and a version."""
    own = ("id", "version")
    return {k: v for k, v in kept.items() if k not in own} == {k: v for k, v in document.items() if k not in own}

"""What listens at an address: InfluxDB 2, or what else."""

from dataclasses import dataclass

from pyagent.influxdb.connection import Connection, InfluxDBError

__all__ = ["ServerState", "address_hint", "server_state"]


@dataclass(frozen=True, slots=True)
class ServerState:
    version: str
    """Such as `2.9.1`; empty where it does not say."""
    is_set_up: bool


def server_state(url: str, *, tls_ca: str = "", timeout: float = 10.0) -> ServerState:
    """Ask, without any token, what listens there. Raises InfluxDBError where it is no InfluxDB 2, with what it is instead."""
    with Connection(url, tls_ca=tls_ca, timeout=timeout) as connection:
        try:
            answer = connection.call("GET", "/api/v2/setup")
        except InfluxDBError as error:
            if not error.status:
                raise InfluxDBError(f"cannot reach InfluxDB at {connection.url}: {error}") from None
            raise InfluxDBError(_other_server(connection, error)) from None
    if isinstance(answer.body, dict) and isinstance(answer.body.get("allowed"), bool):
        return ServerState(answer.headers.get("x-influxdb-version", "").removeprefix("v"), not answer.body["allowed"])
    kind = answer.headers.get("content-type", "")
    what = "a web page, perhaps that of a login or a proxy" if "html" in kind else "something else"
    raise InfluxDBError(
        f"cannot use {connection.url}: it answers with {what}, not as InfluxDB 2 does; {address_hint(connection.url)}"
    )


def address_hint(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, slash, _ = rest.partition("/")
    return f"write the address without a path: {scheme}://{host}" if slash else "check host and port"


def _other_server(connection: Connection, error: InfluxDBError) -> str:
    url = connection.url
    if error.status == 503:
        return f"cannot use {url}: it is not ready yet ({error}); try again"
    if 300 <= error.status < 400:
        return f"cannot use {url}: it redirects to another address; write the one that it leads to"
    major = error.version.partition(".")[0]
    if major.isdecimal() and major != "2":
        return (
            f"cannot use {url}: it is InfluxDB {error.version}, which hosts no Telegraf configurations; InfluxDB 2 does"
        )
    if "unsupported path" in error.body:
        return f"cannot use {url}: it is VictoriaMetrics, which hosts no Telegraf configurations; InfluxDB 2 does"
    return f"cannot use {url}: it does not answer as InfluxDB 2 does ({error}); {address_hint(url)}"

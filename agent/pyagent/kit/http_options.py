"""The HTTP options that Telegraf's plugins share. Import them from `pyagent.kit.http`."""

from typing import Annotated

from pyagent.api.options import option
from pyagent.api.units import Duration, Secret
from pyagent.kit.tls import TlsOptions

__all__ = ["HttpOptions", "TransportOptions"]


class TransportOptions(TlsOptions, frozen=True):
    """How connections are made, under Telegraf's names. Inherit from `HttpOptions` where Telegraf's plugin has those."""

    idle_conn_timeout: Annotated[Duration, option("how long a connection is kept that is not used (0s: 90s)", ge=0)] = (
        Duration(0)
    )
    max_idle_conn: Annotated[int, option("no more connections are open than there are URLs", no_effect=True)] = 0
    max_idle_conn_per_host: Annotated[
        int, option("no more connections are open than there are URLs", no_effect=True)
    ] = 0
    response_timeout: Annotated[Duration, option("longest time until an answer begins (0s: as timeout)", ge=0)] = (
        Duration(0)
    )
    local_address: Annotated[str, option("address of this host to connect from, with a port if need be")] = ""
    use_system_proxy: Annotated[bool, option("use the proxies that the environment names")] = False
    http_proxy_url: Annotated[str, option("address of an HTTP proxy; use_system_proxy goes before it")] = ""


class HttpOptions(TransportOptions, frozen=True):
    """All of Telegraf's common HTTP options. Inherit from it, and hand it to `UrlClient`."""

    timeout: Annotated[Duration, option("longest time for a whole request (0s: 5s)", ge=0)] = Duration("5s")
    client_id: Annotated[str, option("OAuth2 client credentials: the client's name")] = ""
    client_secret: Annotated[Secret, option("OAuth2: its secret")] = Secret("")
    token_url: Annotated[str, option("OAuth2: where a token is got; the three go together")] = ""
    audience: Annotated[str, option("OAuth2: whom the token is for")] = ""
    scopes: Annotated[list[str], option("OAuth2: what the token is to allow")] = []
    cookie_auth_url: Annotated[str, option("ask this URL first, and send the cookies that it sets")] = ""
    cookie_auth_method: Annotated[str, option("method of that request (empty: POST)")] = ""
    cookie_auth_username: Annotated[str, option("user of that request, by basic authentication")] = ""
    cookie_auth_password: Annotated[Secret, option("password of that user")] = Secret("")
    cookie_auth_headers: Annotated[dict[str, Secret], option("headers of that request")] = {}
    cookie_auth_body: Annotated[Secret, option("body of that request")] = Secret("")
    cookie_auth_renewal: Annotated[Duration, option("ask for new cookies so often (0s: never)", ge=0)] = Duration(0)

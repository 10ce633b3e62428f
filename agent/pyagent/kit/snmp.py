"""Asks devices by SNMP, in its versions 1, 2c and 3, with the library gufo-snmp.

client = SnmpClient(options)             # an `SnmpOptions`; raises ConfigError
async for index, value in client.walk("192.0.2.1", "1.3.6.1.2.1.31.1.1.1.1"):
...
"""

import asyncio
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

from pyagent.api import ConfigError, Duration, FieldValue, Options, PyagentError, Secret, option
from pyagent.kit.libraries import missing_library

__all__ = ["SnmpClient", "SnmpOptions", "conversion", "numeric_oid"]

_MOST_ROWS = 100_000
"""Of one walk: a device that goes on for ever is cut."""
_PORT = 161
_AUTHENTICATION = ("md5", "sha", "sha224", "sha256", "sha384", "sha512")
_PRIVACY = ("des", "aes", "aes192", "aes192c", "aes256", "aes256c")
_LEVELS = ("noauthnopriv", "authnopriv", "authpriv")
_INTERFACES = "1.3.6.1.2.1.2.2.1."
_MORE_OF_INTERFACES = "1.3.6.1.2.1.31.1.1.1."
_KNOWN = {
    "ifIndex": _INTERFACES + "1",
    "ifDescr": _INTERFACES + "2",
    "ifType": _INTERFACES + "3",
    "ifMtu": _INTERFACES + "4",
    "ifSpeed": _INTERFACES + "5",
    "ifPhysAddress": _INTERFACES + "6",
    "ifAdminStatus": _INTERFACES + "7",
    "ifOperStatus": _INTERFACES + "8",
    "ifName": _MORE_OF_INTERFACES + "1",
    "ifHighSpeed": _MORE_OF_INTERFACES + "15",
    "ifAlias": _MORE_OF_INTERFACES + "18",
}
"""Of IF-MIB: what most look up needs no files of MIBs."""


class SnmpOptions(Options, frozen=True):
    timeout: Annotated[Duration, option("give up a request after", ge="1ms")] = Duration("5s")
    retries: Annotated[int, option("how often a request without an answer is sent again", ge=0)] = 3
    version: Annotated[int, option("of SNMP: 1, 2 or 3 (0: 2)")] = 2
    unconnected_udp_socket: Annotated[bool, option("answers come from the address that was asked", no_effect=True)] = (
        False
    )
    path: Annotated[list[str], option("folders with files of MIBs ([]: /usr/share/snmp/mibs)", reads_path=True)] = []
    community: Annotated[str, option("community of versions 1 and 2 (empty: public)")] = "public"
    max_repetitions: Annotated[int, option("rows that one request asks for", ge=0, le=2**31 - 1)] = 10
    context_name: Annotated[str, option("version 3: context; only the empty one can be asked")] = ""
    sec_level: Annotated[str, option("version 3: noAuthNoPriv, authNoPriv or authPriv")] = "authNoPriv"
    sec_name: Annotated[str, option("version 3: user")] = "myuser"
    auth_protocol: Annotated[str, option("version 3: MD5, SHA, SHA224, SHA256, SHA384, SHA512 or empty")] = "MD5"
    auth_password: Annotated[Secret, option("version 3: password of that protocol; empty: pass")] = Secret("")
    priv_protocol: Annotated[str, option("version 3: DES, AES, AES192, AES192C, AES256, AES256C or empty")] = ""
    priv_password: Annotated[Secret, option("version 3: password of that protocol")] = Secret("")


class SnmpClient:
    """Raises ConfigError where the options cannot be used, or the library is missing."""

    def __init__(self, options: SnmpOptions) -> None:
        try:
            from gufo.snmp import SnmpVersion
            from gufo.snmp.aio import SnmpSession
        except ImportError:
            raise ConfigError(f"cannot ask by SNMP: {missing_library('gufo.snmp')}") from None
        versions = {1: SnmpVersion.v1, 2: SnmpVersion.v2c, 0: SnmpVersion.v2c, 3: SnmpVersion.v3}
        if options.version not in versions:
            raise ConfigError(f"the option 'version' cannot be {options.version}: give 1, 2 or 3", option="version")
        self._options = options
        self._session: Callable[..., Any] = SnmpSession
        self._version = versions[options.version]
        self._user = _user(options) if options.version == 3 else None

    async def walk(self, agent: str, oid: str) -> AsyncIterator[tuple[str, Any]]:
        """What is below an object: its index (the rest of its identifier) and its value, an int, float, str or bytes.

        `agent`: HOST, HOST:PORT or udp://HOST:PORT. Raises PyagentError, after the retries.
        """
        host, port = await _address(agent)
        options = self._options
        tries = options.retries + 1
        try:
            session = await self._connected(agent, host, port, tries)
            steps = (
                session.getnext(oid) if options.version == 1 else session.getbulk(oid, options.max_repetitions or 10)
            )
            count = 0
            while True:
                try:
                    name, value = await self._again(anext, steps, tries)
                except StopAsyncIteration:
                    return
                if not name.startswith(f"{oid}."):
                    return
                count += 1
                if count > _MOST_ROWS:
                    raise PyagentError(f"cannot ask {agent}: {oid} has more than {_MOST_ROWS:,} rows")
                yield name[len(oid) + 1 :], value
        except TimeoutError:
            waited = f"{options.timeout}, asked {tries} times" if tries > 1 else str(options.timeout)
            raise PyagentError(
                f"cannot ask {agent}: no answer within {waited}; is SNMP on there, and the community or the user right?"
            ) from None
        except OSError as error:
            raise PyagentError(f"cannot ask {agent}: {error.strerror or error}") from None
        except Exception as error:
            if isinstance(error, PyagentError):
                raise
            raise PyagentError(f"cannot ask {agent}: {_reason(error)}") from None

    async def _connected(self, agent: str, host: str, port: int, tries: int) -> Any:
        options = self._options
        session = self._session(
            addr=host,
            port=port,
            community=options.community or "public",
            user=self._user,
            version=self._version,
            timeout=options.timeout.seconds,
        )
        await self._again(lambda one: one.refresh(), session, tries)
        return session

    @staticmethod
    async def _again(step: Callable[[Any], Any], at: Any, tries: int) -> Any:
        for left in range(tries - 1, -1, -1):
            try:
                return await step(at)
            except TimeoutError:
                if not left:
                    raise
        raise AssertionError  # the last one returns or raises


def _user(options: SnmpOptions) -> Any:
    from gufo import snmp

    level = options.sec_level.lower() or "noauthnopriv"
    for name, allowed in (("sec_level", _LEVELS), ("auth_protocol", _AUTHENTICATION), ("priv_protocol", _PRIVACY)):
        value = str(getattr(options, name))
        if value and value.lower() not in allowed:
            raise ConfigError(f"the option {name!r} cannot be {value!r}: give one of {', '.join(allowed)}", option=name)
    if options.context_name:
        raise ConfigError("the option 'context_name' is not supported; only the default context can be asked")
    authentication = dict(
        zip(
            _AUTHENTICATION,
            (snmp.Md5Key, snmp.Sha1Key, snmp.Sha224Key, snmp.Sha256Key, snmp.Sha384Key, snmp.Sha512Key),
            strict=True,
        )
    )
    privacy = {
        "des": snmp.DesKey,
        "aes": snmp.Aes128Key,
        "aes192": snmp.Aes192Key,
        "aes256": snmp.Aes256Key,
    }
    auth_key = priv_key = None
    if level != "noauthnopriv":
        if not options.auth_protocol:
            raise ConfigError(f"sec_level {options.sec_level!r} needs auth_protocol and auth_password")
        password = options.auth_password.reveal() or "pass"  # as in Telegraf
        auth_key = authentication[options.auth_protocol.lower()](password.encode())
    if level == "authpriv":
        if not options.priv_protocol or not options.priv_password:
            raise ConfigError(f"sec_level {options.sec_level!r} needs priv_protocol and priv_password")
        kind = options.priv_protocol.lower()
        priv_key = privacy[kind.removesuffix("c")](options.priv_password.reveal().encode())
    expansion = snmp.KeyExpansion.Cisco if options.priv_protocol.lower().endswith("c") else snmp.KeyExpansion.Blumenthal
    return snmp.User(options.sec_name, auth_key=auth_key, priv_key=priv_key, key_expansion=expansion)


async def _address(agent: str) -> tuple[str, int]:
    """Raises PyagentError."""
    try:
        parts = urlsplit(agent if "://" in agent else f"udp://{agent}")
        host, port = parts.hostname, parts.port or _PORT
    except ValueError as error:
        raise PyagentError(f"cannot ask {agent!r}: {error}") from None
    if not host:
        raise PyagentError(f"cannot ask {agent!r}: it names no host")
    families = {"udp": socket.AF_UNSPEC, "udp4": socket.AF_INET, "udp6": socket.AF_INET6}
    if parts.scheme not in families:
        raise PyagentError(f"cannot ask {agent!r}: only udp, udp4 and udp6 are supported")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, family=families[parts.scheme], type=socket.SOCK_DGRAM
        )
    except OSError as error:
        raise PyagentError(f"cannot ask {agent!r}: {error.strerror or error}") from None
    return str(found[0][4][0]), port


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if "authentication" in text:
        return f"{text}; the user, its protocols or its passwords are not right (sec_name, auth_*, priv_*)"
    return text


def numeric_oid(oid: str, path: list[str]) -> tuple[str, str]:
    """An identifier in numbers, and its name. `oid`: in numbers, or `MODULE::NAME`, for which, but for a few of IF-MIB, the
    program snmptranslate is asked, with the folders `path`. Blocks. Raises ConfigError."""
    text = oid.removeprefix(".")
    if re.fullmatch(r"\d+(\.\d+)*", text):
        names = {number: name for name, number in _KNOWN.items()}
        return text, names.get(text) or (_translated(text, path, ["-Os"]) or text)
    module, _, name = oid.rpartition("::")
    if module in ("", "IF-MIB") and name in _KNOWN:
        return _KNOWN[name], name
    found = _translated(oid, path, ["-On"])
    if not found:
        raise ConfigError(
            f"cannot use the OID {oid!r}: snmptranslate does not know it; "
            "give it in numbers, or apt install snmp and put the file of its MIB into a folder of `path`"
        )
    return found.removeprefix("."), name


def _translated(oid: str, path: list[str], flags: list[str]) -> str:
    folders = ["-M", "+" + ":".join(path or ["/usr/share/snmp/mibs"])]
    command = ["snmptranslate", *folders, "-m", "all", *flags, oid]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else ""


def conversion(name: str) -> Callable[[Any], FieldValue]:
    """What makes a field's value of one that a walk gave, by Telegraf's name for it. That one raises ValueError for another
    type; this raises ConfigError for a name that there is not."""
    if name == "":
        return _plain
    if match := re.fullmatch(r"float(?:\((\d+)\))?", name):
        power = 10 ** int((match[1] or "0")[:3])
        return lambda value: float(_number_text(value)) / power
    if match := re.fullmatch("hextoint:(LittleEndian|BigEndian):uint(16|32|64)", name):
        size, order = int(match[2]) // 8, match[1]

        def number(value: Any) -> FieldValue:
            if not isinstance(value, bytes):
                return _plain(value)
            return int.from_bytes(value[:size].ljust(size, b"\0"), "little" if order == "LittleEndian" else "big")

        return number
    if name in _BY_NAME:
        return _BY_NAME[name]
    if name in ("enum", "enum(1)", "displayhint"):
        raise ConfigError(f"the conversion {name!r} is not supported: it needs the files of the device's MIBs")
    raise ConfigError(f"there is no conversion {name!r}")


def _plain(value: Any) -> FieldValue:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    return value  # type: ignore[no-any-return]  # an int, float or str


def _number_text(value: Any) -> Any:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"{type(value).__name__} is no string of bytes")
    return value


def _ip_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    family = {4: socket.AF_INET, 16: socket.AF_INET6}.get(len(_bytes(value)))
    if family is None:
        raise ValueError(f"{len(value)} bytes are no IP address")
    return socket.inet_ntop(family, value)


def _hex(value: Any) -> str:
    if isinstance(value, str):  # an IP address
        return socket.inet_aton(value).hex()
    return _bytes(value).hex()


_BY_NAME: dict[str, Callable[[Any], FieldValue]] = {
    "int": lambda value: int(_number_text(value)),
    "hwaddr": lambda value: _bytes(value).hex(":"),
    "hex": _hex,
    "ipaddr": _ip_text,
}

"""The binary network protocol of collectd, plain, signed or encrypted.

A packet with one bad part is refused as a whole.
"""

import hashlib
import hmac
import math
import os
import struct
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from pyagent.api import ConfigError, FieldValue, Metric, Options, ParseError, Parser, option
from pyagent.api.files import read_file
from pyagent.kit.libraries import missing_library
from pyagent.kit.numbers import INT64_MAX

__all__ = ["Collectd", "CollectdOptions"]

_TEXTS = {0: "host", 2: "plugin", 3: "instance", 4: "type", 5: "type_instance"}
_TIME, _TIME_HR, _VALUES, _SIGNED, _ENCRYPTED = 1, 8, 6, 0x200, 0x210
_INTERVALS = (7, 9)
_HEAD = struct.Struct(">HH")
_FORMS = {0: struct.Struct(">Q"), 1: struct.Struct("<d"), 2: struct.Struct(">q")}
"""Of a counter, a gauge and a derive; an absolute value, which Telegraf refuses, has the form of a counter."""
_FORMS[3] = _FORMS[0]
_LEVELS = {"": 0, "none": 0, "sign": 1, "encrypt": 2}
_TAGS = ("host", "instance", "type", "type_instance")
_AUTH_FILE = "/etc/collectd/auth_file"


class CollectdOptions(Options, frozen=True):
    collectd_parse_multivalue: Annotated[
        Literal["", "split", "join"],
        option("split: a metric for each value of a list; join: one with a field for each (empty: split)"),
    ] = ""
    collectd_auth_file: Annotated[
        str,
        option(f"names and passwords of senders, a line `name: password` each (empty: {_AUTH_FILE})", reads_path=True),
    ] = _AUTH_FILE
    collectd_security_level: Annotated[
        Literal["", "none", "sign", "encrypt"], option("what senders must do; what does less is left out (empty: none)")
    ] = ""
    collectd_typesdb: Annotated[
        list[str], option("files types.db, which name the values of each type", reads_path=True)
    ] = []


@dataclass(slots=True)
class _State:
    """What the parts so far say of the values to come."""

    texts: dict[str, str] = field(default_factory=dict)
    time: int | None = None


class Collectd(Parser[CollectdOptions]):
    def setup(self) -> None:
        options = self.options
        self._level = _LEVELS[options.collectd_security_level]
        if self._level == 2 and find_spec("cryptography") is None:
            problem = f"cannot decrypt what collectd sends: {missing_library('cryptography')}"
            raise ConfigError(problem, option="collectd_security_level")
        self._joins = options.collectd_parse_multivalue == "join"
        self._types: dict[str, list[tuple[str, str]]] | None = None
        for path in options.collectd_typesdb:
            self._types = (self._types or {}) | _read_types(path)
        self._passwords = _Passwords(options.collectd_auth_file or _AUTH_FILE)

    def parse(self, data: bytes) -> list[Metric]:
        try:
            return self._packet(data, 0)
        except ValueError as error:
            raise ParseError(f"the packet is none of collectd: {error}") from None

    def _packet(self, data: bytes, level: int) -> list[Metric]:
        """`level`: how it came, 2 for what was encrypted. Raises ValueError."""
        state = _State()
        metrics: list[Metric] = []
        at, signed = 0, False
        while at < len(data):
            if len(data) - at < 4:
                raise ValueError(f"the part at byte {at} is cut short")
            kind, size = _HEAD.unpack_from(data, at)
            if not 5 <= size <= len(data) - at:
                raise ValueError(f"the part at byte {at} has the length {size}, and {len(data) - at} bytes are left")
            payload = data[at + 4 : at + size]
            at += size
            if kind == _VALUES:
                values = _values(payload)
                if level >= self._level:
                    metrics += self._metrics(state, values)
            elif kind in _TEXTS:
                if payload[-1]:
                    raise ValueError(f"the text of its {_TEXTS[kind]} has no end")
                state.texts[_TEXTS[kind]] = payload[:-1].decode("utf-8", "surrogateescape")
            elif kind in (_TIME, _TIME_HR):
                state.time = _time(payload, kind)
            elif kind in _INTERVALS:
                _time(payload, kind)
            elif kind == _SIGNED:
                if signed:
                    raise ValueError("it is signed twice")
                self._verify(payload, data[at:])
                signed, level = True, max(level, 1)
            elif kind == _ENCRYPTED:
                if level == 2:
                    raise ValueError("it is encrypted twice")
                metrics += self._packet(self._decrypt(payload), 2)
        return metrics

    def _metrics(self, state: _State, values: list[tuple[int, float | int]]) -> list[Metric]:
        texts = state.texts
        kind = texts.get("type", "")
        names = [str(index) for index in range(len(values))] if len(values) != 1 else ["value"]
        numbers = [number for _, number in values]
        if self._types is not None:
            sources = self._types.get(kind)
            if sources is None or len(sources) != len(values):
                cause = (
                    "is in no file" if sources is None else f"has {len(sources)} values there, and {len(values)} came"
                )
                self.log.debug("values are left out: the type %r %s of collectd_typesdb", kind, cause)
                return []
            names = [name for name, _ in sources]
            numbers = [_as_source(number, source) for number, (_, source) in zip(numbers, sources, strict=True)]
        tags = dict(self.default_tags)
        tags.update((name, text) for name in _TAGS if (text := texts.get(name)))
        time = self.now() if state.time is None else state.time
        plugin = texts.get("plugin", "")
        found = {name: float(number) for name, number in zip(names, numbers, strict=True)}
        if self._joins:
            fields: dict[str, FieldValue] = {name: number for name, number in found.items() if math.isfinite(number)}
            return [Metric(plugin, tags, fields, time)] if fields else []
        return [
            Metric(f"{plugin}_{name}", dict(tags), {"value": float(number)}, time)
            for name, number in zip(names, numbers, strict=True)
            if math.isfinite(number)
        ]

    def _verify(self, payload: bytes, rest: bytes) -> None:
        """Raises ValueError."""
        if len(payload) <= 32:
            raise ValueError("its signature is cut short")
        password = self._passwords.of(payload[32:])
        signature = hmac.digest(password, payload[32:] + rest, "sha256")
        if not hmac.compare_digest(signature, payload[:32]):
            raise ValueError("its signature does not fit the password of its sender")

    def _decrypt(self, payload: bytes) -> bytes:
        """Raises ValueError."""
        size = int.from_bytes(payload[:2])
        if 42 + size >= len(payload):
            raise ValueError("its encrypted part is cut short")
        password = self._passwords.of(payload[2 : 2 + size])
        start, content = payload[2 + size : 18 + size], payload[18 + size :]
        plain = _ofb(hashlib.sha256(password).digest(), start, content)
        if not hmac.compare_digest(hashlib.sha1(plain[20:], usedforsecurity=False).digest(), plain[:20]):
            raise ValueError("it cannot be decrypted by the password of its sender")
        return plain[20:]


class _Passwords:
    """Of senders, from a file that is read again when it has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._known: dict[bytes, bytes] = {}

    def of(self, name: bytes) -> bytes:
        """Raises ValueError."""
        try:
            found = os.stat(self._path)
            if (seen := (found.st_mtime_ns, found.st_size)) != self._seen:
                self._known = self._read()
                self._seen = seen
        except OSError as error:
            raise ValueError(f"the collectd_auth_file {self._path} cannot be read: {error.strerror}") from None
        if name not in self._known:
            shown = name[:80].decode("utf-8", "replace")
            raise ValueError(f"its sender {shown!r} is not in the collectd_auth_file {self._path}")
        return self._known[name]

    def _read(self) -> dict[bytes, bytes]:
        known = {}
        for line in read_file(self._path).splitlines():
            name, colon, password = line.strip(b" \r\n\t\v").partition(b":")
            if colon and not name.startswith(b"#"):
                known[name.strip()] = password.strip()
        return known


def _values(payload: bytes) -> list[tuple[int, float | int]]:
    """Kind and number of each. Raises ValueError."""
    count = int.from_bytes(payload[:2])
    if len(payload) != 2 + 9 * count:
        raise ValueError(f"{count} values do not fit into a part of {len(payload)} bytes")
    kinds = payload[2 : 2 + count]
    if not all(kind in _FORMS for kind in kinds):
        raise ValueError(f"there is no kind {max(kinds)} of values")
    places = range(2 + count, len(payload), 8)
    return [(kind, _FORMS[kind].unpack_from(payload, place)[0]) for kind, place in zip(kinds, places, strict=True)]


def _time(payload: bytes, kind: int) -> int:
    """ns since the epoch. Raises ValueError."""
    if len(payload) != 8:
        raise ValueError("its time has not 8 bytes")
    number = int.from_bytes(payload)
    if kind == _TIME:
        time = number * 1_000_000_000
    else:
        time = (number >> 30) * 1_000_000_000 + ((number & 0x3FFF_FFFF) * 1_000_000_000 + (1 << 29) >> 30)
    if time > INT64_MAX:
        raise ValueError("its time is out of range")
    return time


def _as_source(number: float | int, source: str) -> float | int:
    """As types.db has it, as numbers of 64 bits are converted."""
    if source == "GAUGE" or not math.isfinite(number):
        return float(number)
    whole = int(number) & 0xFFFF_FFFF_FFFF_FFFF
    return whole - (1 << 64) if source == "DERIVE" and whole >> 63 else whole


def _read_types(path: str) -> dict[str, list[tuple[str, str]]]:
    """Names and kinds of the values of each type. Lines that are none are left out. Raises ConfigError."""
    try:
        text = read_file(path).decode("utf-8", "surrogateescape")
    except OSError as error:
        problem = f"cannot read {path!r}, which collectd_typesdb names: {error.strerror}"
        raise ConfigError(problem, option="collectd_typesdb") from None
    types = {}
    for line in text.splitlines():
        words = [] if line.startswith("#") else line.split()
        sources = [word.removesuffix(",").split(":") for word in words[1:]]
        if words and all(_is_source(source) for source in sources):
            types[words[0]] = [(source[0], source[1]) for source in sources]
    return types


def _is_source(parts: list[str]) -> bool:
    return len(parts) == 4 and parts[1] in ("COUNTER", "DERIVE", "GAUGE", "ABSOLUTE")


def _ofb(key: bytes, start: bytes, content: bytes) -> bytes:
    """Content encrypted or decrypted by AES in output feedback mode. Raises ValueError where the library is missing."""
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError:
        raise ValueError(f"it is encrypted, and {missing_library('cryptography')}") from None
    # Block by block: the mode itself has moved within the library.
    encryptor: Any = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    stream, block = bytearray(), start
    while len(stream) < len(content):
        block = encryptor.update(block)
        stream += block
    size = len(content)
    return (int.from_bytes(content) ^ int.from_bytes(stream[:size])).to_bytes(size)

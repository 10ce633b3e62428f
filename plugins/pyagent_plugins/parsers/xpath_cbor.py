"""CBOR: metrics, tags and fields are chosen by XPath."""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import cbor2

from pyagent.api import ParseError, Uint
from pyagent.kit.xpath_nodes import CborNode, go_text
from pyagent.kit.xpath_parser import XPathOptions, XPathParser
from pyagent.kit.xpath_values import Foreign

__all__ = ["XPathCbor", "XPathCborOptions"]


class XPathCborOptions(XPathOptions, frozen=True):
    pass


class XPathCbor(XPathParser[XPathCborOptions]):
    def read(self, data: bytes) -> Any:
        return CborNode.document(_read(data))


def _tagged(number: int) -> Callable[[Any, bool], Any]:
    return lambda value, _: cbor2.CBORTag(number, value)


# Of all tags only times and large integers mean something there. These would share values, of which a short document makes
# more than any memory holds, compile expressions and so on.
_TAGS = {
    number: _tagged(number)
    for number in (4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000)
}


def _read(data: bytes) -> Any:
    """Raises ParseError."""
    try:
        decoder = cbor2.CBORDecoder(stream := io.BytesIO(data), semantic_decoders=_TAGS)
        value = decoder.decode()
    except (cbor2.CBORDecodeError, ValueError, OverflowError, TypeError) as error:
        raise ParseError(f"byte {stream.tell()}: {error}") from None
    if stream.tell() < len(data):
        raise ParseError(f"byte {stream.tell()}: the document ends there, and more follows")
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    """Integers without a sign are such; as many levels as there."""
    if depth > 32:
        raise ParseError("the document is nested too deeply")
    if isinstance(value, bool | str | float | bytes) or value is None:
        return value
    if isinstance(value, int):
        return Uint(value) if 0 <= value < 2**64 else value
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str | int | float):
                raise ParseError(f"the key {key!r:.80} is neither a text nor a number")
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if value is cbor2.undefined:
        return None
    if isinstance(value, datetime):
        return Foreign(value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC"))
    if isinstance(value, cbor2.CBORTag):
        return Foreign(f"{{{value.tag} {go_text(_plain(value.value, depth + 1))}}}")
    if isinstance(value, cbor2.CBORSimpleValue):
        return Foreign(str(value.value))
    return Foreign(str(value))

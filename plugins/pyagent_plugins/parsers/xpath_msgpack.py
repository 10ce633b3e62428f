"""MessagePack: metrics, tags and fields are chosen by XPath."""

from typing import Any

from pyagent.kit.xpath_nodes import JsonNode
from pyagent.kit.xpath_parser import XPathOptions, XPathParser
from pyagent.kit.xpath_values import read_msgpack

__all__ = ["XPathMsgpack", "XPathMsgpackOptions"]


class XPathMsgpackOptions(XPathOptions, frozen=True):
    pass


class XPathMsgpack(XPathParser[XPathMsgpackOptions]):
    def read(self, data: bytes) -> Any:
        return JsonNode.document(read_msgpack(data))

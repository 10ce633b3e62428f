"""JSON documents: metrics, tags and fields are chosen by XPath."""

from typing import Any

from pyagent.kit.xpath_nodes import JsonNode
from pyagent.kit.xpath_parser import XPathOptions, XPathParser
from pyagent.kit.xpath_values import read_json

__all__ = ["XPathJson", "XPathJsonOptions"]


class XPathJsonOptions(XPathOptions, frozen=True):
    pass


class XPathJson(XPathParser[XPathJsonOptions]):
    def read(self, data: bytes) -> Any:
        return JsonNode.document(read_json(data))

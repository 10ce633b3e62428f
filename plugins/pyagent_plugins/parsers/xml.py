"""XML documents: metrics, tags and fields are chosen by XPath."""

from typing import Any

from pyagent.kit.xpath_parser import XPathOptions, XPathParser
from pyagent.kit.xpath_xml import read_xml

__all__ = ["Xml", "XmlOptions"]


class XmlOptions(XPathOptions, frozen=True):
    pass


class Xml(XPathParser[XmlOptions]):
    def read(self, data: bytes) -> Any:
        return read_xml(data)

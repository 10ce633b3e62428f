"""XML documents as trees for XPath, as Telegraf's library reads them: prefixes stay as they are written, blanks between
elements count for nothing, a document may have several elements at its top.

Nothing is fetched and no entity is expanded: a document that declares one is refused.
"""

import codecs
import re
from typing import Any
from xml.parsers import expat

from pyagent.api import ParseError
from pyagent.api.files import without_mark
from pyagent.kit.xpath_functions import to_number
from pyagent.kit.xpath_syntax import ATTRIBUTE, COMMENT, ELEMENT, ROOT, TEXT

__all__ = ["XmlNode", "read_xml"]

_DEEPEST = 10_000
_NONE: list[Any] = []


class XmlNode:
    __slots__ = (
        "attributes",
        "cdata",
        "children",
        "content",
        "data",
        "index",
        "kind",
        "name",
        "parent",
        "prefix",
        "uri",
    )
    is_list = False

    def __init__(self, kind: int, name: str, parent: Any = None, data: str | None = None) -> None:
        self.kind = kind
        self.prefix, self.name = _split(name) if kind in (ELEMENT, ATTRIBUTE) else ("", name)
        self.uri = ""
        self.cdata = False
        self.parent = parent
        self.data = data
        """The text of a node that has no children, None for one whose text is that of what is in it."""
        self.index = 0
        self.children: list[XmlNode] = _NONE if data is not None else []
        self.content: list[XmlNode] = _NONE if data is not None else []
        """The children with all texts."""
        self.attributes: list[XmlNode] = _NONE

    @property
    def blank(self) -> bool:
        return self.kind == TEXT and not self.cdata and not (self.data or "").strip()

    def text(self) -> str:
        if self.kind == ROOT or self.cdata:
            return ""  # a document and a CDATA section have none of their own, as there
        if self.data is not None:
            return self.data
        texts: list[str] = []
        below = [iter(self.content)]
        while below:
            node = next(below[-1], None)
            if node is None:
                below.pop()
            elif node.kind == TEXT:
                texts.append(node.data or "")
            elif node.kind == ELEMENT:
                below.append(iter(node.content))
        return "".join(texts)

    def number(self) -> float:
        return to_number(self.text())

    def native(self) -> str:
        return self.text()


def _split(name: str) -> tuple[str, str]:
    prefix, found, local = name.partition(":")
    return (prefix, local) if found and prefix and local else ("", name)


class _Builder:
    def __init__(self, first_line: int) -> None:
        self.root = XmlNode(ROOT, "")
        self._open = [self.root]
        self._texts: list[str] = []
        self._cdata = False
        self._spaces: list[dict[str, str]] = [{"xml": "http://www.w3.org/XML/1998/namespace", "xmlns": ""}]
        self.parser = parser = expat.ParserCreate("utf-8")
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        parser.CommentHandler = self._comment
        parser.ProcessingInstructionHandler = self._instruction
        parser.StartCdataSectionHandler = lambda: self._mark(True)
        parser.EndCdataSectionHandler = lambda: self._mark(False)
        parser.EntityDeclHandler = self._entity
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self._wrapped = first_line == 0
        self._add(XmlNode(ROOT, "xml", self.root, ""))

    def _entity(self, *_: Any) -> None:
        raise ParseError("the document declares an entity; entities are not expanded", self.parser.CurrentLineNumber)

    def _add(self, node: XmlNode) -> None:
        parent = node.parent
        parent.content.append(node)
        # Blanks are no sibling of anything, but are the first child.
        if parent.children and node.blank:
            return
        node.index = len(parent.children)
        parent.children.append(node)

    def _flush(self) -> None:
        if self._texts:
            text = "".join(self._texts)
            self._texts.clear()
            node = XmlNode(TEXT, text, self._open[-1], text)  # a text is its own name, as there
            node.cdata = self._cdata
            self._add(node)

    def _mark(self, inside: bool) -> None:
        self._flush()
        self._cdata = inside

    def _start(self, name: str, attributes: list[str]) -> None:
        if self._wrapped and name == _WRAPPER and len(self._open) == 1 and len(self.root.children) == 1:
            self._wrapped = False
            self._spaces.append(self._spaces[-1])
            return
        self._flush()
        if len(self._open) > _DEEPEST:
            raise ParseError("the document is nested too deeply", self.parser.CurrentLineNumber)
        node = XmlNode(ELEMENT, name, self._open[-1])
        spaces = self._spaces[-1]
        if attributes:
            node.attributes = [
                XmlNode(ATTRIBUTE, attributes[at], node, attributes[at + 1]) for at in range(0, len(attributes), 2)
            ]
            for index, attribute in enumerate(node.attributes):
                attribute.index = index
            declared = {
                attribute.name if attribute.prefix else "": attribute.data or ""
                for attribute in node.attributes
                if attribute.prefix == "xmlns" or (not attribute.prefix and attribute.name == "xmlns")
            }
            spaces = {**spaces, **declared} if declared else spaces
            for attribute in node.attributes:
                attribute.uri = spaces.get(attribute.prefix, attribute.prefix) if attribute.prefix else ""
        self._spaces.append(spaces)
        if node.prefix and node.prefix not in spaces:
            raise ParseError(f"the namespace {node.prefix!r} is not declared", self.parser.CurrentLineNumber)
        node.uri = spaces.get(node.prefix, "")
        self._add(node)
        self._open.append(node)

    def _end(self, _: str) -> None:
        self._flush()
        self._spaces.pop()
        if len(self._open) > 1:
            self._open.pop()

    def _comment(self, text: str) -> None:
        self._flush()
        self._add(XmlNode(COMMENT, text, self._open[-1], text))

    def _instruction(self, target: str, data: str) -> None:
        self._flush()
        node = XmlNode(ELEMENT, target, self._open[-1])
        pairs = [pair.strip().partition("=") for pair in data.split(" ") if pair.strip().find("=") > 0]
        node.attributes = [XmlNode(ATTRIBUTE, key, node, value.strip("\"'")) for key, _, value in pairs]
        self._add(node)


_WRAPPER = "pyagent-document"
_DECLARATION = re.compile(rb"\s*<\?xml\s[^>]*?\?>")
_VERSION = re.compile(rb"version\s*=\s*[\"']([^\"']*)[\"']")
_ENCODING = re.compile(rb"encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")


def read_xml(data: bytes) -> XmlNode:
    """Raises ParseError."""
    data = without_mark(data)
    shift = 0
    if (declaration := _DECLARATION.match(data)) is not None:
        if (version := _VERSION.search(declaration[0])) is not None and version[1] != b"1.0":
            raise ParseError(f"version {version[1].decode('ascii', 'replace')} of XML is not supported", 1)
        if (named := _ENCODING.search(declaration[0])) is not None:
            data = _decoded(data, named[1].decode())
        # What takes its place keeps the lines as they are.
        data = b"\n" * declaration[0].count(b"\n") + data[declaration.end() :]
    wrapped = b"<!DOCTYPE" not in data
    if wrapped:
        data = b"<" + _WRAPPER.encode() + b">" + data + b"</" + _WRAPPER.encode() + b">"
        shift = len(_WRAPPER) + 2
    else:
        data = data.lstrip()
    builder = _Builder(0 if wrapped else 1)
    try:
        builder.parser.Parse(data, True)
    except expat.ExpatError as error:
        column = error.offset + 1 - (shift if error.lineno == 1 else 0)
        reason = expat.ErrorString(error.code)
        raise ParseError(f"column {max(column, 1)}: {reason}", error.lineno) from None
    finally:
        _forget(builder)
    if not any(node.kind == ELEMENT and node.content is not _NONE for node in builder.root.children):
        raise ParseError("the document has no element")
    return builder.root


def _forget(builder: _Builder) -> None:
    """The parser holds the builder and the builder the parser: what was read is to go when nobody needs it."""
    for name in ("StartElement", "EndElement", "CharacterData", "Comment", "ProcessingInstruction", "EntityDecl"):
        setattr(builder.parser, f"{name}Handler", None)
    builder.parser.StartCdataSectionHandler = builder.parser.EndCdataSectionHandler = None


def _decoded(data: bytes, encoding: str) -> bytes:
    try:
        if codecs.lookup(encoding).name == "utf-8":
            return data
        return data.decode(encoding).encode()
    except (LookupError, UnicodeError) as error:
        raise ParseError(f"cannot decode the document from {encoding}: {error}") from None

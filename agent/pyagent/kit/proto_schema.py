"""Definitions of Protocol Buffers from .proto files, without `protoc`: syntax 2, 3 and editions.

Messages, enumerations, maps, groups, oneofs and extensions count; services and options that change nothing about what is
read are passed over. The library `protobuf` resolves names and checks the rest.
"""

import os
import re
from collections.abc import Sequence
from typing import Any, Final

from pyagent.api.files import path_of, read_file

__all__ = ["load_message"]

_TOKEN = re.compile(
    r"""(?:\s+|//[^\n]*|/\*.*?\*/)*(?:
    (?P<name>\.?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d[\w.+-]*|\.\d[\w+-]*))
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<sign>[{}\[\]()<>=;,:./+-])
    |(?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_LABELS: Final = {"optional": 1, "required": 2, "repeated": 3}
_SCALARS: Final = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "fixed64": 6, "fixed32": 7, "bool": 8, "string": 9,
    "bytes": 12, "uint32": 13, "sfixed32": 15, "sfixed64": 16, "sint32": 17, "sint64": 18,
}  # fmt: skip
_GROUP, _MESSAGE = 10, 11
_DEEPEST = 100
_STANDARD: Final = "google/protobuf/"


class _Reader:
    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text
        self._position = 0
        self.word = ""
        self.kind: str | None = ""
        self.next()

    def error(self, problem: str) -> ValueError:
        line = self._text.count("\n", 0, self._position) + 1
        return ValueError(f"{self._path}:{line}: {problem}")

    def next(self) -> str:
        """Goes on, and gives the word that was there."""
        before = self.word
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            raise self.error(
                f"there is something that is no part of a definition: {self._text[self._position :][:20].strip()!r}"
            )
        self._position = match.end()
        self.kind = match.lastgroup
        self.word = match[self.kind] if self.kind else ""
        return before

    def take(self, wanted: str) -> bool:
        if self.word != wanted or self.kind == "text":
            return False
        self.next()
        return True

    def need(self, wanted: str) -> None:
        if not self.take(wanted):
            raise self.error(f"{wanted!r} must stand where {self.word or 'the end'!r} is")

    def name(self) -> str:
        if self.kind != "name":
            raise self.error(f"a name must stand where {self.word or 'the end'!r} is")
        return self.next()

    def number(self) -> int:
        sign = -1 if self.take("-") else 1
        if self.word == "max":
            self.next()
            return 2**29 - 1
        try:
            text = self.word.lower()
            digits = text.lstrip("+-")
            base = 16 if digits.startswith("0x") else 8 if len(digits) > 1 and digits.startswith("0") else 10
            value = int(text, base)
        except ValueError:
            raise self.error(f"a number must stand where {self.word or 'the end'!r} is") from None
        self.next()
        return sign * value

    def text(self) -> str:
        if self.kind != "text":
            raise self.error(f"a text must stand where {self.word or 'the end'!r} is")
        parts = []
        while self.kind == "text":
            parts.append(self.next()[1:-1])
        return "".join(parts)

    def skip(self) -> None:
        """The rest of a statement: to its semicolon, or past its block."""
        depth = 0
        while self.kind != "end":
            word = self.next()
            if word in ("{", "[", "("):
                depth += 1
            elif word in ("}", "]", ")"):
                depth -= 1
                if depth == 0 and word == "}":
                    self.take(";")
                    return
            elif word == ";" and depth <= 0:
                return
        raise self.error("the file ends within a statement")


class _File:
    def __init__(self, name: str, text: str) -> None:
        from google.protobuf import descriptor_pb2

        self._pb: Any = descriptor_pb2
        self.proto: Any = descriptor_pb2.FileDescriptorProto(name=name)
        self._read = _Reader(name, text)
        self._three = False
        self._file()

    def _file(self) -> None:
        read, proto = self._read, self.proto
        while read.kind != "end":
            word = read.next()
            if word == ";":
                continue
            if word in ("syntax", "edition"):
                read.need("=")
                value = read.text()
                self._three = value != "proto2"
                if word == "syntax" and value not in ("proto2", "proto3"):
                    raise read.error(f"the syntax {value!r} is not known")
                # An edition's fields are `optional` where nothing else is said.
                proto.syntax = value if word == "syntax" else "proto2"
                self._three = proto.syntax == "proto3"
                read.need(";")
            elif word == "package":
                proto.package = read.name()
                read.need(";")
            elif word == "import":
                if read.word in ("public", "weak"):
                    (proto.public_dependency if read.next() == "public" else proto.weak_dependency).append(
                        len(proto.dependency)
                    )
                proto.dependency.append(read.text())
                read.need(";")
            elif word == "message":
                self._message(proto.message_type.add(), 0)
            elif word == "enum":
                self._enum(proto.enum_type.add())
            elif word == "extend":
                self._extend(proto, proto.message_type, 0)
            elif word in ("option", "service"):
                read.skip()
            else:
                raise read.error(f"{word!r} begins no definition")

    def _message(self, message: Any, depth: int) -> None:
        message.name = self._read.name()
        self._body(message, depth)

    def _body(self, message: Any, depth: int) -> None:
        read = self._read
        if depth > _DEEPEST:
            raise read.error("messages are nested too deeply")
        read.need("{")
        while not read.take("}"):
            if read.kind == "end":
                raise read.error(f"the message {message.name!r} is not closed")
            word = read.word
            if word == ";":
                read.next()
            elif self._begins(word, "message"):
                self._message(message.nested_type.add(), depth + 1)
            elif self._begins(word, "enum"):
                self._enum(message.enum_type.add())
            elif self._begins(word, "oneof"):
                self._oneof(message, depth)
            elif self._begins(word, "extend"):
                self._extend(message, message.nested_type, depth)
            elif self._begins(word, "option") or self._begins(word, "reserved"):
                read.skip()
            elif self._begins(word, "extensions"):
                self._extensions(message)
            else:
                self._field(message.field, message, message.nested_type, depth)
        self._presence(message)

    def _begins(self, word: str, wanted: str) -> bool:
        """Whether a statement begins, and no field of a type of that name."""
        if word != wanted or self._read.kind != "name":
            return False
        self._read.next()
        return True

    def _presence(self, message: Any) -> None:
        """A field of syntax 3 that says `optional` is alone in a oneof, which must stand behind all others."""
        for field in message.field:
            if field.proto3_optional:
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add().name = f"_{field.name}"

    def _oneof(self, message: Any, depth: int) -> None:
        read = self._read
        index = len(message.oneof_decl)
        message.oneof_decl.add().name = read.name()
        read.need("{")
        while not read.take("}"):
            if read.kind == "end":
                raise read.error("a oneof is not closed")
            if read.take(";"):
                continue
            if self._begins(read.word, "option"):
                read.skip()
                continue
            before = len(message.field)
            self._field(message.field, message, message.nested_type, depth)
            for field in message.field[before:]:
                field.oneof_index = index

    def _extensions(self, message: Any) -> None:
        read = self._read
        while True:
            start = read.number()
            end = read.number() if read.take("to") else start
            message.extension_range.add(start=start, end=end + 1)
            if not read.take(","):
                break
        read.skip()

    def _extend(self, owner: Any, nested: Any, depth: int) -> None:
        read = self._read
        extendee = read.name()
        read.need("{")
        while not read.take("}"):
            if read.kind == "end":
                raise read.error("an extension is not closed")
            if read.take(";"):
                continue
            before = len(owner.extension)
            self._field(owner.extension, None, nested, depth)
            for field in owner.extension[before:]:
                field.extendee = extendee

    def _field(self, fields: Any, message: Any, nested: Any, depth: int) -> None:
        read = self._read
        label = 1
        field = fields.add()
        if read.word in _LABELS and read.kind == "name":
            label = _LABELS[read.next()]
            field.proto3_optional = self._three and label == 1 and message is not None
            if not field.proto3_optional:
                field.ClearField("proto3_optional")
        field.label = label
        kind = read.name()
        if kind == "map" and read.take("<"):
            key = read.name()
            read.need(",")
            value = read.name()
            read.need(">")
            field.name = read.name()
            field.label = 3
            entry = nested.add(name="".join(part[:1].upper() + part[1:] for part in field.name.split("_")) + "Entry")
            entry.options.map_entry = True
            for number, (name, given) in enumerate((("key", key), ("value", value)), start=1):
                self._typed(entry.field.add(name=name, number=number, label=1), given)
            field.type, field.type_name = _MESSAGE, entry.name
        elif kind == "group" and read.kind == "name":
            group = nested.add(name=read.name())
            field.name, field.type, field.type_name = group.name.lower(), _GROUP, group.name
            read.need("=")
            field.number = read.number()
            if read.word == "[":
                self._options(field)
            self._body(group, depth + 1)
            return
        else:
            self._typed(field, kind)
            field.name = read.name()
        read.need("=")
        field.number = read.number()
        if read.word == "[":
            self._options(field)
        read.need(";")

    def _typed(self, field: Any, kind: str) -> None:
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type_name = kind

    def _options(self, field: Any) -> None:
        """Those in brackets say nothing about how a field is read, as what is packed is known from the data."""
        read, depth = self._read, 0
        while read.kind != "end":
            word = read.next()
            depth += (word in ("[", "{", "(")) - (word in ("]", "}", ")"))
            if depth == 0:
                return
        raise read.error("the options of a field are not closed")

    def _enum(self, enum: Any) -> None:
        read = self._read
        enum.name = read.name()
        read.need("{")
        while not read.take("}"):
            if read.kind == "end":
                raise read.error(f"the enumeration {enum.name!r} is not closed")
            if read.take(";"):
                continue
            name = read.name()
            if name in ("option", "reserved") and read.word != "=":
                if name == "option" and read.name() == "allow_alias":
                    enum.options.allow_alias = True
                read.skip()
                continue
            read.need("=")
            enum.value.add(name=name, number=read.number())
            if read.word == "[":
                self._options(None)
            read.need(";")


def load_message(files: Sequence[str], folders: Sequence[str], name: str) -> Any:
    """The class of a message that is defined in one of the files. Raises ValueError for what cannot be read and what is wrong
    in it, OSError for a file that is not there."""
    from google.protobuf import descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    read: dict[str, list[str]] = {}
    for file in files:
        _add(file, folders, pool, read, [], (*files, *folders))
    try:
        found = pool.FindMessageTypeByName(name)
    except KeyError:
        known = ", ".join(sorted(message for messages in read.values() for message in messages))
        raise ValueError(f"there is no message {name!r}; there are {known:.1000}") from None
    return message_factory.GetMessageClass(found)


def _add(
    file: str, folders: Sequence[str], pool: Any, read: dict[str, list[str]], above: list[str], given: Sequence[str]
) -> None:
    """`given`: all that the options name; what they import is read past the same guard."""
    if file in above:
        raise ValueError(f"{file!r} imports itself")
    if file in read:
        return
    text = _text(file, folders, given)
    proto = _standard(file) if text is None else _File(file, text).proto
    for dependency in proto.dependency:
        _add(dependency, folders, pool, read, [*above, file], given)
    try:
        pool.AddSerializedFile(proto.SerializeToString())
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from None
    prefix = f"{proto.package}." if proto.package else ""
    read[file] = [f"{prefix}{message.name}" for message in proto.message_type]


def _text(file: str, folders: Sequence[str], given: Sequence[str]) -> str | None:
    """None for a file of the library, where there is no other one of its name."""
    for path in [os.path.join(folder, file) for folder in folders] or [file]:
        try:
            return read_file(path_of(path, *given)).decode("utf-8", "replace")
        except FileNotFoundError:
            continue
    if file.startswith(_STANDARD):
        return None
    raise FileNotFoundError(2, "there is no such file" + (f" in {', '.join(folders)}" if folders else ""), file)


def _standard(file: str) -> Any:
    from importlib import import_module

    from google.protobuf import descriptor_pb2

    try:
        module = import_module(f"google.protobuf.{file.removeprefix(_STANDARD).removesuffix('.proto')}_pb2")
    except ImportError:
        raise ValueError(f"{file}: the library has no such file") from None
    proto = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(proto)
    return proto

"""The language of collectd.conf, as far as the blocks of its Python plugin need it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Block", "Found", "SyntaxProblem", "block_of", "parse"]

Value = str | float | bool
Block = tuple[str, list[Value], list[Any]]
"""Key, values, children: what JSON can hold."""

_MOST_DEPTH = 50
_TOKEN = re.compile(
    r"""[ \t\r]+|\\\r?\n|\#[^\n]*|(?P<end>\n)|"(?P<quoted>(?:[^"\\\n]|\\(?:.|\r?\n))*)"|(?P<close></)|(?P<angle>[<>])"""
    r"""|(?P<bare>[^\s"<>#\\]+)"""
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)")
_HEX = re.compile(r"0[xX][0-9a-fA-F]+")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class SyntaxProblem(ValueError):
    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


@dataclass
class Found:
    """What a text says of the Python plugin."""

    module_path: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    modules: list[Block] = field(default_factory=list)


def parse(text: str) -> Found:
    """Raises SyntaxProblem."""
    found = Found()
    for block, _ in _blocks(text):
        _sort(block, found)
    return found


def block_of(key: str, table: Mapping[str, Any], values: tuple[Value, ...] = ()) -> Block:
    """A table as a block: a table in it is a block, an array a line for each of its items, an array in that several values."""
    children: list[Block] = []
    for name, given in table.items():
        for item in given if isinstance(given, list) else [given]:
            if isinstance(item, Mapping):
                children.append(block_of(name, item))
            else:
                children.append((name, [_plain(one) for one in (item if isinstance(item, list) else [item])], []))
    return key, list(values), children


def _plain(value: Any) -> Value:
    # As in collectd, whose only numbers are floats.
    if isinstance(value, bool):
        return value
    return float(value) if isinstance(value, int | float) else str(value)


def _sort(block: Block, found: Found) -> None:
    key, values, children = block
    name = key.lower()
    if name == "module" and values:
        found.modules.append(block)
    elif name == "modulepath":
        found.module_path += [str(value) for value in values]
    elif name == "import":
        found.imports += [str(value) for value in values]
    elif name == "plugin" and values and str(values[0]).lower() == "python":
        for child in children:
            _sort(child, found)


def _blocks(text: str) -> list[tuple[Block, int]]:
    top: list[tuple[Block, int]] = []
    open_blocks: list[tuple[Block, int]] = []
    for line, words in _lines(text):
        first = words[0]
        if first == ("mark", "</"):
            if len(words) != 3 or words[1][0] == "mark" or words[2] != ("mark", ">"):
                raise SyntaxProblem(line, "the end of a block is written </NAME>")
            if not open_blocks:
                raise SyntaxProblem(line, f"</{words[1][1]}> ends a block that none has begun")
            (key, _, _), began = open_blocks.pop()
            if key.lower() != words[1][1].lower():
                raise SyntaxProblem(line, f"</{words[1][1]}> ends the block <{key}> of line {began}")
            continue
        opens = first == ("mark", "<")
        if opens:
            if words[-1] != ("mark", ">") or len(words) < 3:
                raise SyntaxProblem(line, "the begin of a block is written <NAME VALUE>")
            words = words[1:-1]
        if any(kind == "mark" for kind, _ in words):
            raise SyntaxProblem(line, "a < or > is within a line; put the value in quotes")
        if words[0][0] != "bare" or not words[0][1][0].isalpha():
            raise SyntaxProblem(line, "a line begins with the name of a setting")
        if len(words) < 2 and not opens:
            raise SyntaxProblem(line, "the setting has no value")
        block: Block = (words[0][1], [_value(kind, word) for kind, word in words[1:]], [])
        if open_blocks:
            open_blocks[-1][0][2].append(block)
        else:
            top.append((block, line))
        if opens:
            if len(open_blocks) == _MOST_DEPTH:
                raise SyntaxProblem(line, f"more than {_MOST_DEPTH} blocks lie within each other")
            open_blocks.append((block, line))
    if open_blocks:
        (key, _, _), began = open_blocks[-1]
        raise SyntaxProblem(began, f"the block <{key}> has no end </{key}>")
    return top


def _lines(text: str) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """The words of each line that has some, with its number."""
    at, line, first = 0, 1, 1
    words: list[tuple[str, str]] = []
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            problem = "a text in quotes has no end" if text[at] == '"' else f"{text[at]!r} cannot stand here"
            raise SyntaxProblem(line, problem)
        if match["end"]:
            if words:
                yield first, words
            words = []
        elif match.lastgroup is not None:
            if not words:
                first = line
            kind = match.lastgroup
            if kind == "quoted":
                words.append(
                    (kind, re.sub(r"\\(\r?\n|.)", lambda m: "" if m[1].endswith("\n") else m[1], match["quoted"]))
                )
            else:
                words.append(("bare" if kind == "bare" else "mark", match[0]))
        line += match[0].count("\n")
        at = match.end()
    if words:
        yield first, words


def _value(kind: str, word: str) -> Value:
    if kind == "quoted":
        return word
    if word.lower() in _BOOLEANS:
        return _BOOLEANS[word.lower()]
    if _HEX.fullmatch(word):
        return float(int(word, 16))
    return float(word) if _NUMBER.fullmatch(word) else word

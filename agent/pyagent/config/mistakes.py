"""What is wrong with a text that is no TOML, and how to mend it: the mistakes that people make in Telegraf's files.

A value is not shown where it may be a token that stands without quotes.
"""

import re
import unicodedata

import tomli

from pyagent.config.positions import last_key

__all__ = ["explain"]

_BARE_KEY = r"[A-Za-z0-9_-]+(?:\s*\.\s*[A-Za-z0-9_-]+)*"
_PAIR = re.compile(rf"""\s*(?P<key>{_BARE_KEY}|"[^"]*"|'[^']*')\s*=(?P<value>.*)""", re.DOTALL)
_HEADER = re.compile(r"\s*(?P<open>\[{1,2})\s*(?P<name>[^\[\]{}#\"']*?)\s*[\])}]*\s*(?:#.*)?$")
_NAME = re.compile(rf"{_BARE_KEY}")
_QUOTES = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2032\u2033\u00b4\uff02\uff07"
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_NOTHING = ("null", "none", "nil", "undefined")
_NUMBER = re.compile(r"[+-]?\d[\d_,' ]*(?:\.\d*)?(?:[eE][+-]?\d+)?")
_HARMLESS = re.compile(r"[A-Za-z0-9._-]{1,32}")
_SECRET = re.compile(r"token|pass|pwd|secret|key|auth|cred|user", re.IGNORECASE)
_NO_QUOTE = 'Expected "\'"'
_NO_QUOTES = ("Unterminated string", "Expected \"'''\"")
_LONGEST = 500
_SOUND = re.compile(r"[+-]?(?:0|[1-9](?:_?\d)*)(?:\.\d+)?(?:[eE][+-]?\d+)?")


def explain(error: tomli.TOMLDecodeError) -> tuple[int, str]:
    """The line of a syntax error, from 1, and what to do about it."""
    text = error.doc
    last_line = text.rstrip("\n").count("\n") + 1
    line = min(error.lineno, last_line)
    if "\r" in text and "\n" not in text:
        return 1, "its lines end in CR alone; save it with LF or CR LF at their ends"
    if found := _again(error, line):
        return found
    character = text[error.pos : error.pos + 1]
    if name := _strange(character):
        return line, f"the character {name} stands there, which looks like another one; write {_plain(character)}"
    if found := _open(error, line):
        return found
    # Cut, so that no pattern takes long: a text from a URL may be anybody's.
    statement = text.split("\n")[line - 1].rstrip("\r")[:_LONGEST]
    rest = text[error.pos :].partition("\n")[0].rstrip("\r")[:_LONGEST]
    return line, _statement(error.msg, statement, rest) or error.msg[:1].lower() + error.msg[1:]


# What is there twice ---------------------------------------------------------------------------------------------------


def _again(error: tomli.TOMLDecodeError, line: int) -> tuple[int, str] | None:
    """A key or a table that is there already."""
    if not error.msg.startswith(("Cannot ", "Duplicate ")):
        return None
    known = last_key(error.doc[: error.doc.find("\n", error.pos) if "\n" in error.doc[error.pos :] else None])
    if known is None:
        return None
    path, line, before = known
    names = [part[:_LONGEST] for part in path[:10] if isinstance(part, str)]
    where = f" on line {before}" if before else ""
    header = error.doc.split("\n")[line - 1].lstrip()
    if not header.startswith("["):
        return line, f"{names[-1]!r} is already set{where}; remove one of the two"
    name = ".".join(names)
    many = len(names) == 2 and names[0] not in ("agent", "global_tags", "tags")
    if many:
        return line, f"the table [{name}] is already set{where}; write [[{name}]] for each of them"
    return line, f"the table [{name}] is already set{where}; put all of it below one"


# What is not closed ----------------------------------------------------------------------------------------------------


def _open(error: tomli.TOMLDecodeError, line: int) -> tuple[int, str] | None:
    """A quote, a list or an inline table without its end, and the line where that belongs."""
    text, message = error.doc, error.msg
    # An end that was looked for in vain: the last quote of all is the one without it.
    stop = text.rfind("'") if message == _NO_QUOTE else error.pos
    path, first, _ = last_key(text[:stop]) or ((), line, None)
    of = next((f" of {part[:_LONGEST]!r}" for part in reversed(path) if isinstance(part, str)), "")
    if message in _NO_QUOTES:
        return first, f"the text{of} that begins with three quotes is not closed; add three quotes at its end"
    if message in (_NO_QUOTE, "Found invalid character '\\n'", "Illegal character '\\n'"):
        value = f" in the value{of}" if of else ""
        number = text.count("\n", 0, stop)
        found = next((one for one in text.split("\n")[number] if one in _QUOTES), "")
        instead = f", and {_strange(found)} is none" if found else ""
        return number + 1, f"a quote is not closed{value}; add one at the end of the text{instead}"
    if message not in ("Unclosed array", "Unclosed inline table"):
        return None
    what, end = ("list", "]") if message == "Unclosed array" else ("inline table", "}")
    here = text[: error.pos].rstrip()
    begins = f", which begins on line {first}" if first != here.count("\n") + 1 else ""
    if text[error.pos : error.pos + 1] == ";":
        return line, f"in the {what}{of}{begins}, a comma belongs between two values, not a semicolon"
    return here.count("\n") + 1, f"a comma or the closing {end} is missing here in the {what}{of}{begins}"


# One statement ---------------------------------------------------------------------------------------------------------


def _statement(message: str, statement: str, rest: str) -> str | None:
    """`rest`: of the line, from where it is not understood."""
    start = statement.lstrip()
    if message.startswith("Expected ']") or (
        start.startswith("[") and message.startswith(("Invalid initial", "Expected newl"))
    ):
        return _header(statement, rest)
    if message.startswith(("Illegal character", "Found invalid character")):
        return f"{message[:1].lower()}{message[1:]}; remove it"
    if "\\" in message or "hex value" in message or "Unicode scalar" in message:
        return (
            "a backslash in double quotes begins an escape; write two (\\\\), or put the text in single quotes: "
            "'C:\\logs', '\\d+'"
        )
    pair = _PAIR.match(statement)
    if pair is not None and message.startswith(("Invalid value", "Expected newline", "Invalid date")):
        return _value(pair["key"].strip(), pair["value"].strip(), rest)
    if message.startswith("Expected '='"):
        return _key(statement)
    if message == "Invalid statement":
        return _foreign(start)
    return None


def _header(statement: str, rest: str) -> str:
    found = _HEADER.match(statement)
    if found is None or not found["name"]:
        if (after := re.match(r"\s*\[+[^\[\]]+\]+\s*(?=\S)", statement)) and rest:
            return f"nothing may follow the name of a table on its line; write {after[0].strip()} and the rest below it"
        return "a table begins with its name in brackets, such as [[inputs.mem]] or [agent]"
    name = re.sub(r"\s*[./]\s*", ".", found["name"])
    if not _NAME.fullmatch(name):
        return "the name of a table is made of letters, digits, _ and -, with dots between its parts: [[inputs.mem]]"
    brackets = ("[[", "]]") if name.count(".") == 1 or found["open"] == "[[" else ("[", "]")
    return f"the name of a table stands in brackets; write {brackets[0]}{name}{brackets[1]}"


def _value(key: str, value: str, rest: str) -> str:
    """What is wrong with a value that is none, or with what follows it."""
    plain = re.sub(r"\s+#.*", "", value).strip()
    word = plain.rstrip(",;").strip()
    if not plain or plain.startswith("#"):
        return f"the value is missing; write {key} = and the value, or remove the line"
    if plain.startswith("="):
        return f"one equals sign is enough; write {key} = ..."
    if word.lower() in _TRUE + _FALSE and word not in ("true", "false"):
        return f"write {key} = {'true' if word.lower() in _TRUE else 'false'}, in small letters"
    if word.lower() in _NOTHING:
        return "there is no such value in TOML; remove the line, or put # before it"
    if re.search(r"\$\{?\w", plain) and plain[0] not in "\"'[{":
        return f'environment references are replaced inside of strings only; put it in quotes: {key} = "$NAME"'
    if plain[0] in "\"'":
        return _after_text(key, rest)
    if plain[0] in "[{":
        if rest.lstrip()[:1] in (",", ";"):
            return f"nothing may follow the value; remove the {rest.lstrip()[0]!r} behind it"
        inside = '["..."]' if plain[0] == "[" else '{ name = "..." }'
        return f"text goes in quotes, in lists too; write {key} = {inside}"
    if _NUMBER.fullmatch(word) and re.search(r"[\d]", word):
        if plain != word and _SOUND.fullmatch(word):
            return f"nothing may follow the value; remove the {plain[len(word) :].strip()!r} behind it"
        return "a number has no leading zeros and no separators but single underscores, as in 10_000"
    if plain.endswith(('"', "'")):
        return f'the quote at the beginning of the text is missing; write {key} = "..."'
    return f'text goes in quotes; write {key} = "{_shown(key, word)}"'


def _shown(key: str, word: str) -> str:
    """A value as a message may show it: not one that may be secret."""
    return word if _HARMLESS.fullmatch(word) and not _SECRET.search(key) else "..."


def _after_text(key: str, rest: str) -> str:
    behind = rest.strip()
    if behind[:1] in (",", ";"):
        return f"nothing may follow the value; remove the {behind[0]!r} behind it"
    if _PAIR.match(behind):
        return "one key and its value to a line; begin a new line for the second one"
    if behind.startswith(("+", ".")):
        return "texts cannot be put together; write one text in quotes"
    if re.search(r"[\"']", behind):
        return (
            'a quote inside of the text ends it; write it as \\", or put the whole text in single quotes, '
            f"or in three: {key} = '''...'''"
        )
    return "nothing but a comment (#) may follow the value on its line"


def _key(statement: str) -> str:
    key, colon, _ = statement.strip().partition(":")
    if colon and re.fullmatch(r"[\"']?[\w. -]+[\"']?\s*", key):
        key = key.strip().strip("\"'")
        return f"write {key} = ..., with an equals sign in place of the colon"
    name, equals, _ = statement.partition("=")
    if equals and re.fullmatch(r"\s*\w+(?:[ \t]+\w+)+\s*", name):
        return f"a key has no blanks; write {'_'.join(name.split())} = ..."
    words = statement.split()
    if len(words) > 1 and re.fullmatch(r"[\w.-]+", words[0]):
        return f"an equals sign is missing behind {words[0]}; write {words[0]} = ..."
    return "every line is a table such as [agent], key = value, or a comment that begins with #"


def _foreign(start: str) -> str:
    if start.startswith(("//", ";", "--", "/*", "!", "%")):
        return "a comment begins with #"
    if start.startswith(("<<<<<<<", "=======", ">>>>>>>")):
        return "a merge is not finished; remove its marks, and one of the two versions between them"
    if start.startswith("{"):
        return "this is JSON, not TOML; `pyagent config create` prints a configuration to begin with"
    if start.startswith("```"):
        return "this is Markdown; remove the line"
    return "every line is a table such as [agent], key = value, or a comment that begins with #"


def _strange(character: str) -> str:
    """The name of a character that looks like a quote, a blank or nothing at all; empty for others."""
    if (
        not character
        or character.isascii()
        or not (character in _QUOTES or unicodedata.category(character) in ("Zs", "Cf", "Zl", "Zp", "Pd"))
    ):
        return ""
    return f"U+{ord(character):04X} ({unicodedata.name(character, '?').lower()})"


def _plain(character: str) -> str:
    if character in _QUOTES:
        return "a straight quote, \" or '"
    if unicodedata.category(character) == "Pd":
        return "a hyphen, -"
    return "a blank" if unicodedata.category(character) == "Zs" else "the line anew without it"

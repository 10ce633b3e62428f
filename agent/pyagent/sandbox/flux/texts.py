"""The packages strings and regexp."""

import re
from collections.abc import Callable
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin, text_list
from pyagent.sandbox.flux.patterns import Regex
from pyagent.sandbox.flux.tables import BOOLEAN, LONG, STRING
from pyagent.sandbox.flux.values import Callee, WrongType
from pyagent.sandbox.limits import made, making

STRINGS: Registry = {}
REGEXP: Registry = {}

_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def _text(value: Any, argument: str) -> str:
    if not isinstance(value, str):
        raise WrongType(argument, "string", value)
    return value


def _strings(
    name: str, work: Callable[..., Any], *more: str, result: str | None = STRING, numbers: tuple[str, ...] = ()
) -> None:
    """A function of `v` and more texts, and of ints whose names are in `numbers`."""
    names = ("v", *more)

    def run(context: Context, given: dict[str, Any]) -> Any:
        return work(*_texts_and_ints(given, names, numbers))

    declare(STRINGS, name, names, run, result)


def _texts_and_ints(given: dict[str, Any], names: tuple[str, ...], numbers: tuple[str, ...]) -> list[Any]:
    """The arguments of these names in their order: ints those in `numbers`, texts the others. Raises WrongType."""
    for name in names:
        if name not in numbers:
            _text(given[name], name)
        elif type(given[name]) is not int:
            raise WrongType(name, "int", given[name])
    return [given[name] for name in names]


def declare(
    registry: Registry,
    name: str,
    names: tuple[str, ...],
    work: Callable[[Context, dict[str, Any]], Any],
    result: str | None,
) -> None:
    """A function of values with just these arguments; null for any of them gives null."""

    def bind(context: Context) -> Callee:
        def run(given: dict[str, Any]) -> Any:
            return None if None in given.values() else made(work(context, given))

        return Callee(name, dict.fromkeys(names, True), None, run, result)

    registry[name] = bind


def _title(v: str) -> str:
    return re.sub(r"(?<!\w)[^\W\d_]", lambda found: found[0].upper(), v)


def _split(v: str, t: str, n: int = -1) -> list[str]:
    if n == 0:
        return []
    making(8 * (v.count(t) if t else len(v)))
    if t == "":
        return list(v) if n < 0 or n >= len(v) else [*v[: n - 1], v[n - 1 :]]
    return v.split(t) if n < 0 else v.split(t, n - 1)


def _split_after(v: str, t: str, n: int = -1) -> list[str]:
    parts = _split(v, t, n)
    return [part + t for part in parts[:-1]] + parts[-1:] if t else parts


def _substring(v: str, start: int, end: int) -> str:
    return v[max(0, start) : max(0, end)]


def _replace(v: str, t: str, u: str, i: int = -1) -> str:
    count = v.count(t)
    making(len(v) + (count if i < 0 else min(count, i)) * (len(u) - len(t)))
    return v.replace(t, u, i)


def _repeat(v: str, i: int) -> str:
    if i < 0:
        raise invalid("strings: negative Repeat count")
    if len(v) * i > 64 * 2**20:
        raise invalid("strings: Repeat output length overflow")
    making(len(v) * i)
    return v * i


def _bytes_at(v: str, found: int) -> int:
    """Positions are those of bytes, as in InfluxDB."""
    return found if found < 0 or v.isascii() else len(v[:found].encode("utf-8", "surrogateescape"))


def _index_any(v: str, chars: str, *, last: bool) -> int:
    found = [at for at, char in enumerate(v) if char in chars]
    return _bytes_at(v, found[-1 if last else 0]) if found else -1


def _one(v: str, test: Callable[[str], bool]) -> bool:
    return test(v[:1]) if v else False


_strings("toUpper", str.upper)
_strings("toLower", str.lower)
_strings("title", _title)
_strings("toTitle", lambda v: "".join(char.title() if len(char.title()) == 1 else char for char in v))
_strings("trimSpace", lambda v: v.strip(_SPACE))
_strings("trim", lambda v, cutset: v.strip(cutset), "cutset")
_strings("trimLeft", lambda v, cutset: v.lstrip(cutset) if cutset else v, "cutset")
_strings("trimRight", lambda v, cutset: v.rstrip(cutset) if cutset else v, "cutset")
_strings("trimPrefix", lambda v, prefix: v.removeprefix(prefix), "prefix")
_strings("trimSuffix", lambda v, suffix: v.removesuffix(suffix), "suffix")
_strings("containsStr", lambda v, substr: substr in v, "substr", result=BOOLEAN)
_strings("containsAny", lambda v, chars: any(char in v for char in chars), "chars", result=BOOLEAN)
_strings("hasPrefix", lambda v, prefix: v.startswith(prefix), "prefix", result=BOOLEAN)
_strings("hasSuffix", lambda v, suffix: v.endswith(suffix), "suffix", result=BOOLEAN)
_strings("equalFold", lambda v, t: v.casefold() == t.casefold(), "t", result=BOOLEAN)
_strings("strlen", len, result=LONG)
_strings("split", _split, "t", result=None)
_strings("splitN", lambda v, t, i: _split(v, t, i), "t", "i", result=None, numbers=("i",))
_strings("splitAfter", _split_after, "t", result=None)
_strings("splitAfterN", lambda v, t, i: _split_after(v, t, i), "t", "i", result=None, numbers=("i",))
_strings("replace", _replace, "t", "u", "i", numbers=("i",))
_strings("replaceAll", lambda v, t, u: _replace(v, t, u), "t", "u")
_strings("substring", _substring, "start", "end", numbers=("start", "end"))
_strings("index", lambda v, substr: _bytes_at(v, v.find(substr)), "substr", result=LONG)
_strings("lastIndex", lambda v, substr: _bytes_at(v, v.rfind(substr)), "substr", result=LONG)
_strings("indexAny", lambda v, chars: _index_any(v, chars, last=False), "chars", result=LONG)
_strings("lastIndexAny", lambda v, chars: _index_any(v, chars, last=True), "chars", result=LONG)
_strings("countStr", lambda v, substr: v.count(substr) if substr else len(v) + 1, "substr", result=LONG)
_strings("isDigit", lambda v: _one(v, str.isdecimal), result=BOOLEAN)
_strings("isLetter", lambda v: _one(v, str.isalpha), result=BOOLEAN)
_strings("isLower", lambda v: _one(v, str.islower), result=BOOLEAN)
_strings("isUpper", lambda v: _one(v, str.isupper), result=BOOLEAN)
_strings("repeat", _repeat, "i", numbers=("i",))
_strings("compare", lambda v, t: (v > t) - (v < t), "t", result=LONG)


@builtin(STRINGS, "joinStr", pipe=None, result=STRING)
def join_str(context: Context, arr: Any, v: str) -> str:
    texts = text_list(arr, "arr")
    making(sum(map(len, texts)) + len(v) * len(texts))
    return v.join(texts)


def _regexp(name: str, work: Callable[..., Any], *more: str, result: str | None, numbers: tuple[str, ...] = ()) -> None:
    names = ("r", *more)

    def run(context: Context, given: dict[str, Any]) -> Any:
        if not isinstance(given["r"], Regex):
            raise WrongType("r", "regexp", given["r"])
        return work(given["r"], *_texts_and_ints(given, more, numbers))

    declare(REGEXP, name, names, run, result)


def _found(r: Regex, v: str) -> str:
    found = r.search(v)
    return found[0] if found else ""


def _where(r: Regex, v: str) -> list[int]:
    found = r.search(v)
    return [_bytes_at(v, found.start()), _bytes_at(v, found.end())] if found else []


def _replaced(r: Regex, v: str, t: str) -> str:
    """Go's templates: $1, ${1} and ${name} are groups; one that is not there is empty; $$ is a dollar."""

    def expand(found: re.Match[str]) -> str:
        def group(named: re.Match[str]) -> str:
            if named[0] == "$$":
                return "$"
            name = named[1] or named[2]
            try:
                text: str = found[int(name) if name.isdigit() else name] or ""
            except (IndexError, KeyError, OverflowError, ValueError):
                return ""
            making(len(text))
            return text

        return made(re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", group, t))

    return r.sub(expand, v)


def _split_by(r: Regex, v: str, i: int) -> list[str]:
    if i == 0:
        return []
    if r.text and not v:
        return [""]
    parts: list[str] = []
    begin = end = 0
    for found in r.finditer(v):
        if i > 0 and len(parts) == i - 1:
            break
        end = found.start()
        if found.end() != 0:
            parts.append(v[begin:end])
        begin = found.end()
    if end != len(v):
        parts.append(v[begin:])
    return parts


_regexp("matchRegexpString", lambda r, v: r.search(v) is not None, "v", result=BOOLEAN)
_regexp("findString", _found, "v", result=STRING)
_regexp("findStringIndex", _where, "v", result=None)
_regexp("replaceAllString", _replaced, "v", "t", result=STRING)
_regexp("splitRegexp", _split_by, "v", "i", result=None, numbers=("i",))
_regexp("getString", lambda r: r.text, result=STRING)


@builtin(REGEXP, "compile", pipe=None)
def compile_(context: Context, v: str) -> Regex:
    try:
        return Regex(v)
    except ValueError as error:
        raise invalid(f"error parsing regexp: {error}: `{v}`") from None


@builtin(REGEXP, "quoteMeta", pipe=None, result=STRING)
def quote_meta(context: Context, v: str) -> str:
    return made(re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", v))

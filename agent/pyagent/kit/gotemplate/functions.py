"""Functions of templates: Go's own, and of the library Sprig those that texts about metrics need."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from pyagent.kit.gotemplate import sprig
from pyagent.kit.gotemplate.printf import printf
from pyagent.kit.gotemplate.values import TemplateError, Texts, compared, equal, shown, truth, type_name

__all__ = ["FUNCTIONS", "GO_FUNCTIONS", "SPRIG_FUNCTIONS", "Function"]

_ANY = 1000


@dataclass(frozen=True, slots=True)
class Function:
    """`kinds`: what its arguments are, a letter for each; the last one holds for all that follow."""

    kinds: str
    run: Callable[..., Any]
    least: int
    most: int
    lazy: bool = False


def _function(kinds: str, run: Callable[..., Any]) -> Function:
    """`ss`: two texts; `aa*`: one or more of anything; `ia?`: the last one may be missing."""
    names = kinds.rstrip("*?")
    least = len(names) - (kinds != names)
    return Function(names, run, least, _ANY if kinds.endswith("*") else len(names))


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, list | dict):
        return len(value)
    raise TemplateError(f"a {type_name(value)} has no length")


def _slice(value: Any, *bounds: int) -> Any:
    if len(bounds) > (2 if isinstance(value, str) else 3):
        raise TemplateError("there are too many bounds")
    if not isinstance(value, str | list):
        raise TemplateError(f"a {type_name(value)} has no parts")
    whole = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    begin, end = bounds[0] if bounds else 0, bounds[1] if len(bounds) > 1 else len(whole)
    if outside := [bound for bound in bounds if not 0 <= bound <= len(whole)]:
        raise TemplateError(f"{outside[0]} is out of range")
    if begin > end:
        raise TemplateError(f"{begin} is behind {end}")
    part = whole[begin:end]
    return part.decode("utf-8", "surrogateescape") if isinstance(part, bytes) else part


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise TemplateError(f"the key of a map is a string, not a {type_name(key)}")
            value = value.get(key, "" if isinstance(value, Texts) else None)
            continue
        items = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        if not isinstance(items, list | bytes):
            raise TemplateError(f"a {type_name(value)} has no items")
        if not isinstance(key, int) or isinstance(key, bool):
            raise TemplateError(f"an index is an integer, not a {type_name(key)}")
        if not 0 <= key < len(items):
            raise TemplateError(f"there is no item {key}, there are {len(items)}")
        value = items[key]
    return value


def _print(*values: Any) -> str:
    pieces: list[str] = []
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            pieces.append(" ")
        pieces.append(shown(value))
    return "".join(pieces)


def _html(*values: Any) -> str:
    text = _print(*values)
    for character, escape in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(character, escape)
    return text.replace("\0", "\ufffd")


GO_FUNCTIONS: dict[str, Function] = {
    "and": Function("a", lambda: None, 1, _ANY, lazy=True),
    "or": Function("a", lambda: None, 1, _ANY, lazy=True),
    "not": _function("a", lambda value: not truth(value)),
    "eq": _function("aaa*", lambda one, *others: any(equal(one, other) for other in others)),
    "ne": _function("aa", lambda one, other: not equal(one, other)),
    "lt": _function("aa", lambda one, other: compared(one, other) < 0),
    "le": _function("aa", lambda one, other: compared(one, other) <= 0),
    "gt": _function("aa", lambda one, other: compared(one, other) > 0),
    "ge": _function("aa", lambda one, other: compared(one, other) >= 0),
    "len": _function("a", _length),
    "index": _function("aa*", _index),
    "slice": _function("ai*", _slice),
    "print": _function("a*", _print),
    "println": _function("a*", lambda *values: " ".join(map(shown, values)) + "\n"),
    "printf": _function("sa*", printf),
    "html": _function("a*", _html),
    "urlquery": _function("a*", lambda *values: quote_plus(_print(*values), safe="-_.~", errors="surrogateescape")),
}


def _whole(run: Callable[..., int]) -> Callable[..., int]:
    """64 bits, as integers wrap around there."""

    def wrapped(*values: Any) -> int:
        found = run(*map(sprig.to_integer, values))
        return (found + 2**63) % 2**64 - 2**63

    return wrapped


def _folded(run: Callable[[int, int], int]) -> Callable[..., int]:
    def folded(first: int, *others: int) -> int:
        for other in others:
            first = run(first, other)
        return first

    return _whole(folded)


def _divided(one: int, other: int) -> int:
    if not other:
        raise TemplateError("a number cannot be divided by 0")
    found = abs(one) // abs(other)
    return found if (one < 0) == (other < 0) else -found


def _float(run: Callable[..., float]) -> Callable[..., float]:
    return lambda *values: run(*map(sprig.to_float, values))


_BY_KINDS: dict[str, dict[str, Callable[..., Any]]] = {
    "s": {
        "trim": str.strip,
        "lower": str.lower,
        "upper": str.upper,
        "title": sprig.title,
        "untitle": sprig.untitle,
        "nospace": lambda text: "".join(text.split()),
        "initials": sprig.initials,
        "b64enc": sprig.b64enc,
        "b64dec": sprig.b64dec,
        "sha1sum": sprig.digest("sha1"),
        "sha256sum": sprig.digest("sha256"),
        "sha512sum": sprig.digest("sha512"),
        "adler32sum": sprig.adler32,
        "atoi": sprig.atoi,
        "fromJson": sprig.from_json,
        "regexQuoteMeta": sprig.regex_quote,
        "fail": sprig.fail,
    },
    "ss": {
        "trimAll": lambda cut, text: text.strip(cut) if cut else text,
        "trimall": lambda cut, text: text.strip(cut) if cut else text,
        "trimPrefix": lambda cut, text: text.removeprefix(cut),
        "trimSuffix": lambda cut, text: text.removesuffix(cut),
        "contains": lambda part, text: part in text,
        "hasPrefix": lambda part, text: text.startswith(part),
        "hasSuffix": lambda part, text: text.endswith(part),
        "splitList": lambda cut, text: text.split(cut) if cut else list(text),
        "split": sprig.split,
        "regexMatch": sprig.regex_match,
        "regexFind": sprig.regex_find,
    },
    "sss": {
        "replace": lambda old, new, text: text.replace(old, new),
        "regexReplaceAll": sprig.regex_replace,
        "regexReplaceAllLiteral": sprig.regex_replace_literal,
    },
    "is": {
        "trunc": sprig.trunc,
        "abbrev": lambda width, text: text if width < 4 or len(text) <= width else text[: width - 3] + "...",
        "repeat": sprig.repeat,
        "indent": sprig.indent,
        "nindent": lambda width, text: "\n" + sprig.indent(width, text),
    },
    "iis": {"substr": sprig.substr},
    "ssi": {"plural": lambda one, many, count: one if count == 1 else many},
    "a": {
        "toString": sprig.text_of,
        "toStrings": sprig.texts_of,
        "int": sprig.to_integer,
        "int64": sprig.to_integer,
        "float64": sprig.to_float,
        "add1": _whole(lambda number: number + 1),
        "add1f": sprig.decimals(lambda one, other: one + other, 1.0),
        "floor": _float(sprig.rounded(math.floor)),
        "ceil": _float(sprig.rounded(math.ceil)),
        "empty": lambda value: not truth(value),
        "toJson": sprig.to_json,
        "toRawJson": sprig.to_raw_json,
        "toPrettyJson": sprig.to_pretty_json,
        "kindOf": sprig.kind_of,
        "sortAlpha": lambda value: sorted(sprig.texts_of(value)),
        "unixEpoch": sprig.unix_epoch,
    },
    "aa": {
        "sub": _whole(lambda one, other: one - other),
        "div": _whole(_divided),
        "mod": _whole(lambda one, other: one - other * _divided(one, other)),
    },
    "ai": {"round": sprig.round_places},
    "sa": {
        "join": lambda between, value: between.join(sprig.texts_of(value)),
        "kindIs": lambda kind, value: kind == sprig.kind_of(value),
        "date": sprig.date,
    },
    "sas": {"dateInZone": sprig.date_in_zone},
    "a*": {
        "list": lambda *values: list(values),
        "add": _folded(lambda one, other: one + other),
        "coalesce": lambda *values: next(filter(truth, values), None),
        "all": lambda *values: all(map(truth, values)),
        "any": lambda *values: any(map(truth, values)),
        "quote": sprig.quote,
        "squote": lambda *values: " ".join([f"'{shown(value)}'" for value in values if value is not None]),
        "cat": lambda *values: " ".join([shown(value) for value in values if value is not None]),
        "dict": sprig.make_dict,
    },
    "aa*": {
        "mul": _folded(lambda one, other: one * other),
        "max": _folded(max),
        "min": _folded(min),
        "addf": sprig.decimals(lambda one, other: one + other),
        "subf": sprig.decimals(lambda one, other: one - other),
        "mulf": sprig.decimals(lambda one, other: one * other),
        "divf": sprig.decimals(sprig.divided),
        "maxf": _float(max),
        "minf": _float(min),
        "default": lambda other, *values: values[0] if values and truth(values[0]) else other,
    },
    "aab": {"ternary": lambda one, other, condition: one if condition else other},
    "i": {"until": lambda count: sprig.until(0, count, 1 if count >= 0 else -1)},
    "iii": {"untilStep": sprig.until},
    "l": {
        "first": lambda items: items[0] if items else None,
        "last": lambda items: items[-1] if items else None,
        "rest": lambda items: items[1:],
        "initial": lambda items: items[:-1],
        "reverse": lambda items: items[::-1],
        "compact": lambda items: list(filter(truth, items)),
        "uniq": sprig.uniq,
    },
    "la": {"append": lambda items, value: [*items, value], "prepend": lambda items, value: [value, *items]},
    "la*": {"without": sprig.without},
    "al": {"has": sprig.has},
    "li*": {"slice": sprig.cut},
    "l*": {"concat": lambda *lists: [item for items in lists for item in items]},
    "d": {"values": lambda found: [found[key] for key in sorted(found)]},
    "d*": {"keys": lambda *maps: [key for found in maps for key in sorted(found)]},
    "ds": {"get": lambda found, key: found.get(key, ""), "hasKey": lambda found, key: key in found},
    "dsa": {"set": sprig.put},
    "ds*": {
        "pick": lambda found, *keys: {key: found[key] for key in keys if key in found},
        "omit": lambda found, *keys: {key: value for key, value in found.items() if key not in keys},
    },
}
SPRIG_FUNCTIONS: dict[str, Function] = {
    name: _function(kinds, run) for kinds, functions in _BY_KINDS.items() for name, run in functions.items()
}
SPRIG_FUNCTIONS["now"] = Function("a", sprig.now, 0, 0)

FUNCTIONS = GO_FUNCTIONS | SPRIG_FUNCTIONS

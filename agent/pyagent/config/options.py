"""A table's values as typed options: unknown names, wrong types and missing values are errors with their line."""

import difflib
import re
import types
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from pyagent.api import ConfigError, Duration, Options, Secret, Size
from pyagent.config.annotations import extra_of, fields_by_key, out_of_bounds
from pyagent.config.declared import default_of, table_type
from pyagent.config.policy import Policy
from pyagent.config.table_view import TableView, type_name

__all__ = ["Policy", "build_options", "check_type", "decode_values", "suggest"]

T = TypeVar("T", bound=Options)
S = TypeVar("S", bound=msgspec.Struct)

_INT64_MAX = 2**63 - 1
_KINDS = {
    "bool": "a boolean (true or false)",
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "array": "a list",
    "object": "a table",
}
_PYTHON = {"bool": bool, "int": int, "float": float, "str": str, "array": list, "object": dict}


def build_options(view: TableView, kind: type[T], values: Mapping[str, Any]) -> T:
    """The options of the decoded values. Raises ConfigError for what is missing, or what `__post_init__` refuses."""
    return _build(view, kind, values, ())


def decode_values(
    view: TableView,
    kind: type[msgspec.Struct],
    *,
    ignored: Iterable[str] = (),
    case_insensitive: Iterable[str] = (),
    policy: Policy | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of a table as `kind` declares them, by field name, and the place of each. Raises ConfigError.

    `ignored`: keys that are somebody else's. `case_insensitive`: fields whose key may be written in any case and without `_`.
    """
    others, any_case = set(ignored), set(case_insensitive)
    if unknown := list(islice(_unknown_keys(view.table, kind, (), others, any_case), _MOST_UNKNOWN)):
        raise _unknown(view, unknown, others)
    return _Decoder(view, policy or Policy()).table(view.table, kind, (), others, any_case)


class _Decoder:
    def __init__(self, view: TableView, policy: Policy) -> None:
        self._view = view
        self._policy = policy

    def table(
        self,
        table: Mapping[str, Any],
        kind: type[msgspec.Struct],
        path: tuple[str | int, ...],
        ignored: set[str],
        case_insensitive: set[str],
    ) -> tuple[dict[str, Any], dict[str, str]]:
        fields = fields_by_key(kind)
        values: dict[str, Any] = {}
        places: dict[str, str] = {}
        idle: dict[str, list[str]] = {}
        for key, value in table.items():
            name = _field_name(key, fields, case_insensitive)
            info = fields.get(name)
            if info is None:  # somebody else's
                continue
            if info.name in values:
                raise self._view.error(f"the option {name!r} is given twice, the second time as {key!r}", *path, key)
            extra = extra_of(info.type)
            converted = self._convert(value, info.type, (*path, key))
            if wanted := out_of_bounds(extra, converted):
                message = f"the option {_name((*path, key))!r} must be {wanted}; found {value}"
                raise self._view.error(message, *path, key)
            # A value that is wrong stays so, whatever it may do.
            self._check_effects(extra, (*path, key), value, info.encode_name if name != info.encode_name else "")
            if extra.get("no_effect") and converted != default_of(info):
                idle.setdefault(get_args(info.type)[1].description, []).append(key)
            values[info.name] = self._policy.hosted(extra, converted)
            places[info.name] = self._view.at(*path, key)
        for text, keys in idle.items():
            named = f"options {', '.join(map(repr, keys))} have" if len(keys) > 1 else f"option {keys[0]!r} has"
            self._view.warn(f"the {named} no effect: {text}", *path, keys[0])
        return values, places

    def _check_effects(self, effects: Mapping[str, Any], path: tuple[str | int, ...], value: Any, renamed: str) -> None:
        """`renamed`: the name of today, where it is written with an old one."""
        if (instead := renamed) or (value and (instead := effects.get("deprecated", ""))):
            self._view.warn(f"the option {path[-1]!r} is deprecated; use {instead}", *path)
        if reason := self._policy.refusal(effects, value):
            raise self._view.error(
                f"the option {path[-1]!r} {reason}, which a configuration from a URL may not; "
                "set PYAGENT_ALLOW_REMOTE_EXEC=1 on this host to allow it",
                *path,
            )

    def _convert(self, value: Any, annotation: Any, path: tuple[str | int, ...]) -> Any:
        kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            tables = [item for item in arguments if isinstance(item, type) and issubclass(item, msgspec.Struct)]
            if tables and isinstance(value, dict):
                return self._struct(value, tables[0], path)
        elif isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
            return self._struct(value, kind, path)
        elif origin is list and isinstance(value, list):
            return [self._convert(item, arguments[0], (*path, index)) for index, item in enumerate(value)]
        elif origin is dict and isinstance(value, dict):
            return {key: self._convert(item, arguments[1], (*path, key)) for key, item in value.items()}
        elif origin is Literal and value not in arguments:
            choices = ", ".join(map(repr, arguments))
            raise self._view.error(f"the option {_name(path)!r} cannot be {value!r}; use one of {choices}", *path)
        elif kind is Secret and isinstance(value, str) and "@{" in value:
            value = self._policy.secrets.resolve(self._view, value, _name(path), path)
        return self._leaf(value, kind, path)

    def _struct(self, value: dict[str, Any], kind: type[msgspec.Struct], path: tuple[str | int, ...]) -> msgspec.Struct:
        return _build(self._view, kind, self.table(value, kind, path, set(), set())[0], path)

    def _leaf(self, value: Any, kind: Any, path: tuple[str | int, ...]) -> Any:
        try:
            result = msgspec.convert(value, kind, dec_hook=_own_type)
        except msgspec.ValidationError as error:
            raise self._view.error(_explain(_name(path), value, str(error)), *path) from None
        if isinstance(result, int) and not -_INT64_MAX - 1 <= result <= _INT64_MAX:
            raise self._view.error(f"the option {_name(path)!r}: {value} is out of range", *path)
        return result


def _build(view: TableView, kind: type[S], values: Mapping[str, Any], path: tuple[str | int, ...]) -> S:
    for info in msgspec.structs.fields(kind):
        if info.required and info.name not in values:
            raise view.error(f"the option {_name((*path, info.encode_name))!r} is missing; it has no default", *path)
    try:
        return kind(**values)
    except ConfigError as error:
        raise view.error(str(error), *path, *([error.option] if error.option else [])) from None
    except ValueError as error:
        raise view.error(str(error), *path) from None


def check_type(annotation: Any) -> None:
    """Raise for a type that no value of TOML can be converted to."""
    with suppress(msgspec.ValidationError):
        msgspec.convert(object(), annotation, dec_hook=_own_type)


def _name(path: tuple[str | int, ...]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _explain(name: str, value: Any, message: str) -> str:
    wanted = re.fullmatch(r"Expected `([^`]*)`, got `[^`]*`.*", message)
    if wanted is None:
        return f"the option {name!r}: {message}"
    kinds = " or ".join(_KINDS.get(kind, kind) for kind in wanted[1].split(" | ") if kind != "null")
    return f"the option {name!r} must be {kinds}, not {type_name(value)}{_remedy(name, value, kinds)}"


def _remedy(name: str, value: Any, kinds: str) -> str:
    """How it is written, where that is plain. The value itself may be a secret."""
    last = name.rpartition(".")[2]
    if isinstance(value, str):
        if value.lower() in ("true", "false") and kinds.startswith("a boolean"):
            return f"; write {last} = {value.lower()}, without quotes"
        if re.fullmatch(r"-?\d{1,18}(\.\d+)?", value) and kinds in ("an integer", "a number"):
            return f"; write {last} = {value}, without quotes"
    if kinds == "a list" and not isinstance(value, dict):
        return f"; put it in brackets: {last} = [...]"
    if kinds == "a string" and not isinstance(value, dict | list):
        return f'; put it in quotes: {last} = "..."'
    if isinstance(value, list) and "a list" not in kinds:
        return "; write one value, without brackets"
    return f"; write it as [{name}] below" if kinds == "a table" else ""


def _field_name(key: str, fields: Container[str], case_insensitive: Iterable[str]) -> str:
    """The option that a key stands for: one of `case_insensitive` may be written in any case and without `_`."""
    if key in fields:
        return key
    plain = key.replace("_", "").lower()
    return next((name for name in case_insensitive if name.replace("_", "").lower() == plain), key)


_MOST_UNKNOWN = 20
"""Keys that one error names: the spelling that was meant is looked for with each."""
_Unknown = tuple[tuple[str | int, ...], list[str]]
"""The path of a key that nobody knows, and what is known in its place."""


def _unknown_keys(
    table: Mapping[str, Any],
    kind: type[msgspec.Struct],
    path: tuple[str | int, ...],
    ignored: Container[str] = (),
    case_insensitive: Iterable[str] = (),
) -> Iterator[_Unknown]:
    """Those of a table and of the tables in it."""
    fields = fields_by_key(kind)
    for key, value in table.items():
        info = fields.get(_field_name(key, fields, case_insensitive))
        if info is None:
            if key not in ignored:
                yield (*path, key), [info.encode_name for name, info in fields.items() if name == info.encode_name]
        elif inner := table_type(info.type):
            tables = enumerate(value) if isinstance(value, list) else [(None, value)]
            for index, item in tables:
                if isinstance(item, dict):
                    place = (*path, key) if index is None else (*path, key, index)
                    yield from _unknown_keys(item, inner[0], place)


def _unknown(view: TableView, found: Sequence[_Unknown], common: Iterable[str]) -> ConfigError:
    """One error for all of them, at the place of the first."""
    first, known = found[0]
    # In a table within the plugin's own those that all plugins know mean nothing.
    near = [suggest(str(path[-1]), [*names, *(common if len(path) == 1 else ())]) for path, names in found]
    of_its_own = f"it knows {', '.join(known)}" if known else "it has no options of its own"
    if len(found) == 1:
        return view.error(
            f"unknown option {str(first[-1])!r}; " + (f"did you mean {near[0]!r}?" if near[0] else of_its_own), *first
        )
    names = []
    for (path, _), meant in zip(found, near, strict=True):
        line = f"line {view.document.line((*view.path, *path))}"
        names.append(f"{_name(path)!r} ({line}" + (f": did you mean {meant!r}?)" if meant else ")"))
    text = f"unknown options {', '.join(names[:-1])} and {names[-1]}"
    return view.error(text if all(near) else f"{text}; {of_its_own}", *first)


def suggest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like a wrong one."""
    names = list(known)
    for candidate in names:
        if candidate.replace("_", "") == name.replace("_", "").replace("-", "").lower():
            return candidate
    # One wrong letter of three is a slip; of more letters, more must agree.
    cutoff = 0.65 if len(name) <= 4 else 0.7
    return next(iter(difflib.get_close_matches(name, names, 1, cutoff)), None)


def _own_type(kind: type, value: Any) -> Any:
    """msgspec's hook for the own types of options; raises ValueError with a message for people."""
    if kind is Duration or kind is Size:
        return kind.from_option(value)
    if kind is Secret:
        # A password of digits is easily written without quotes.
        if isinstance(value, str) or type(value) is int:
            return Secret(str(value))
        raise ValueError("expected a string")
    raise NotImplementedError(f"an option cannot be of type {kind!r}")

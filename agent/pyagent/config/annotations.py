"""What `option(...)` says of an option besides its text: bounds, old names, effects."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec

from pyagent.api import Duration, Size

__all__ = ["bounds_text", "extra_of", "fields_by_key", "old_names", "out_of_bounds"]


def extra_of(annotation: Any) -> Mapping[str, Any]:
    """The keywords of the annotation's `option(...)`; none where it has none."""
    for argument in get_args(annotation)[1:] if get_origin(annotation) is Annotated else ():
        if isinstance(argument, msgspec.Meta):
            return argument.extra or {}
    return {}


def fields_by_key(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """The fields of options by every key that a table may have for them: names of today, then old ones."""
    fields = {info.encode_name: info for info in msgspec.structs.fields(kind)}
    old = {name: info for info in fields.values() for name in extra_of(info.type).get("renamed_from", ())}
    return fields | {name: info for name, info in old.items() if name not in fields}


def old_names(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Old names of options, and the ones of today."""
    return {key: info.encode_name for key, info in fields_by_key(kind).items() if key != info.encode_name}


def bounds_text(extra: Mapping[str, Any]) -> str:
    """`0 or more`, `1 to 9`, `more than 0 and less than 1`; empty where there are no bounds."""
    if "ge" in extra and "le" in extra:
        return f"{extra['ge']} to {extra['le']}"
    texts = {"ge": "{} or more", "gt": "more than {}", "le": "{} or less", "lt": "less than {}"}
    return " and ".join(text.format(extra[name]) for name, text in texts.items() if name in extra)


def out_of_bounds(extra: Mapping[str, Any], value: Any) -> str:
    """What a number must be that is not within the bounds; empty for one that is, and for what is no number."""
    if isinstance(value, list):
        return next(filter(None, (out_of_bounds(extra, item) for item in value)), "")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""

    def bound(name: str) -> Any:
        return type(value).from_option(extra[name]) if isinstance(value, Duration | Size) else extra[name]

    # Written so that a NaN is within none.
    within = (
        ("ge" not in extra or value >= bound("ge"))
        and ("gt" not in extra or value > bound("gt"))
        and ("le" not in extra or value <= bound("le"))
        and ("lt" not in extra or value < bound("lt"))
    )
    return "" if within else bounds_text(extra)

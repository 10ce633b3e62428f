"""What declarations say besides their texts, in words: bounds, old names and effects of options, platforms of plugins."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

import msgspec

from pyagent.api import About, Duration, Plugin, Size

__all__ = ["about_of", "bounds_text", "extra_of", "fields_by_key", "out_of_bounds", "platform_names"]

_PLATFORMS = {
    "linux": "Linux",
    "darwin": "macOS",
    "win32": "Windows",
    "freebsd": "FreeBSD",
    "openbsd": "OpenBSD",
    "netbsd": "NetBSD",
    "sunos": "Solaris",
    "aix": "AIX",
}


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


def about_of(plugin: type[Plugin[Any]]) -> About:
    """What the plugin says of itself as a whole; one from outside may use the name for something else."""
    given: object = plugin.about
    return given if isinstance(given, About) else About()


def platform_names(platforms: Sequence[str]) -> str:
    """Values of `sys.platform` as people say them: `Linux and macOS`."""
    names = [_PLATFORMS.get(platform, platform) for platform in platforms]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

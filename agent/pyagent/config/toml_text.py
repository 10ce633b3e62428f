"""Values as TOML writes them. Only what configurations hold: no dates."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["toml_key", "toml_value"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_value(value: Any) -> str:
    """A string, number, boolean, list or table on one line. What Unicode cannot say is replaced."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            text = value.encode("utf-8", "replace").decode()
            return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int():
            return str(int(value))
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case Mapping():
            pairs = ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items())
            return f"{{{pairs}}}" if not pairs else f"{{ {pairs} }}"
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
    raise TypeError(f"no value of TOML: {value!r}")


def toml_key(key: str) -> str:
    return key if _BARE.fullmatch(key) else toml_value(key)

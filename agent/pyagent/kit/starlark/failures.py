"""What the calls of a script may end with, in Starlark's words."""

import re

from pyagent.kit.starlark.values import StarlarkError

__all__ = ["FAULTS", "words_of"]

FAULTS = (StarlarkError, TypeError, ValueError, NameError, RecursionError, OverflowError, MemoryError)
"""What the calls of a script may end with: its own errors, and what Python says of wrong arguments or unset variables."""
_NOT_CALLABLE = re.compile(r"'(\w+)' object is not callable")
_CALLED = re.compile(r"^(?:[\w<>]+\.)*([\w<>]+)\(\)")
_NAME = re.compile(r"'(\w+)'")
_TYPES = {
    "str": "string",
    "List": "list",
    "Dict": "dict",
    "Set": "set",
    "MetricValue": "Metric",
    "TagTable": "Tags",
    "FieldTable": "Fields",
}


def words_of(error: BaseException) -> str:
    """What a script did wrong, in Starlark's words."""
    text = str(error)
    match error:
        case RecursionError():
            return "the calls are nested too deeply"
        case NameError() if (unset := _NAME.search(text)) is not None:
            kind = "global" if type(error) is NameError and text.endswith("is not defined") else "local"
            return f"{kind} variable {unset[1]} referenced before assignment"
        case TypeError() if (wrong := _NOT_CALLABLE.fullmatch(text)) is not None:
            return f"invalid call of non-function ({_TYPES.get(wrong[1], wrong[1])})"
        case TypeError():
            return _CALLED.sub(lambda found: f"function {found[1].strip('_<>')}", text)
        case OverflowError():
            return "the number is too large"
        case MemoryError():
            return "there is not enough memory"
    return text

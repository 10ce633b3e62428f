"""Makes one metric of what several files hold.

There is a value in each, as in those of sensors below /sys. Names, types and options are those of Telegraf 1.40.
"""

import math
import os.path
import re
from typing import Annotated

from pyagent.api import Accumulator, Input, Measurement, MetricType, Options, PyagentError, option
from pyagent.api.files import path_of, read_file
from pyagent.kit.numbers import divided, parse_boolean, parse_finite, parse_integer
from pyagent.kit.shown import quoted

__all__ = ["Multifile", "MultifileOptions", "SourceFile"]


class SourceFile(Options, frozen=True):
    file: Annotated[str, option("file to read", reads_path=True)] = ""
    dest: Annotated[str, option("name of the field or tag; empty: that of the file")] = ""
    conversion: Annotated[
        str, option("float, float(N) (divided by ten to the power of N), int, bool, string or tag; empty: string")
    ] = ""


class MultifileOptions(Options, frozen=True):
    base_dir: Annotated[str, option("folder of the files; empty: they have whole paths", reads_path=True)] = ""
    fail_early: Annotated[bool, option("no metric where one file cannot be read; else it is left out")] = True
    file: Annotated[list[SourceFile], option("the files")] = []


_DECIMALS = re.compile(r"float\(\s*([+-]?[0-9]{1,18})\)")
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class Multifile(Input[MultifileOptions]):
    measurements = (Measurement("multifile", "What the files hold.", open=True),)

    def gather(self, acc: Accumulator) -> None:
        fields: dict[str, object] = {}
        tags: dict[str, str] = {}
        for file in self.options.file:
            path, name = self._path(file), file.dest or os.path.basename(file.file.rstrip("/"))
            try:
                text = read_file(path).strip(b"\0").decode("utf-8", "surrogateescape").strip(_SPACES)
            except OSError as error:
                if self.options.fail_early:
                    raise PyagentError(f"cannot read {quoted(path)}: {error.strerror or error}") from None
                continue
            if file.conversion == "tag":
                tags[name] = text
                continue
            try:
                fields[name] = _converted(text, file.conversion)
            except ValueError as error:
                if self.options.fail_early or not _known(file.conversion):
                    raise PyagentError(f"cannot read {quoted(path)}: {error}") from None
        acc.add("multifile", fields, tags, kind=MetricType.GAUGE)

    def _path(self, file: SourceFile) -> str:
        base, name = self.options.base_dir, file.file
        if not base:
            return name
        return path_of(os.path.normpath(f"{base}/{name}"), base, name)


def _known(conversion: str) -> bool:
    return conversion in ("", "string", "int", "bool", "float") or _DECIMALS.match(conversion) is not None


def _converted(text: str, conversion: str) -> object:
    """Raises ValueError."""
    value: object
    if conversion in ("", "string"):
        return text
    if conversion == "int":
        value = parse_integer(text)
        kind = "whole number of 64 bits"
    elif conversion == "bool":
        value = parse_boolean(text)
        kind = "true or false"
    elif conversion == "float" or (decimals := _DECIMALS.match(conversion)):
        value = number = parse_finite(text)
        kind = "number"
        if number is not None and conversion != "float" and decimals:
            value = divided(number, _power_of_ten(int(decimals[1])))
    else:
        raise ValueError(f"there is no conversion {conversion!r}; use float, float(N), int, bool, string or tag")
    if value is None:
        raise ValueError(f"line 1: {text[:50]!r} is no {kind}")
    return value


def _power_of_ten(exponent: int) -> float:
    return math.inf if exponent > 308 else 0.0 if exponent < -323 else float(f"1e{exponent}")

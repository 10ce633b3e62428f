"""What a Nagios plugin prints, as metrics: `read_output`, and `add_state` for how it ended.

    metrics = read_output(output.stdout, time.time_ns())
    add_state(metrics, output.status, output.stderr)

The first line is `TEXT | PERFDATA`, more text may follow up to a line with another `|`, and behind it all is perfdata:
`'label'=value[unit];[warning];[critical];[min];[max]`. Each label becomes a metric `nagios`; the text is in `nagios_state`.
"""

import re
from collections.abc import Iterator

from pyagent.api import FieldValue, Metric
from pyagent.api.errors import ParseError
from pyagent.kit.memo import Memo
from pyagent.kit.numbers import parse_float

__all__ = ["UNKNOWN", "add_state", "read_output"]

UNKNOWN = 3
"""The state of a check that could not be made."""
_LONGEST_MESSAGE = 512
_SMALLEST, _LARGEST = 5e-324, 1.7976931348623157e308
_VALUE = re.compile(r"[^\t\n\f\r ]+")
_PLAIN = re.compile(r" *+([!-&(-<>-~]++)=(([\d.\-+eE]++)([!-+\--~]*+))(?![^\t\n\f\r ])", re.ASCII)
"""Without blanks, quotes and commas, as nearly all are."""
_NUMBER = re.compile(r"[\d.\-+eE]++", re.ASCII)
_BEHIND = re.compile(
    r"([\w/%]*+);?+([\d.\-+eE:~@]++)?+;?+([\d.\-+eE:~@]++)?+;?+([\d.\-+eE]++)?+;?+([\d.\-+eE]++)?+", re.ASCII
)
_LIMITS = ("warning", "critical")
_DECIMAL_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9])")


def read_output(data: bytes, time: int, unread: list[str] | None = None) -> list[Metric]:
    """Raises ParseError. `unread`: gets the performance data that cannot be read, which without it is left out as Telegraf
    does; with it decimal commas and the doubled quotes of a label are read as well."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if not lines[-1] and len(lines) > 1:
        lines.pop()
    lines = [line.removesuffix("\r") for line in lines]
    text, *perfdata = lines[0].split("|")
    if len(perfdata) > 1:
        raise ParseError("there is more than one |", 1)
    long_text = ""
    for number, line in enumerate(lines[1:], start=2):
        more, *behind = line.split("|")
        long_text = f"{long_text}\n{more.strip()}" if long_text else more.strip()
        if behind:
            perfdata += [behind[0], *lines[number:]]
            break
    metrics = [metric for part in perfdata for metric in _metrics(part, time, unread)]
    state: dict[str, FieldValue] = {"service_output": text.strip()}
    if long_text:
        state["long_service_output"] = long_text
    return [*metrics, Metric("nagios_state", {}, state, time)]


def add_state(metrics: list[Metric], status: int, message: bytes) -> None:
    """Add the field `state`: the exit status of the program, 3 for all that are no state. `message`: what tells why where
    the program did not, of which the first line is taken."""
    state = status if 0 <= status <= UNKNOWN else UNKNOWN
    for metric in metrics:
        if metric.name == "nagios_state":
            metric.fields["state"] = state
            if state == UNKNOWN and not metric.fields.get("service_output"):
                metric.fields["service_output"] = _first_line(message)


def _first_line(message: bytes) -> str:
    line, _, more = message[:_LONGEST_MESSAGE].partition(b"\n")
    return line.decode("utf-8", "surrogateescape") + ("..." if more or len(message) > _LONGEST_MESSAGE else "")


def _metrics(perfdata: str, time: int, unread: list[str] | None) -> Iterator[Metric]:
    nothing = perfdata.strip()
    for label, digits, behind, values in _parts(perfdata, reads_commas=unread is not None):
        nothing = ""
        number = parse_float(digits)
        unit, limits, is_whole = _known_behind[behind]
        if unread is not None and (number is None or not is_whole):
            # Behind a value that is read, the unit or limits may not be; a value U says that there is none.
            if values.partition(";")[0] != "U":
                unread.append(f"{label}={values}")
            if number is None:
                continue
        if not digits:
            continue
        if "'" in label:
            label = label.strip("'") if unread is None else _unquoted(label)
        tags = {"perfdata": label, "unit": unit} if unit else {"perfdata": label}
        yield Metric("nagios", tags, {"value": number, **limits} if number is not None else {**limits}, time)
    if nothing and unread is not None:
        unread.append(nothing)


def _behind(text: str) -> tuple[str, dict[str, float], bool]:
    """What stands behind a value: the unit, the limits, and whether that is all."""
    found = _BEHIND.match(text)
    assert found is not None
    unit, *limits, least, most = found.groups("")
    fields: dict[str, float] = {}
    for name, limit in zip(_LIMITS, limits, strict=True):
        if limit and (bounds := _range(limit)) is not None:
            below, above = ("le", "ge") if "@" in limit else ("lt", "gt")
            fields[f"{name}_{below}"], fields[f"{name}_{above}"] = bounds
    for name, end in (("min", least), ("max", most)):
        if (number := parse_float(end)) is not None:
            fields[name] = number
    return unit, fields, not text[found.end() :].strip(";")


_known_behind = Memo(_behind)
"""Most plugins print the same limits each time."""


def _unquoted(label: str) -> str:
    is_quoted = len(label) > 1 and label[0] == label[-1] == "'"
    return label[1:-1].replace("''", "'") if is_quoted else label.strip("'")


def _parts(perfdata: str, *, reads_commas: bool) -> Iterator[tuple[str, str, str, str]]:
    """Labels, which may have blanks, the numbers, what stands behind these, and both of them, up to the next blank. A number
    is empty where there is none."""
    start = 0
    while True:
        if plain := _PLAIN.match(perfdata, start):
            label, values, digits, behind = plain.groups()
            yield label, digits, behind, values
            start = plain.end()
            continue
        equals = perfdata.find("=", start)
        if equals < 0:
            return
        value = _VALUE.match(perfdata, equals + 1) if equals > start else None
        if value is None:
            start = equals + 1
            continue
        label, values = perfdata[start:equals].lstrip(), value[0].rstrip()
        text = _DECIMAL_COMMA.sub(".", values) if reads_commas else values
        number = _NUMBER.match(text) if label else None
        end = number.end() if number else 0
        yield label, text[:end], text[end:], values
        start = value.end()


def _range(limit: str) -> tuple[float, float] | None:
    """Of a threshold its ends, None where it is none. As in Telegraf an end behind an @ counts as 0, and none below as the
    smallest positive number."""
    low, *rest = limit.split(":")
    if not rest:
        high = parse_float(low)
        return None if high is None else (0.0, high)
    lowest = _SMALLEST if low == "~" else parse_float(low)
    if len(rest) > 1 or (lowest is None and not rest[0]):
        return None
    highest = parse_float(rest[0]) if rest[0] else _LARGEST
    return None if highest is None else (lowest or 0.0, highest)

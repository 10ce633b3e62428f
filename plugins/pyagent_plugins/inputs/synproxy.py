"""Counters of the kernel's SYNPROXY.

It protects against floods of SYN packets. From /proc/net/stat/synproxy, summed over the processors. Names and types are
those of Telegraf 1.40.
"""

import re

from pyagent.api import About, Accumulator, Chart, Input, Measurement, MetricType, Options, PyagentError, Uint, counters
from pyagent.kit.procfs import host_path, read_rows

__all__ = ["Synproxy", "SynproxyOptions"]


class SynproxyOptions(Options, frozen=True):
    pass


_COUNTERS = {
    "entries": "not counted any more: 0",
    "syn_received": "SYN packets received",
    "cookie_invalid": "invalid cookies",
    "cookie_valid": "valid cookies",
    "cookie_retrans": "SYN packets sent again to the server",
    "conn_reopened": "connections that were opened again",
}
_HEX = re.compile("0*[0-9a-fA-F]{1,8}")


class Synproxy(Input[SynproxyOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "synproxy",
            "Counts of all processors since the module was loaded; they begin anew at 2^32.",
            fields=counters("uint", "1", **_COUNTERS),
            charts=(
                Chart("SYN packets", ("syn_received", "cookie_retrans", "conn_reopened")),
                Chart("Cookies", ("cookie_valid", "cookie_invalid")),
            ),
        ),
    )

    def gather(self, acc: Accumulator) -> None:
        path = host_path("proc", "net/stat/synproxy")
        names: list[str] = []
        values = dict.fromkeys(_COUNTERS, 0)
        for row in read_rows(path, missing="load the module nf_synproxy_core (modprobe)", whole=True):
            if not names:
                names = row.words
                continue
            if len(row.words) != len(names):
                row.fail(f"it has {len(row.words)} columns, and not {len(names)}")
            for name, word in zip(names, row.words, strict=True):
                if not _HEX.fullmatch(word):
                    row.fail(f"{word[:40]!r} is no hexadecimal number of 32 bits")
                if name in values:
                    # A counter of 32 bits, as each processor's is.
                    values[name] = (values[name] + int(word, 16)) % (1 << 32)
        if not names:
            raise PyagentError(f"cannot read {path}: it has no line with the names of the columns")
        acc.add("synproxy", {name: Uint(value) for name, value in values.items()}, kind=MetricType.COUNTER)

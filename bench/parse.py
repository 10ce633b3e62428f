"""What does it cost to parse line protocol into metrics, and to relay it without making any?

A line has 4 tags and 8 fields: 4 floats of full precision, 3 integers, 1 string. 1,000 lines of 1,000 series are parsed by one
call, on one core; peers that parse one at a time are called once for each.
"""

import argparse
import sys
from collections.abc import Callable

from _common import COUNT, TELEGRAF, lines_of, measure, metrics, optional
from _report import Row, print_report, versions
from pyagent import lineprotocol
from pyagent.lineprotocol import encoder, relaying
from pyagent.lineprotocol import parser as reference

ROUNDS = 25
GOALS = {"parse a line: native": 1.0, "relay a line: native": 0.35}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of all subjects (default {ROUNDS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    data = encoder.encode(metrics()).data
    lines = lines_of(data)
    used, missing = [], []
    subjects: dict[str, Callable[[], object]] = {}
    if lineprotocol.implementation == "native":
        subjects["parse a line: native"] = lambda: lineprotocol.parse(data, 0)
        subjects["relay a line: native"] = lambda: lineprotocol.relay(data, 0)
    else:
        missing.append("the native core")
    subjects["parse a line: reference in Python"] = lambda: reference.parse(data, 0)
    subjects["relay a line: reference in Python"] = lambda: relaying.relay(data, 0)
    if peer := optional("line_protocol_parser"):
        subjects["parse a line: line-protocol-parser"] = lambda: [peer.parse_line(line) for line in lines]
        used.append("line-protocol-parser")
    else:
        missing.append("line-protocol-parser")

    times = measure(subjects, given.rounds, COUNT)
    beside = {"parse a line: native": TELEGRAF.format("3.44")}
    rows = [
        Row.of(name, "µs", values, goal=GOALS.get(name), beside=beside.get(name, "")) for name, values in times.items()
    ]
    if missing:
        print(f"not measured, because not installed: {', '.join(missing)}", file=sys.stderr)
    return print_report("What does it cost to parse a line?", rows, versions(*used), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())

"""Fuzz both cores with mutations of the files in seeds/: `python fuzz_line_protocol.py [--seconds 60] [--seed N]`.

Every input is parsed and relayed by both; what they give has to be equal, and what is relayed has to be line protocol. An
input that breaks this is written to a file whose name is told; the exit status is then 1.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from cores import REFERENCE, native_core

from pyagent.api import LineOptions

SEEDS = Path(__file__).parent / "seeds"
PIECES = [
    *(bytes([byte]) for byte in b'\\,= "#\n\t\0\r\f-.eEiutfTF019'), b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b'="', b'" ', b"\\\\",
    b"\\\n", b" f=", b",t=", b"1e5", b"1e-400", b"9223372036854775807i", b"9" * 25, b"0" * 25, b",time=1", b"true", b"m f=1 1\n",
]  # fmt: skip
OPTIONS = [
    LineOptions(uint_support=uint, sort_fields=sort, omit_timestamp=omit, max_line_bytes=limit)
    for uint, sort, omit, limit in ((False, False, False, 0), (True, True, True, 0), (True, False, False, 60))
]


def mutations(draw: random.Random) -> Iterator[bytes]:
    """The seeds, then for ever what becomes of them."""
    pool = [path.read_bytes() for path in sorted(SEEDS.iterdir())]
    yield from pool
    while True:
        data = bytearray(draw.choice(pool))
        for _ in range(draw.choice((1, 1, 2, 4, 16))):
            at, end = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
            match draw.randrange(5):
                case 0:
                    data[at:at] = draw.choice(PIECES)
                case 1:
                    data[at : at + 1] = bytes([draw.randrange(256)])
                case 2:
                    del data[at : min(end, at + draw.randrange(1, 30))]
                case 3:
                    data[at:at] = data[at : min(end, at + 200)]
                case _:
                    other = draw.choice(pool)
                    data[at:at] = other[draw.randrange(len(other) + 1) :][:100]
        yield bytes(data[:2000])


def check(native: ModuleType, data: bytes) -> None:
    """Raises AssertionError where the cores differ or write what they do not understand."""
    parsed = REFERENCE.parse(data, 5)
    assert repr(native.parse(data, 5)) == repr(parsed)
    assert repr(native.parse(data, 5, apart=True)) == repr(REFERENCE.parse(data, 5, apart=True))
    for options in OPTIONS:
        encoded = REFERENCE.encode(parsed.metrics, options)
        assert native.encode(parsed.metrics, options) == encoded
        assert native.relay(data, 5, "ns", options).encoded == encoded
        assert native.parse(encoded.data, 5).errors == []
    tagged = {"tags": {"t": "default", "a b": "\t,"}, "round_to": 1000}
    assert native.relay(data, 5, **tagged) == REFERENCE.relay(data, 5, **tagged)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    native = native_core()
    end, count = time.monotonic() + given.seconds, 0
    for data in mutations(random.Random(given.seed)):
        if time.monotonic() > end:
            break
        count += 1
        try:
            check(native, data)
        except Exception as error:
            with tempfile.NamedTemporaryFile(prefix="line-protocol-", delete=False) as file:
                file.write(data)
            sys.stderr.write(f"the cores fail on {file.name} (seed {given.seed}): {error}\n")
            return 1
    sys.stdout.write(f"{count} inputs in {given.seconds:g} s, seed {given.seed}: no difference\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

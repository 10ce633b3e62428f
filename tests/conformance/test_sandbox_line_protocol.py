"""The embedded server's line protocol against the corpus, and against the parser of a real InfluxDB."""

import base64
import http.client
import json
import random
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pyagent.sandbox.points import UnparsableBody, ValueUnreadable, parse, split_key
from pyagent.testing.servers import InfluxDB1

ACCEPTED = {
    "a control character within a name is a part of it": """
        0a651fa607ab9c86a994595138d4c05d 25957c0a9f5e3a8c28124d338e73bad3 26cfbed8d8851eef6a261d5686fd11fc
        42548a1a62e8be170084ee9a2f3aec8f 6010fd1d0b989fe02361429f3c079838 8777ed9a6ae7cc0589f981b52a4a539b
        8bd26fdf23d873407db6a623df684a08 a1ff4186b3c89a88417e3ba268a03a14 a2104143356bbe4f000c8d513d8f73e8
        a5ad697c142e6043f0891a33b762ec73 a667a7c1a0587907bf12d6c3cc130fa8 accdf87ee865054fa0c9d314ef8da7f4
        ad4649c6a5a66d243033a2c73bfd5331 af080a2f1e45422663aa2dffabbd0a07 c6ecafbf7b8b36c7f6aa38d6b7e59e75
        c836d66b89ccb98cf7220534f0d5581f ce6e11d399b922c1eb23bbbefd8d54d8 cfd8fedc12a563d596f8c1a7c1627a1b""",
    "a tab at the start of a line is white space": """
        2be024ca70163a7068b08f5e8ef57ffa a02aab4c616a523b89c419dc100e70fd c0ce359f018a4255f4152ca2bc156ca7""",
    "a name need not be UTF-8": """
        2cad3ab7d1f6c69175256bd38427e41b 2df1f638db625653021bdd81d082aa7b 43020303d156ae3e021b05606aac1e4e
        64c16c43d454d8dac6818c3d4e01d2b1 ca0fab37d66bfe0a70b01297141f179c e2c746c7bfdf0bb33d4057f12eb0b665""",
}
REFUSED = {
    "the tag keys time, _measurement and _field are reserved": """
        2a6fa6f9c4bd199a093f88e94b542430 4ab0e35c7e7840d2e7c5efd2f8f65535 84b68fc423b301db6656472aeb593156
        ac1cb11cc76829023afa8085607c0560 c69cb34805c867d499130dc64e5d888e eaf5b8e0c1e2eda765918fc7080502ab""",
    "a carriage return is not white space": """
        6006e92dfc98800852031e779c6dddd5 8b3af0aaf42de944c7a3b505f3871647 a022477f6e157f09c8197bc2813fcd1e""",
}
"""Cases in which InfluxDB differs from the strict syntax of the corpus, by the reason."""

TYPES = {"int": "integer", "uint": "unsigned", "float": "float", "bool": "boolean", "string": "string"}
PRECISIONS = {"1ns": "ns", "1µs": "us", "1ms": "ms", "1s": "s"}


def keys(reasons: dict[str, str]) -> set[str]:
    return {key for some in reasons.values() for key in some.split()}


def raw(text: Any) -> bytes:
    return base64.b64decode(text["binary"]) if isinstance(text, dict) else text.encode("utf-8", "surrogatepass")


def wanted_points(result: Any) -> list[Any]:
    def field(given: Any) -> Any:
        ((kind, value),) = given["value"].items()
        found = raw(value) if kind == "string" else float(value) if kind == "float" else value
        return raw(given["key"]), TYPES[kind], found

    return [
        (
            raw(point["name"]),
            sorted((raw(tag["key"]), raw(tag["value"])) for tag in point["tags"] or []),
            [field(given) for given in point["fields"]],
            point["time"],
        )
        for point in result
    ]


def test_corpus(shared: Path) -> None:
    cases = json.loads((shared / "corpus" / "line-protocol" / "corpus.json").read_text())["decode"]
    assert len(cases) > 3000
    for case in cases:
        key, output = case["key"], case["output"]
        wanted = wanted_points(output["result"]) if "result" in output and key not in keys(REFUSED) else None
        found = points_or_none(raw(case["text"]), case["defaultTime"], PRECISIONS[case["precision"]])
        if key in keys(ACCEPTED):
            assert found is not None, key
        else:
            assert found == wanted, key


def points_or_none(text: bytes, default: int, precision: str) -> list[Any] | None:
    """(measurement, tags, fields, time) of each point; None when the text is refused."""
    try:
        points = parse(text, default, precision)
    except (UnparsableBody, ValueUnreadable):
        return None
    split = [(*split_key(key), fields, time) for key, fields, time in points]
    return [(name, sorted(tags), fields, time) for name, tags, fields, time in split]


def random_lines(seed: int, count: int) -> list[bytes]:
    """Lines that are nearly line protocol, without what the older server knows otherwise: unsigned values, reserved tags."""
    chance = random.Random(seed)
    pieces = [
        b"m", b"cpu", b",", b"=", b" ", b"\\", b'"', b"1", b"i", b"-", b".", b"e", b"t", b"true", b"\n", b"a", b"\t", b"\r", b"#",
        b"a=b", b"f=1", b"f=1i", b's="x"', b"12", b"\x00", b"+", b"N", b"E5", b"\xff",
    ]  # fmt: skip
    starts = [b"", b"", b"m,a=b ", b"m f=1,", b'm f="x" ']
    return [
        chance.choice(starts) + b"".join(chance.choice(pieces) for _ in range(chance.randint(1, 12)))
        for _ in range(count)
    ]


def ours(line: bytes) -> str:
    try:
        parse(line, 0)
    except (UnparsableBody, ValueUnreadable) as error:
        return re.sub("[\ud800-\udfff]", "\ufffd", str(error))
    return ""


def theirs(connection: http.client.HTTPConnection, line: bytes) -> str:
    connection.request("POST", "/write?db=test", body=line)
    text = connection.getresponse().read().decode("utf-8", "replace")
    message: str = json.loads(text)["error"] if text.strip() else ""
    if "field type conflict" in message:  # the line was taken; its type is another matter
        return ""
    return re.sub(r"^partial write: (.*) dropped=\d+$", r"\1", message, flags=re.DOTALL)


@pytest.mark.parametrize("seed", range(3))
def test_random_lines_are_refused_in_the_words_of_a_real_influxdb(influxd_1: InfluxDB1, seed: int) -> None:
    address = urlsplit(influxd_1.url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    for line in random_lines(seed, 700):
        if re.search(rb'\\="?$', line) or (b"\n" in line and b"=" in line):
            continue  # the first ends that server; of several lines it stores the good ones, and says less
        assert ours(line) == theirs(connection, line), line
    connection.close()

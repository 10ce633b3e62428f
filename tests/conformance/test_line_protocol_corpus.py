"""The corpus of line protocol that others wrote, through both cores.

Where the corpus, which holds to the strict grammar, and InfluxDB's own parser differ, InfluxDB is right: such cases are
listed in EXCEPTIONS by key, with what InfluxDB does.
"""

import base64
import importlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import FieldValue, LineOptions, Metric, Uint
from pyagent.lineprotocol import encoder, parser

CONTROL = "InfluxDB takes control characters in names and keys"
NOT_UTF8 = "InfluxDB takes bytes that are not UTF-8"
TAB = "InfluxDB skips TABs before a measurement, and lines of them"
CR = "a CR at the end of the data, without LF, is no line's end for Telegraf"
RESERVED = "InfluxDB 2 refuses the tag keys time, _field and _measurement"

EXCEPTIONS = {
    "0a651fa607ab9c86a994595138d4c05d": CONTROL,
    "25957c0a9f5e3a8c28124d338e73bad3": CONTROL,
    "26cfbed8d8851eef6a261d5686fd11fc": CONTROL,
    "42548a1a62e8be170084ee9a2f3aec8f": CONTROL,
    "6010fd1d0b989fe02361429f3c079838": CONTROL,
    "8777ed9a6ae7cc0589f981b52a4a539b": CONTROL,
    "8bd26fdf23d873407db6a623df684a08": CONTROL,
    "a1ff4186b3c89a88417e3ba268a03a14": CONTROL,
    "a2104143356bbe4f000c8d513d8f73e8": CONTROL,
    "a5ad697c142e6043f0891a33b762ec73": CONTROL,
    "a667a7c1a0587907bf12d6c3cc130fa8": CONTROL,
    "accdf87ee865054fa0c9d314ef8da7f4": CONTROL,
    "ad4649c6a5a66d243033a2c73bfd5331": CONTROL,
    "af080a2f1e45422663aa2dffabbd0a07": CONTROL,
    "c6ecafbf7b8b36c7f6aa38d6b7e59e75": CONTROL,
    "c836d66b89ccb98cf7220534f0d5581f": CONTROL,
    "ce6e11d399b922c1eb23bbbefd8d54d8": CONTROL,
    "cfd8fedc12a563d596f8c1a7c1627a1b": CONTROL,
    "2cad3ab7d1f6c69175256bd38427e41b": NOT_UTF8,
    "2df1f638db625653021bdd81d082aa7b": NOT_UTF8,
    "43020303d156ae3e021b05606aac1e4e": NOT_UTF8,
    "64c16c43d454d8dac6818c3d4e01d2b1": NOT_UTF8,
    "ca0fab37d66bfe0a70b01297141f179c": NOT_UTF8,
    "e2c746c7bfdf0bb33d4057f12eb0b665": NOT_UTF8,
    "2be024ca70163a7068b08f5e8ef57ffa": TAB,
    "a02aab4c616a523b89c419dc100e70fd": TAB,
    "c0ce359f018a4255f4152ca2bc156ca7": TAB,
    "2a6fa6f9c4bd199a093f88e94b542430": RESERVED,
    "4ab0e35c7e7840d2e7c5efd2f8f65535": RESERVED,
    "84b68fc423b301db6656472aeb593156": RESERVED,
    "ac1cb11cc76829023afa8085607c0560": RESERVED,
    "c69cb34805c867d499130dc64e5d888e": RESERVED,
    "eaf5b8e0c1e2eda765918fc7080502ab": RESERVED,
    "6006e92dfc98800852031e779c6dddd5": CR,
    "a022477f6e157f09c8197bc2813fcd1e": CR,
}

EXPONENT = "Telegraf writes floats without an exponent; the corpus writes very large and very small ones with it"
ENCODE_EXCEPTIONS = {
    "26b24144619c1f028514edc493b621b7": EXPONENT,
    "44632134110903ff168f33cd3bb16c81": EXPONENT,
    "47ea12c814d7e5acafff2ef1259cc5da": EXPONENT,
    "4882ad9b717ae1679813e09c3e9cae92": EXPONENT,
    "868a1af1e8e68f10445a132756f310e3": EXPONENT,
    "afabdf09cb1624d90f77dd69abe5353e": EXPONENT,
    "e14f0c73c92cec58f2e3161d4f04476c": EXPONENT,
    "e65b4c406489e9a95de68381fafa174d": EXPONENT,
    "eb0bfbdb28416a370bf68ebab9842ee3": EXPONENT,
}

PRECISIONS = {"1ns": "ns", "1µs": "us", "1ms": "ms", "1s": "s"}
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "line-protocol" / "corpus.json"


@pytest.fixture(params=["reference", "native"])
def core(request: pytest.FixtureRequest) -> Any:
    if request.param == "reference":
        return type("Reference", (), {"encode": staticmethod(encoder.encode), "parse": staticmethod(parser.parse)})
    try:
        return importlib.import_module("pyagent.lineprotocol.native")
    except ImportError as error:
        if os.environ.get("PYAGENT_REQUIRE_NATIVE") == "1":
            raise
        pytest.skip(f"the native core is not built ({error}); install the project where a C++ compiler is")


@cache
def corpus() -> dict[str, Any]:
    if not CORPUS.exists():
        pytest.skip("the corpus of line protocol is missing: there is no ../shared beside the project")
    return json.loads(CORPUS.read_text())  # type: ignore[no-any-return]


def text_bytes(text: str | dict[str, str]) -> bytes:
    return text.encode() if isinstance(text, str) else base64.b64decode(text["binary"])


def text(raw: str | dict[str, str]) -> str:
    return text_bytes(raw).decode("utf-8", "surrogateescape")


def value(given: dict[str, Any]) -> FieldValue:
    [(kind, raw)] = given.items()
    make: dict[str, Any] = {"float": float, "int": int, "uint": Uint, "bool": bool, "string": text}
    return make[kind](raw)  # type: ignore[no-any-return]


def metric(point: dict[str, Any]) -> Metric:
    tags = {text(tag["key"]): text(tag["value"]) for tag in point["tags"]}
    fields = {text(field["key"]): value(field["value"]) for field in point["fields"]}
    return Metric(text(point["name"]), tags, fields, point["time"])


def as_told(metrics: list[Metric]) -> list[str]:
    """With the types of the values, and tags in one order."""
    return [f"{m.name!r} {sorted(m.tags.items())!r} {m.fields!r} {m.time}" for m in metrics]


def test_decode(core: Any) -> None:
    """A text of the corpus with one bad line is an error as a whole; here its other lines are metrics all the same."""
    wrong, used = [], set()
    for case in corpus()["decode"]:
        parsed = core.parse(text_bytes(case["text"]), case["defaultTime"], PRECISIONS[case["precision"]])
        got = "error" if parsed.errors else as_told(parsed.metrics)
        wanted = (
            "error" if "error" in case["output"] else as_told([metric(point) for point in case["output"]["result"]])
        )
        if got == wanted:
            continue
        used.add(case["key"])
        if case["key"] not in EXCEPTIONS:
            wrong.append((case["key"], case["text"], wanted, got))
    assert wrong == []
    assert set(EXCEPTIONS) - used == set(), "no longer exceptions"


def test_encode(core: Any) -> None:
    wrong, used = [], set()
    for case in corpus()["encode"]:
        assert case["precision"] == "1ns"
        wanted = text_bytes(case["output"]["result"]) + b"\n"
        encoded = core.encode([metric(case["point"])], LineOptions(uint_support=True))
        if encoded.data == wanted:
            continue
        used.add(case["key"])
        if case["key"] not in ENCODE_EXCEPTIONS or core.parse(encoded.data, 0) != core.parse(wanted, 0):
            wrong.append((case["key"], wanted, encoded))
    assert wrong == []
    assert set(ENCODE_EXCEPTIONS) - used == set(), "no longer exceptions"

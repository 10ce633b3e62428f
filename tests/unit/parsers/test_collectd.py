"""The parser collectd: lists of values, types.db, and what is signed or encrypted."""

import hashlib
import logging
import os
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from collectd_packets import part, signed, text, values
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Metric, ParseError
from pyagent.testing import lines
from pyagent_plugins.parsers import collectd
from pyagent_plugins.parsers.collectd import Collectd, CollectdOptions

TIME = part(1, struct.pack(">Q", 1_700_000_000))
CPU = text(host="h", plugin="cpu", instance="0", type="cpu", type_instance="user") + TIME
OCTETS = text(host="h", plugin="if", type="if_octets") + TIME
LINE = "cpu_value,host=h,instance=0,type=cpu,type_instance=user value=42"


def parser(**options: Any) -> Collectd:
    made = Collectd(msgspec.convert(options, CollectdOptions), logging.getLogger("test"))
    made.now = lambda: 7
    return made


def read(packet: bytes, **options: Any) -> list[str]:
    return lines(parser(**options).parse(packet))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    types = "# of a test\ncpu value:DERIVE:0:U\nif_octets\trx:DERIVE:0:U, tx:COUNTER:0:U\nbad value:FOO:0:U\n\n"
    (tmp_path / "types.db").write_text(types)
    (tmp_path / "auth").write_text("# names\nu: secret\nv:x:y\nno colon\n")
    return {name: str(tmp_path / name) for name in ("types.db", "auth")}


def test_lists_of_values() -> None:
    assert read(CPU + values(42)) == [LINE]
    assert read(OCTETS + values(1, 2.5)) == [
        "if_0,host=h,type=if_octets value=1",
        "if_1,host=h,type=if_octets value=2.5",
    ]
    assert read(OCTETS + values(1, -2, derive=True), collectd_parse_multivalue="join") == [
        "if,host=h,type=if_octets 0=1,1=-2"
    ]
    assert read(CPU + values(float("nan"))) == read(CPU + values(), collectd_parse_multivalue="join") == []


def test_texts_and_times_hold_until_others_come() -> None:
    later = part(8, struct.pack(">Q", (1_700_000_001 << 30) + (1 << 29)))
    found = parser().parse(CPU + values(1) + later + text(type_instance="idle") + values(2) + part(0x100, b"?"))
    assert [(metric.tags["type_instance"], metric.time) for metric in found] == [
        ("user", 1_700_000_000_000_000_000),
        ("idle", 1_700_000_001_500_000_000),
    ]
    assert parser().parse(text(plugin="p") + values(1)) == [Metric("p_value", {}, {"value": 1.0}, 7)]


def test_types_name_the_values(files: dict[str, str]) -> None:
    options = {"collectd_typesdb": [files["types.db"]]}
    assert read(OCTETS + values(2**63 + 4096, 2.9), **options) == [
        "if_rx,host=h,type=if_octets value=-9223372036854772000",
        "if_tx,host=h,type=if_octets value=2",
    ]
    assert read(OCTETS + values(1), **options) == []
    assert read(text(plugin="p", type="bad") + values(1) + CPU + values(42), **options) == [LINE]


def test_a_file_of_types_that_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"cannot read '/no/types.db', which collectd_typesdb names: No such file"):
        parser(collectd_typesdb=["/no/types.db"])


def test_signed_packets(files: dict[str, str]) -> None:
    plain = CPU + values(42)
    auth = {"collectd_auth_file": files["auth"]}
    sign = auth | {"collectd_security_level": "sign"}
    assert read(signed(plain, "u", "secret"), **sign) == read(signed(plain, "v", "x:y"), **sign) == [LINE]
    assert read(signed(plain, "u", "secret"), **auth) == [LINE]
    assert read(plain, **sign) == []
    for packet, cause in (
        (signed(plain, "u", "wrong"), "its signature does not fit the password of its sender"),
        (signed(plain, "w", "secret"), "its sender 'w' is not in the collectd_auth_file"),
        (signed(signed(plain, "u", "secret"), "u", "secret"), "it is signed twice"),
        (part(0x200, b"x" * 32), "its signature is cut short"),
    ):
        with pytest.raises(ParseError, match=cause):
            read(packet, **sign)
    with pytest.raises(ParseError, match="the collectd_auth_file /no/file cannot be read: No such file"):
        read(signed(plain, "u", "secret"), collectd_auth_file="/no/file")


def test_passwords_are_read_again_when_their_file_changes(files: dict[str, str]) -> None:
    made = parser(collectd_auth_file=files["auth"])
    assert made.parse(signed(CPU + values(42), "u", "secret"))
    Path(files["auth"]).write_text("u: another secret\n")
    os.utime(files["auth"], ns=(1, 1))
    assert made.parse(signed(CPU + values(42), "u", "another secret"))


def encrypted(packet: bytes, password: str = "secret") -> bytes:
    start, key = bytes(range(16)), hashlib.sha256(password.encode()).digest()
    content = collectd._ofb(key, start, hashlib.sha1(packet, usedforsecurity=False).digest() + packet)
    return part(0x210, struct.pack(">H", 1) + b"u" + start + content)


def test_encrypted_packets(files: dict[str, str]) -> None:
    pytest.importorskip("cryptography", reason="the library cryptography (the extra collectd) is missing")
    options = {"collectd_auth_file": files["auth"], "collectd_security_level": "encrypt"}
    plain = CPU + values(42)
    assert read(encrypted(plain), **options) == [LINE]
    assert read(signed(plain, "u", "secret"), **options) == []
    assert read(encrypted(plain) + CPU + values(9), **options | {"collectd_security_level": "none"}) == [
        LINE,
        LINE.replace("=42", "=9"),
    ]
    for packet, cause in (
        (encrypted(plain, "wrong"), "it cannot be decrypted by the password of its sender"),
        (encrypted(encrypted(plain)), "it is encrypted twice"),
        (part(0x210, b"\xff\xff" + b"x" * 50), "its encrypted part is cut short"),
    ):
        with pytest.raises(ParseError, match=cause):
            read(packet, **options)


def test_the_cipher_is_the_one_of_the_standard() -> None:
    pytest.importorskip("cryptography", reason="the library cryptography (the extra collectd) is missing")
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    assert collectd._ofb(key, bytes(range(16)), plain).hex() == (
        "dc7e84bfda79164b7ecd8486985d38604febdc6740d20b3ac88f6ad82a4fb08d"
    )


def test_without_the_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives.ciphers", None)
    with pytest.raises(
        ParseError, match=r"it is encrypted, and the Python library 'cryptography' is missing; .*install"
    ):
        read(part(0x210, b"\0\1u" + b"x" * 60), collectd_auth_file=files["auth"])
    monkeypatch.setattr(collectd, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"cannot decrypt what collectd sends: .* is missing; ") as caught:
        parser(collectd_security_level="encrypt")
    assert caught.value.option == "collectd_security_level"


@pytest.mark.parametrize(
    ("packet", "cause"),
    [
        (b"\0\0\0", "the part at byte 0 is cut short"),
        (CPU + b"\0\2\0\4", "the part at byte 49 has the length 4"),
        (CPU[:-1], "the part at byte 37 has the length 12, and 11 bytes are left"),
        (part(2, b"abc"), "the text of its plugin has no end"),
        (part(1, b"abc"), "its time has not 8 bytes"),
        (part(9, b"abc"), "its time has not 8 bytes"),
        (part(1, b"\xff" * 8), "its time is out of range"),
        (part(6, b"\0\2" + b"x" * 9), "2 values do not fit"),
        (part(6, b"\0\1\7" + b"x" * 8), "there is no kind 7 of values"),
    ],
    ids=range(9),
)
def test_one_bad_part_costs_the_packet(packet: bytes, cause: str) -> None:
    with pytest.raises(ParseError, match=cause):
        read(packet)


@given(
    st.lists(st.builds(part, st.sampled_from([0, 1, 2, 5, 6, 8, 0x200, 0x210, 99]), st.binary(min_size=1, max_size=60)))
)
def test_any_parts_give_metrics_or_one_error(parts: list[bytes]) -> None:
    try:
        read(b"".join(parts), collectd_auth_file="/no/file")
    except ParseError:
        return

"""What a point may hold: refused where the mistake is made, and written with the type that is meant."""

import contextlib
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import LineOptions
from pyagent.client import Int, PointError, Uint
from pyagent.client.intake import Intake, Reference
from pyagent.client.points import field_codes, metric
from pyagent.client.times import EARLIEST, LATEST
from pyagent.lineprotocol import encode

NOW = 1_800_000_000_000_000_000


def line(fields: dict[Any, Any], tags: Any = None, name: Any = "m", schema: Any = None) -> str:
    """What becomes of a point, whichever way it takes: the quick one must give the same as the other."""
    codes = field_codes(schema)
    found = quick(name, fields, tags, codes)
    try:
        point, _ = metric(name, fields, tags, NOW, codes=codes)
    except PointError:
        assert found is None, f"the quick way takes {found}, the other refuses it"
        raise
    text = encode([point], LineOptions(uint_support=True)).data.decode()
    assert found in (None, text)
    return text.removesuffix(f" {NOW}\n")


def quick(name: Any, fields: Any, tags: Any, codes: Any) -> str | None:
    intake = Intake(Int, schemas=codes, unit=1, earliest=EARLIEST, latest=LATEST, ahead=2**62)
    intake.set_room(10, 100_000)
    count = intake.add(name, fields, tags, NOW)
    return intake.drain().data.decode() if count else None


class TestNumbers:
    @pytest.mark.parametrize("value", [0, 4, True, 2.5, Decimal("2.5"), 2**53, -(2**53), 1e300, -0.0])
    def test_a_number_is_a_float_unless_it_is_said_otherwise(self, value: Any) -> None:
        text = line({"f": value})
        assert not text.endswith(("i", "u"))

    def test_what_says_that_it_is_an_integer_is_one(self) -> None:
        assert line({"f": Int(4)}) == "m f=4i"
        assert line({"f": Uint(2**64 - 1)}) == "m f=18446744073709551615u"
        assert line({"f": 4}, schema={"f": int}) == "m f=4i"
        assert line({"f": 4.0}, schema={"f": int}) == "m f=4i"
        assert line({"f": 4}, schema={"f": Uint}) == "m f=4u"

    def test_a_declared_float_stays_one(self) -> None:
        for value in (0, Int(0), 0.0, Decimal(0), Uint(0)):
            assert line({"f": value}, schema={"f": float}) == "m f=0"

    def test_a_measurement_may_have_types_of_its_own(self) -> None:
        schema = {"f": float, "disk": {"f": int}}
        assert line({"f": 1}, schema=schema) == "m f=1"
        assert line({"f": 1}, name="disk", schema=schema) == "disk f=1i"

    @pytest.mark.parametrize(
        ("value", "kind"),
        [(2.5, int), (-1, Uint), ("5", float), (True, float), (1, bool), (1, str), (2**63, int), (2**53 + 1, float)],
    )
    def test_a_value_that_its_declared_type_does_not_hold_is_refused(self, value: Any, kind: Any) -> None:
        with pytest.raises(PointError, match="field 'f'"):
            line({"f": value}, schema={"f": kind})

    def test_digits_are_not_lost_unsaid(self) -> None:
        with pytest.raises(PointError, match=r"9007199254740993.*give Int\(9007199254740993\)"):
            line({"f": 2**53 + 1})
        assert line({"f": Int(2**53 + 1)}) == "m f=9007199254740993i"

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (2**70, "1180591620717411303424"),
            (-(2**70), "-1180591620717411303424"),
            (10**400, "about 1e400"),
            (-(10**6000), "about -1e6000"),
            (Int(2**63), "9223372036854775808"),
            (Int(10**5000), "about 1e5000"),
            (Uint(2**64), "18446744073709551616"),
        ],
        ids=["large", "small", "longer", "negative", "Int", "a long Int", "Uint"],
    )
    def test_a_number_that_nothing_holds_is_told_with_the_reason(self, value: int, shown: str) -> None:
        with pytest.raises(PointError, match=rf"'f' is {shown}, which no .* holds.*; give a float, which rounds it"):
            line({"f": value})

    @pytest.mark.parametrize("schema", [{"f": int}, {"f": float}, {"f": Uint}])
    def test_so_is_one_that_is_declared(self, schema: Any) -> None:
        with pytest.raises(PointError, match=r"about 1e5000"):
            line({"f": 10**5000}, schema=schema)

    def test_an_unsigned_number_is_advised_as_one(self) -> None:
        with pytest.raises(PointError, match=rf"give Uint\({2**63}\)"):
            line({"f": 2**63})

    @pytest.mark.parametrize(
        "value", [Decimal("1e400"), Decimal("-1e400"), Fraction(10**400)], ids=["large", "small", "fraction"]
    )
    def test_what_is_beyond_a_float_is_refused_and_not_left_out(self, value: Any) -> None:
        with pytest.raises(PointError, match=r"beyond what a float holds"):
            line({"f": value, "g": 1})

    def test_a_tag_that_cannot_be_printed(self) -> None:
        with pytest.raises(PointError, match="the tag 't' is about 1e5000"):
            line({"f": 1}, {"t": 10**5000})

    @pytest.mark.parametrize("text", ["x" * (2**20 + 1), "\u00e9" * (2**19 + 1), "\U0001f600" * (2**18 + 1)], ids=len)
    def test_a_text_that_influxdb_does_not_take(self, text: str) -> None:
        size = len(text.encode())
        with pytest.raises(PointError, match=f"'f' has {size} bytes of text; InfluxDB takes 1048576"):
            line({"f": text})
        with pytest.raises(PointError, match="bytes of text"):
            line({"f": text}, schema={"f": str})

    def test_the_longest_text(self) -> None:
        assert line({"f": '"' * 2**20}) == 'm f="' + '\\"' * 2**20 + '"'

    @pytest.mark.parametrize("value", [Int(2**63), Int(-(2**63) - 1), Uint(2**64), 2**64, Uint(-1)])
    def test_more_than_64_bits_are_refused(self, value: int) -> None:
        with pytest.raises(PointError):
            line({"f": value})

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, Decimal("NaN")])
    def test_no_value_leaves_its_field_out_and_alone_is_refused(self, value: Any) -> None:
        assert line({"f": value, "g": 1.0}) == "m g=1"
        with pytest.raises(PointError, match="no value: f is None or NaN"):
            line({"f": value})

    def test_a_schema_of_other_types_is_refused(self) -> None:
        with pytest.raises(TypeError, match="'f'"):
            field_codes({"f": list})  # type: ignore[dict-item]


def test_numbers_of_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    assert line({"f": numpy.float32(1.1)}) == "m f=1.1"
    assert line({"f": numpy.float64(2.5), "g": numpy.int64(4), "h": numpy.bool_(True)}) == "m f=2.5,g=4,h=true"
    assert line({"f": numpy.int64(4)}, {"t": numpy.int64(1)}, schema={"f": int}) == "m,t=1 f=4i"
    for value in (numpy.datetime64("2026-01-01"), numpy.timedelta64(1, "s"), numpy.array([1])):
        with pytest.raises(PointError, match="no field can hold"):
            line({"f": value})


class TestWhatVanishes:
    @pytest.mark.parametrize("name", ["#x", "", "a\nb", "a\\", "a\tb", None, 5, "a\0", "\ud800"])
    def test_measurements(self, name: Any) -> None:
        with pytest.raises(PointError):
            line({"f": 1.0}, name=name)

    @pytest.mark.parametrize("key", ["time", "_field", "_measurement", "", "a\\", "a\nb", 5, None, "\udc80"])
    def test_fields_and_tags_of_such_names(self, key: Any) -> None:
        with pytest.raises(PointError):
            line({key: 1.0})
        with pytest.raises(PointError):
            line({"f": 1.0}, {key: "v"})

    @pytest.mark.parametrize("value", ["C:\\", "a\nb", "a\rb", "a\tb", [1], {}, b"x", "\ud800", "x" * 66_000])
    def test_values_of_tags(self, value: Any) -> None:
        with pytest.raises(PointError):
            line({"f": 1.0}, {"t": value})

    @pytest.mark.parametrize("value", [[1], {}, b"x", object(), "\ud800", 1j])
    def test_values_of_fields(self, value: Any) -> None:
        with pytest.raises(PointError, match="'f'"):
            line({"f": value})

    @pytest.mark.parametrize("fields", [{}, None, [], "f=1"])
    def test_no_fields(self, fields: Any) -> None:
        with pytest.raises(PointError, match="field"):
            line(fields)

    def test_the_reason_names_the_point(self) -> None:
        with pytest.raises(PointError, match=r"cannot write 'm': the tag 'path' 'C:\\\\' ends in a backslash"):
            line({"f": 1.0}, {"path": "C:\\"})


def test_tags_are_text_and_what_is_missing_is_no_tag() -> None:
    assert line({"f": 1.0}, {"a": 1, "b": True, "c": None, "d": "", "e": 2.0, "f": 1.5}) == "m,a=1,b=true,e=2,f=1.5 f=1"


def test_text_and_its_signs_arrive_as_they_are() -> None:
    assert (
        line({"f": 'a "b" \\\nc'}, {"t": "a b,c=d ü"}, name="m n") == 'm\\ n,t=a\\ b\\,c\\=d\\ ü f="a \\"b\\" \\\\\nc"'
    )


@pytest.mark.parametrize("kind", [Intake, Reference])
class TestIntake:
    def made(self, kind: Any, points: int = 10, size: int = 10_000) -> Any:
        intake = kind(Int, schemas=None, unit=1, earliest=EARLIEST, latest=LATEST, ahead=0)
        intake.set_room(points, size)
        return intake

    def encoded(self, *names: str) -> Any:
        return encode([metric(name, {"f": 1.0}, None, NOW)[0] for name in names])

    def test_what_goes_in_comes_out_in_order(self, kind: Any) -> None:
        intake = self.made(kind)
        assert intake.append(self.encoded("a")) == 1
        assert intake.append(self.encoded("b", "c")) == 3
        drained = intake.drain()
        assert drained.data.split() == self.encoded("a", "b", "c").data.split()
        assert list(drained.ends) == [len(drained.data) // 3 * n for n in (1, 2, 3)]
        assert (len(intake), intake.size, drained.oldest) == (0, 0, NOW)
        assert intake.drain().count == 0

    def test_there_is_no_more_in_it_than_it_has_room_for(self, kind: Any) -> None:
        intake = self.made(kind, points=2)
        assert [intake.append(self.encoded("a")) for _ in range(3)] == [1, 2, -1]
        assert intake.add("a", {"f": 1.0}) == -1
        intake = self.made(kind, size=30)
        assert [intake.append(self.encoded("a")) for _ in range(2)] == [1, -1]
        assert self.made(kind, points=0).append(self.encoded("a")) == -1

    def test_an_empty_one_takes_any_number(self, kind: Any) -> None:
        assert self.made(kind, points=1).append(self.encoded("a", "b")) == 2


NAMES = st.one_of(st.text(max_size=12), st.sampled_from(["time", "_field", "a b,c=d", "ü\\", "\ud800", "x" * 2000]))
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**64), 2**65).map(Int),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=3),
)


@given(
    name=NAMES,
    fields=st.dictionaries(NAMES, VALUES, max_size=4),
    tags=st.none() | st.dictionaries(NAMES, st.text(max_size=12) | st.integers(0, 9) | st.none(), max_size=4),
    schema=st.none() | st.dictionaries(NAMES, st.sampled_from([float, int, bool, str, Uint]), max_size=4),
)
def test_the_quick_way_and_the_other_agree(name: Any, fields: Any, tags: Any, schema: Any) -> None:
    with contextlib.suppress(PointError):
        line(fields, tags, name, schema)


@given(lines=st.lists(st.lists(st.integers(0, 10**6), min_size=1, max_size=5), max_size=6))
def test_points_by_both_ways_keep_their_order(lines: Any) -> None:
    intake = Intake(Int, schemas=None, unit=1, earliest=EARLIEST, latest=LATEST, ahead=2**62)
    intake.set_room(1000, 100_000)
    numbers: list[int] = []
    for index, part in enumerate(lines):
        numbers += part
        if index % 2 or not intake.add("m", {"n": part[0]}, None, NOW):
            intake.append(encode([metric("m", {"n": number}, None, NOW)[0] for number in part]))
        elif part[1:]:
            intake.append(encode([metric("m", {"n": number}, None, NOW)[0] for number in part[1:]]))
    drained = intake.drain()
    assert [int(text.split()[1][2:]) for text in drained.data.decode().splitlines()] == numbers
    assert drained.count == len(numbers)
    assert not drained.count or drained.ends[-1] == len(drained.data)

"""Frames of pandas and polars: one type for each column, times that are times, and reasons with column and row."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from write_receiver import MakeWriter, Receiver

from pyagent.client import PointError
from pyagent.client.frames import rows_of

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NS0 = int(T0.timestamp()) * 10**9
MakeFrame = Callable[[dict[str, list[Any]]], Any]


@pytest.fixture(params=["pandas", "polars"])
def frame(request: pytest.FixtureRequest) -> MakeFrame:
    """Makes a frame of columns."""
    library = pytest.importorskip(request.param)
    if request.param == "polars":
        return lambda columns: library.DataFrame(columns, strict=False)
    return lambda columns: library.DataFrame(columns)


@pytest.fixture
def pandas() -> Any:
    return pytest.importorskip("pandas")


@pytest.fixture
def polars() -> Any:
    return pytest.importorskip("polars")


def rows(frame: Any, **options: Any) -> list[tuple[dict[str, Any], dict[str, Any], Any]]:
    given = {"tags": [], "time": "t", "fields": None, "timezone": None, "codes": {}}
    return [row[1:] for row in rows_of(frame, **(given | options))]


def fields(frame: Any, **options: Any) -> list[dict[str, Any]]:
    return [row[0] for row in rows(frame, **options)]


def times(count: int) -> list[datetime]:
    return [T0 + timedelta(seconds=n) for n in range(count)]


class TestBoth:
    def test_rows_arrive(self, frame: MakeFrame, make_writer: MakeWriter, receiver: Receiver) -> None:
        columns = {
            "t": times(2),
            "room": ["a b", None],
            "floor": [1, 2],
            "temp": [20.5, 21.0],
            "n": [1, 2],
            "on": [True, False],
        }
        writer = make_writer()
        assert writer.write_frame(frame(columns), "m", tags=["room", "floor"], time="t") == 2
        writer.flush()
        assert receiver.lines == [
            f"m,floor=1,room=a\\ b temp=20.5,n=1,on=true {NS0}",
            f"m,floor=2 temp=21,n=2,on=false {NS0 + 10**9}",
        ]

    def test_a_missing_or_infinite_value_leaves_its_field_out(self, frame: MakeFrame) -> None:
        made = frame({"t": times(4), "a": [1.0, math.nan, math.inf, None], "b": [1.0, 2.0, 3.0, 4.0]})
        assert fields(made) == [{"a": 1.0, "b": 1.0}, {"b": 2.0}, {"b": 3.0}, {"b": 4.0}]

    def test_a_column_with_a_gap_has_the_type_that_it_has_without(
        self, frame: MakeFrame, make_writer: MakeWriter, receiver: Receiver
    ) -> None:
        writer = make_writer(schema={"i": int})
        for column in ([1, 2], [1, None]):
            writer.write_frame(frame({"t": times(2), "f": column, "i": column}), "m", time="t")
        writer.flush()
        assert [line.split()[1] for line in receiver.lines] == ["f=1,i=1i", "f=2,i=2i", "f=1,i=1i"]
        assert writer.statistics.refused == 1  # the row without any value

    def test_a_decimal_is_a_number(self, frame: MakeFrame) -> None:
        assert fields(frame({"t": times(1), "a": [Decimal("1.5")]})) == [{"a": 1.5}]

    def test_a_row_without_a_time_is_passed_over(
        self, frame: MakeFrame, make_writer: MakeWriter, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        writer = make_writer()
        assert writer.write_frame(frame({"t": [T0, None, T0], "a": [1.0, 2.0, 3.0]}), "m", time="t") == 2
        writer.flush()
        assert len(receiver.lines) == 2
        assert "row 1: it has no time" in caplog.text
        assert writer.rejected[0].line == "row 1"

    @pytest.mark.parametrize(
        ("column", "reason"),
        [
            ([timedelta(1), timedelta(2)], "column 'a', row 0: .*[Tt]imedelta"),
            ([T0, T0], "column 'a', row 0"),
            ([[1], [2]], "column 'a', row 0"),
            ([2**63, 2**63 + 1], "column 'a', row 0: .*without loss"),
        ],
    )
    def test_what_no_field_can_hold_is_refused_with_column_and_row(
        self, column: list[Any], reason: str, frame: MakeFrame
    ) -> None:
        with pytest.raises(PointError, match=reason):
            rows(frame({"t": times(2), "a": column}))

    def test_times_without_a_zone_need_one(self, frame: MakeFrame) -> None:
        naive = frame({"t": [datetime(2026, 7, 1, 12)], "a": [1.0]})
        with pytest.raises(PointError, match='have no zone; give timezone="UTC"'):
            rows(naive)
        utc = int(datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()) * 10**9
        assert rows(naive, timezone="UTC")[0][2] == utc
        assert rows(naive, timezone="Europe/Berlin")[0][2] == utc - 2 * 3600 * 10**9
        assert rows(naive, timezone="local")[0][2] == int(datetime(2026, 7, 1, 12).timestamp()) * 10**9
        with pytest.raises(PointError, match="no time zone 'Nowhere'"):
            rows(naive, timezone="Nowhere")

    def test_a_date_is_its_midnight(self, frame: MakeFrame) -> None:
        made = frame({"t": [date(2026, 1, 1)], "a": [1.0]})
        assert rows(made, timezone="UTC")[0][2] == NS0

    def test_text_is_no_time(self, frame: MakeFrame) -> None:
        with pytest.raises(PointError, match="holds text"):
            rows(frame({"t": ["2026-01-01"], "a": [1.0]}), timezone="UTC")

    def test_whole_numbers_are_of_the_unit_of_the_writer(
        self, frame: MakeFrame, make_writer: MakeWriter, receiver: Receiver
    ) -> None:
        made = frame({"t": [1_800_000_000, 1_800_000_001], "a": [1.0, 2.0]})
        with pytest.raises(PointError, match=r"1970-01-01.* as nanoseconds"):
            make_writer().write_frame(made, "m", time="t")
        writer = make_writer(precision="s")
        assert writer.write_frame(made, "m", time="t") == 2

    def test_a_column_that_is_not_there_is_named(self, frame: MakeFrame) -> None:
        made = frame({"t": times(1), "a": [1.0]})
        for options in ({"tags": ["x"]}, {"fields": ["x"]}, {"time": "x"}):
            with pytest.raises(PointError, match="no column 'x'"):
                rows(made, **options)
        with pytest.raises(PointError, match="no column for a field"):
            rows(made, tags=["a"])


class TestPandas:
    def test_the_index_is_the_time(self, pandas: Any) -> None:
        index = pandas.date_range(T0, periods=2, freq="s")
        assert [row[2] for row in rows(pandas.DataFrame({"a": [1.0, 2.0]}, index=index), time=None)] == [
            NS0,
            NS0 + 10**9,
        ]

    def test_nanoseconds_are_kept(self, pandas: Any) -> None:
        index = pandas.DatetimeIndex([pandas.Timestamp(NS0 + 1, tz="Asia/Kolkata")])
        assert rows(pandas.DataFrame({"a": [1.0]}, index=index), time=None)[0][2] == NS0 + 1

    def test_an_index_of_numbers_is_no_time(self, pandas: Any) -> None:
        with pytest.raises(PointError, match="its index is a RangeIndex and no time"):
            rows(pandas.DataFrame({"a": [1.0]}), time=None)

    @pytest.mark.parametrize("dtype", ["Int64", "boolean", "string", "Float64", "category"])
    def test_its_own_types_with_gaps(self, dtype: str, pandas: Any) -> None:
        value = {"Int64": 1, "boolean": True, "string": "x", "Float64": 1.5, "category": "x"}[dtype]
        made = pandas.DataFrame({"t": times(2), "a": pandas.Series([value, None], dtype=dtype), "b": [1.0, 2.0]})
        assert fields(made) == [{"a": value, "b": 1.0}, {"b": 2.0}]

    def test_a_column_of_several_types_is_refused(self, pandas: Any) -> None:
        with pytest.raises(
            PointError, match=r"column 'a' has more than one type: a number in row 0, a str \('x'\) in row 1"
        ):
            rows(pandas.DataFrame({"t": times(3), "a": [1, "x", 2.5]}))

    def test_a_short_float_is_written_short(self, pandas: Any) -> None:
        made = pandas.DataFrame({"t": times(2), "a": pandas.Series([1.1, None], dtype="float32"), "b": [1.0, 1.0]})
        assert fields(made) == [{"a": 1.1, "b": 1.0}, {"b": 1.0}]

    def test_names_of_columns_may_be_numbers(self, pandas: Any) -> None:
        made = pandas.DataFrame({"t": times(1), 1: [1.0], "x": [2.0]})
        assert fields(made) == [{"1": 1.0, "x": 2.0}]
        with pytest.raises(PointError, match="two columns are called '1'"):
            rows(pandas.DataFrame([[T0, 1.0, 2.0]], columns=["t", 1, "1"]))

    def test_a_tag_of_whole_numbers_with_a_gap(self, pandas: Any, make_writer: MakeWriter, receiver: Receiver) -> None:
        writer = make_writer()
        writer.write_frame(
            pandas.DataFrame({"t": times(2), "id": [1, None], "a": [1.0, 2.0]}), "m", tags=["id"], time="t"
        )
        writer.flush()
        assert [line.split()[0] for line in receiver.lines] == ["m,id=1", "m"]

    def test_an_hour_that_is_not_there(self, pandas: Any) -> None:
        made = pandas.DataFrame({"t": [datetime(2026, 3, 29, 2, 30)], "a": [1.0]})
        with pytest.raises(PointError, match="Europe/Berlin has not"):
            rows(made, timezone="Europe/Berlin")


class TestPolars:
    def test_the_time_must_be_named(self, polars: Any) -> None:
        with pytest.raises(PointError, match="name the column of the time"):
            rows(polars.DataFrame({"a": [1.0]}), time=None)

    def test_a_lazy_frame_must_be_collected(self, polars: Any) -> None:
        with pytest.raises(PointError, match="collect"):
            rows(polars.LazyFrame({"a": [1.0]}))

    def test_nanoseconds_are_kept(self, polars: Any) -> None:
        column = polars.Series("t", [NS0 + 1]).cast(polars.Datetime("ns", "UTC"))
        assert rows(polars.DataFrame({"t": column, "a": [1.0]}))[0][2] == NS0 + 1

    def test_a_short_float_is_written_short(self, polars: Any) -> None:
        column = polars.Series("a", [1.1, 16777217.0, 1e-30], dtype=polars.Float32)
        assert [row["a"] for row in fields(polars.DataFrame({"t": times(3), "a": column}))] == [1.1, 16777216.0, 1e-30]


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(PointError, match="cannot write a dict: it is no frame"):
        rows({"a": [1]})

"""Pages of Prometheus' text format: what the reference makes of them, and that the native reader makes the same."""

import math
import os
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyagent.api.errors import ParseError
from pyagent.api.metric import Metric, MetricType
from pyagent.kit import exposition
from pyagent.kit.exposition import MetricVersion, go_float, reference

NOW = 1_700_000_000_123_456_789
many = settings(max_examples=2 * settings.default.max_examples)

Native = Callable[[bytes, int, int, bool, dict[str, str]], list[Metric] | None]


@pytest.fixture(scope="session")
def native() -> Native:
    try:
        from pyagent.kit.native import read_exposition
    except ImportError as error:
        reason = f"the native reader is not built ({error}); install the project where a C++ compiler is"
        if os.environ.get("PYAGENT_REQUIRE_NATIVE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return read_exposition


names = st.sampled_from(
    ["a", "a:b", "lat", "lat_bucket", "lat_sum", "lat_count", "_x9", "sz", "sz_count", "sz_sum", "é", "9", ""]
)
blanks = st.sampled_from(["", "", "", " ", "\t", "  "])
keys = st.sampled_from(["le", "quantile", "code", "le", "x", "__name__", "9", "d:e", '"x"', ""])
label_values = st.sampled_from(
    ["", "1", "0.1", "+Inf", "1e6", "NaN", "ü\U0001f600", r"a\"b", r"\\", r"\n", r"\t", "\udc80", "x y,z}", "nan"]
)
values = st.one_of(
    st.sampled_from(
        ["1", "-2.5", "1e400", "1e-400", "NaN", "-Inf", "+inf", "Infinity", "+nan", "0x1p3", "1_0", "", "4.", ".5"]
    ),
    st.floats().map(repr),
    st.integers(-(10**22), 10**22).map(str),
    st.from_regex(r"\A[-+]?[0-9]{0,20}[.]?[0-9]{0,20}([eE][-+]?[0-9]{1,3})?\Z"),
)
times = st.sampled_from(
    ["", "", "", " 1700000000000", " -5", " 0", " 1 ", " x", " +7", " 9300000000000", " 99999999999999999999"]
)
labels = st.lists(st.builds('{1}{0}={1}"{2}"{1}'.format, keys, blanks, label_values), max_size=3).map(",".join)
in_braces = st.one_of(
    st.just(""),
    labels.map("{{{}}}".format),
    labels.map("{{{},}}".format),
    st.sampled_from(["{", "{,}", "{}", '{"a"}', '{"a",x="1"}']),
)
samples = st.builds("{0}{1}{0}{2}{3} {4}{5}".format, blanks, names, in_braces, blanks, values, times)
kinds = st.sampled_from(
    ["counter", "GAUGE", "summary", "histogram", "untyped", "gaugehistogram", "odd", "gau\\ge", "counter ", ""]
)
comments = st.one_of(
    st.builds("{0}#{0}TYPE {1} {2}".format, blanks, names, kinds),
    st.builds("# HELP {} {}".format, names, st.sampled_from(["", "text", r"a\\b\n", r"a\b", "ü"])),
    st.sampled_from(["#", "# EOF", "# TYPE", "# HELP", "# TYPE  ", "#TYPE a gauge", "# TYPE a", '# TYPE "a" gauge']),
)
usual = st.builds(
    "# TYPE {0} {1}\n{2}".format,
    st.sampled_from(["lat", "sz", "a"]),
    st.sampled_from(["summary", "histogram", "gauge", "counter"]),
    st.lists(
        st.builds(
            "{0}{1} {2}".format,
            names.filter(str.isascii),
            labels.map("{{{}}}".format),
            st.sampled_from(["1", "2.5", "NaN", "-1"]),
        ),
        max_size=4,
    ).map("\n".join),
)
pages = st.lists(st.one_of(samples, comments, usual, blanks), max_size=8).map(
    lambda lines: "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
)


@many
@given(
    pages | st.binary(max_size=60), st.sampled_from([1, 2]), st.booleans(), st.sampled_from([{}, {"le": "t", "x": "t"}])
)
@example(b"a 1\n", 2, False, {})
@example(b'# TYPE h histogram\nh_count 4.5\nh_bucket{le="1"} 2.5\n', 1, False, {})
@example(b'# TYPE s summary\ns{quantile="0.5"} NaN\ns_count -1.5\n', 1, False, {})
def test_the_native_reader_agrees(
    native: Native, page: bytes, version: MetricVersion, ignore: bool, tags: dict[str, str]
) -> None:
    got = native(page, version, NOW, ignore, tags)
    try:
        wanted = reference(page, version, NOW, ignore, tags)
    except ParseError:
        assert got is None
        return
    if got is not None:
        assert repr(got) == repr(wanted)


def test_the_native_reader_reads_the_usual_page_itself(native: Native) -> None:
    page = (
        b"# HELP jobs Finished jobs\n# TYPE jobs counter\n"
        b'jobs{queue="a",q="x\\"y\\\\z\\n"} 3 1700000000000\njobs{ queue = "\xc3\xbc" , } 4.5\n'
        b'\n# a comment\n# TYPE temp gauge\ntemp -1.5e-3\ntemp{x=""} NaN\ntemp{x="1"} +Inf\n'
        b'# TYPE lat histogram\nlat_bucket{le="0.1"} 1\nlat_bucket{le="1e+06"} 3\nlat_sum 2.5\nlat_count 3\n'
        b'# TYPE sz summary\nsz{quantile="0.5"} 10\nsz_sum 30\nsz_count 2\nplain 7\n'
    )
    for version in (1, 2):
        got = native(page, version, NOW, False, {"host": "h"})
        assert got is not None
        assert repr(got) == repr(reference(page, version, NOW, False, {"host": "h"}))
    assert native(b'"a" 1\n', 2, NOW, False, {}) is None


@given(st.floats() | st.integers(-(10**25), 10**25).map(float))
@example(1e6)
@example(999999.0)
@example(0.0001)
@example(0.00001)
@example(-0.0)
@settings(max_examples=2 * settings.default.max_examples)
def test_the_native_reader_writes_numbers(native: Native, number: float) -> None:
    text = go_float(number)
    assert math.isnan(number) or float(text) == number
    page = f'# TYPE h histogram\nh_bucket{{le="{number!r}"}} 1\n'.encode()
    got = native(page, 2, NOW, False, {})
    assert got is not None
    assert math.isnan(number) or got[1].tags == {"le": text}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.5, "0.5"), (125000.0, "125000"), (1e6, "1e+06"), (1234567.0, "1.234567e+06"), (0.0001, "0.0001"), (1e-5, "1e-05"),
        (math.inf, "+Inf"), (5e-324, "5e-324"), (1e100, "1e+100"), (100.25, "100.25"), (0.0, "0"), (-2.5, "-2.5"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_by_go(number: float, text: str) -> None:
    assert go_float(number) == text


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b'a{b="c} 1\n', "line 1: the value of the label 'b' is not in quotes, or the second one is missing"),
        (b"a 1\na 1", "line 2: the line has no end: the page broke off, or its last line feed is missing"),
        (b"this is no page\n", "line 1: the value must be a number, not 'is'"),
        (b"a 1 \n", "line 1: the time must be a whole number of milliseconds at the line's end, not ''"),
        (b"a 1\r\n", r"line 1: the value must be a number, not '1\r'"),
        (b"# TYPE a gauge\na 1\n# TYPE a gauge\n", "line 3: a second TYPE for 'a', or one after its samples"),
        (b"# HELP a x\n# HELP a x\n", "line 2: a second HELP for 'a'"),
        (b"# TYPE a oddity\n", "line 1: unknown type of metric 'oddity'"),
        (b'a{b="1",b="2"} 1\n', "line 1: the label 'b' stands twice"),
        (b'a{b="\xff"} 1\n', "line 1: the value of the label 'b' is not UTF-8"),
        (b'a{b="\\x"} 1\n', r"line 1: only \\, \n and \" are escapes: '\\x'"),
        (b'a{__name__="b"} 1\n', "line 1: a label cannot have the name '__name__'"),
        (b'{a="b"} 1\n', "line 1: there is no name before the labels or among them"),
        (b"a 1e400\n", "line 1: the value must be a number, not '1e400'"),
        (b"# TYPE h histogram\nh_count -1\n", "line 2: a count of the histogram 'h' is negative"),
        (b'# TYPE h histogram\nh_bucket{le="x"} 1\n', "line 2: the label 'le' must be a number, not 'x'"),
        (b"<html>\n", "line 1: a metric's name cannot begin like '<html>'"),
        (
            b'a{b="' + b"x" * 500 + b"\n",
            "line 1: the value of the label 'b' is not in quotes, or the second one is missing",
        ),
    ],
)
def test_faults_of_a_page(page: bytes, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        exposition.read(page, 2, NOW)
    assert str(caught.value) == message


def test_a_name_in_quotes_may_stand_among_the_labels() -> None:
    wanted = [Metric("prometheus", {"b": "c"}, {"a": 1.0}, NOW)]
    assert reference(b'{"a",b="c"} 1\n', 2, NOW) == wanted
    assert reference(b'"a"{"b"="c"} 1\n', 2, NOW) == wanted


def test_kinds_go_with_the_metrics() -> None:
    page = b"# TYPE c counter\nc 1\n# TYPE g gauge\ng 1\n# TYPE s summary\ns_sum 1\n# TYPE h histogram\nh_sum 1\nu 1\n"
    found = [metric.kind for metric in exposition.read(page, 1, NOW)]
    assert found == [MetricType.COUNTER, MetricType.GAUGE, MetricType.SUMMARY, MetricType.HISTOGRAM, MetricType.UNTYPED]


def test_times() -> None:
    page = b"a 1 1700000000123\nb 1 -5\nc 1 0\n# TYPE s summary\ns_sum 1 5\ns_count 1\n"
    assert [metric.time for metric in exposition.read(page, 2, NOW)] == [1_700_000_000_123_000_000, NOW, NOW, 5_000_000]
    assert [metric.time for metric in exposition.read(page, 2, NOW, True)] == [NOW] * 4

"""The input statsd: lines by the fast way and the long one, running statistics, and what is kept between gathers."""

import asyncio
import math
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyagent.api import ConfigError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import lines, make_input
from pyagent_plugins.inputs.statsd import Statsd
from pyagent_plugins.inputs.statsd.series import Timing

PEER = ("::ffff:192.0.2.7", 5, 0, 0)


async def gathered(plugin: Any) -> list[str]:
    acc = InputAccumulator(Statsd.measurements)
    await plugin.gather(acc)
    return sorted(lines(acc.drain()))


async def read(text: str, **options: Any) -> list[str]:
    plugin = make_input(Statsd, options)
    plugin._take(text.encode("utf-8", "surrogateescape"), PEER)
    return await gathered(plugin)


names = st.sampled_from(["a", "a.b", "b,x=1", "c,x=1,y=2", "", "a b"])
values = st.sampled_from(
    ["1", "2", "-1", "+3", "1.5", "x", "", "99999999999999999999", "1e3", "1:2", "007", "-0.5", "é"]
)
kinds = st.sampled_from(["c", "g", "s", "ms", "h", "d", "q", "c:4|g"])
ends = st.sampled_from(["", "", "", "|@0.1", "|@0.5", "|@2", "|@x", "|#t:1,u", "|#u,t:1", "|c:id", "|@0.1|#t:1", "\r"])
any_lines = st.lists(
    st.builds("{}:{}|{}{}".format, names, values, kinds, ends)
    | st.sampled_from(["", "x", "|", ":", "#a:1|c", "_e{1,1}:t|x"]),
    max_size=25,
)


@settings(max_examples=2 * settings.default.max_examples)
@given(any_lines, st.booleans(), st.integers(1, 30))
@example(["temp:1|g", "temp:+2|g", "temp:1|g:2|g", "temp:+1|g"], False, 1)
@example(["g:1|g|#t:1,u", "g:2|g|#u,t:1", "g:3|g|#t:1,u"], True, 30)
@example(["t:1|ms|@0.5", "t:1|ms|@0.5", "t:x|ms|@0.5"], False, 3)
@example(["c:1|c|@0.1", "c:1.5|c|@0.1", "c:1|c|@0.1"], False, 3)
def test_the_fast_way_gives_the_same(given_lines: list[str], datadog: bool, size: int) -> None:
    options = {"datadog_extensions": datadog, "datadog_distributions": True, "percentiles": [50.0]}
    fast, slow = make_input(Statsd, options), make_input(Statsd, options)
    for plugin in (fast, slow):
        plugin._complain = lambda *_: None
        plugin._store._complain = lambda *_: None
    slow._store._learn = lambda *_: None
    for start in range(0, len(given_lines), size):
        block = "\n".join(given_lines[start : start + size]).encode()
        fast._take(block, PEER)
        slow._take(block, PEER)
    got, wanted = InputAccumulator(Statsd.measurements), InputAccumulator(Statsd.measurements)
    for plugin, acc in ((fast, got), (slow, wanted)):
        asyncio.run(plugin.gather(acc))

    def shown(acc: InputAccumulator) -> list[tuple[Any, ...]]:
        return sorted(
            (one.name, sorted(one.tags.items()), sorted((key, _rounded(value)) for key, value in one.fields.items()))
            for one in acc.drain()
        )

    assert shown(got) == shown(wanted)


def _rounded(value: Any) -> Any:
    """Sums of timings depend on the order, in which different rates are not kept."""
    return round(value, 6) if isinstance(value, float) else value


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.integers(1, 7))
@settings(max_examples=2 * settings.default.max_examples)
def test_statistics(numbers: list[float], size: int) -> None:
    timing = Timing(1000)
    for start in range(0, len(numbers), size):
        timing.add(numbers[start : start + size])
    first = numbers[0]
    total = ex = ex2 = 0.0
    for number in numbers:  # as Telegraf does it
        total += number
        ex += number - first
        ex2 += (number - first) * (number - first)
    count = len(numbers)
    variance = (ex2 - ex * ex / count) / count
    ordered = sorted(numbers)
    middle = ordered[count // 2] if count % 2 else (ordered[count // 2 - 1] + ordered[count // 2]) / 2
    assert timing.fields([("half", 50.0), ("all", 200.0), ("none", 0.0)]) == {
        "mean": first + ex / count,
        "median": middle,
        "stddev": math.sqrt(variance) if variance > 0 else 0.0,
        "sum": total,
        "upper": max(numbers),
        "lower": min(numbers),
        "half": ordered[min(count // 2, count - 1)],
        "all": ordered[-1],
        "none": ordered[0],
    }


def test_percentiles_keep_as_many_values_as_they_may() -> None:
    timing = Timing(5)
    timing.add([float(number) for number in range(3000)])
    assert len(timing._kept) == 5
    assert timing.fields([])["median"] == 2499.5, "of the last thousand"
    timing.add([1.0])
    assert timing.count == 3001


async def test_what_is_kept() -> None:
    keep = {"delete_counters": False, "delete_gauges": False, "delete_sets": False, "delete_timings": False}
    text = b"c:1|c\ng:2|g\ns:x|s\nt:5|ms\n"
    kept, forgetful = make_input(Statsd, keep), make_input(Statsd)
    for plugin in (kept, forgetful):
        plugin._take(text, None)
        assert len(await gathered(plugin)) == 4
    assert len(await gathered(kept)) == 4
    assert await gathered(forgetful) == []
    for plugin in (kept, forgetful):
        plugin._take(b"c:1|c\ng:+1|g\ns:y|s\nt:7|ms", None)
    assert (await gathered(kept))[:3] == [
        "c,metric_type=counter value=2i",
        "g,metric_type=gauge value=3",
        "s,metric_type=set value=2i",
    ]
    assert (await gathered(forgetful))[:3] == [
        "c,metric_type=counter value=1i",
        "g,metric_type=gauge value=1",
        "s,metric_type=set value=1i",
    ]


async def test_what_was_not_updated_for_long_is_forgotten() -> None:
    now = [1000.0]
    plugin = make_input(Statsd, {"delete_gauges": False, "max_ttl": "10s"})
    plugin._store._clock = lambda: now[0]
    plugin._take(b"a:1|g\nb:1|g", None)
    assert len(await gathered(plugin)) == 2
    now[0] += 8
    plugin._take(b"a:2|g", None)
    assert len(await gathered(plugin)) == 2
    now[0] += 8
    assert len(await gathered(plugin)) == 2, "a last time"
    assert await gathered(plugin) == ["a,metric_type=gauge value=2"]
    plugin._take(b"b:3|g", None)
    assert "b,metric_type=gauge value=3" in await gathered(plugin)


async def test_options_of_values() -> None:
    text = "a.b-c:5|c\nt:5|ms\ns:x|s"
    floats = {"float_counters": True, "float_timings": True, "float_sets": True, "convert_names": True}
    assert await read(text, **floats) == [
        "a_b__c,metric_type=counter value=5",
        "s,metric_type=set value=1",
        "t,metric_type=timing count=1,lower=5,mean=5,median=5,stddev=0,sum=5,upper=5",
    ]
    assert await read("a b/c%d:1|c", sanitize_name_method="upstream") == ["a_b-cd,metric_type=counter value=1i"]
    assert await read("a.b:1|c", metric_separator="-") == ["a-b,metric_type=counter value=1i"]
    [line] = await read("a:1|c", enable_aggregation_temporality=True)
    assert line.startswith("a,metric_type=counter,temporality=delta start_time=")


async def test_two_fields_of_one_measurement() -> None:
    templates = ["measurement.field"]
    assert await read("api.get:5|ms\napi.put:7|ms", templates=templates) == [
        "api,metric_type=timing get_count=1i,get_lower=5,get_mean=5,get_median=5,get_stddev=0,get_sum=5,get_upper=5,"
        "put_count=1i,put_lower=7,put_mean=7,put_median=7,put_stddev=0,put_sum=7,put_upper=7"
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a:1|c|#x:y:z,flag,,empty:", "a,empty=true,flag=true,metric_type=counter,x=y:z value=1i"),
        ("a:1|c|c:ci-1|#x:1", "a,container=ci-1,metric_type=counter,x=1 value=1i"),
        ("_e{2,3}:ti|te\\n", 'ti,source=192.0.2.7 alert_type="info",priority="normal",text="te\\\\"'),
        ("_e{2,1}:\u00e9|x|h:web|#host:db", '\u00e9,source=db alert_type="info",priority="normal",text="x"'),
        (
            "_sc|n|3|m:a\\nb",
            'statsd_service_check,check_name=n,source=192.0.2.7 message="a\nb",status=3i,status_text="unknown"',
        ),
    ],
)
async def test_datadog(text: str, wanted: str) -> None:
    assert await read(text, datadog_extensions=True, datadog_keep_container_tag=True) == [wanted]


@pytest.mark.parametrize(
    "text",
    [
        "_e", "_e{", "_e{1,1}", "_e{1,1}:", "_e{9,9}:a|b", "_e{1,0}:a|", "_e{x,1}:a|b", "_e{99999999999,1}:a|b", "_e{1,1}:a|b|z",
        "_e{1,1}:a|b|z:1", "_e{-1,1}:a|b", "_sc|", "_sc|a", "_sc|a|", "_sc|a|4", "_sc|a|-1", "_sc|a|x", "_sc||1",
    ],
)  # fmt: skip
async def test_bad_events(text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert await read(text, datadog_extensions=True) == []
    assert len(caplog.records) == 1
    assert f"cannot read the line {text[:80]!r}" in caplog.text


async def test_what_is_sent_has_bounds(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name, most in (("SERIES", 3), ("MEMBERS", 2), ("DISTRIBUTIONS", 1), ("WAYS", 2)):
        monkeypatch.setattr(f"pyagent_plugins.inputs.statsd.store._MOST_{name}", most)
    plugin = make_input(Statsd, {"datadog_extensions": True, "datadog_distributions": True})
    for _ in range(2):
        plugin._take("".join(f"c{number}:1|c\ns:{number}|s\nd:1|d\n" for number in range(6)).encode(), None)
    assert len(plugin._store._put_value) > 2
    found = await gathered(plugin)
    assert sum("counter" in line for line in found) == 3
    assert [line for line in found if "=set" in line] == ["s,metric_type=set value=2i"]
    assert sum("distribution" in line for line in found) == 1
    assert plugin._store._put_value == {}, "it begins anew"
    assert "there are 3 series of its kind" in caplog.text
    assert "a set has 2 members" in caplog.text


@pytest.mark.parametrize("protocol", ["udp", "udp4", "unixgram"])
async def test_datagrams_that_have_come_are_in_the_gather(protocol: str, tmp_path: Path) -> None:
    place = str(tmp_path / "s") if protocol == "unixgram" else "127.0.0.1:0"
    plugin = make_input(Statsd, {"protocol": protocol, "service_address": place})
    await plugin.start(InputAccumulator(Statsd.measurements))
    with socket.socket(socket.AF_UNIX if protocol == "unixgram" else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(place if protocol == "unixgram" else ("127.0.0.1", plugin._server.port))
        for _ in range(5):
            client.send(b"hits:1|c\nhits:2|c")
    assert await gathered(plugin) == ["hits,metric_type=counter value=15i"]
    await plugin.stop()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"service_address": "nowhere"}, "cannot listen on 'udp://nowhere': it is no address"),
        ({"service_address": ""}, "cannot listen on nothing"),
        ({"protocol": "sctp"}, "cannot be 'sctp'"),
        ({"templates": ["host"]}, "it has no word `measurement`"),
        ({"sanitize_name_method": "all"}, "cannot be 'all'"),
        ({"max_tcp_connections": -1}, "max_tcp_connections"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_input(Statsd, options)
    assert message in str(caught.value)


async def test_the_old_name_of_an_option_may_stand_beside_the_new_one() -> None:
    both = {"parse_data_dog_tags": True, "datadog_extensions": False}
    assert await read("a:1|c|#x:1", **both) == ["a,metric_type=counter,x=1 value=1i"]

"""The input datadog_check, with checks on Datadog's own base: what they give is what its stub of the Agent records."""

import logging
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from datadog_stub import by_field, expected, recorded
from waiting import wait_until

from pyagent.api import ConfigError, Metric, PyagentError
from pyagent.config import SourceText, load_plan
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent_plugins.inputs.datadog_check import DatadogCheck
from pyagent_plugins.inputs.datadog_check.aggregates import (
    COUNT,
    COUNTER,
    GAUGE,
    HISTOGRAM,
    HISTORATE,
    MONOTONIC_COUNT,
    RATE,
    Aggregates,
)
from pyagent_plugins.inputs.datadog_check.events import EventTimes
from pyagent_plugins.inputs.datadog_check.guest import place, tags_of

VALUES = """
import time
from datadog_checks.base import AgentCheck

class Values(AgentCheck):
    __NAMESPACE__ = "shop"

    def __init__(self, name, init_config, instances):
        super().__init__(name, init_config, instances)
        self.runs = 0

    def check(self, instance):
        self.runs += 1
        tags = ["shelf:top", "open"] + self.instance.get("more", [])
        self.gauge("till.amount", 1)
        self.gauge("till.amount", 12.5, tags=tags)
        self.gauge("alone", 7, raw=True)
        self.count("sold.items", 3, tags=tags)
        self.count("sold.items", 4, tags=tags)
        for value in (9, 1, 5, 3):
            self.histogram("wait.seconds", value, tags=tags)
        self.monotonic_count("seen.total", 100 * self.runs, tags=tags)
        self.monotonic_count("fresh.total", 5, tags=tags, flush_first_value=True)
        for _ in range(3):
            self.increment("steps.up", 2, tags=tags)
        self.decrement("steps.up", tags=tags)
        self.gauge("clock.before", time.monotonic(), tags=tags)
        self.rate("turns.speed", 50 * self.runs, tags=tags)
        self.gauge("clock.after", time.monotonic(), tags=tags)
        for value in (1, 5, 25):
            self.historate("turns.each", value, tags=tags)
        for upper, value in ((1.0, 3), (float("inf"), 4)):
            self.submit_histogram_bucket("sizes", self.runs * value, 0.5, upper, True, "", tags)
            self.submit_histogram_bucket("fresh", self.runs * value, 0.5, upper, False, "", tags)
        self.gauge("far.away", 1, hostname="other")
        self.service_check("open", self.WARNING, tags=tags, message="soon")
        self.event({"timestamp": 1, "event_type": "sale", "msg_title": "Sale", "msg_text": "all", "alert_type": "info"})
        self.set_metadata("version", "2.1.0")
"""
FAILS = """
from datadog_checks.base import AgentCheck

class Fails(AgentCheck):
    def check(self, instance):
        self.gauge("before.failure", 1)
        if self.instance.get("fail", True):
            raise KeyError("no-such-thing")
"""
HANGS = """
import time
from datadog_checks.base import AgentCheck

class Hangs(AgentCheck):
    def check(self, instance):
        self.gauge("before.hang", 1)
        open(self.instance["began"], "w").close()
        time.sleep(1000)
"""
RUDE = """
import locale, os, sys, logging
from datadog_checks.base import AgentCheck

class Rude(AgentCheck):
    def check(self, instance):
        print("the password is", self.instance["password"])
        self.log.warning("again: %s", self.instance["password"])
        logging.getLogger("anything").error("and more")
        self.log.info("by the way")
        self.log.debug("in detail")
        self.warning("beware of %s", "this")
        locale.setlocale(locale.LC_ALL, "C")
        self.gauge("rude.polite", 1)
        if self.instance.get("exit"):
            os._exit(0)
"""
METRICS = """
from datadog_checks.base import OpenMetricsBaseCheckV2

class Metrics(OpenMetricsBaseCheckV2):
    __NAMESPACE__ = "web"

    def get_default_config(self):
        return {"metrics": [".+"]}
"""
CHECKS = {"values": VALUES, "fails": FAILS, "hangs": HANGS, "rude": RUDE, "metrics": METRICS}


class Run:
    """A check in the input, gathered as often as a test likes."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.input = make_input(DatadogCheck, options)

    def gather(self) -> tuple[list[Metric], str]:
        acc = InputAccumulator()
        try:
            self.input.gather(acc)
        except PyagentError as error:
            return acc.drain(), str(error)
        return acc.drain(), ""


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Any]:
    made: list[Run] = []

    def start(check: str, instance: dict[str, Any] | None = None, **options: Any) -> Run:
        path = tmp_path / f"{check}.py"
        path.write_text(CHECKS[check])
        given = {"check": str(path), "isolate": True, "timeout": "60s", "instances": [instance or {}]}
        made.append(Run(given | options))
        return made[-1]

    yield start
    import asyncio

    for run in made:
        asyncio.run(run.input.stop())


def test_every_kind_is_what_the_stub_records(runs: Any, tmp_path: Path) -> None:
    run = runs("values", {"more": ["zone:a"]})
    (first, problem), (second, _) = run.gather(), run.gather()
    assert problem == ""
    top = (("open", "true"), ("shelf", "top"), ("zone", "a"))
    stub = recorded(tmp_path / "values.py", {"more": ["zone:a"]}, 2)
    found, wanted = by_field(second), expected(stub, "values")
    assert len(wanted) == 8
    clocks = {("shop_clock", top, end) for end in ("before", "after")}
    for key in clocks:
        del wanted[key]
    assert {key: found[key] for key in wanted} == wanted
    samples = sorted(value for name, kind, value, *_ in stub["metrics"] if kind == HISTOGRAM)
    assert {field: found["shop_wait", top, field] for field in _HISTOGRAM} == {
        "seconds_max": samples[-1],
        "seconds_median": samples[1],
        "seconds_avg": sum(samples) / 4,
        "seconds_count": 4,
        "seconds_95percentile": samples[3],
    }
    assert ("shop_seen", top, "total") not in by_field(first)
    assert found["shop_seen", top, "total"] == 100
    assert by_field(first)["shop_fresh", top, "total"] == 5
    assert {kind for _, kind, *_ in stub["metrics"]} == set(range(7)), "all kinds that there are"
    sums = {kind: sum(value for _, one, value, *_ in stub["metrics"] if one == kind) for kind in (RATE, COUNTER)}
    assert found["shop_steps", top, "up"] == sums[COUNTER] == 5
    # The stub has the value itself, of the second run; the rate is between the clocks before and after it.
    before, after = (by_field(metrics)["shop_clock", top, "before"] for metrics in (first, second))
    least, most = (by_field(metrics)["shop_clock", top, "after"] for metrics in (first, second))
    rate = found["shop_turns", top, "speed"]
    change = sums[RATE] / 2
    assert change / (most - before) <= rate <= change / (after - least)
    assert ("shop_turns", top, "speed") not in by_field(first)
    samples = [value for _, kind, value, *_ in stub["metrics"] if kind == HISTORATE]
    assert found["shop_turns", top, "each_count"] == len(samples) - 1
    assert 0 < found["shop_turns", top, "each_avg"] <= found["shop_turns", top, "each_max"]
    assert len(stub["buckets"]) == 4
    for name, value, lower, upper, monotonic, tags in stub["buckets"]:
        bounds = {"lower_bound": f"{lower:g}", "upper_bound": f"{upper:g}"}
        own = tuple(sorted((dict(top) | bounds).items()))
        assert dict(top) == dict(tag.split(":") if ":" in tag else (tag, "true") for tag in tags)
        measurement = name.replace(".", "_")
        assert found[measurement, own, "bucket"] == (value / 2 if monotonic else value)
        assert ((measurement, own, "bucket") in by_field(first)) is not monotonic
    assert found["shop", top, "open_message"] == stub["service_checks"][0][3] == "soon"
    event = next(metric for metric in second if metric.name == "datadog_event")
    assert event.time == stub["events"][0]["timestamp"] * 1_000_000_000
    assert (event.fields["title"], event.fields["text"]) == tuple(
        stub["events"][0][key] for key in ("msg_title", "msg_text")
    )
    metadata = next(metric for metric in second if metric.name == "datadog_metadata")
    assert metadata.fields == {name.replace(".", "_"): value for name, value in stub["metadata"].items()}


_HISTOGRAM = ("seconds_max", "seconds_median", "seconds_avg", "seconds_count", "seconds_95percentile")


@pytest.fixture
def exporter() -> Iterator[str]:
    """The exporter of prometheus_client, with metrics of every kind."""
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

    registry = CollectorRegistry()
    Gauge("depth", "of the queue", ["queue"], registry=registry).labels("a b").set(2.5)
    Counter("served", "requests", registry=registry).inc(41)
    sizes = Histogram("size", "of requests", buckets=(1, 10), registry=registry)
    for value in (0.5, 5, 50):
        sizes.observe(value)

    class Quiet(WSGIRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    with make_server("127.0.0.1", 0, make_wsgi_app(registry), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


def test_openmetrics_of_an_exporter(runs: Any, tmp_path: Path, exporter: str) -> None:
    instance = {"openmetrics_endpoint": exporter}
    run = runs("metrics", instance)
    first, problem = run.gather()
    assert problem == ""
    second, _ = run.gather()
    stub = recorded(tmp_path / "metrics.py", instance, 2)
    wanted, found = expected(stub, "metrics"), by_field(second)
    assert wanted
    assert {key: found[key] for key in wanted} == wanted
    counts = {(name, tuple(tags)) for name, kind, _, tags, _ in stub["metrics"] if kind == MONOTONIC_COUNT}
    assert len(counts) >= 5
    endpoint = (("endpoint", exporter),)
    assert found["web_served", endpoint, "count"] == 0
    assert ("web_served", endpoint, "count") not in by_field(first)
    assert found["web", (*endpoint, ("queue", "a b")), "depth"] == 2.5
    assert found["web_openmetrics", endpoint, "health"] == 0


def test_one_that_fails_keeps_what_it_submitted_and_harms_no_other(runs: Any, tmp_path: Path) -> None:
    run = runs("fails", instances=[{}, {"fail": False, "tags": ["n:2"]}])
    for _ in range(2):
        metrics, problem = run.gather()
        assert set(by_field(metrics).values()) == {1.0}
        assert len(metrics) == 2
        assert problem.endswith("KeyError: 'no-such-thing'")
    assert "no-such-thing" in recorded(tmp_path / "fails.py", {})["error"]


def test_one_that_hangs_is_ended(runs: Any, tmp_path: Path) -> None:
    began = tmp_path / "began"
    run = runs("hangs", {"began": str(began)})
    gathers: list[tuple[list[Metric], str]] = []
    thread = threading.Thread(target=lambda: gathers.append(run.gather()))
    thread.start()
    wait_until(began.exists)
    run.input._guests._process._clock = lambda: float("inf")
    thread.join()
    [(metrics, problem)] = gathers
    assert metrics == []
    assert "it took longer than 1m0s and was ended" in problem


def test_what_is_rude_stays_in_its_process(runs: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run = runs("rude", {"password": "sesame-open", "exit": True})
    metrics, problem = run.gather()
    assert metrics == []
    assert problem.endswith("it ended its process with exit status 0; it is started again in 1 s")
    texts = [record.getMessage() for record in caplog.records]
    printed = "it printed: the password is ***"
    assert {"again: ***", "and more", "beware of this", printed} <= set(texts)


@pytest.mark.parametrize(("isolate", "more"), [("true", ()), ("false", ()), ("false", ("--debug",))])
def test_the_agent_runs_it_in_either_place(tmp_path: Path, isolate: str, more: tuple[str, ...]) -> None:
    (tmp_path / "rude.py").write_text(RUDE)
    conf = tmp_path / "conf.yaml"
    conf.write_text(
        "init_config:\n  service: books\ninstances:\n  - password: sesame-open\n    empty_default_hostname: true\n"
        "    tags: [a:b]\n"
    )
    agent = tmp_path / "agent.conf"
    agent.write_text(
        f'[[inputs.datadog_check]]\n  check = "{tmp_path}/rude.py"\n  conf = "{conf}"\n  isolate = {isolate}\n  timeout = "60s"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "pyagent", "--test", *more, "--config", str(agent)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "I! [inputs.datadog_check] by the way" in done.stderr
    assert ("D! [inputs.datadog_check] in detail" in done.stderr) == bool(more)
    assert "> rude,a=b,service=books polite=1" in done.stdout
    assert "host=" not in done.stdout
    assert "sesame-open" not in done.stdout + done.stderr
    assert "again: ***" in done.stderr
    assert "the password is ***" in done.stderr
    assert "beware of this" in done.stderr


@pytest.mark.parametrize(
    ("check", "cause"),
    [
        ("no_such_module", "there is no module 'no_such_module'; name its folder by module_path"),
        ("no_such_module.Check", "there is no module 'no_such_module'; name its folder by module_path"),
        ("datadog_checks.no_such", "integrations-core#subdirectory=no_such"),
        ("datadog_checks.no_such.Check", "integrations-core#subdirectory=no_such"),
        ("json", "there is no class in json that is an AgentCheck"),
        ("json:Nothing", "json has no check 'Nothing'"),
        ("json.Nothing", "json has no check 'Nothing'"),
        ("/no/such/check.py", "cannot read /no/such/check.py: there is no such file"),
    ],
)
def test_what_is_no_check_is_told(check: str, cause: str) -> None:
    import asyncio

    run = Run({"check": check, "isolate": True, "timeout": "60s"})
    assert cause in run.gather()[1]
    asyncio.run(run.input.stop())


@pytest.mark.parametrize("isolate", [True, False])
def test_tables_have_their_own_folders(tmp_path: Path, isolate: bool) -> None:
    import asyncio

    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "its_helper.py").write_text(f"NAME = {name!r}\n")
        (folder / "its_late_helper.py").write_text(f"NAME = {name!r}\n")
        (folder / "its_check.py").write_text(
            "from datadog_checks.base import AgentCheck\nimport its_helper\nclass Its(AgentCheck):\n"
            "    def check(self, _):\n        import its_late_helper\n"
            "        self.gauge('a.b', 1, tags=[f'a:{its_helper.NAME}', f'b:{its_late_helper.NAME}'])\n"
        )
        checks = ["its_check:Its", str(folder / "its_check.py"), "its_check.Its", "its_check"]
        for check in checks[: 2 if isolate else 4]:
            options = {"check": check, "module_path": [str(folder)], "isolate": isolate, "timeout": "60s"}
            made.append((name, Run(options)))
    path = list(sys.path)
    for name, run in made:
        for _ in range(1 if isolate else 2):
            assert [(metric.tags, run.gather()[1]) for metric in run.gather()[0]] == [({"a": name, "b": name}, "")]
    assert sys.path == path
    for _, run in made:
        asyncio.run(run.input.stop())


def test_several_checks_in_a_module_are_named_apart(tmp_path: Path) -> None:
    import asyncio

    (tmp_path / "two_checks.py").write_text(
        f"{FAILS}\nclass Other(AgentCheck):\n    def check(self, _):\n        self.gauge('a.b', 1)\n"
    )
    options = {"module_path": [str(tmp_path)], "isolate": True, "timeout": "60s"}
    run = Run(options | {"check": "two_checks"})
    assert "has several checks (Fails, Other); name one, as two_checks:Fails" in run.gather()[1]
    named = Run(options | {"check": "two_checks.Other"})
    assert list(by_field(named.gather()[0])) == [("a", (), "b")]
    for one in (run, named):
        asyncio.run(one.input.stop())


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("ad_identifiers: [redis]\ninstances: [{}]", "template of Datadog's autodiscovery (`ad_identifiers`)"),
        ("instances: [{host: '%%host%%'}]", "the value of 'host' is a template of Datadog's autodiscovery"),
        ("instances: [{password: 'ENC[a]'}]", "the value of 'password' is a handle of Datadog's secret backend"),
        ("instances: [{}\n", "conf.yaml:2: "),
        ("instances: [{password: *my-secret}]", "conf.yaml:1: found undefined alias '...'"),
        ("instances: [{password: !my-secret x}]", "could not determine a constructor for the tag '...'"),
        ("a: &a [1]", "there is no `instances`"),
        ("instances: 3", "`instances` is no list of tables"),
        ("instances: [{}]\ninit_config: 3", "`init_config` is no table"),
        ("instances: [{}, {tags: 'a:b'}]", '`tags` of an instance is no list; write ["a:b"]'),
        ("instances: [{tags: {a: b}}]", "`tags` of an instance is no list"),
        ("instances: [{since: 2020-01-01}]", "the value of 'since' is a date"),
        ("instances: [{? [1, 2] : 3}]", "conf.yaml"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
            "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\ninstances: [{e: [*e, *e]}]",
            "more than 100,000 values",
        ),
        ("instances: &i [{i: *i}]", "more than 100,000 values"),
    ],
)
def test_a_conf_that_cannot_be_used_is_told(tmp_path: Path, text: str, cause: str) -> None:
    conf = tmp_path / "conf.yaml"
    conf.write_text(text)
    with pytest.raises(ConfigError) as caught:
        make_input(DatadogCheck, {"check": "x", "conf": str(conf)})
    assert cause in str(caught.value)


def test_options_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    for options, cause in (
        ({}, "there is no check"),
        ({"check": "x", "histogram_aggregates": ["mode"]}, "there is no aggregate 'mode'"),
        ({"check": "x", "conf": str(tmp_path / "none")}, "No such file"),
        ({"check": "x", "conf": "y", "instances": [{}]}, "set either conf"),
    ):
        with pytest.raises(ConfigError, match=cause):
            make_input(DatadogCheck, options)


@pytest.mark.parametrize("option", ['check = "datadog_checks.redisdb"', 'module_path = ["/tmp"]'])
def test_a_text_from_a_url_may_not_say_what_runs(option: str) -> None:
    source = SourceText("http://127.0.0.1/x", f"[[inputs.datadog_check]]\n{option}\n")
    with pytest.raises(ConfigError, match=r"runs commands or code, which a configuration from a URL may not"):
        load_plan([source], environ={}, testing=True)
    load_plan([source], environ={"PYAGENT_ALLOW_REMOTE_EXEC": "1"}, testing=True)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def flushed(aggregates: Aggregates) -> dict[str, float]:
    return {f"{value.name}.{value.suffix}".rstrip("."): value.value for value in aggregates.flush()}


def test_rates_and_counts_over_gathers() -> None:
    clock = Clock()
    aggregates = Aggregates(["count", "avg"], [0.5], clock)

    def gather(value: float, first: bool = False) -> dict[str, float]:
        for kind, name in ((RATE, "rate"), (MONOTONIC_COUNT, "mono"), (COUNTER, "counter"), (COUNT, "count")):
            aggregates.sample(kind, name, value, ["a:b"], "", first)
        clock.now += 10
        return flushed(aggregates)

    assert gather(100) == {"counter": 100, "count": 100}
    assert gather(150) == {"counter": 150, "count": 150, "rate": 5, "mono": 50}
    assert gather(20) == {"counter": 20, "count": 20, "mono": 0}
    assert gather(30) == {"counter": 30, "count": 30, "rate": 1, "mono": 10}
    assert gather(7, first=True) == {"counter": 7, "count": 7, "mono": 7}
    assert flushed(aggregates) == {}


def test_a_historate_is_a_histogram_of_the_rates_of_one_gather() -> None:
    clock = Clock()
    aggregates = Aggregates(["count", "avg", "min", "sum"], [0.5], clock)
    for value in (0, 10, 40):
        aggregates.sample(HISTORATE, "h", value, [], "")
        clock.now += 1
    assert flushed(aggregates) == {"h.count": 2, "h.avg": 20, "h.min": 10, "h.sum": 40, "h.50percentile": 10}
    aggregates.sample(HISTORATE, "h", 100, [], "")
    assert flushed(aggregates) == {}


def test_a_historate_of_one_value_a_gather_waits_for_the_next() -> None:
    clock = Clock()
    aggregates = Aggregates(["avg"], [], clock)

    def gather(*values: float) -> dict[str, float]:
        for value in values:
            aggregates.sample(HISTORATE, "h", value, [], "")
        clock.now += 10
        return flushed(aggregates)

    assert gather(0) == {}
    assert gather() == {}
    assert gather(100) == {"h.avg": 5}
    assert gather(150) == {}  # a flush that gave something forgets, as in the Agent
    assert gather(200) == {"h.avg": 5}


def test_what_is_no_number_costs_no_other_value() -> None:
    aggregates = Aggregates(["avg"], [])
    for value in (math.inf, -math.inf, math.nan, 2.0):
        aggregates.sample(HISTOGRAM, "h", value, [], "")
        aggregates.sample(COUNT, "c", value, [], "")
    for value in ("text", None, 10**400):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            aggregates.sample(COUNT, "c", value, [], "")  # type: ignore[arg-type]  # anybody's code
    for name in ("", None):
        with pytest.raises(TypeError, match="the name of a metric is a text"):
            aggregates.sample(COUNT, name, 1, [], "")  # type: ignore[arg-type]
    for _ in range(2):
        aggregates.sample(COUNT, "large", 1e308, [], "")
    assert flushed(aggregates) == {"h.avg": 2, "c": 2, "large": math.inf}


def test_buckets_are_counts_with_their_bounds() -> None:
    aggregates = Aggregates([], [])
    for value in (3, 5):
        aggregates.bucket("d", value, (0.5, 1), True, ["a:b"], "")
        found = list(aggregates.flush())
    assert [(one.name, one.value, one.tags) for one in found] == [
        ("d.bucket", 2, ("a:b", "lower_bound:0.5", "upper_bound:1"))
    ]


def test_what_comes_no_more_is_forgotten() -> None:
    aggregates = Aggregates([], [])
    for name in range(1000):
        aggregates.sample(MONOTONIC_COUNT, f"m{name}", 1, [], "")
        aggregates.sample(GAUGE, f"g{name}", 1, [], "")
        flushed(aggregates)
    assert len(aggregates._states) <= 103


@pytest.mark.parametrize(
    ("name", "split", "check"),
    [
        ("redis.net.clients", ("redis_net", "clients"), ("redis", "net_clients")),
        ("redis.up", ("redis", "up"), ("redis", "up")),
        ("up", ("redis", "up"), ("redis", "up")),
        ("other.a.b", ("other_a", "b"), ("redis", "other_a_b")),
    ],
)
def test_names(name: str, split: tuple[str, str], check: tuple[str, str]) -> None:
    assert place(name, "split", "redis") == split
    assert place(name, "check", "redis") == check
    assert place(name, "metric", "redis") == (name, "value")


def test_tags() -> None:
    assert tags_of(["a:b", "flag", "u:http://x:1", "k:2", "k:1", "k:2", ":x", "e:"]) == {
        "a": "b",
        "flag": "true",
        "u": "http://x:1",
        "k": "1,2",
        "e": "",
    }


EVENTS = """
from datadog_checks.base import AgentCheck

class Events(AgentCheck):
    def check(self, instance):
        for n, when in enumerate((1000, 1000, 1000, 1060)):
            self.event({"timestamp": when, "msg_title": f"deploy {n}", "msg_text": "x", "tags": ["env:prod"]})
"""


def test_events_have_their_times_and_stay_apart_to_the_output(tmp_path: Path) -> None:
    (tmp_path / "events.py").write_text(EVENTS)
    second = 1_000_000_000
    for isolate in ("true", "false"):
        agent = tmp_path / "agent.conf"
        agent.write_text(
            f'[[inputs.datadog_check]]\n  check = "{tmp_path}/events.py"\n  isolate = {isolate}\n  timeout = "60s"\n'
        )
        done = subprocess.run(
            [sys.executable, "-m", "pyagent", "--test", "--config", str(agent)],
            capture_output=True,
            text=True,
            check=True,
        )
        times = [int(line.rpartition(" ")[2]) for line in done.stdout.splitlines() if "datadog_event" in line]
        assert sorted(times) == [1000 * second, 1000 * second + 1, 1000 * second + 2, 1060 * second], isolate


def test_the_time_of_an_event() -> None:
    times = EventTimes(lambda: 7)
    assert [times.of(2, {"a": "b"}, {"title": title}) for title in "xyxz"] == [
        2_000_000_000, 2_000_000_001, 2_000_000_000, 2_000_000_002
    ]  # fmt: skip
    assert times.of(2, {"a": "c"}, {"title": "y"}) == 2_000_000_000
    assert times.of(2.5, {}, {}) == 2_500_000_000
    for unusable in (None, 0, -1, "5", True, math.nan, math.inf, 1e300, 10**400):
        assert times.of(unusable, {}, {}) == 7
    assert times.of(None, {}, {"title": "x"}) == 8


def test_times_of_events_are_known_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent_plugins.inputs.datadog_check.events._MOST", 3)
    times = EventTimes()
    for n in range(10):
        times.of(n + 1, {}, {"n": n})
        times.of(1, {"all": "here"}, {"n": n})
    assert len(times._known) == 3
    assert max(map(len, times._known.values())) == 3


def test_min_collection_interval_leaves_gathers_out() -> None:
    from pyagent_plugins.inputs.datadog_check.guest import _Instance

    class Check:
        def __init__(self, **given: Any) -> None:
            self.runs = 0

        def run(self) -> str:
            self.runs += 1
            return ""

        def get_warnings(self) -> list[str]:
            return []

    clock = Clock()
    given = {"naming": "split", "init_config": {}, "aggregates": [], "percentiles": []}
    settings = {"min_collection_interval": 15}
    instance = _Instance(Check, "c", given, settings, logging.getLogger("test"), clock, EventTimes())
    runs = []
    for _ in range(5):
        instance.gather(InputAccumulator())
        runs.append(instance._check.runs)
        clock.now += 9.9
    assert runs == [1, 1, 2, 2, 3]

"""From sections to plans: forms of a section, common options, what is left out, identities, queues."""

import logging
from pathlib import Path
from typing import Any

import pytest
from loading import Load

from pyagent.api import ConfigError, Duration
from pyagent.config import InputPlan, OutputPlan, SourceText, create_plugin, load_plan

LOG = logging.getLogger("test")


def one_input(load: Load, text: str, agent: str = "") -> InputPlan:
    return load(f"{agent}\n[[inputs.nothing]]\n{text}").inputs[0]


def one_output(load: Load, text: str, agent: str = "") -> OutputPlan:
    return load(f"{agent}\n[[inputs.nothing]]\n[[outputs.nowhere]]\n{text}").outputs[0]


def warnings(load: Load, text: str) -> tuple[str, ...]:
    return load(f"[[inputs.nothing]]\n{text}").warnings


# Forms.


@pytest.mark.parametrize(
    "text",
    [
        "[[inputs.nothing]]",
        "[inputs.nothing]",
        "[[plugins.nothing]]",
        "[plugins.nothing]",
        "[nothing]",
        "[[ inputs . nothing ]]",
        "inputs = {nothing = [{}]}",
        "[inputs]\nnothing = {}",
        "[[inputs.nothing]]\n[outputs]\n[processors]\n[aggregators]\n[secretstores]",
    ],
)
def test_forms_of_an_input(load: Load, text: str) -> None:
    assert [plan.name for plan in load(text).inputs] == ["nothing"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[[nothing]]", "a.conf:1: invalid configuration: 'nothing' is a list at the top, not a table"),
        ("\nmagic = 5", "a.conf:2: invalid configuration: 'magic' is an integer at the top, not a table"),
        (
            "[inputs]\nnothing = 5",
            "a.conf:2: unsupported format: inputs.nothing must be a table in double brackets; write [[inputs.nothing]]",
        ),
        ("[inputs]\nnothing = [{}, 5]", "a.conf:2: unsupported format: inputs.nothing must be a table"),
        ("inputs = 5", "a.conf:1: invalid configuration: 'inputs' is an integer at the top, not a table"),
        ("[[input.mem]]", "a.conf:1: inputs.input: undefined but requested input: input; did you mean [[inputs.mem]]?"),
        (
            "\n[[inputs.nothin]]",
            "a.conf:2: inputs.nothin: undefined but requested input: nothin; did you mean 'nothing'?",
        ),
        (
            "[[outputs.influxdb_v9]]",
            "a.conf:1: outputs.influxdb_v9: undefined but requested output: influxdb_v9; did you",
        ),
        (
            "[[processors.x]]",
            "a.conf:1: processors.x: undefined but requested processor: x; no such plugin is installed",
        ),
        ("[[secretstores.os]]", "a.conf:1: secretstores.os: undefined but requested secretstore: os"),
        ("", "no inputs found in a.conf; add one, such as [[inputs.mem]]"),
    ],
)
def test_what_is_no_section(load: Load, text: str, wanted: str) -> None:
    assert load.refused(text).startswith(wanted)


def test_where_a_plugin_of_ones_own_would_be_is_no_second_sentence_behind_a_question(tmp_path: Path) -> None:
    for text, wanted in (
        ("[[inputs.memm]]", f"did you mean 'mem'? (a plugin of your own is a file such as {tmp_path / 'memm'}.py)"),
        ("[[inputs.nosuch]]", f"; a plugin of your own is a file such as {tmp_path / 'nosuch'}.py"),
    ):
        with pytest.raises(ConfigError) as refused:
            load_plan([SourceText("a.conf", text)], environ={}, plugin_directories=(tmp_path,))
        assert str(refused.value).endswith(wanted)
        assert "?;" not in str(refused.value)


def test_outputs_are_needed_but_for_a_test(load: Load) -> None:
    assert (
        load.refused("[[inputs.nothing]]", testing=False)
        == "no outputs found in a.conf; add one, such as [[outputs.influxdb_v2]]"
    )
    assert load("[[inputs.nothing]]\n[[outputs.nowhere]]", testing=False).outputs[0].label == "outputs.nowhere"


def test_all_sources_in_order(load: Load) -> None:
    plan = load('[[inputs.nothing]]\nalias = "one"\n[[inputs.full]]', '[[inputs.nothing]]\nalias = "two"')
    assert [entry.label for entry in plan.inputs] == ["inputs.nothing::one", "inputs.full", "inputs.nothing::two"]
    assert [entry.location for entry in plan.inputs] == ["a.conf:1", "a.conf:3", "b.conf:1"]
    assert plan.sources == ("a.conf", "b.conf")


def test_an_error_names_the_source_it_is_in(load: Load) -> None:
    assert load.refused("[[inputs.nothing]]", "\n\n[[inputs.full]]\ncount = 'x'").startswith("b.conf:4: ")


# Schedules.


@pytest.mark.parametrize(
    ("agent", "text", "interval", "precision"),
    [
        ("", "", "10s", "1s"),
        ("[agent]\ninterval = '500ms'", "", "500ms", "1ms"),
        ("[agent]\ninterval = '1ms'", "", "1ms", "1ms"),
        ("[agent]\nprecision = '1us'", "", "10s", "1us"),
        ("[agent]\nprecision = '-1us'", "", "10s", "1s"),
        ("[agent]\nprecision = '1us'", "precision = '10s'", "10s", "10s"),
        ("[agent]\nprecision = '1us'", "precision = '0s'", "10s", "1us"),
        ("", "interval = '20ms'", "20ms", "1ms"),
        ("[agent]\ninterval = '20ms'", "interval = '0'", "20ms", "1ms"),
        ("[agent]\ninterval = '20ms'", "interval = '1m30s'", "90s", "1s"),
    ],
)
def test_interval_and_precision(load: Load, agent: str, text: str, interval: str, precision: str) -> None:
    plan = one_input(load, text, agent)
    assert (plan.interval, plan.precision) == (Duration(interval), Duration(precision))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "[[inputs.full]]\ncount = 1\ninterval = '1us'",
            "a.conf:3: inputs.full: the option 'interval' must be 1ms or more; found 1us",
        ),
        (
            "[[outputs.nowhere]]\nflush_interval = '999999ns'",
            "a.conf:2: outputs.nowhere: the option 'flush_interval' must be 1ms or more; found 999.999us",
        ),
        (
            "[[aggregators.minmax]]\nperiod = '1ns'",
            "a.conf:2: aggregators.minmax: the option 'period' must be 1ms or more; found 1ns",
        ),
    ],
)
def test_what_is_done_again_and_again_has_a_least_interval(load: Load, text: str, wanted: str) -> None:
    assert load.refused(text) == wanted


def test_jitter_may_be_set_to_zero_and_offset_may_not(load: Load) -> None:
    agent = "[agent]\ncollection_jitter = '1s'\ncollection_offset = '2s'\nround_interval = false"
    plan = one_input(load, "", agent)
    assert (plan.collection_jitter.seconds, plan.collection_offset.seconds, plan.round_interval) == (1, 2, False)
    plan = one_input(load, "collection_jitter = '0s'\ncollection_offset = '0s'", agent)
    assert (plan.collection_jitter.seconds, plan.collection_offset.seconds) == (0, 2)
    plan = one_input(load, "collection_jitter = '3s'\ncollection_offset = '4s'", agent)
    assert (plan.collection_jitter.seconds, plan.collection_offset.seconds) == (3, 4)


def test_an_inputs_schedule_is_that_of_all_sources_and_an_outputs_limit_that_of_its_own(load: Load) -> None:
    first = "[agent]\nmetric_batch_size = 5\n[[inputs.nothing]]\n[[outputs.nowhere]]"
    plan = load(first, "[agent]\ninterval = '3s'\nflush_interval = '4s'\nmetric_batch_size = 6\n[[outputs.nowhere]]")
    assert plan.inputs[0].interval.seconds == 3
    assert [output.metric_batch_size for output in plan.outputs] == [5, 6]
    assert [output.flush_interval.seconds for output in plan.outputs] == [4, 4]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("interval = '1d'", "a.conf:3: inputs.nothing: the option 'interval': cannot read the duration '1d'"),
        ("interval = '-1s'", "a.conf:3: inputs.nothing: the option 'interval' cannot be negative: -1s"),
        ("collection_offset = '-1s'", "a.conf:3: inputs.nothing: the option 'collection_offset' cannot be negative"),
        (
            "startup_error_behavior = 'hope'",
            "a.conf:3: inputs.nothing: invalid 'startup_error_behavior' setting 'hope'",
        ),
        ("tags = {a = 'b',\nc = 5}", "a.conf:4: inputs.nothing: tags: 'c' must be a string, not an integer"),
        (
            "tags = {since = 2020-01-01}",
            "a.conf:3: inputs.nothing: tags: 'since' must be a string, not a date or a time",
        ),
    ],
)
def test_common_options_that_are_refused(load: Load, text: str, wanted: str) -> None:
    assert load.refused(f"\n[[inputs.nothing]]\n{text}").startswith(wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "interval = 5",
            "the option 'interval' is ignored: it must be text with a unit, such as \"10s\", not an integer",
        ),
        ("alias = 5", "the option 'alias' is ignored: it must be a string, not an integer"),
        ("tags = 5", "the option 'tags' is ignored: it must be a table, not an integer"),
        ("labels = 5", "the option 'labels' is ignored: it must be a table, not an integer"),
        ("period = '5s'", "the option 'period' has no effect here"),
        ("data_format = 'json'", "the option 'data_format' has no effect here"),
        ("flush_interval = '5s'", "the option 'flush_interval' has no effect here"),
    ],
)
def test_common_options_that_are_left_out_of_account(load: Load, text: str, wanted: str) -> None:
    assert warnings(load, text) == (f"a.conf:2: inputs.nothing: {wanted}",)


def test_names_and_tags(load: Load) -> None:
    plan = one_input(load, "name_override = 'a'\nname_prefix = 'b'\nname_suffix = 'c'\ntags = {d = 'e'}\nalias = 'f'")
    assert (plan.name_override, plan.name_prefix, plan.name_suffix, dict(plan.tags)) == ("a", "b", "c", {"d": "e"})
    assert plan.label == "inputs.nothing::f"


@pytest.mark.parametrize(
    ("level", "wanted", "complaints"),
    [("debug", "debug", 0), ("WARN", "warn", 0), ("Warn", None, 1), ("loud", None, 1), ("", None, 0)],
)
def test_log_levels(load: Load, level: str, wanted: str | None, complaints: int) -> None:
    plan = load(f"[[inputs.nothing]]\nlog_level = '{level}'")
    assert plan.inputs[0].log_level == wanted
    assert len(plan.errors) == complaints


def test_output_limits(load: Load) -> None:
    agent = "[agent]\nmetric_batch_size = 5\nmetric_buffer_limit = 6\nflush_jitter = '1s'"
    plan = one_output(load, "", agent)
    assert (plan.metric_batch_size, plan.metric_buffer_limit, plan.flush_jitter.seconds) == (5, 6, 1)
    text = "metric_batch_size = 7\nmetric_buffer_limit = -8\nflush_interval = '2s'\nflush_jitter = '3s'"
    plan = one_output(load, text, agent)
    assert (plan.metric_batch_size, plan.metric_buffer_limit) == (7, 6)
    assert (plan.flush_interval.seconds, plan.flush_jitter.seconds) == (2, 3)
    assert one_output(load, "metric_batch_size = 1.5", agent).metric_batch_size == 5


def test_probe_is_for_inputs_only(load: Load) -> None:
    assert one_input(load, "startup_error_behavior = 'probe'").startup_error_behavior == "probe"
    text = "[[inputs.nothing]]\n[[outputs.nowhere]]\nstartup_error_behavior = 'probe'"
    assert "a.conf:3: outputs.nowhere: invalid 'startup_error_behavior' setting 'probe'" in load.refused(text)


def test_an_aggregator_is_not_started(load: Load) -> None:
    text = "[[inputs.nothing]]\n[[aggregators.minmax]]\nstartup_error_behavior = 'hope'"
    assert load(text).warnings == (
        "a.conf:3: aggregators.minmax: the option 'startup_error_behavior' has no effect here",
    )


def test_durations_that_may_be_negative(load: Load) -> None:
    assert one_input(load, "precision = '-1s'").precision == one_input(load, "").precision
    plan = load("[[inputs.nothing]]\n[[aggregators.minmax]]\ngrace = '-1s'\ndelay = '-1ms'")
    assert (plan.aggregators[0].grace.seconds, plan.aggregators[0].delay.seconds) == (-1, -0.001)


# What is chosen.

LABELLED = """
[[inputs.nothing]]
alias = "north"
labels = {site = "north", tier = "gold"}
[[inputs.nothing]]
alias = "south"
labels = {site = "south"}
[[inputs.full]]
alias = "all"
"""


@pytest.mark.parametrize(
    ("select", "wanted"),
    [
        ([], "north south all"),
        ([""], "north south all"),
        (["site=north"], "north all"),
        (["site=*th"], "north south all"),
        (["site=?outh"], "south all"),
        (["site=nor"], "all"),
        (["site=*;tier=gold"], "north all"),
        (["tier=silver", " site = south "], "south all"),
        (["zone=a"], "all"),
    ],
)
def test_labels(load: Load, select: list[str], wanted: str) -> None:
    assert [plan.alias for plan in load(LABELLED, select=select).inputs] == wanted.split()


@pytest.mark.parametrize("select", ["site", "site=", "=x", "site=a;", "site=a;site=b", "si te=a", "site=a/b", ";"])
def test_selectors_that_are_none(load: Load, select: str) -> None:
    assert load.refused(LABELLED, select=[select]).startswith(f"invalid selector {select!r}: ")


@pytest.mark.parametrize(("key", "value"), [("c", "*"), ("c", " x "), (" c ", "x"), ("c", ""), ("c/d", "x")])
def test_a_label_that_is_none(load: Load, key: str, value: str) -> None:
    text = f"[[inputs.nothing]]\n[inputs.nothing.labels]\na = 'b'\n'{key}' = '{value}'"
    assert load.refused(text).startswith(f"a.conf:4: inputs.nothing: invalid label {key!r} = {value!r}")


def test_what_is_not_chosen_need_not_exist(load: Load) -> None:
    text = "[[inputs.nothing]]\n[[inputs.unknown]]\nlabels = {a = 'b'}\n[[processors.x]]\nlabels = {a = 'b'}"
    assert [plan.name for plan in load(text, select=["a=c"]).inputs] == ["nothing"]
    text = "[[inputs.nothing]]\n[[inputs.unknown]]\n[[outputs.unknown]]\n[[outputs.nowhere]]"
    plan = load(text, input_filter=["nothing"], output_filter=["nowhere"])
    assert ([entry.name for entry in plan.inputs], [entry.name for entry in plan.outputs]) == (["nothing"], ["nowhere"])


# Identities and queues.


def identity(load: Load, text: str, **settings: Any) -> str:
    return load(text, **settings).inputs[0].identity


def test_an_unchanged_table_has_its_identity_wherever_it_stands(load: Load) -> None:
    first = identity(load, "[[inputs.full]]\ncount = 5\ntext = 'x'")
    assert identity(load, '# moved\n[[inputs.full]]\ntext = "x"\ncount = 5\n[[inputs.nothing]]') == first
    assert identity(load, "[[inputs.full]]\ntext = '$X'\ncount = 5", environ={"X": "x"}) == first


@pytest.mark.parametrize(
    "text",
    [
        "[[inputs.full]]\ncount = 6\ntext = 'x'",
        "[[inputs.full]]\ncount = 5\ntext = 'x'\nalias = 'a'",
        "[[inputs.full]]\ncount = 5\ntext = 'x'\ntags = {a = 'b'}",
        "[agent]\ninterval = '5s'\n[[inputs.full]]\ncount = 5\ntext = 'x'",
        "[agent]\nround_interval = false\n[[inputs.full]]\ncount = 5\ntext = 'x'",
        "[agent]\nalways_include_global_tags = true\n[[inputs.full]]\ncount = 5\ntext = 'x'",
    ],
)
def test_a_changed_table_or_schedule_has_another_identity(load: Load, text: str) -> None:
    assert identity(load, text) != identity(load, "[[inputs.full]]\ncount = 5\ntext = 'x'")


def test_equal_tables_have_identities_of_their_own(load: Load) -> None:
    plans = load("[[inputs.nothing]]\n[[inputs.nothing]]").inputs
    assert plans[0].identity != plans[1].identity
    assert plans[0].identity == identity(load, "[[inputs.nothing]]")


def test_a_changed_plugin_file_has_another_identity(load: Load) -> None:
    before = load("[[inputs.nothing]]").inputs[0]
    file = load.folder / "nothing.py"
    file.write_text(file.read_text() + "\n# changed\n")
    after = load("[[inputs.nothing]]").inputs[0]
    assert before.identity != after.identity
    assert before.plugin is not after.plugin


TARGET = """
from pyagent.api import Options, Output
class TargetOptions(Options, frozen=True):
    urls: list[str] = []
    token: str = ""
    organization: str = ""
    bucket: str = ""
class Target(Output[TargetOptions]):
    def write(self, batch): pass
"""


def queues(load: Load, *tables: str) -> list[str]:
    (load.folder / "target.py").write_text(TARGET)
    text = "[[inputs.nothing]]\n" + "\n".join(f"[[outputs.target]]\n{table}" for table in tables)
    return [plan.queue_id for plan in load(text).outputs]


def test_a_queue_follows_where_its_metrics_belong(load: Load) -> None:
    place = "organization = 'o'\nbucket = 'b/c'\n"
    (queue,) = queues(load, place)
    assert queue == "target:o:b%2Fc:0"
    assert queues(load, place + "urls = ['http://x']\ntoken = 't'") == [queue]
    assert queues(load, place, place) == [queue, "target:o:b%2Fc:1"]
    assert queues(load, "alias = 'a:b'\n" + place) == ["a%3Ab"]
    assert queues(load, "alias = 'a'", "alias = 'a'") == ["a", "a:1"]
    assert queues(load, "", "") == ["target:::0", "target:::1"]


# Making plugins.

STUBBORN = """
from pyagent.api import ConfigError, Input, Options
class StubbornOptions(Options, frozen=True):
    how: str = ""
class Stubborn(Input[StubbornOptions]):
    def setup(self):
        if self.options.how == "told":
            raise ConfigError("no such place", option="how")
        if self.options.how == "crash":
            {}["x"]
    def gather(self, acc): pass
"""


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("told", "a.conf:2: inputs.stubborn: no such place"),
        ("crash", "a.conf:1: inputs.stubborn: cannot set up: KeyError: 'x' (stubborn.py:10)"),
    ],
)
def test_a_setup_that_fails_names_its_place(load: Load, how: str, wanted: str) -> None:
    (load.folder / "stubborn.py").write_text(STUBBORN)
    plan = load(f"[[inputs.stubborn]]\nhow = '{how}'").inputs[0]
    with pytest.raises(ConfigError) as caught:
        create_plugin(plan, LOG)
    assert str(caught.value) == wanted


def test_a_plugin_is_made_with_its_options(load: Load) -> None:
    plan = load("[[inputs.full]]\ncount = 9").inputs[0]
    assert create_plugin(plan, LOG).options.count == 9

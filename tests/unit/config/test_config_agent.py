"""`[agent]`, `[global_tags]`, and how they merge over several sources."""

import socket

import pytest
from loading import Load

from pyagent.config import AgentSettings, Plan

NOTHING = "[[inputs.nothing]]\n"


def agent(load: Load, text: str) -> AgentSettings:
    return load(f"[agent]\n{text}\n{NOTHING}").agent


def test_defaults(load: Load) -> None:
    settings = load(NOTHING).agent
    assert (settings.interval.seconds, settings.flush_interval.seconds, settings.precision) == (10, 10, 0)
    assert (settings.metric_batch_size, settings.metric_buffer_limit) == (1000, 10_000)
    assert settings.round_interval
    assert settings.hostname == socket.gethostname()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("interval = 5", 5),
        ("interval = 1.5", 1.5),
        ('interval = "10"', 10),
        ('interval = "1d12h"', 129_600),
        ('interval = "1h1m"', 3660),
        ("Interval = 5", 5),
        ("INTER_VAL = 5", 5),
    ],
)
def test_intervals(load: Load, text: str, seconds: float) -> None:
    assert agent(load, text).interval.seconds == seconds


def test_zero_is_the_default_size(load: Load) -> None:
    settings = agent(load, "metric_batch_size = 0\nmetric_buffer_limit = 0")
    assert (settings.metric_batch_size, settings.metric_buffer_limit) == (1000, 10_000)


def test_empty_choices_are_the_defaults(load: Load) -> None:
    settings = agent(load, 'logformat = ""\nprecision = ""\nlogtarget = ""')
    assert (settings.logformat, settings.precision) == ("text", 0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("interval = 0", "a.conf:2: agent: interval must be positive; found 0s"),
        ('interval = ""', "a.conf:2: agent: interval must be positive; found 0s"),
        ("\nflush_interval = -10", "a.conf:3: agent: flush_interval must be positive; found -10s"),
        ('interval = "1us"', "a.conf:2: agent: interval must be 1ms or more; found 1us"),
        ("flush_interval = 0.000000001", "a.conf:2: agent: flush_interval must be 1ms or more; found 1ns"),
        ("Interval = -1", "a.conf:2: agent: interval must be positive; found -1s"),
        ('interval = "2w"', "a.conf:2: agent: the option 'interval': cannot read the duration '2w'"),
        ("interval = true", "a.conf:2: agent: the option 'interval': expected a duration"),
        ('collection_jitter = "-1s"', "a.conf:2: agent: the option 'collection_jitter' must be 0 or more; found -1s"),
        ('collection_offset = "-1s"', "a.conf:2: agent: the option 'collection_offset' must be 0 or more; found -1s"),
        ("metric_batch_size = -1", "a.conf:2: agent: the option 'metric_batch_size' must be 0 or more; found -1"),
        (
            "interval = 5\nInterval = 6",
            "a.conf:3: agent: the option 'interval' is given twice, the second time as 'Inter",
        ),
        ("Debug = true", "a.conf:2: agent: unknown option 'Debug'; did you mean 'debug'?"),
        (
            "metric_bufer_limit = 5",
            "a.conf:2: agent: unknown option 'metric_bufer_limit'; did you mean 'metric_buffer_",
        ),
        ('debug = "true"', "a.conf:2: agent: the option 'debug' must be a boolean (true or false), not a string"),
        ('logformat = "xml"', "a.conf:2: agent: logformat cannot be 'xml'; use one of 'text', 'structured'"),
        ('logtarget = "eventlog"', "a.conf:2: agent: logtarget cannot be 'eventlog'; use one of 'file', 'stderr'"),
        ('log_with_timezone = "Mars/Base"', "a.conf:2: agent: log_with_timezone: unknown time zone 'Mars/Base'"),
        ('log_with_timezone = "../x"', "a.conf:2: agent: log_with_timezone: unknown time zone '../x'"),
        (
            "config_url_retry_attempts = -2",
            "a.conf:2: agent: config_url_retry_attempts: invalid number of attempts: -2",
        ),
        (
            "skip_processors_before_aggregators = true\nskip_processors_after_aggregators = true",
            "a.conf:1: agent: skip_processors_before_aggregators and",
        ),
    ],
)
def test_what_is_refused(load: Load, text: str, wanted: str) -> None:
    assert load.refused(f"[agent]\n{text}\n{NOTHING}").startswith(wanted)


def test_the_intervals_are_checked_when_all_sources_are_read(load: Load) -> None:
    assert load(f"[agent]\ninterval = 0\n{NOTHING}", "[agent]\ninterval = 5\n").agent.interval.seconds == 5


def test_what_has_no_effect_yet_is_accepted(load: Load) -> None:
    settings = agent(
        load, 'statefile = "s"\nbuffer_directory = "b"\nskip_processors_after_aggregators = true\nalias = "a"'
    )
    assert settings.statefile == "s"


def test_what_is_odd_is_told(load: Load) -> None:
    text = 'omit_hostname = true\nsnmp_translator = "netsnmp"\nlogtarget = "stderr"'
    plan = load(f"[agent]\n{text}\n{NOTHING}")
    assert "a.conf:4: agent: the option 'logtarget' is deprecated; use logfile" in plan.warnings
    assert plan.errors == ("a.conf:3: agent: snmp_translator: 'netsnmp' is deprecated; use 'gosmi'",)


@pytest.mark.parametrize("zone", ["", "local", "Local", "UTC"])
def test_time_zones(load: Load, zone: str) -> None:
    assert agent(load, f'log_with_timezone = "{zone}"').log_with_timezone == zone


# Tags.


def tags(plan: Plan) -> dict[str, str]:
    return dict(plan.global_tags)


def test_host_is_the_systems_name_and_wins(load: Load) -> None:
    assert tags(load(f'[global_tags]\nhost = "x"\ndc = "y"\n{NOTHING}')) == {"host": socket.gethostname(), "dc": "y"}
    assert tags(load(f'[agent]\nhostname = "me"\n[global_tags]\nhost = "x"\n{NOTHING}')) == {"host": "me"}


def test_omit_hostname_leaves_a_host_of_the_tags(load: Load) -> None:
    plan = load(f'[agent]\nhostname = "me"\nomit_hostname = true\n[global_tags]\nhost = "x"\n{NOTHING}')
    assert tags(plan) == {"host": "x"}
    assert plan.agent.hostname == ""


def test_omit_hostname_of_a_later_source_comes_too_late(load: Load) -> None:
    later = "[agent]\nomit_hostname = true\n"
    assert "host" in load(NOTHING, later).global_tags
    assert "host" not in load(later, NOTHING).global_tags


def test_the_old_name_of_the_tags_comes_first(load: Load) -> None:
    plan = load(f'[agent]\nomit_hostname = true\n[global_tags]\na = "new"\n[tags]\na = "old"\nb = "old"\n{NOTHING}')
    assert tags(plan) == {"a": "new", "b": "old"}


def test_tags_of_several_sources_are_merged(load: Load) -> None:
    plan = load(
        f'[agent]\nomit_hostname = true\n[global_tags]\na = "1"\n{NOTHING}', '[global_tags]\nb = "2"\na = "3"\n'
    )
    assert tags(plan) == {"a": "3", "b": "2"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[global_tags]\na = 5", "a.conf:2: global_tags: 'a' must be a string, not an integer"),
        ("global_tags = 5", "a.conf:1: global_tags must be a table, [global_tags], not an integer"),
        ("[[agent]]", "a.conf:1: agent must be a table, [agent], not a list; write it in single brackets"),
    ],
)
def test_tables_of_the_wrong_form(load: Load, text: str, wanted: str) -> None:
    assert load.refused(text) == wanted


def test_several_agent_tables_are_merged_with_a_warning(load: Load) -> None:
    plan = load(f"[agent]\ninterval = 5\n{NOTHING}", "\n[agent]\nflush_interval = 7\n")
    assert (plan.agent.interval.seconds, plan.agent.flush_interval.seconds) == (5, 7)
    assert plan.warnings == (
        "b.conf:2: agent: settings of several [agent] tables are merged; later ones overwrite earlier ones",
    )

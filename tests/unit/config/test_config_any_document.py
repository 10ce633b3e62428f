"""Whatever a document holds, it becomes a plan or one error with its line."""

import datetime
import json
import re
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loading import Load

from pyagent.api import ConfigError
from pyagent.config import AgentSettings, Plan, SourceText
from pyagent.plugin_kinds import COMMON_KEYS

OWN = [
    "flag",
    "count",
    "share",
    "text",
    "texts",
    "headers",
    "wait",
    "room",
    "token",
    "mode",
    "server",
    "servers",
    "either",
]
AGENT = [info.encode_name for info in msgspec.structs.fields(AgentSettings)]

values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**65), 2**65),
        st.floats(),
        st.sampled_from(
            ["", "5s", "1d", "-1s", "10MB", "$X", "${Y:?m}", "[", "a*", "debug", "fast", "@{s:k}", "é\n\x1b\0"]
        ),
        st.datetimes().map(lambda moment: moment.replace(microsecond=0)),
        st.dates(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["host", "port", "a b", "", "k"]), inner, max_size=2),
    ),
    max_leaves=4,
)


def table(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from([*keys, "unknown"]), values, max_size=3)


plugin = st.one_of(table([*OWN, *sorted(COMMON_KEYS)]), values)
plugins = st.dictionaries(
    st.sampled_from(["full", "nothing", "nowhere", "unknown", "a.b", ""]),
    st.one_of(plugin, st.lists(plugin, max_size=3)),
    max_size=2,
)
documents = st.dictionaries(
    st.sampled_from(["agent", "global_tags", "tags", "inputs", "plugins", "outputs", "processors", "full", "x"]),
    st.one_of(table(AGENT), plugins, values),
    max_size=4,
)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.date):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, str) else repr(value)


def text_of(document: dict[str, Any]) -> str:
    lines = ["[[inputs.nothing]]"] if "inputs" not in document else []
    return "\n".join([*(f"{key} = {toml(item)}" for key, item in document.items()), *lines])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(documents, st.booleans(), st.sampled_from(["a.conf", "http://h/a.conf"]))
def test_a_plan_or_one_error_with_its_line(load: Load, document: dict[str, Any], strict: bool, where: str) -> None:
    text = text_of(document)
    try:
        plan = load(sources=[SourceText(where, text)], environ={"X": "5s"}, strict_env=strict)
    except ConfigError as error:
        message = str(error)
        assert message.isprintable()
        assert message.startswith(f"no inputs found in {where}") or (
            (place := re.match(rf"{where}:(\d+): ", message)) and 1 <= int(place[1]) <= text.count("\n") + 1
        )
    else:
        assert isinstance(plan, Plan)
        assert plan.inputs
        for line in (*plan.warnings, *plan.errors):
            assert re.match(rf"{where}:\d+: ", line)
            assert line.isprintable()

"""Sample configurations load, and what is commented out in them is the default."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError
from pyagent.config import Plan, PluginPlan, SourceText, load_plan
from pyagent.config.catalog import Catalog, CatalogEntry
from pyagent.config.plan import AgentSettings
from pyagent.config.sample import plugin_sample, sample
from pyagent.config.toml_text import toml_key, toml_value
from pyagent.plugin_kinds import SECTIONS

ENTRIES = list(Catalog().entries("inputs", "outputs", "processors", "aggregators"))
REST = "[[inputs.mem]]\n[[outputs.discard]]\n"


def load(text: str, *directories: Path) -> Plan:
    return load_plan([SourceText("sample.conf", text)], environ={}, plugin_directories=directories)


def switched_on(text: str) -> str:
    """A sample with its options no longer commented out."""
    return re.sub(r"^  # (?=\w+ = )", "  ", text, flags=re.MULTILINE)


def only(plan: Plan, entry: CatalogEntry) -> PluginPlan:
    plans: tuple[PluginPlan, ...] = getattr(plan, entry.kind)
    return next(plan for plan in plans if plan.name == entry.name)


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.label for entry in ENTRIES])
def test_each_plugins_sample_loads_as_it_is_and_switched_on(entry: CatalogEntry) -> None:
    text = plugin_sample(Catalog(), entry)
    before = only(load(text + REST), entry)
    after = only(load(switched_on(text) + REST), entry)
    table: dict[str, Any] = tomli.loads(switched_on(text))[entry.kind][entry.name][0]
    for info in msgspec.structs.fields(type(before.options)):
        old, new = getattr(before.options, info.name), getattr(after.options, info.name)
        assert new == old or old is None, info.name
        named = info.encode_name in table or f"# [[{entry.label}.{info.encode_name}]]" in text
        assert (
            named
            or f"# [{entry.label}.{info.encode_name}]" in text
            or re.search("deprecated|no_effect", str(info.type))
        ), info.name


def test_all_of_it_loads() -> None:
    text = sample(Catalog())
    plan = load(text)
    assert {"mem"} <= {plugin.name for plugin in plan.inputs}
    assert [plugin.name for plugin in plan.outputs] == ["influxdb_v2"]
    assert ["the option 'bucket' is empty" in warning for warning in plan.warnings] == [True]
    assert plan.errors == ()
    # But for the secret stores, which look for their folders.
    text = sample(Catalog(), sections=[section for section in SECTIONS if section != "secretstores"])
    every = re.sub(r"^# (?=\[\[|  )", "", text, flags=re.MULTILINE)
    plan = load(every)
    for kind in ("inputs", "outputs", "processors", "aggregators"):
        assert [plugin.name for plugin in getattr(plan, kind)] == [e.name for e in ENTRIES if e.kind == kind]


def test_the_agents_settings_switched_on_are_the_defaults() -> None:
    text = switched_on(sample(Catalog(), sections=["agent"]))
    settings, defaults = load(text + REST).agent, load(REST).agent
    names = [info.name for info in msgspec.structs.fields(AgentSettings)]
    changed = [name for name in names if getattr(settings, name) != getattr(defaults, name)]
    # Not set, and set to false, are not quite the same there.
    assert changed == ["skip_processors_after_aggregators"]
    assert [name for name in names if f"  {name} = " not in text] == ["logtarget"]


def test_filters_choose_plugins_and_sections() -> None:
    text = sample(Catalog(), sections=["inputs", "outputs"], chosen={"inputs": ["postgresql", "mem"], "outputs": []})
    assert re.findall(r"^\[+.*\]", text, re.MULTILINE) == [
        "[[outputs.influxdb_v2]]",
        "[[inputs.postgresql]]",
        "[[inputs.mem]]",
    ]
    assert "# [[outputs.discard]]" in text
    text = sample(Catalog(), chosen={"outputs": ["discard"]})
    assert "outputs.influxdb_v2" not in text
    assert all(f"[{section}]" in text for section in ("agent", "global_tags"))
    assert load(text).outputs[0].name == "discard"


def test_wrong_names_are_told() -> None:
    with pytest.raises(ConfigError, match=r"inputs\.memm: no such plugin is installed; did you mean inputs\.mem\?"):
        sample(Catalog(), chosen={"inputs": ["memm"]})
    with pytest.raises(ConfigError, match=rf"the section 'input': it is not one of {', '.join(SECTIONS)}"):
        sample(Catalog(), sections=["input"])


def test_options_of_every_kind(plugins: Path) -> None:
    catalog = Catalog([plugins])
    (entry,) = catalog.find("inputs.full")
    text = plugin_sample(catalog, entry)
    on = only(load(switched_on(text) + REST, plugins), entry)
    assert on.options == only(load(text + REST, plugins), entry).options
    assert '  ## what to run (string)\n  # command = ""\n' in text
    assert '  # wait = "5s"\n' in text
    assert "old" not in text
    # A table among the options: its own options are those of one more level, and the required one is not commented out.
    assert text.endswith(
        '  ## list of table\n  # [[inputs.full.servers]]\n  #   ## string\n  #   host = ""\n  #   ## integer\n  #   # port = 80\n'
    )
    tables = re.sub(r"^  # (?=\[|  )", "  ", text, flags=re.MULTILINE)
    options: Any = only(load(tables + REST, plugins), entry).options
    assert (options.server.host, options.servers[0].port) == ("", 80)


def test_a_plugin_whose_library_is_missing_does_not_spoil_the_sample(tmp_path: Path) -> None:
    (tmp_path / "dream.py").write_text("from pyagent.api import Input\nimport no_such_library\nclass D(Input): pass\n")
    text = sample(Catalog([tmp_path]))
    assert re.search(r"^# inputs\.dream: cannot import .*no_such_library", text, re.MULTILINE)
    load(text, tmp_path)


toml_values = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@given(toml_values)
def test_values_are_toml(value: object) -> None:
    assert tomli.loads(f"key = {toml_value(value)}") == {"key": value}


@given(st.text(st.characters(codec="utf-8")))
def test_keys_are_toml(key: str) -> None:
    assert tomli.loads(f"{toml_key(key)} = 1") == {key: 1}


def test_what_unicode_cannot_say_is_replaced() -> None:
    assert toml_value("caf\udce9") == '"caf?"'
    with pytest.raises(TypeError, match="no value of TOML"):
        toml_value(None)

"""The declarations that pages, samples and editors are made of."""

from pathlib import Path

from pyagent.config.catalog import Catalog
from pyagent.config.declared import COMMON, declared_options
from pyagent.plugin_kinds import PLUGIN_KINDS, RUNNING


def test_the_common_options_are_those_that_are_read() -> None:
    for kind in RUNNING:
        declared = {option.name for options in COMMON[kind] for option in declared_options(options)}
        assert declared == PLUGIN_KINDS[kind].common_keys, kind


def test_every_option_of_every_plugin_says_what_it_is() -> None:
    catalog = Catalog()
    silent = [
        f"{entry.label}.{option.name}"
        for entry in catalog.entries()
        for option in declared_options(catalog.load(entry).options_type)
        if not option.text
    ]
    assert silent == []
    assert all(option.text for kind in COMMON.values() for options in kind for option in declared_options(options))


def test_what_is_declared(plugins: Path) -> None:
    catalog = Catalog([plugins])
    (entry,) = catalog.find("full")
    found = {option.name: option for option in declared_options(catalog.load(entry).options_type)}
    shown = {name: (option.type, option.default) for name, option in found.items()}
    assert shown["flag"] == ("boolean", False)
    assert shown["headers"] == ("table of secret", {})
    assert shown["wait"] == ("duration", "5s")
    assert shown["room"] == ("size", 1_000_000)
    assert shown["mode"] == ("one of 'fast', 'safe'", "safe")
    assert shown["server"] == ("table", None)
    assert shown["servers"] == ("list of table", [])
    assert shown["either"] == ("string or integer", "")
    assert (found["old"].deprecated, found["command"].effects, found["files"].effects) == (
        "text",
        ("executes",),
        ("writes",),
    )


def test_options_of_ones_own_come_before_shared_ones() -> None:
    catalog = Catalog()
    (entry,) = catalog.find("outputs.influxdb_v2")
    names = [option.name for option in declared_options(catalog.load(entry).options_type)]
    assert names[0] == "urls"
    assert names.index("bucket") < names.index("tls_ca")


def test_where_plugins_come_from(plugins: Path) -> None:
    entries = {entry.label: entry.origin for entry in Catalog([plugins]).entries()}
    assert entries["inputs.mem"] == "pyagent"
    assert entries["inputs.full"] == str(plugins / "full.py")
    assert "outputs.full" not in entries
    assert entries["outputs.nowhere"] == str(plugins / "nowhere.py")
    assert list(entries) == sorted(entries)
    assert [entry.label for entry in Catalog().find("outputs.file")] == ["outputs.file"]
    assert {entry.kind for entry in Catalog().find("file")} == {"inputs", "outputs"}

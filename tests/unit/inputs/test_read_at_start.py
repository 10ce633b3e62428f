"""What a reload compares of the files that inputs read at their start: one that has changed begins anew, another goes on."""

from pathlib import Path

import pytest

from pyagent.api import ConfigError
from pyagent.config import SourceText, create_plugin, load_plan
from pyagent.runtime.log import plugin_logger
from pyagent_plugins.inputs.nagios import definitions


def identity(text: str) -> str:
    return load_plan([SourceText("pyagent.toml", text)], environ={}, testing=True).inputs[0].identity


def assert_seen(text: str, *files: Path) -> None:
    before = identity(text)
    assert identity(text) == before
    for file in files:
        content = file.read_text()
        file.write_text(f"{content}\n# changed\n")
        changed = identity(text)
        assert changed != before, file.name
        before = changed


def test_nagios_files_and_all_that_they_include(tmp_path: Path) -> None:
    (tmp_path / "nrpe.d").mkdir()
    nrpe, included = tmp_path / "nrpe.cfg", tmp_path / "nrpe.d" / "a.cfg"
    nrpe.write_text("command[one]=true\ninclude_dir=nrpe.d\n")
    included.write_text("command[two]=true\n")
    text = f'[[inputs.nagios]]\n  files = ["{nrpe}"]\n'
    assert_seen(text, nrpe, included)
    before = identity(text)
    (tmp_path / "nrpe.d" / "b.cfg").write_text("command[three]=true\n")
    assert identity(text) != before, "one more"


def test_a_broken_nagios_file_is_noticed_and_mended(tmp_path: Path) -> None:
    nrpe = tmp_path / "nrpe.cfg"
    nrpe.write_text("command[one]=true\n")
    text = f'[[inputs.nagios]]\n  files = ["{nrpe}"]\n'
    before = identity(text)
    nrpe.write_text("command[one]=true\ncommand[two\n")
    [plan] = load_plan([SourceText("pyagent.toml", text)], environ={}, testing=True).inputs
    assert plan.identity != before
    with pytest.raises(ConfigError, match=r"nrpe\.cfg:2: it is no command"):
        create_plugin(plan, plugin_logger(plan))
    nrpe.write_text("command[one]=true\ncommand[two]=true\n")
    assert identity(text) not in (before, plan.identity)


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: str) -> list[str]:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(definitions, "_files_below", refused)
    [plan] = load_plan([SourceText("a", f'[[inputs.nagios]]\nfiles = ["{tmp_path}"]')], environ={}, testing=True).inputs
    with pytest.raises(ConfigError, match=f"cannot read '?{tmp_path}'?: Permission denied"):
        create_plugin(plan, plugin_logger(plan))


@pytest.mark.parametrize("isolate", ["true", "false"])
def test_conf_yaml_and_the_file_of_a_check(isolate: str, tmp_path: Path) -> None:
    conf, check = tmp_path / "conf.yaml", tmp_path / "shop.py"
    conf.write_text("instances: [{}]\n")
    check.write_text("")
    text = f'[[inputs.datadog_check]]\n  check = "{check}"\n  conf = "{conf}"\n  isolate = {isolate}\n'
    assert_seen(text, conf, check)


def test_a_module_is_looked_at_where_it_can_be_imported_again(tmp_path: Path) -> None:
    module = tmp_path / "shop_of_others.py"
    module.write_text("")
    text = f'[[inputs.datadog_check]]\n  check = "shop_of_others:Shop"\n  module_path = ["{tmp_path}"]\n  isolate = '
    assert_seen(f"{text}true\n", module)
    before = identity(f"{text}false\n")
    module.write_text("# it stays as it was imported\n")
    assert identity(f"{text}false\n") == before


def test_a_text_of_collectd_and_its_modules(tmp_path: Path) -> None:
    config, module, types = tmp_path / "collectd.conf", tmp_path / "queues_of_others.py", tmp_path / "types.db"
    config.write_text(f'<Plugin python>\n  ModulePath "{tmp_path}"\n  Import queues_of_others\n</Plugin>\n')
    module.write_text("")
    types.write_text("")
    text = f'[[inputs.collectd_python]]\n  config_file = "{config}"\n  types_db = ["{types}"]\n'
    assert_seen(text, config, module, types)
    before = identity(text)
    config.write_text("<Plugin python>\n")
    assert identity(text) != before, "one that cannot be read"


def test_a_file_of_others_that_is_not_there_is_none(tmp_path: Path) -> None:
    text = f'[[inputs.collectd_python]]\n  config_file = "{tmp_path}/none"\n  modules = ["none_such"]\n'
    assert identity(text) == identity(text)

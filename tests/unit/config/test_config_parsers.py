"""Options of a parser beside those of the plugin that parses."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from loading import Load

from pyagent.api import ConfigError, Input
from pyagent.config import create_plugin
from pyagent.pipeline.inputs.accumulator import InputAccumulator

LOG = logging.getLogger("test")
PARSER = """
from pyagent.api import ConfigError, Metric, Options, Parser
class WordsOptions(Options, frozen=True):
    words_field: str = "count"
class Words(Parser[WordsOptions]):
    def setup(self):
        if not self.options.words_field:
            raise ConfigError("it is empty", option="words_field")
    def parse(self, data):
        return [Metric(self.measurement, {}, {self.options.words_field: len(data.split())}, self.now())]
"""


def gathered(load: Load, text: str) -> list[Any]:
    """What the text's first input adds."""
    plugin = create_plugin(load(text).inputs[0], LOG)
    assert isinstance(plugin, Input)
    acc = InputAccumulator()
    plugin.gather(acc)
    return acc.drain()


def test_the_keys_of_one_table_go_to_the_plugin_and_to_its_parser(load: Load, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("a,t\n1,x\n")
    text = f"""[[inputs.file]]
    files = ["{tmp_path}/in"]
    data_format = "csv"
    csv_header_row_count = 1
    csv_tag_columns = ["t"]
    alias = "table"
    """
    plan = load(text)
    assert plan.warnings == ()
    [metric] = gathered(load, text)
    assert (metric.name, metric.tags, metric.fields) == ("file", {"t": "x"}, {"a": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("influx_strict = true", "a.conf:2: inputs.file: unknown option 'influx_strict'; "),
        ("flies = []", "a.conf:2: inputs.file: unknown option 'flies'; did you mean 'files'?"),
        (
            'data_format = "csv"\ncsv_delimeter = ";"',
            "a.conf:3: inputs.file: unknown option 'csv_delimeter'; did you mean 'csv_delimiter'?",
        ),
        ('csv_delimiter = ";"', "a.conf:2: inputs.file: unknown option 'csv_delimiter'; "),
        (
            'data_format = "csv"\ncsv_header_row_count = "1"',
            "a.conf:3: inputs.file: the option 'csv_header_row_count' must be an integer, not a string",
        ),
        (
            'files = ["x"]\ndata_format = "magic"',
            "a.conf:3: inputs.file: undefined but requested parser: magic; no such plugin is installed",
        ),
        ('data_format = "jsn"', "a.conf:2: inputs.file: undefined but requested parser: jsn; did you mean 'json'?"),
    ],
)
def test_mistakes(load: Load, text: str, message: str) -> None:
    assert load.refused(f"[[inputs.file]]\n{text}").startswith(message)


def test_a_format_that_is_no_text_is_ignored(load: Load) -> None:
    plan = load("[[inputs.file]]\ndata_format = 5")
    assert plan.inputs[0].parser is not None
    assert plan.inputs[0].parser.data_format == "influx"
    ignored = "a.conf:2: inputs.file: the option 'data_format' is ignored: it must be a string, not an integer"
    assert plan.warnings == (ignored,)


def test_a_wrong_log_level_is_told_for_the_parser_too(load: Load) -> None:
    (error,) = load("[[inputs.file]]\nlog_level = 'loud'").errors
    assert "invalid log level 'loud' is ignored, also for parsers.influx; use one of error," in error


def test_an_empty_format_is_the_default_one(load: Load) -> None:
    for name, parser in (("file", "influx"), ("exec", "json")):
        plan = load(f'[[inputs.{name}]]\ndata_format = ""').inputs[0].parser
        assert plan is not None
        assert plan.data_format == parser
    assert load("[[inputs.nothing]]").inputs[0].parser is None


def test_common_options_of_parsers_are_warned_about_where_they_have_no_effect(load: Load) -> None:
    assert load('[[inputs.file]]\ndata_format = "value"\ndata_type = "float"').warnings == ()
    assert load('[[inputs.file]]\ninflux_parser_type = "upstream"').warnings == (
        "a.conf:2: inputs.file: the option 'influx_parser_type' has no effect: there is one parser only",
    )
    assert load('[[inputs.file]]\ndata_type = "float"').warnings == (
        "a.conf:2: inputs.file: the option 'data_type' has no effect here",
    )
    assert load('[[inputs.nothing]]\ndata_format = "json"').warnings == (
        "a.conf:2: inputs.nothing: the option 'data_format' has no effect here",
    )


BAD_FORMATS = {
    "inputs.file": ("value", 'data_type = "number"', "unknown data_type 'number'"),
    "inputs.exec": ("json", 'commands = ["true"]\njson_timezone = "Moon/Sea"', "unknown time zone 'Moon/Sea'"),
    "inputs.tail": ("grok", 'grok_patterns = ["%{WROD:x}"]', "WROD"),
    "inputs.http": ("grok", 'grok_custom_pattern_files = ["/no/such"]\ngrok_patterns = ["%{WORD:x}"]', "/no/such"),
    "inputs.http_listener_v2": (
        "xpath_protobuf",
        'xpath_protobuf_type = "a"\nxpath_protobuf_files = ["/no/such"]',
        "/no/",
    ),
    "inputs.socket_listener": ("avro", "", "avro_schema"),
    "processors.parser": ("grok", 'parse_fields = ["a"]\ngrok_patterns = ["%{WROD:x}"]', "WROD"),
    "processors.printer": ("template", 'template = "{{"', "template"),
    "outputs.file": ("template", 'template = "{{"', "template"),
    "outputs.mqtt": ("template", 'servers = ["tcp://a:1"]\ntopic = "t"\ntemplate = "{{"', "template"),
}


@pytest.mark.parametrize("name", BAD_FORMATS)
def test_options_that_the_format_cannot_work_with_are_told_when_the_plugin_is_made(load: Load, name: str) -> None:
    data_format, options, reason = BAD_FORMATS[name]
    plan = load(f'[[{name}]]\ndata_format = "{data_format}"\n{options}', partial=True)
    (made,) = getattr(plan, name.partition(".")[0])
    with pytest.raises(ConfigError, match=rf"^a\.conf:\d+: {name}: .*{reason}"):
        create_plugin(made, LOG)


def test_they_are_told_for_a_plugin_of_ones_own_that_does_not_look_at_its_format(load: Load) -> None:
    (load.folder / "late.py").write_text(
        "from pyagent.api import Input, ParserOptions\n"
        "class Late(Input[ParserOptions]):\n"
        "    def gather(self, acc):\n"
        "        acc.add_data(b'', self.new_parser())\n"
    )
    made = load('[[inputs.late]]\ndata_format = "value"\ndata_type = "number"').inputs[0]
    with pytest.raises(ConfigError, match=r"^a\.conf:3: inputs\.late: unknown data_type 'number'"):
        create_plugin(made, LOG)


def test_a_changed_option_of_the_parser_is_a_changed_plugin(load: Load) -> None:
    text = '[[inputs.file]]\ndata_format = "csv"\ncsv_header_row_count = '
    assert load(text + "1").inputs == load(text + "1").inputs
    assert load(text + "1").inputs[0].identity != load(text + "2").inputs[0].identity


def test_a_parser_from_a_drop_in_folder(load: Load, tmp_path: Path) -> None:
    (load.folder / "words.py").write_text(PARSER)
    (tmp_path / "in").write_text("one two three")
    text = f'[[inputs.file]]\nfiles = ["{tmp_path}/in"]\ndata_format = "words"\nwords_field = "n"'
    [metric] = gathered(load, text)
    assert metric.fields == {"n": 3}
    before = load(text).inputs[0]
    assert before.origin == "file", "external code is treated as such"
    (load.folder / "words.py").write_text(PARSER + "\n# changed\n")
    assert load(text).inputs[0].identity != before.identity


def test_a_broken_parser_costs_its_plugin_only(load: Load) -> None:
    (load.folder / "words.py").write_text("import nothing_of_this_name\n")
    plan = load('[[inputs.file]]\ndata_format = "words"\n[[inputs.nothing]]')
    assert [entry.name for entry in plan.inputs] == ["nothing"]
    [broken] = plan.broken
    assert broken.reason.startswith("a.conf:2: inputs.file: cannot import ")


def test_no_parser_is_imported_that_is_not_named() -> None:
    code = (
        "import sys; from pyagent.config import SourceText, load_plan;"
        "load_plan([SourceText('a', '[[inputs.file]]')], environ={}, testing=True);"
        "print(*sorted(name for name in sys.modules if name.startswith('pyagent_plugins.parsers.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pyagent_plugins.parsers.influx"]

"""The usual mistakes in a configuration: each is named with its line, and with what to write instead."""

import random

import pytest
from loading import Load

from pyagent.api import ConfigError
from pyagent.config import SourceText, load_plan
from pyagent.config.toml import parse_document

SAMPLE = """\
[agent]
  interval = "10s" # how often
  metric_batch_size = 1_000
[global_tags]
  room = 'kitchen'
[[inputs.mem]]
  tags = { a = "b", c = "d" }
[[inputs.exec]]
  commands = ["echo \\"a\\"", '''
    b=1
  ''']
  [inputs.exec.tagpass]
    cpu = [ "cpu0",
      "cpu1" ]
"""


def refusal(text: str) -> tuple[int, str]:
    """Line and reason."""
    with pytest.raises(ConfigError) as caught:
        parse_document(SourceText("t.conf", text), {})
    message = str(caught.value)
    assert "\n" not in message
    where, line, rest = message.split(":", 2)
    assert (where, rest[:23]) == ("t.conf", " cannot read the TOML: ")
    return int(line), rest[23:]


def outcome(text: str) -> str:
    """The message of a text that is refused; empty for one that is not."""
    try:
        parse_document(SourceText("t.conf", text), {})
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        # text without quotes
        ("[o]\nbucket = monitoring-system\n", 2, 'text goes in quotes; write bucket = "monitoring-system"'),
        ("[agent]\ninterval = 10s\n", 2, 'text goes in quotes; write interval = "10s"'),
        ("[agent]\ninterval = 1.5h # x\n", 2, 'text goes in quotes; write interval = "1.5h"'),
        ("url = http://localhost:8086\n", 1, 'text goes in quotes; write url = "..."'),
        ("token = abcdef\n", 1, 'text goes in quotes; write token = "..."'),
        ("password = 1234abc\n", 1, 'text goes in quotes; write password = "..."'),
        ("address = 127.0.0.1:8086\n", 1, 'text goes in quotes; write address = "..."'),
        ("files = [/var/log/a, /b]\n", 1, 'text goes in quotes, in lists too; write files = ["..."]'),
        ("tags = {a = b}\n", 1, 'text goes in quotes, in lists too; write tags = { name = "..." }'),
        ("n = ${SIZE}\n", 1, "environment references are replaced inside of strings only; put it in quotes: n = "),
        # quotes and lists that are not closed
        ('[agent]\ninterval = "10s\n[x]\n', 2, "a quote is not closed in the value of 'interval'; add one at the end"),
        ('[agent]\r\ninterval = "10s\r\n[x]\r\n', 2, "a quote is not closed in the value of 'interval'; add one"),
        ("[agent]\ninterval = '10s\n[x]\ny = 1\n", 2, "a quote is not closed in the value of 'interval'; add one"),
        ("[agent]\ninterval = '10s\n[x]\ny = 'a'\n", 2, "a quote is not closed in the value of 'interval'; add one"),
        ('a = """x\n[x]\ny = 1\n', 1, "the text of 'a' that begins with three quotes is not closed; add three quotes"),
        ("a = '''x\n[x]\ny = 1\n", 1, "the text of 'a' that begins with three quotes is not closed; add three quotes"),
        ('a = 10s"\n', 1, 'the quote at the beginning of the text is missing; write a = "..."'),
        ('a = ["x", "y"\n[b]\n', 1, "a comma or the closing ] is missing here in the list of 'a'"),
        ('a = ["x" "y"]\n', 1, "a comma or the closing ] is missing here in the list of 'a'"),
        (
            'a = [\n"x",\n"y"\n\n"z"]\n',
            3,
            "a comma or the closing ] is missing here in the list of 'a', which begins on",
        ),
        ('a = ["x"; "y"]\n', 1, "in the list of 'a', a comma belongs between two values, not a semicolon"),
        ("a = { b = 1 c = 2 }\n", 1, "a comma or the closing } is missing here in the inline table of 'a'"),
        # quotes inside, and what stands behind a value
        (
            'q = "select "a" from b"\n',
            1,
            'a quote inside of the text ends it; write it as \\", or put the whole text in',
        ),
        ('a = "x";\n', 1, "nothing may follow the value; remove the ';' behind it"),
        ('a = "x",\n', 1, "nothing may follow the value; remove the ',' behind it"),
        ("a = 5;\n", 1, "nothing may follow the value; remove the ';' behind it"),
        ('a = ["x"],\n', 1, "nothing may follow the value; remove the ',' behind it"),
        ('a = "x" b = "y"\n', 1, "one key and its value to a line; begin a new line for the second one"),
        ('a = "x" + "y"\n', 1, "texts cannot be put together; write one text in quotes"),
        ('a = "x" // comment\n', 1, "nothing but a comment (#) may follow the value on its line"),
        # words and numbers of other languages
        ("a = True\n", 1, "write a = true, in small letters"),
        ("a = yes\n", 1, "write a = true, in small letters"),
        ("a = off # x\n", 1, "write a = false, in small letters"),
        ("a = null\n", 1, "there is no such value in TOML; remove the line, or put # before it"),
        ("a =\n", 1, "the value is missing; write a = and the value, or remove the line"),
        ("a = # x\n", 1, "the value is missing; write a = and the value, or remove the line"),
        ("a == 1\n", 1, "one equals sign is enough; write a = ..."),
        ("a = 0100\n", 1, "a number has no leading zeros and no separators but single underscores, as in 10_000"),
        ("a = 10,000\n", 1, "a number has no leading zeros and no separators but single underscores, as in 10_000"),
        # keys
        ('interval: "10s"\n', 1, "write interval = ..., with an equals sign in place of the colon"),
        ("agent:\n  interval: 10s\n", 1, "write agent = ..., with an equals sign in place of the colon"),
        ('interval "10s"\n', 1, "an equals sign is missing behind interval; write interval = ..."),
        ('flush interval = "10s"\n', 1, "a key has no blanks; write flush_interval = ..."),
        # tables
        ("[[inputs.mem]\n", 1, "the name of a table stands in brackets; write [[inputs.mem]]"),
        ("[inputs.mem\n", 1, "the name of a table stands in brackets; write [[inputs.mem]]"),
        ("[agent\n", 1, "the name of a table stands in brackets; write [agent]"),
        ("[[inputs/mem]]\n", 1, "the name of a table stands in brackets; write [[inputs.mem]]"),
        ("[[inputs.my input]]\n", 1, "the name of a table is made of letters, digits, _ and -, with dots between"),
        ("[[inputs.]]\n", 1, "the name of a table is made of letters, digits, _ and -, with dots between its parts"),
        ("[]\n", 1, "a table begins with its name in brackets, such as [[inputs.mem]] or [agent]"),
        ("[[inputs.mem]] x = 1\n", 1, "nothing may follow the name of a table on its line; write [[inputs.mem]] and"),
        # what is there twice
        ("[agent]\na = 1\na = 2\n", 3, "'a' is already set on line 2; remove one of the two"),
        ("[agent]\n\n[agent]\n", 3, "the table [agent] is already set on line 1; put all of it below one"),
        ("[inputs.a]\n[inputs.a]\n", 2, "the table [inputs.a] is already set on line 1; write [[inputs.a]] for each"),
        ("[inputs.a]\n[[inputs.a]]\n", 2, "the table [inputs.a] is already set on line 1; write [[inputs.a]] for each"),
        ("[[inputs.a]]\n[inputs.a]\n", 2, "the table [inputs.a] is already set on line 1; write [[inputs.a]] for each"),
        (
            "[[inputs.a]]\n[inputs.a.tags]\n[inputs.a.tags]\n",
            3,
            "the table [inputs.a.tags] is already set on line 2; put",
        ),
        # paths of Windows, patterns
        (
            'a = "C:\\Users\\me"\n',
            1,
            "a backslash in double quotes begins an escape; write two (\\\\), or put the text in",
        ),
        (
            'a = ["\\d+"]\n',
            1,
            "a backslash in double quotes begins an escape; write two (\\\\), or put the text in single",
        ),
        # characters that look like others
        (
            "a = \u201c10s\u201d\n",
            1,
            "the character U+201C (left double quotation mark) stands there, which looks like another one",
        ),
        (
            "a = \u201810s\u2019\n",
            1,
            "the character U+2018 (left single quotation mark) stands there, which looks like another one",
        ),
        (
            "a\u00a0= 1\n",
            1,
            "the character U+00A0 (no-break space) stands there, which looks like another one; write a bl",
        ),
        ("[a]\n\ufeffb = 1\n", 2, "the character U+FEFF (zero width no-break space) stands there, which looks like"),
        ("a = \u22121\n", 1, 'text goes in quotes; write a = "..."'),
        (
            "a = \u20131\n",
            1,
            "the character U+2013 (en dash) stands there, which looks like another one; write a hyphen, -",
        ),
        ('a = "\x01"\n', 1, "illegal character '\\x01'; remove it"),
        # other formats
        ("// x\n", 1, "a comment begins with #"),
        ("; x\n", 1, "a comment begins with #"),
        ('{"agent": {}}\n', 1, "this is JSON, not TOML; `pyagent config create` prints"),
        ("```toml\n", 1, "this is Markdown; remove the line"),
        ("<<<<<<< HEAD\n", 1, "a merge is not finished; remove its marks, and one of the two versions between them"),
        ("  ...\n", 1, "every line is a table such as [agent], key = value, or a comment that begins with #"),
        ("[agent]\rinterval = 1\r", 1, "its lines end in CR alone; save it with LF or CR LF at their ends"),
    ],
)
def test_what_is_no_toml_has_a_remedy(text: str, line: int, reason: str) -> None:
    found_line, found = refusal(text)
    assert found.startswith(reason)
    assert found_line == line


@pytest.mark.parametrize(
    "text", ["token = hunter2secret\n", "[o]\ntoken = [hunter2secret]\n", "x = hunter2:secret@h\n"]
)
def test_what_may_be_secret_is_not_shown(text: str) -> None:
    assert "hunter2" not in refusal(text)[1]


def test_whatever_is_wrong_is_one_line() -> None:
    """Each prefix of a text, and many texts with a piece left out or put twice."""
    chance = random.Random(22)
    texts = [SAMPLE[:end] for end in range(len(SAMPLE))]
    for _ in range(1500):
        start = chance.randrange(len(SAMPLE))
        piece = SAMPLE[start : start + chance.choice((1, 1, 2, 10, 40))]
        place = chance.randrange(len(SAMPLE))
        texts.append(SAMPLE.replace(piece, "", 1) if chance.random() < 0.5 else SAMPLE[:place] + piece + SAMPLE[place:])
    refused = 0
    for text in texts:
        if message := outcome(text):
            refused += 1
            assert "\n" not in message
            assert 1 <= int(message.split(":")[1]) <= text.count("\n") + 1
    assert refused > 500


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("indent", ["", "\t"])
def test_what_is_no_mistake(mark: str, end: str, indent: str) -> None:
    lines = ["[agent]", f'{indent}interval{indent}={indent}"5s"{indent}# x', "", "[[inputs.mem]]"]
    text = mark.removeprefix("\ufeff") + "".join(f"{indent}{line}{end}" for line in lines)
    assert load_plan([SourceText("t.conf", text)], environ={}, testing=True).agent.interval == 5 * 10**9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[input.mem]]", "inputs.input: undefined but requested input: input; did you mean [[inputs.mem]]?"),
        ("[input.mem]", "inputs.input: undefined but requested input: input; did you mean [[inputs.mem]]?"),
        ("[[output.file]]", "inputs.output: undefined but requested input: output; did you mean [[outputs.file]]?"),
        ("[[Inputs.mem]]", "inputs.Inputs: undefined but requested input: Inputs; did you mean [[inputs.mem]]?"),
        (
            "[[processor.x]]",
            "inputs.processor: undefined but requested input: processor; did you mean [[processors.x]]?",
        ),
        ("[Agent]\n", "inputs.Agent: undefined but requested input: Agent; did you mean [agent]?"),
        ("[AGENT]\n", "inputs.AGENT: undefined but requested input: AGENT; did you mean [agent]?"),
        (
            "[global-tags]\n",
            "inputs.global-tags: undefined but requested input: global-tags; did you mean [global_tags]?",
        ),
        ("[[agent]]\n", "agent must be a table, [agent], not a list; write it in single brackets"),
        ("[[global_tags]]\n", "global_tags must be a table, [global_tags], not a list; write it in single brackets"),
        (
            "[processors.override]\n",
            "unsupported format: processors.override must be a table in double brackets; write",
        ),
        ("[[inputs]]\n", "invalid configuration: 'inputs' is a list at the top, not a table; write [[inputs.NAME]]"),
        (
            'inputs = "mem"\n',
            "invalid configuration: 'inputs' is a string at the top, not a table; write [[inputs.NAME]]",
        ),
        (
            'interval = "1s"\n',
            "invalid configuration: 'interval' is a string at the top, not a table; write it below [agent]",
        ),
        (
            "[['inputs.mem']]",
            "invalid configuration: 'inputs.mem' is a list at the top, not a table; write [[inputs.mem]], w",
        ),
    ],
)
def test_tables_that_are_called_something_else(load: Load, text: str, message: str) -> None:
    assert load.refused(text).startswith(f"a.conf:1: {message}")


def test_an_input_may_be_called_as_it_likes(load: Load) -> None:
    """Before there were kinds, an input was a table of its own name."""
    (load.folder / "agents.py").write_text((load.folder / "nothing.py").read_text())
    assert [plugin.name for plugin in load("[agents]\n").inputs] == ["agents"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('texts = "a"', "must be a list, not a string; put it in brackets: texts = [...]"),
        ("text = 5", 'must be a string, not an integer; put it in quotes: text = "..."'),
        ("text = true", 'must be a string, not a boolean; put it in quotes: text = "..."'),
        ("text = ['a']", "must be a string, not a list; write one value, without brackets"),
        ('flag = "true"', "must be a boolean (true or false), not a string; write flag = true, without quotes"),
        ("flag = 1", "must be a boolean (true or false), not an integer"),
        ('count = "5"', "must be an integer, not a string; write count = 5, without quotes"),
        ('count = "secret"', "must be an integer, not a string"),
        ('share = "0.5"', "must be a number, not a string; write share = 0.5, without quotes"),
        ('server = "a"', "must be a table, not a string; write it as [server] below"),
    ],
)
def test_values_of_another_type_name_the_one_that_is_expected(load: Load, text: str, message: str) -> None:
    option = text.partition(" ")[0]
    assert load.refused(f"[[inputs.full]]\n{text}\n") == f"a.conf:2: inputs.full: the option {option!r} {message}"


def test_all_unknown_options_of_a_plugin_are_told_at_once(load: Load) -> None:
    text = '[[inputs.full]]\ncont = 1\nxyzzy = 2\nalias = "a"\nservers = [{host = "h"},\n{hosts = "h"}]\n'
    assert load.refused(text).startswith(
        "a.conf:2: inputs.full: unknown options 'cont' (line 2: did you mean 'count'?), 'xyzzy' (line 3) and "
        "'servers[1].hosts' (line 6: did you mean 'host'?); it knows flag, count,"
    )
    assert "unknown options 'foo' (line 2) and 'bar' (line 3)" in load.refused("[agent]\nfoo = 1\nbar = 2\n")


@pytest.mark.parametrize("strict", [True, False])
def test_variables_that_are_not_set_are_told_with_their_line(load: Load, strict: bool) -> None:
    text = '[[inputs.full]]\n  text = "$UNSET/${ALSO_UNSET}"\n  token = "${THERE}"\n  texts = ["${OTHER:-x}$${NO}",\n"$1"]\n'
    warnings = load(text, environ={"THERE": "t"}, strict_env=strict).warnings
    where = "inputs.full.text: " if strict else ""
    assert warnings == tuple(
        f"a.conf:2: {where}the variable {name} is not set; set it, or write $$ for a dollar sign"
        for name in ("UNSET", "ALSO_UNSET")
    )


def test_the_variables_of_a_template_are_its_own(load: Load) -> None:
    loaded = load('[[inputs.full]]\n  text = "{{ range $key, $value := .Tags }}{{ $key }}${UNSET}{{ end }}"\n')
    assert loaded.warnings == (
        "a.conf:2: inputs.full.text: the variable UNSET is not set; set it, or write $$ for a dollar sign",
    )


def test_the_functions_of_jsonata_are_its_own() -> None:
    text = "[[outputs.file]]\n  data_format = 'json'\n  json_transformation = '$merge([tags, {\"${UNSET}\": $x}])'\n"
    loaded = load_plan([SourceText("a.conf", f"[[inputs.mem]]\n{text}")], environ={})
    assert loaded.warnings == (
        "a.conf:4: outputs.file.json_transformation: the variable UNSET is not set; set it, or write $$ for a dollar sign",
    )


def test_a_variable_that_is_not_set_names_the_instances_files(load: Load) -> None:
    environ = {"PYAGENT_ENVIRONMENT_FILES": "/etc/pyagent/ram.env (not there)", "PYAGENT_INSTANCE": "ram"}
    (warning,) = load('[[inputs.full]]\n  text = "$UNSET"\n', environ=environ).warnings
    assert warning.endswith(
        "the variable UNSET is not set; set it in /etc/pyagent/ram.env (not there), then: systemctl restart "
        "pyagent@ram, or write $$ for a dollar sign"
    )


@pytest.mark.parametrize(
    ("options", "line"),
    [("", 1), ('  bucket = ""\n', 2), ('  token = "t"\n  bucket = " "\n', 3), ('  bucket = "b"\n', 0)],
)
def test_an_empty_bucket_is_told_with_its_line(options: str, line: int) -> None:
    text = f"[[outputs.influxdb_v2]]\n{options}"
    plan = load_plan([SourceText("a.conf", text)], environ={}, partial=True)
    told = f"a.conf:{line}: outputs.influxdb_v2: the option 'bucket' is empty; InfluxDB refuses what names no bucket"
    assert plan.warnings == ((told,) if line else ())


def test_a_tag_may_name_the_bucket() -> None:
    text = "[[outputs.influxdb_v2]]\nbucket_tag = 'b'\n"
    assert load_plan([SourceText("a.conf", text)], environ={}, partial=True).warnings == ()


def test_an_option_that_is_called_like_the_hook_for_remarks(load: Load) -> None:
    (load.folder / "own.py").write_text(
        "from pyagent.api import Input, Options\n"
        "class Own(Options, frozen=True):\n    remarks: str = ''\n"
        "class OwnInput(Input[Own]):\n    def gather(self, acc): pass\n"
    )
    assert load("[[inputs.own]]\nremarks = 'x'\n").warnings == ()


def test_a_path_of_which_a_part_was_taken_for_an_escape(load: Load) -> None:
    (warning,) = load('[[inputs.full]]\n  text = "C:\\new\\x.txt"\n'.replace("\\x", "\\\\x")).warnings
    assert warning.startswith(
        "a.conf:2: inputs.full.text: in double quotes, \\t, \\n, \\r, \\b and \\f are no parts of a path"
    )
    assert load("[[inputs.full]]\n  text = 'C:\\new\\x.txt'\n").warnings == ()


def test_an_option_that_stands_below_the_tags(load: Load) -> None:
    (warning,) = load('[[inputs.nothing]]\n[inputs.nothing.tags]\n  a = "b"\n  interval = "5s"\n').warnings
    assert warning == (
        "a.conf:4: inputs.nothing: tags: 'interval' is a tag here, as it stands below [inputs.nothing.tags]; options of "
        "the plugin belong above that"
    )
    refused = load.refused("[[inputs.nothing]]\n[inputs.nothing.tags]\n  precision = 5\n")
    assert refused.endswith(
        "not an integer; it stands below [inputs.nothing.tags]; options of the plugin belong above that"
    )


@pytest.mark.parametrize(
    "text",
    [
        "[" + " " * 1_000_000 + "x\n",
        "[[" + "a." * 500_000 + "\n",
        "a = " + " " * 1_000_000 + "x\n",
        "a = x" + " " * 1_000_000 + "\n",
        "a" + " b" * 500_000 + " = 1\n",
        "a = [" + "x" * 1_000_000,
        "a = '" + "x" * 1_000_000,
        "x" * 1_000_000,
        "x" * 1_000_000 + " = 1\n" + "x" * 1_000_000 + " = 1\n",
    ],
    ids=range(9),
)
def test_a_long_line_takes_no_time(text: str) -> None:
    """Quadratic ones would take hours: the test's time-out is the bound."""
    assert len(refusal(text)[1]) < 1000


def test_what_is_told_is_bounded(load: Load) -> None:
    unknown = "".join(f"option{number} = 1\n" for number in range(10_000))
    assert len(load.refused(f"[[inputs.full]]\n{unknown}")) < 3000
    unset = "".join(f'"$UNSET{number}${{UNSET{number}}}",' for number in range(10_000))
    assert len(load(f"[[inputs.full]]\ntexts = [{unset}]").warnings) < 300
    assert len(load(f"[[inputs.full]]\ntexts = [{unset}]", strict_env=False).warnings) < 300
    tables = "".join(f"[agents{number}]\n" for number in range(10_000))
    assert load.refused(tables).startswith("a.conf:1: inputs.agents0: undefined but requested input: agents0")


def test_a_check_stops_at_the_twenty_second_mistake() -> None:
    """Finding what each was meant for takes ten milliseconds: those of a long text would take minutes."""
    with pytest.raises(ConfigError) as caught:
        load_plan([SourceText("a.conf", "".join(f"[agents{n}]\n" for n in range(5_000)))], environ={})
    notes = caught.value.__notes__
    assert [note.split(":")[1] for note in notes[:-1]] == [str(line) for line in range(2, 22)]
    assert notes[-1] == "and more, which are told when these are mended"


def test_in_an_inner_table_only_its_own_names_are_meant() -> None:
    text = '[[inputs.mem]]\n[[processors.rename]]\n[[processors.rename.replace]]\n  tags = "host"\n  dest = "x"\n'
    with pytest.raises(ConfigError, match="unknown option 'tags'; did you mean 'tag'"):
        load_plan([SourceText("a.conf", text + "[[outputs.discard]]\n")], environ={})

"""`config migrate`: old names become new ones, and nothing else changes."""

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError
from pyagent.config.catalog import Catalog
from pyagent.config.migrate import migrate

CATALOG = Catalog()

CASES = {
    "filters": (
        '# mine\n[[inputs.mem]] # memory\n  pass = ["a"] # old\n  fieldpass = [\n    "b",\n  ]\n  fieldinclude = ["c"]\n'
        '  ## stays\n  drop = ["d"]\n[[inputs.mem]]\n  fielddrop = ["e"]\n',
        '# mine\n[[inputs.mem]] # memory\n  fieldinclude = ["a", "b", "c"]\n  ## stays\n  fieldexclude = ["d"]\n'
        '[[inputs.mem]]\n  fieldexclude = ["e"]\n',
        3,
    ),
    "agent": (
        '[agent]\n  logtarget = "stderr"\n  logfile = "x"\n  debug = true\n[tags]\n  a = "b"\n[[inputs.mem]]\n',
        '[agent]\n  debug = true\n[global_tags]\n  a = "b"\n[[inputs.mem]]\n',
        3,
    ),
    "tls": (
        '[[outputs.influxdb_v2]]\n  ssl_ca = "a"\n  ssl_cert="b"\n  tls_cert = "b"\n',
        '[[outputs.influxdb_v2]]\n  tls_ca = "a"\n  tls_cert = "b"\n',
        2,
    ),
    "successor": (
        '[[inputs.http_listener]]\n  service_address = ":8186"\n  max_line_size = "64KiB"\n  [inputs.http_listener.tags]\n    a = "b"\n',
        '[[inputs.influxdb_listener]]\n  service_address = ":8186"\n  [inputs.influxdb_listener.tags]\n    a = "b"\n',
        2,
    ),
    "listener": (
        '[[inputs.http_listener_v2]]\n  path = "/old"\n  paths = ["/new"]\n  port = 8080\n',
        '[[inputs.http_listener_v2]]\n  paths = ["/new", "/old"]\n  service_address = "tcp://:8080"\n',
        2,
    ),
    "declared": (
        '[[inputs.mock]]\n  metric_name = "m"\n  [[inputs.mock.step]]\n    name = "n"\n    start = 1.0\n',
        '[[inputs.mock]]\n  metric_name = "m"\n  [[inputs.mock.step]]\n    name = "n"\n    start = 1.0\n',
        0,
    ),
    "nothing": ("[[inputs.mem]]\n", "[[inputs.mem]]\n", 0),
    "crlf": ('[[inputs.mem]]\r\n  pass = ["a"]\r\n', '[[inputs.mem]]\r\n  fieldinclude = ["a"]\r\n', 1),
    "long": (
        "[[inputs.mem]]\n  pass = [\n" + 2000 * '    "a", # ]\n' + "  ]\n  drop = []\n",
        "[[inputs.mem]]\n  fieldinclude = [" + ", ".join(2000 * ['"a"']) + "]\n  fieldexclude = []\n",
        2,
    ),
    "separators": (
        '# \u2028 and \x85 end no line\n[[inputs.mem]]\n  alias = "a\u2029b"\n  pass = ["a"]\n  # \u2028\n  drop = ["b"]\n',
        '# \u2028 and \x85 end no line\n[[inputs.mem]]\n  alias = "a\u2029b"\n  fieldinclude = ["a"]\n  # \u2028\n'
        '  fieldexclude = ["b"]\n',
        2,
    ),
    "strange": ('[[inputs.strange]]\n  pass = ["a"]\n', '[[inputs.strange]]\n  fieldinclude = ["a"]\n', 1),
}


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    before, after, count = CASES[name]
    migrated = migrate(before, "a.conf", CATALOG)
    assert migrated.text == after
    assert len(migrated.changes) == count
    again = migrate(migrated.text, "a.conf", CATALOG)
    assert again.text == migrated.text
    assert not again.changes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[inputs.mem\n", "cannot migrate a.conf: "),
        (
            '[[outputs.x]]\n  ssl_ca = "a"\n  tls_ca = "b"\n',
            "a.conf:2: outputs.x: ssl_ca and tls_ca contradict each other",
        ),
        ('[[inputs.mem]]\n  pass = "a"\n', "pass is no list of strings"),
        ('inputs.mem = [{ pass = ["a"] }]\n', "give it a line of its own first"),
        ('[inputs]\nmem.pass = ["a"]\n', "a.conf:2: cannot migrate pass: give it a line of its own first"),
        (
            '[[inputs.http_listener_v2]]\n  service_address = "tcp://:1"\n  port = 2\n',
            "port and service_address contradict",
        ),
    ],
)
def test_what_cannot_be_migrated_is_told(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match="a\\.conf") as caught:
        migrate(text, "a.conf", CATALOG)
    assert message in str(caught.value)


KEYS = st.sampled_from(["pass", "fieldpass", "fieldinclude", "drop", "fielddrop", "fieldexclude", "namepass"])
VALUES = st.lists(st.text(alphabet="ab*\"'\\\n#é", max_size=4), max_size=3)


@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=5), min_size=1, max_size=4))
def test_the_filters_mean_the_same_afterwards(tables: list[dict[str, list[str]]]) -> None:
    from pyagent.config.toml_text import toml_value

    text = ""
    for table in tables:
        text += "[[inputs.mem]]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in table.items())
    migrated = tomli.loads(migrate(text, "a.conf", CATALOG).text)["inputs"]["mem"]
    for before, after in zip(tables, migrated, strict=True):
        include = [v for key in ("pass", "fieldpass", "fieldinclude") for v in before.get(key, [])]
        exclude = [v for key in ("drop", "fielddrop", "fieldexclude") for v in before.get(key, [])]
        assert after.get("fieldinclude", []) == include
        assert after.get("fieldexclude", []) == exclude
        assert after.get("namepass") == before.get("namepass")
        assert not after.keys() & {"pass", "fieldpass", "drop", "fielddrop"}

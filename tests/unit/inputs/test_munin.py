"""The input munin: plugins in a folder with their settings, counters between gathers, and a node over TCP."""

import asyncio
import os
import pwd
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, PyagentError, redact
from pyagent.api.metric import MetricType
from pyagent.config import SourceText, load_plan
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import lines, make_input, run_input
from pyagent_plugins.inputs.munin import Munin
from pyagent_plugins.inputs.munin._answers import Names, State
from pyagent_plugins.inputs.munin._configuration import account_of, read_configuration
from pyagent_plugins.inputs.munin._names import device_of, split_link, split_name

OWN = pwd.getpwuid(os.geteuid()).pw_name


def plugin(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Of an input whose plugins run as who runs the test."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "zz").write_text(f"[*]\nuser {OWN}\n")
    return {
        "directory": str(tmp_path / "plugins"),
        "configuration": str(tmp_path / "conf.d"),
        "state": str(tmp_path / "state"),
    }


def settings_of(folder: Path, text: str, complain: Callable[[str], None] = lambda _: None) -> Any:
    (folder / "one").write_text(text)
    return read_configuration(str(folder), complain)


def test_a_nearer_section_goes_before_a_wildcard(tmp_path: Path) -> None:
    of = settings_of(
        tmp_path,
        "[if_*]\nuser root\nenv.a wide\nenv.b wide\ntimeout 9\n[if_err_*]\nuser nobody\nenv.a near\n"
        "[*_lo]\nenv.c end\n[if_err_lo]\nenv.a own\n",
    )
    assert of("if_eth0").user == "root"
    found = of("if_err_lo")
    assert (found.user, found.timeout) == ("nobody", 9)
    assert found.environment == {"a": "own", "b": "wide", "c": "end"}
    assert of("cpu").environment == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user root", ":1: it stands before the first section"),
        ("[a]\nuser", ":2: it is not NAME VALUE"),
        ("[a]\nenv x = y", ":2: write `env.x VALUE`"),
        ("[a]\n\ntimeout soon", ":3: 'soon' is no timeout"),
        ("[a]\ntimeout nan", ":2: 'nan' is no timeout"),
        ("[a]\nwarning 92", "did you mean `env.warning`"),
    ],
)
def test_a_line_that_is_wrong_is_named_and_ends_its_file(tmp_path: Path, text: str, message: str) -> None:
    complaints: list[str] = []
    of = settings_of(tmp_path, f"{text}\n[a]\nenv.late 1\n", complaints.append)
    assert len(complaints) == 1
    assert message in complaints[0]
    assert of("a").environment == {}


def test_comments_and_escaped_ones(tmp_path: Path) -> None:
    of = settings_of(
        tmp_path, "# [x]\n[a] # here\nenv.colour \\#fff # white\ncommand nice -n 9 %c\ngroup adm, (none-such)\n"
    )
    assert of("a").environment == {"colour": "#fff"}
    assert of("a").command == ("nice", "-n", "9", "%c")
    assert of("a").group == ("adm", "(none-such)")
    assert len(account_of(of("a"))[2]) == 1


def test_an_account_that_there_is_not_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(PyagentError, match=r"one:2: there is no user 'none-such'"):
        account_of(settings_of(tmp_path, "[a]\nuser none-such\n")("a"))
    with pytest.raises(PyagentError, match=r"one:2: there is no group 'none-such'; write \(none-such\)"):
        account_of(settings_of(tmp_path, "[a]\ngroup none-such\n")("a"))


class Counters:
    """A plugin's state, and a clock that tests move."""

    def __init__(self, config: str, *, rates: bool = True) -> None:
        self.now = 0.0
        self.config = config
        names = Names("m_", "p", "p", "")
        self.state = State(names, {}, rates=rates, every=300, clock=lambda: self.now)

    def gather(self, text: str) -> dict[str, Any] | None:
        if self.state.question == "config":
            assert self.state.take("config", self.config, 1) is None
        found = self.state.take("fetch", text, 1)
        assert found is not None
        return dict(found[0].fields) if found else None


def test_rates_of_each_type() -> None:
    counters = Counters(
        "g.type GAUGE\nc.type COUNTER\nd.type DERIVE\nm.type DERIVE\nm.min 0\na.type ABSOLUTE\nx.max 5\nx.type COUNTER"
    )
    text = "g.value {}\nc.value {}\nd.value {}\nm.value {}\na.value {}\nx.value {}"
    assert counters.gather(text.format(1, 100, 100, 100, 100, 100)) == {"g": 1.0}
    counters.now = 10
    assert counters.gather(text.format(2, 150, 50, 50, 30, 200)) == {"g": 2.0, "c": 5.0, "d": -5.0, "a": 3.0}
    counters.now = 20
    # A counter that went back began anew: one gather without it, and then it goes on.
    assert counters.gather("c.value 10\nm.value 80\nx.value 250") == {"m": 3.0, "x": 5.0}
    counters.now = 30
    assert counters.gather("c.value 40\nd.value 1") == {"c": 3.0}


def test_raw_counters_are_as_they_are_given() -> None:
    counters = Counters("c.type COUNTER\nd.type DERIVE", rates=False)
    assert counters.gather("c.value 7\nd.value U\ne.value -1e-3") == {"c": 7.0, "e": -0.001}


def test_config_is_asked_again_after_a_while_and_each_time_of_a_dirty_plugin() -> None:
    counters = Counters("graph_title t", rates=False)
    counters.gather("a.value 1")
    counters.now = 299
    assert counters.state.question == "fetch"
    counters.now = 300
    assert counters.state.question == "config"
    assert counters.state.take("config", "a.value 1", 5) == [Metric("m_p", {}, {"a": 1.0}, 5, MetricType.GAUGE)]
    assert counters.state.question == "config"


@pytest.mark.parametrize("value", ["three", "inf", "1_0", "0x1", "--1", "1 2"])
def test_a_value_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(PyagentError, match="the value of a is no number"):
        Counters("").gather(f"a.value {value}")


@pytest.mark.parametrize("value", ["U", "", "nan", "-NaN"])
def test_what_is_unknown_is_left_out(value: str) -> None:
    assert Counters("").gather(f"a.value 1\nb.value {value}\nc.value 3") == {"a": 1.0, "c": 3.0}


def test_the_environment_is_munins_and_not_the_agents(
    tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUX_TOKEN", "secret")
    plugin(tmp_path / "plugins" / "env", f'env >{tmp_path}/seen; umask >>{tmp_path}/seen; echo "a.value $b"')
    (tmp_path / "conf.d" / "env").write_text("[env]\nenv.b 5\n")
    (tmp_path / "state").mkdir()
    assert lines(run_input(Munin, options)) == ["munin_env a=5"]
    *seen, umask = (tmp_path / "seen").read_text().splitlines()
    variables = dict(line.partition("=")[::2] for line in seen)
    assert umask == "0002"
    assert "INFLUX_TOKEN" not in variables
    assert variables["MUNIN_LIBDIR"] == "/usr/share/munin"
    assert variables["MUNIN_PLUGSTATE"] == f"{tmp_path}/state/{OWN}"
    assert variables["MUNIN_STATEFILE"] == f"{tmp_path}/state/{OWN}/env-"
    assert (variables["MUNIN_CAP_MULTIGRAPH"], variables["MUNIN_CAP_DIRTYCONFIG"], variables["LC_ALL"]) == (
        "1",
        "1",
        "C",
    )
    assert os.path.isdir(variables["MUNIN_PLUGSTATE"])


def test_command_and_host_name(tmp_path: Path, options: dict[str, Any]) -> None:
    plugin(tmp_path / "plugins" / "one", 'echo "a.value 1"')
    (tmp_path / "conf.d" / "one").write_text("[one]\ncommand env %c\nhost_name web\n")
    assert lines(run_input(Munin, options)) == ["munin_one,node=web a=1"]


@pytest.mark.parametrize(
    ("link", "target", "node", "names"),
    [
        ("cpu", "cpu", "web", ("cpu", "")),
        ("if_eth0", "if_", "web", ("if", "eth0")),
        ("if_err_eth0", "if_err_", "web", ("if_err", "eth0")),
        ("if_", "if_", "web", ("if_", "")),
        ("postgres_connections_db", "postgres_connections_db", "web", ("postgres_connections_db", "")),
        ("postgres_connections_ALL", "postgres_connections_", "web", ("postgres_connections", "ALL")),
        ("mysql_bytes", "mysql_bytes", "web", ("mysql_bytes", "")),
        ("snmp_Rt1_if_err_2", "snmp__if_err_", "rt1", ("snmp_if_err", "2")),
        ("snmp_rt1.example_load", "snmp__load", "rt1.example", ("snmp_load", "")),
        ("snmp_load", "snmp_load", "web", ("snmp_load", "")),
    ],
)
def test_names_of_links_and_of_a_nodes_plugins(link: str, target: str, node: str, names: tuple[str, str]) -> None:
    assert split_link(link, target) == names
    assert split_name(device_of(link, node), []) == names


def test_a_link_with_another_name_than_its_file_is_a_plugin_of_that_name() -> None:
    assert split_link("disks", "df") == ("disks", "")
    assert split_link("snmp_load", "snmp__if_") == ("snmp_load", "")
    assert split_name("mine_a", ["mine_"]) == ("mine", "a")


def test_the_device_that_config_names_is_the_node(tmp_path: Path, options: dict[str, Any]) -> None:
    text = 'if [ "$1" = config ]; then echo host_name rt1; else echo "load.value 1"; fi'
    plugin(tmp_path / "library" / "snmp__load", text)
    (tmp_path / "plugins" / "snmp_rt1_load").symlink_to(tmp_path / "library" / "snmp__load")
    assert lines(run_input(Munin, options)) == ["munin_snmp_load,node=rt1 load=1"]
    (tmp_path / "conf.d" / "one").write_text("[snmp_rt1_load]\nhost_name other\n")
    assert lines(run_input(Munin, options)) == ["munin_snmp_load,node=other load=1"]


def test_what_is_no_plugin_is_not_run(tmp_path: Path, options: dict[str, Any]) -> None:
    for name in ("good", ".hidden", "a.conf", "b~", "c.bak", "d e", "e.dpkg-old"):
        plugin(tmp_path / "plugins" / name, 'echo "a.value 1"')
    (tmp_path / "plugins" / "text").write_text("no program")
    (tmp_path / "plugins" / "gone").symlink_to("nowhere")
    assert lines(run_input(Munin, options)) == ["munin_good a=1"]


def test_arguments_of_a_command_are_in_no_error(tmp_path: Path, options: dict[str, Any]) -> None:
    plugin(tmp_path / "plugins" / "one", "echo $TOKEN >&2; exit 3")
    (tmp_path / "conf.d" / "one").write_text("[one]\ncommand /usr/bin/env TOKEN=SECcmd %c\n")
    with pytest.raises(
        PyagentError, match=r"cannot run `/usr/bin/env '\*\*\*' \S+/one config`: exit status 3"
    ) as caught:
        run_input(Munin, options)
    assert "SECcmd" not in redact(str(caught.value))


def test_a_program_that_takes_too_long_is_ended_and_costs_only_itself(tmp_path: Path, options: dict[str, Any]) -> None:
    plugin(tmp_path / "plugins" / "slow", "exec sleep 1000")
    plugin(tmp_path / "plugins" / "quick", 'echo "a.value 1"')
    (tmp_path / "conf.d" / "slow").write_text("[slow]\ntimeout 0.2\n")
    acc = InputAccumulator()
    with pytest.raises(PyagentError, match=r"slow config`: it took longer than 200ms"):
        make_input(Munin, options).gather(acc)
    assert lines(acc.drain()) == ["munin_quick a=1"]


def test_rights_that_the_agent_lacks_are_one_warning(
    tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    for name in ("a", "b"):
        plugin(tmp_path / "plugins" / name, 'echo "a.value 1"')
    (tmp_path / "conf.d" / "zz").write_text("[*]\nuser root\n")
    assert len(run_input(Munin, options)) == 2
    [record] = caplog.records
    assert f"a, b: {tmp_path}/conf.d/zz:2 and others want another account, which takes root" in record.getMessage()
    assert "run the agent as root, or leave them out by `exclude`" in record.getMessage()


def test_a_folder_that_there_is_not() -> None:
    with pytest.raises(
        PyagentError, match="cannot read /none: No such file or directory; apt install munin-plugins-core"
    ):
        run_input(Munin, {"directory": "/none"})
    with pytest.raises(ConfigError, match="there is no plugin to run"):
        make_input(Munin, {})


def answers(given: Mapping[str, str], received: list[str]) -> type[socketserver.StreamRequestHandler]:
    class Node(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"# munin node at web\n")
            while line := self.rfile.readline():
                command = line.decode().strip()
                received.append(command)
                self.wfile.write(given.get(command, "# Unknown service\n.\n").encode())

    return Node


@contextmanager
def node(given: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """The address of a node that gives these answers, and what it was asked."""
    received: list[str] = []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), answers(given, received)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", received
        finally:
            server.shutdown()
            thread.join()


NODE = {
    "cap multigraph dirtyconfig": "cap multigraph dirtyconfig\n",
    "nodes": "web\n.\n",
    "list web": "load if_err_eth0 gone dirty\n",
    "config load": "graph_title Load\n.\n",
    "fetch load": "load.value 0.5\n.\n",
    "config if_err_eth0": "rcvd.type COUNTER\n.\n",
    "fetch if_err_eth0": "rcvd.value 3\ntrans.value U\n.\n",
    "config dirty": "multigraph d.one\na.value 1\n.\n",
}


def test_a_node_is_asked_for_what_it_has() -> None:
    with node(NODE) as (address, received):
        subject = make_input(Munin, {"servers": [address]})
        for _ in range(2):
            acc = InputAccumulator()
            with pytest.raises(PyagentError, match=f"cannot read gone of {address}: the node says 'Unknown service'"):
                subject.gather(acc)
            assert lines(acc.drain()) == [
                "munin_d,graph=one,node=web a=1",
                "munin_if_err,instance=eth0,node=web rcvd=3",
                "munin_load,node=web load=0.5",
            ]
            asked = [command for command in received if "load" in command]
        asyncio.run(subject.stop())
    assert asked == ["config load", "fetch load", "fetch load"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cap multigraph dirtyconfig": "no\n"}, "answers 'no' to `cap`"),
        ({"nodes": ""}, "no answer within"),
        ({"config load": "a" * (2 << 20) + "\n.\n"}, "a line of the answer is longer than"),
        ({"list web": " ".join(f"p{number}" for number in range(1001)) + "\n"}, "more than 1000 names"),
    ],
)
def test_a_node_that_answers_nonsense_is_one_error(changed: dict[str, str], message: str) -> None:
    with node(NODE | changed) as (address, _), pytest.raises(PyagentError, match=message):
        make_input(Munin, {"servers": [address], "timeout": "1s" if "nodes" in changed else "60s"}).gather(
            InputAccumulator()
        )


@pytest.mark.parametrize("option", ["directory", "configuration", "library"])
def test_a_text_from_a_url_may_not_say_what_runs(option: str) -> None:
    source = SourceText("http://127.0.0.1/x", f'[[inputs.munin]]\nservers = ["127.0.0.1"]\n{option} = "/tmp"\n')
    with pytest.raises(ConfigError, match=r"runs commands or code, which a configuration from a URL may not"):
        load_plan([source], environ={}, testing=True)
    load_plan([source], environ={"PYAGENT_ALLOW_REMOTE_EXEC": "1"}, testing=True)

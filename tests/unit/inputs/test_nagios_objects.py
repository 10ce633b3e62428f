"""The input nagios: hosts and services of a Nagios, as its object files define them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, make_input
from pyagent_plugins.inputs.nagios import Nagios

COMMANDS = """
$USER1$=/bin
define command {
  command_name check_say
  command_line $USER1$/echo '$SERVICEDESC$' $HOSTADDRESS$ $ARG1$ $_SERVICEPORT$
}
define command {
  command_name check_host
  command_line $USER1$/echo $HOSTNAME$ $HOSTALIAS$
}
define command {
  command_name check_state
  command_line $USER1$/echo $SERVICESTATE$
}
"""
SERVICE = "define service {\n host_name a\n service_description s\n check_command check_say!x\n _port 1\n"
HOST = "define host {\n host_name a\n address ::1\n}\n"

Plugin = Callable[..., Any]


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """An input of files with these objects."""

    def make(text: str, **options: Any) -> Any:
        (tmp_path / "all.cfg").write_text(COMMANDS + text)
        return make_input(Nagios, {"files": [str(tmp_path)], **options})

    return make


def states(plugin: Any) -> dict[str, str]:
    """State and text by HOST/SERVICE."""
    acc = InputAccumulator()
    plugin.gather(acc)
    metrics = acc.drain()
    if metrics:
        assert_declared(Nagios, metrics)
    return {
        f"{metric.tags['target']}/{metric.tags['check']}": f"{metric.fields['state']} {metric.fields['service_output']}"
        for metric in metrics
        if metric.name == "nagios_state"
    }


def test_services_run_for_their_hosts_with_what_templates_say(plugin: Plugin, tmp_path: Path) -> None:
    made = plugin("""
        define host { \n name generic \n check_command check_host \n register 0 \n}
        define host { \n use generic \n host_name web1,web2 \n address 192.0.2.1 \n hostgroups web \n}
        define host { \n use generic \n host_name db1 \n alias the base \n check_command null \n}
        define host { \n use generic \n host_name old \n active_checks_enabled 0 \n}
        define hostgroup { \n hostgroup_name all-servers \n hostgroup_members web,base \n}
        define hostgroup { \n hostgroup_name base \n members db1 \n}
        define service { \n name web-service \n hostgroup_name web \n check_command check_say!one \n _port 80 \n register 0 \n}
        define service { \n name often \n check_interval 1 \n _port 443 \n register 0 \n}
        define service { \n use web-service,often \n service_description http; the page \n}
        define service { \n use often,web-service \n service_description https \n host_name +db1 \n hostgroup_name +web \n}
        define service { \n use often \n service_description all \n host_name *,!web1,!old \n check_command check_say!$USER1$ \n}
        define service { \n use often \n service_description group \n hostgroup_name all-servers,!base \n
                         check_command check_say \n}
        define service { \n service_description passive \n host_name * \n check_command none \n active_checks_enabled 0 \n}
        define service { \n service_description never \n host_name * \n check_command none \n check_interval 0 \n}
        define contact { \n contact_name admin \n}
        """)
    assert states(made) == {
        "web1/check_host": "0 web1 web1",
        "web2/check_host": "0 web2 web2",
        "web1/http": "0 http 192.0.2.1 one 80",
        "web2/http": "0 http 192.0.2.1 one 80",
        "web1/https": "0 https 192.0.2.1 one 443",
        "web2/https": "0 https 192.0.2.1 one 443",
        "db1/https": "0 https db1 one 443",
        "web2/all": "0 all 192.0.2.1 /bin 443",
        "db1/all": "0 all db1 /bin 443",
        "web1/group": "0 group 192.0.2.1 443",
        "web2/group": "0 group 192.0.2.1 443",
    }
    origins = made.origins()
    assert len(origins) == 11
    assert f"check_host of web2: /bin/echo ({tmp_path}/all.cfg:21)" in origins


def test_a_check_runs_after_its_own_interval(plugin: Plugin) -> None:
    made = plugin(f"interval_length=30\n{HOST}{SERVICE} check_interval 2\n}}\n")
    made._clock = lambda: now
    runs = []
    for now in (0.0, 10.0, 59.0, 59.6, 100.0, 119.9, 400.0, 410.0):
        if states(made):
            runs.append(now)
    assert runs == [0.0, 59.6, 119.9, 400.0]


def test_a_macro_that_nothing_says_makes_its_check_unknown_and_no_other(plugin: Plugin, tmp_path: Path) -> None:
    text = HOST + SERVICE + "}\n" + SERVICE.replace("_port 1", "").replace("description s", "description lacks") + "}\n"
    problem = "cannot run the check: nothing says what $_SERVICEPORT$ stands for; set _SERVICEPORT in macros"
    assert states(plugin(text)) == {"a/s": "0 s ::1 x 1", "a/lacks": f"3 {problem} ({tmp_path}/all.cfg:25)"}
    assert states(plugin(text, macros={"_SERVICEPORT": "9", "HOSTADDRESS": "of no use"})) == {
        "a/s": "0 s ::1 x 1",
        "a/lacks": "0 lacks ::1 x 9",
    }


def test_services_are_chosen_by_name_and_replaced_by_a_table(plugin: Plugin) -> None:
    text = HOST + SERVICE + "}\n" + SERVICE.replace("description s", "description t") + "}\n"
    assert states(plugin(text, command_exclude=["s"])) == {"a/t": "0 t ::1 x 1"}
    given = [{"name": "s", "command": "echo mine", "tags": {"target": "me"}}]
    assert states(plugin(text, check=given)) == {"me/s": "0 mine", "a/t": "0 t ::1 x 1"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SERVICE + "}\n", r":15: no file defines the host 'a'; add the file to files"),
        ("define host {\n host_name a\n use none\n}\n", r":15: no file defines the template 'none' of a host; add"),
        ("define host {\n name a\n use a\n}\n", r":15: the template 'a' uses itself"),
        (HOST + "define service {\n host_name a\n check_command x\n}\n", ":19: the service has no service_description"),
        (HOST + "define service {\n host_name a\n service_description x\n}\n", ":19: the service has no check_command"),
        (HOST + SERVICE + " check_interval often\n}\n", ":19: check_interval is 'often'; write a number"),
        (HOST + SERVICE.replace("host_name", "hostgroup_name") + "}\n", ":19: no file defines the host group 'a'"),
        ("interval_length=0\n", ":15: interval_length is '0'; write whole seconds"),
        ("service_check_timeout=1s\n", ":15: service_check_timeout is '1s'; write whole seconds"),
        (HOST + 2 * (SERVICE + "}\n"), "two checks are called 's'"),
        (
            "".join(f"define host {{\n name t{n}\n use t{n + 1}\n}}\n" for n in range(99)),
            "is used by 50 others, one by the other",
        ),
    ],
)
def test_what_cannot_be_is_one_error_with_its_place(plugin: Plugin, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        plugin(text)


def test_more_checks_than_anybody_has_are_refused(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent_plugins.inputs.nagios.objects._MOST_CHECKS", 2)
    with pytest.raises(ConfigError, match="there are more than 2 checks"):
        plugin("define host {\n host_name a,b,c\n}\n" + SERVICE.replace("host_name a", "host_name *") + "}\n")

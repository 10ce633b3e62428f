"""Code and programs of others in a real agent: what misbehaves harms nobody else, and no secret of theirs is in the log."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest
from agent_process import DEADLINE, AgentProcess, finished, running
from datadog_stub import by_field, expected, recorded
from real_servers import running as running_server
from waiting import until

from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent.testing.servers import NodeExporter
from pyagent_plugins.inputs.datadog_check import DatadogCheck

CHECK = """
import builtins, ctypes, json, locale, logging, os, signal, socket, subprocess, sys, threading, time
from datadog_checks.base import AgentCheck

class Any(AgentCheck):
    def check(self, instance):
        log = self.log
        exec(instance["code"])
        self.gauge("any.done", 1)
"""
MODULE = """
import builtins, collectd, ctypes, json, locale, logging, os, signal, socket, subprocess, sys, threading, time
settings = {}

def config(block):
    settings.update({child.key: child.values[0] for child in block.children})

def read():
    log, instance = collectd, settings
    exec(settings["code"])
    collectd.Values("gauge", [1], plugin="any").dispatch()

collectd.register_config(config)
collectd.register_read(read)
"""
BOTH = {
    "prints": "print('noise'); os.write(1, b'noise' + bytes([10])); sys.stderr.write('noise')",
    "exits": "sys.exit(3)",
    "forks": "os.fork()",
    "locale": "locale.setlocale(locale.LC_ALL, 'C'); time.tzset()",
    "interrupts": "raise KeyboardInterrupt",
    "is odd": "raise type('Odd', (BaseException,), {'__str__': lambda self: 1 / 0})()",
    "hangs": "time.sleep(100000)",
}
ISOLATED = {
    "ends": "os._exit(0)",
    "crashes": "ctypes.string_at(0)",
    "patches": "json.dumps = socket.socket = time.time = time.monotonic = time.sleep = builtins.open = os.write = None",
    "closes": "os.closerange(0, 1000)",
    "kills its group": "os.killpg(0, signal.SIGKILL)",
    "starts": "subprocess.Popen(['sleep', '100000'])",
    "takes memory": "held = bytearray(1 << 40)",
    "ends in a thread": "threading.Thread(target=os._exit, args=(7,)).start(); time.sleep(100000)",
}
AGENT = """
[agent]
  interval = "100ms"
  flush_interval = "100ms"
  hostname = "testhost"
[[outputs.file]]
  files = ["stdout"]
[[inputs.exec]]
  commands = ["echo healthy v=1i"]
  data_format = "influx"
  timeout = "100s"
"""


def table(kind: str, folder: Path, code: str, name: str = "", *, isolate: bool, **settings: str) -> str:
    """An input that runs `code` at each gather."""
    (folder / "any.py").write_text(CHECK)
    (folder / "of_collectd.py").write_text(MODULE)
    given = "".join(f"    {key} = '''{value}'''\n" for key, value in {"code": code, **settings}.items())
    common = f'  alias = "{name}"\n  isolate = {str(isolate).lower()}\n  timeout = "{"1s" if name else "100s"}"\n'
    if kind == "datadog_check":
        instance = f"  [[inputs.datadog_check.instances]]\n{given}"
        return f'[[inputs.datadog_check]]\n  check = "{folder}/any.py"\n{common}{instance}'
    return (
        f'[[inputs.collectd_python]]\n  modules = ["of_collectd"]\n  module_path = ["{folder}"]\n{common}'
        f"  [inputs.collectd_python.module.of_collectd]\n{given}"
    )


async def goes_on(agent: AgentProcess) -> None:
    """The healthy input gathers, again and again."""
    before = agent.out.count("healthy,host=testhost v=1i")
    async with asyncio.timeout(DEADLINE):
        while agent.out.count("healthy,host=testhost v=1i") < before + 5:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["datadog_check", "collectd_python"])
@pytest.mark.parametrize("isolate", [True, False])
async def test_what_misbehaves_harms_no_other_input(kind: str, isolate: bool, tmp_path: Path) -> None:
    codes = BOTH | (ISOLATED if isolate else {})
    config = tmp_path / "agent.conf"
    text = AGENT + "".join(table(kind, tmp_path, code, name, isolate=isolate) for name, code in codes.items())
    config.write_text(text)
    failing = {"exits", "interrupts", "is odd"} | ({"hangs", *ISOLATED} - {"starts"} if isolate else set())
    async with running("--config", str(config)) as agent:
        for name in failing:
            await agent.logged(f"E! [inputs.{kind}::{name}] cannot run ")
        await agent.logged("printed: noise")
        await goes_on(agent)
        config.write_text(text + "[[inputs.mem]]\n")
        agent.signal(signal.SIGHUP)
        await agent.logged("the configuration is reloaded")
        await goes_on(agent)
        for name in set(codes) - failing - {"hangs"}:
            await until(lambda: "any" in agent.out, DEADLINE)
            assert f"E! [inputs.{kind}::{name}]" not in agent.log
        started = psutil.Process(agent.process.pid).children(recursive=True)
        assert len(started) > len(codes) / 2 or not isolate
        assert await agent.terminate() == 0
    await until(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in started))
    assert {line.partition(",")[0] for line in agent.out.splitlines()} <= {"healthy", "mem", "any", "any_value"}


SECRET = "sesame \\open'1"


@pytest.mark.parametrize("kind", ["datadog_check", "collectd_python"])
@pytest.mark.parametrize("isolate", [True, False])
async def test_a_secret_that_code_of_others_tells_is_masked(kind: str, isolate: bool, tmp_path: Path) -> None:
    code = (
        'secret = instance["password"]; print(secret); log.error(secret); log.warning(repr(secret)); '
        'logging.getLogger("x").error("y %s", secret); '
        'raise ValueError("refused", {"with": secret}, instance["url"].rpartition("/")[2])'
    )
    if isolate:  # what goes there from the agent's own process passes nobody
        code = f"import traceback; os.write(2, instance['password'].encode() + bytes([10])); {code}"
    config = tmp_path / "agent.conf"
    url = "http://127.0.0.1/path?token=sesame-shut"
    config.write_text(table(kind, tmp_path, code, isolate=isolate, password=SECRET, url=url))
    _, _, log = await finished("--config", str(config), "--test")
    assert "ValueError: ('refused', {'with': \"***\"}, 'path?token=***')" in log
    assert log.count("***") >= 6
    assert "sesame" not in log


async def test_a_secret_of_a_conf_yaml_is_masked(tmp_path: Path) -> None:
    table("datadog_check", tmp_path, "", isolate=False)
    (tmp_path / "conf.yaml").write_text(
        "init_config:\n  api_key: sesame-one\ninstances:\n  - headers: {Authorization: Bearer sesame-two}\n"
        "    code: raise ValueError(self.init_config, instance['headers']['Authorization'].split()[1])\n"
    )
    config = tmp_path / "agent.conf"
    config.write_text(f'[[inputs.datadog_check]]\n  check = "{tmp_path}/any.py"\n  conf = "{tmp_path}/conf.yaml"\n')
    _, _, log = await finished("--config", str(config), "--test")
    assert "ValueError: ({'api_key': '***'}, '***')" in log
    assert "sesame" not in log


async def test_a_secret_of_a_module_block_is_masked(tmp_path: Path) -> None:
    table("collectd_python", tmp_path, "", isolate=False)
    (tmp_path / "collectd.conf").write_text(
        f'<Plugin python>\n  ModulePath "{tmp_path}"\n  Import of_collectd\n  <Module of_collectd>\n'
        "    DbPassword sesame-one\n    Option token sesame-two\n    <Server a>\n      Secret sesame-three\n    </Server>\n"
        "    code \"raise ValueError(settings, 'sesame-two', 'sesame-three')\"\n  </Module>\n</Plugin>\n"
    )
    config = tmp_path / "agent.conf"
    config.write_text(f'[[inputs.collectd_python]]\n  config_file = "{tmp_path}/collectd.conf"\n')
    _, _, log = await finished("--config", str(config), "--test")
    assert "'DbPassword': '***'" in log
    assert "sesame" not in log


async def test_a_secret_that_a_program_of_nagios_tells_is_masked(tmp_path: Path) -> None:
    (tmp_path / "nagios.cfg").write_text("$USER7$=sesame-one\n")
    config = tmp_path / "agent.conf"
    config.write_text(
        f'[[inputs.nagios]]\n  files = ["{tmp_path}/nagios.cfg"]\n'
        "  [[inputs.nagios.check]]\n    name = 'a'\n    command = \"echo no access with '$USER7$' and $PW$; exit 2\"\n"
        "    macros = { PW = 'sesame-two' }\n"
        "  [[inputs.nagios.check]]\n    name = 'b'\n"
        "    command = ['sh', '-c', 'echo \"$@\"; exit 1', 'sh', '--password=sesame-three', '-p', 'sesame-four']\n"
        "  [[inputs.nagios.check]]\n    name = 'c'\n"
        "    command = \"DB_PASSWORD='sesame-five' sh -c 'echo $DB_PASSWORD; exit 2'\"\n"
    )
    _, _, log = await finished("--config", str(config), "--test")
    assert "the check a is CRITICAL: no access with *** and ***" in log
    assert "the check b is WARNING: --password=*** -p ***" in log
    assert "the check c is CRITICAL: ***" in log
    assert "sesame" not in log


async def test_a_secret_that_a_plugin_of_munin_tells_is_masked(tmp_path: Path) -> None:
    for folder in ("plugins", "conf.d"):
        (tmp_path / folder).mkdir()
    plugin = tmp_path / "plugins" / "shop"
    plugin.write_text('#!/bin/sh\necho "no access with $password to $url" >&2\nexit 1\n')
    plugin.chmod(0o755)
    for one in (tmp_path, *tmp_path.parents):  # as root, plugins run as another account
        if one.is_relative_to("/tmp") and one != Path("/tmp") and one.owner() == plugin.owner():
            one.chmod(0o755)
    (tmp_path / "conf.d" / "shop").write_text(
        "[shop]\nuser root\nenv.password sesame-one\nenv.url http://me:sesame-two@127.0.0.1/\n[other]\nenv password=sesame\n"
    )
    config = tmp_path / "agent.conf"
    config.write_text(
        f'[[inputs.munin]]\n  directory = "{tmp_path}/plugins"\n  configuration = "{tmp_path}/conf.d"\n'
        f'  state = "{tmp_path}/state"\n'
    )
    _, _, log = await finished("--config", str(config), "--test")
    assert "no access with *** to http://***@127.0.0.1/" in log
    assert "write `env.password VALUE`" in log
    assert "sesame" not in log


TEXTFILE = """
# TYPE shop_depth gauge
shop_depth{queue="a b"} 2.5
shop_depth{queue="c"} -1
# TYPE shop_sold_total counter
shop_sold_total{shelf="top"} 41
# TYPE shop_size histogram
shop_size_bucket{le="1"} 1
shop_size_bucket{le="10"} 2
shop_size_bucket{le="+Inf"} 3
shop_size_sum 55.5
shop_size_count 3
# TYPE shop_wait summary
shop_wait{quantile="0.5"} 0.25
shop_wait_sum 8
shop_wait_count 4
"""


class Exporter(NodeExporter):
    """With what changes, and some that does not."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def command(self) -> list[str]:
        return [*super().command(), "--collector.textfile", f"--collector.textfile.directory={self._folder}"]


def test_openmetrics_of_a_real_exporter_is_what_the_stub_records(tmp_path: Path) -> None:
    check = tmp_path / "metrics.py"
    check.write_text(
        "from datadog_checks.base import OpenMetricsBaseCheckV2\n\n\nclass Metrics(OpenMetricsBaseCheckV2):\n"
        '    __NAMESPACE__ = "node"\n\n    def get_default_config(self):\n        return {"metrics": [".+"]}\n'
    )
    (tmp_path / "shop.prom").write_text(TEXTFILE)
    for server in running_server(lambda: Exporter(tmp_path)):
        instance = {"openmetrics_endpoint": server.url, "tags": ["of:this"]}
        options = {"check": str(check), "isolate": True, "timeout": "100s", "instances": [instance]}
        plugin = make_input(DatadogCheck, options)
        stub = recorded(check, instance, 2)
        assert not stub["error"]
        before = expected(stub, "metrics")
        acc = InputAccumulator()
        plugin.gather(acc)
        acc.drain()
        plugin.gather(acc)
        found = by_field(acc.drain())
        asyncio.run(plugin.stop())
        # The host's own numbers change from one scrape to the next.
        assert set(before) <= set(found)
        assert len(before) >= 30
        same = {key: value for key, value in before.items() if "shop" in key[0] + key[2] or key[2].endswith("_info")}
        assert {key: found.get(key) for key in same} == same
        assert len(same) >= 5
        counts = {(name, field) for name, _, field in found if name.startswith("node_shop")}
        for wanted in ("size", "sold", "wait"):
            assert (f"node_shop_{wanted}", "count") in counts

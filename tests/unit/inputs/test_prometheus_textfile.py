"""The input prometheus_textfile: files as node_exporter reads them, what is wrong with some, and old ones."""

import logging
import os
import time
from pathlib import Path
from typing import Any, cast

import pytest

from pyagent.api import Input, Metric, PyagentError
from pyagent.config import SourceText, load_plan
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, lines, make_input, run_input
from pyagent_plugins.inputs.prometheus_textfile import PrometheusTextfile, PrometheusTextfileOptions

PAGE = '# HELP backup_size_bytes A help.\n# TYPE backup_size_bytes gauge\nbackup_size_bytes{of="db"} 5\nruns 7\n'


def gather(plugin: Input[Any]) -> tuple[list[Metric], str]:
    acc = InputAccumulator()
    try:
        plugin.gather(acc)
    except PyagentError as error:
        return acc.drain(), str(error)
    return acc.drain(), ""


def test_both_versions(tmp_path: Path) -> None:
    for name in ("a.prom", "b.txt", ".c.prom.tmp"):
        (tmp_path / name).write_text(PAGE)
    os.utime(tmp_path / "a.prom", (1_700_000_000, 1_700_000_000.5))
    own = f"file={tmp_path}/a.prom"
    metrics = run_input(PrometheusTextfile, {"directories": [str(tmp_path)]})
    assert_declared(PrometheusTextfile, [metric for metric in metrics if metric.name.startswith("node_")])
    assert lines(metrics) == [
        "backup_size_bytes,of=db gauge=5",
        f"node_textfile_mtime_seconds,{own} gauge=1700000000.5",
        "node_textfile_scrape_error gauge=0",
        "runs value=7",
    ]
    assert lines(run_input(PrometheusTextfile, {"directories": [str(tmp_path)], "metric_version": 2})) == [
        "prometheus node_textfile_scrape_error=0",
        "prometheus runs=7",
        f"prometheus,{own} node_textfile_mtime_seconds=1700000000.5",
        "prometheus,of=db backup_size_bytes=5",
    ]


def test_what_cannot_be_read_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "bad.prom").write_text("a 1\n!\n")
    (tmp_path / "broken_off.prom").write_text("a 1\nb 2")
    (tmp_path / "folder.prom").mkdir()
    (tmp_path / "good.prom").write_text("good 1\n")
    (tmp_path / "times.prom").write_text("a 1 1700000000000\n")
    plugin = make_input(PrometheusTextfile, {"directories": [f"{tmp_path}*", "/none/such"]})
    metrics, failure = gather(plugin)
    assert {metric.name for metric in metrics} == {
        "good",
        "node_textfile_mtime_seconds",
        "node_textfile_scrape_error",
    }
    assert "node_textfile_scrape_error gauge=1" in lines(metrics)
    for part in (
        f"cannot parse '{tmp_path}/bad.prom': line 2",
        f"cannot parse '{tmp_path}/broken_off.prom': line 2",
        f"cannot read '{tmp_path}/folder.prom'",
        f"cannot use '{tmp_path}/times.prom': its metrics have times; write them without",
        "cannot read the folder '/none/such': No such file or directory",
    ):
        assert part in failure


def test_an_old_file_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    file = tmp_path / "a.prom"
    file.write_text("a 1\n")
    plugin = make_input(PrometheusTextfile, {"directories": [str(tmp_path)]})
    logged = []
    for hours in (0, 25, 26, 0, 25):
        written = time.time() - hours * 3600
        os.utime(file, (written, written))
        caplog.clear()
        metrics, failure = gather(plugin)
        assert (len(metrics), failure) == (3, "")
        logged.append([record.getMessage() for record in caplog.records])
    old = f"the textfile '{file}' was not written for more than 24h; look at the job that writes it"
    assert [[text.replace("24h0m0s", "24h") for text in texts] for texts in logged] == [
        [],
        [old],
        [],
        [f"the textfile '{file}' is written again"],
        [old],
    ]


def test_a_text_from_a_url_reads_no_secret(tmp_path: Path) -> None:
    secret = tmp_path / "state"
    secret.mkdir()
    (secret / "token.prom").write_text("token 1\n")
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "link.prom").symlink_to(secret / "token.prom")
    source = SourceText("http://127.0.0.1/x", f'[[inputs.prometheus_textfile]]\ndirectories = ["{tmp_path}/open"]\n')
    plan = load_plan([source], environ={"PYAGENT_STATE_DIRECTORY": str(secret)}, testing=True)
    options = cast("PrometheusTextfileOptions", plan.inputs[0].options)
    metrics, failure = gather(PrometheusTextfile(options, logging.getLogger("pyagent.test")))
    assert [metric.name for metric in metrics] == ["node_textfile_scrape_error"]
    assert "link.prom': it leads to secrets of this host" in failure

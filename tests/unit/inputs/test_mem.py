import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pyagent.api import MetricType, PyagentError
from pyagent.testing import assert_declared, lines, run_input
from pyagent_plugins.inputs.mem import Mem

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/meminfo: Linux only")

OLD_KERNEL = """\
MemTotal:        1000000 kB
MemFree:          100000 kB
Buffers:           20000 kB
Cached:           300000 kB
SReclaimable:      50000 kB
Active(file):     160000 kB
Inactive(file):   120000 kB
"""


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOST_PROC", str(tmp_path))
    return tmp_path


@linux
def test_this_host_agrees_with_psutil() -> None:
    [metric] = run_input(Mem)
    assert_declared(Mem, [metric])
    other = psutil.virtual_memory()
    assert metric.kind is MetricType.GAUGE
    assert metric.fields["total"] == other.total
    # Memory moves between the two readings; what must agree is the meaning.
    room = other.total // 10
    for field, attribute in {
        "available": "available",
        "free": "free",
        "buffered": "buffers",
        "cached": "cached",
        "shared": "shared",
        "slab": "slab",
        "active": "active",
        "inactive": "inactive",
    }.items():
        assert abs(float(metric.fields[field]) - getattr(other, attribute)) < room, field
    assert metric.fields["used"] == int(metric.fields["total"]) - int(metric.fields["available"])


@linux
def test_an_old_kernel_without_memavailable(proc: Path) -> None:
    (proc / "meminfo").write_text(OLD_KERNEL)
    pages = 1000
    (proc / "zoneinfo").write_text(f"Node 0, zone      DMA\n        min      10\n        low      {pages}\n\n")
    watermark = pages * os.sysconf("SC_PAGE_SIZE")
    [metric] = run_input(Mem)
    # The kernel's si_mem_available: free less the watermark, and of caches all but the smaller of half and the watermark.
    assert metric.fields["available"] == (100000 + 280000 + 50000) * 1024 - 3 * watermark

    (proc / "meminfo").write_text(OLD_KERNEL.replace("Active(file):     160000", "Active(file):          0"))
    (proc / "zoneinfo").write_text("low 99999999\n")
    [metric] = run_input(Mem)
    assert metric.fields["available"] == 0, "a watermark above what is free"


@linux
@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("MemTotal:   lots kB\n", "line 1 is not 'name: number kB' but 'MemTotal:   lots kB'"),
        ("MemTotal: 4 kB\nMemFree:\n", "line 2 is not 'name: number kB' but 'MemFree:'"),
        ("MemTotal: 4 kB\nMemFree: -1 kB\n", "line 2 is not"),
        ("MemTotal: 4 kB\nMemFree: \u0664 kB\n", "line 2 is not"),
        ("MemTotal: 4 MB\n", "line 1 is not"),
        ("", "it has no MemTotal"),
        ("MemTotal: 0 kB\n", "it has no MemTotal"),
        ("\0\xff" * 50, "it has no MemTotal"),
    ],
)
def test_a_garbled_file_gives_one_clear_line(proc: Path, text: str, cause: str) -> None:
    (proc / "meminfo").write_text(text, encoding="utf-8")
    with pytest.raises(PyagentError) as raised:
        run_input(Mem)
    message = str(raised.value)
    assert message.startswith(f"cannot read {proc}/meminfo: {cause}")
    assert "\n" not in message


def test_elsewhere_psutil_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "freebsd14")
    metrics = run_input(Mem, {"collect_extended": True})
    assert_declared(Mem, metrics)
    [line] = lines(metrics)
    assert f"total={psutil.virtual_memory().total}u" in line
    assert "dirty=" not in line, "absent where psutil does not give it"


@linux
def test_psutil_is_not_imported_on_linux() -> None:
    code = (
        "import sys; from pyagent.testing import run_input; from pyagent_plugins.inputs.mem import Mem;"
        "run_input(Mem); assert 'psutil' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""What each input says on a host that has nothing of what it reads, and nothing in PATH.

By itself, `python bare_host.py FOLDER` prints it as JSON: so it can be run by an account that may not do anything.
"""

import json
import sys
from pathlib import Path

from pyagent.testing.case_run import run_case
from pyagent.testing.cases import ROOTS, Case

__all__ = ["INPUTS", "logs"]

INPUTS = {
    "amd_rocm_smi": "",
    "apcupsd": 'servers = ["tcp://127.0.0.1:1"]',
    "bcache": "",
    "bond": "",
    "cgroup": 'paths = ["DIR/none"]',
    "chrony": 'server = "udp://127.0.0.1:1"',
    "conntrack": 'collect = ["all"]',
    "cpu": "",
    "disk": "",
    "diskio": "",
    "dmcache": "",
    "dovecot": 'type = "global"\nservers = ["127.0.0.1:1"]',
    "fail2ban": "",
    "hddtemp": 'address = "127.0.0.1:1"',
    "hugepages": "",
    "infiniband": "",
    "intel_powerstat": "",
    "intel_rdt": 'cores = ["0"]',
    "interrupts": "",
    "ipmi_sensor": "",
    "ipset": "",
    "iptables": 'table = "filter"\nchains = ["INPUT"]',
    "journald": "",
    "kernel": 'collect = ["psi"]',
    "kernel_vmstat": "",
    "linux_cpu": 'metrics = ["cpufreq"]',
    "linux_sysctl_fs": "",
    "lustre2": "",
    "lvm": 'pvs_binary = "DIR/bin/pvs"',
    "mdstat": "",
    "mem": "",
    "net": "",
    "netstat": "",
    "nfsclient": "",
    "nftables": 'tables = ["filter"]',
    "nstat": "",
    "ntpq": "",
    "nvidia_smi": "",
    "openntpd": 'binary = "DIR/bin/ntpctl"',
    "opensmtpd": 'binary = "DIR/bin/smtpctl"',
    "ping": 'urls = ["127.0.0.1"]\nbinary = "DIR/bin/ping"',
    "postfix": 'queue_directory = "DIR/spool"',
    "processes": "",
    "procstat": 'pattern = "x"',
    "ras": 'db_path = "DIR/ras.db"',
    "sensors": "",
    "slab": "",
    "smart": "",
    "smartctl": 'path = "DIR/bin/smartctl"',
    "socketstat": "",
    "supervisor": 'url = "http://127.0.0.1:1/RPC2"',
    "swap": "",
    "synproxy": "",
    "sysstat": 'sadc_path = "DIR/bin/sadc"',
    "system": "",
    "systemd_units": "",
    "temp": "",
    "turbostat": 'path = "DIR/bin/turbostat"',
    "upsd": 'server = "127.0.0.1"\nport = 1\nstringify_ids = true',
    "wireless": "",
    "zfs": "",
}
"""The inputs of a host, with options that lead them to what is not there."""


def logs(folder: Path) -> dict[str, list[str]]:
    """What each logs from warnings on, by its name. `folder`: empty, and the caller's own."""
    found = {}
    for name, options in INPUTS.items():
        place = folder / name
        for root in (*ROOTS, "bin"):
            (place / "planted" / root).mkdir(parents=True)
        environ = {
            "PATH": "DIR/bin",
            "MOUNT_PROC": "DIR/proc/self/mountstats",
            "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=DIR/none",
        }
        config = f"[[inputs.{name}]]\n{options}\n"
        case = Case(label=f"inputs/{name}/bare", folder=place / "planted", config=config, environ=environ, gathers=2)
        found[name] = run_case(case, place).log
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(logs(Path(sys.argv[1]))))

"""The inputs ethtool and wireguard in a real kernel: interfaces in a network namespace that is made for the test."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[[str, str], str]


@pytest.fixture
def run(tmp_path: Path, unavailable: Callable[[str], None]) -> Run:
    """Makes a network by commands, gathers there with a configuration, and returns what is printed.

    It has a /run of its own, so that no namespace gets a name on this host.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            unavailable(f"the program {program} is missing; apt install {package}")
    if subprocess.run(["unshare", "-mn", "true"], capture_output=True, timeout=30).returncode != 0:
        pytest.skip("this machine allows no network namespaces (CAP_SYS_ADMIN)")

    def gathered(commands: str, config: str) -> str:
        (tmp_path / "telegraf.conf").write_text(f"[agent]\nomit_hostname = true\n{config}\n[[outputs.discard]]\n")
        agent = f"exec {sys.executable} -m pyagent --config {tmp_path}/telegraf.conf --test"
        script = f"mount -t tmpfs none /run\n{commands}\n{agent}"
        done = subprocess.run(["unshare", "-mn", "sh", "-ec", script], capture_output=True, text=True, timeout=60)
        if "Unknown device type" in done.stderr:
            pytest.skip(
                f"this kernel lacks what the test needs: {done.stderr.strip()}: {commands.strip().splitlines()[0]}"
            )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return gathered


VETHS = """ip link add v0 type veth peer name v1
ip link set v0 up
ip link set v1 up
ip netns add blue
ip -n blue link add w0 type veth peer name w1
"""


def _interfaces(printed: str) -> dict[str, dict[str, str]]:
    """By tags: fields."""
    rows = [line[2:].rsplit(" ", 1)[0].split(" ") for line in printed.splitlines() if line.startswith("> ")]
    return {series: dict(field.split("=") for field in fields.split(",")) for series, fields in rows}


def test_pairs_of_interfaces(run: Run) -> None:
    found = _interfaces(run(VETHS, "[[inputs.ethtool]]"))
    assert set(found) == {"ethtool,driver=veth,interface=v0", "ethtool,driver=veth,interface=v1"}
    fields = found["ethtool,driver=veth,interface=v0"]
    assert (fields["interface_up"], fields["link"], fields["duplex"]) == ("true", "1u", "1u")
    assert "peer_ifindex" in fields


def test_another_namespace(run: Run) -> None:
    config = '[[inputs.ethtool]]\nnamespace_include = ["b*"]\ninterface_exclude = ["w1"]'
    [(series, fields)] = _interfaces(run(VETHS, config)).items()
    assert series == "ethtool,driver=veth,interface=w0,namespace=blue"
    assert (fields["interface_up"], fields["link"]) == ("false", "0u")
    assert run(VETHS, config.replace("namespace_include", 'down_interfaces = "skip"\nnamespace_include')) == ""


def test_a_device_of_wireguard(run: Run) -> None:
    """Its port is chosen by the kernel when it comes up."""
    printed = run("ip link add wg0 type wireguard\nip link set wg0 up", "[[inputs.wireguard]]")
    first, second = sorted(line for line in printed.splitlines() if line.startswith("> "))
    assert first.startswith("> wireguard_device,name=wg0,type=linux_kernel firewall_mark=0i,listen_port=")
    assert second.startswith("> wireguard_device,name=wg0,type=linux_kernel peers=0i")

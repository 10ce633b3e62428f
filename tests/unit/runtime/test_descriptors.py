"""The limit of file descriptors is raised as far as it may be, and no further."""

import resource
import subprocess
import sys

import pytest

from pyagent.runtime.descriptors import MOST


@pytest.mark.parametrize(("soft", "hard"), [(64, 512), (512, 512), (64, 64)])
def test_the_soft_limit_is_raised_to_the_hard_one(soft: int, hard: int) -> None:
    assert _raised(soft, hard) == f"{hard} {hard}"


def test_it_is_raised_to_no_more_than_is_of_use() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard <= MOST:
        pytest.skip(f"a hard limit of more than {MOST} descriptors is missing, it is {hard}")
    assert _raised(64, hard) == f"{MOST} {MOST}"
    assert _raised(MOST + 1, hard) == f"{MOST + 1} {MOST + 1}"


def _raised(soft: int, hard: int) -> str:
    """What is told, and the soft limit that is in force then."""
    code = (
        "import resource; from pyagent.runtime.descriptors import raise_limit;"
        f" resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        " print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()

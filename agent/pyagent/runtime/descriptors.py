"""How many file descriptors the process may have: connections, segments of buffers and outputs all take some."""

import resource
from contextlib import suppress

__all__ = ["MOST", "raise_limit"]

MOST = 65_536
"""Enough for every listener, buffer and output; more only makes slower the programs that close all that there could be."""


def raise_limit() -> int:
    """Raise the soft limit to the hard one, to MOST at the most; returns the limit in force.

    The soft limit, 1,024 on most hosts, is for programs that use select(2); nothing here does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a sandbox may forbid it: what there is will have to do
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return soft if soft != resource.RLIM_INFINITY else MOST

"""The network namespaces that have a name: `ip netns add NAME` puts a file for each into /run/netns."""

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache

from pyagent.api.errors import PyagentError
from pyagent.kit.procfs import host_path

__all__ = ["folder", "is_current", "named_namespaces", "within"]

_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"
_REFUSED = (
    "give the agent the capability CAP_SYS_ADMIN: the drop-in `namespaces.conf` of its unit, which has"
    " `AmbientCapabilities=CAP_SYS_ADMIN` and `RestrictNamespaces=net`"
)


def folder() -> str:
    return host_path("run", "netns")


def named_namespaces() -> list[str]:
    """Raises FileNotFoundError where none was ever made, PyagentError where the folder cannot be read."""
    try:
        return sorted(os.listdir(folder()))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise PyagentError(f"cannot read {folder()}: {error.strerror or error}") from None


def is_current(name: str) -> bool:
    """Whether it is the one of this thread."""
    try:
        return os.path.samestat(os.stat(os.path.join(folder(), name)), os.stat(_OWN))
    except OSError:
        return False


def within(names: Sequence[str], work: Callable[[str], None], failures: list[Exception]) -> None:
    """Call `work` with each name, in its namespace. What fails is added to `failures`.

    It runs in a thread of its own, which ends afterwards: a thread that has entered a namespace would need rights to go back.
    """
    if not names:
        return

    def run() -> None:
        for name in names:
            try:
                _enter(os.path.join(folder(), name))
            except FileNotFoundError:
                continue  # it was removed
            except OSError as error:
                failures.append(_failure(name, error))
                if error.errno == errno.EPERM:
                    return  # nor may the agent enter the others
                continue
            try:
                work(name)
            except Exception as error:
                failures.append(error)

    thread = threading.Thread(target=run, name="pyagent-netns", daemon=True)
    thread.start()
    thread.join()


def _failure(name: str, error: OSError) -> PyagentError:
    remedy = {
        errno.EPERM: f"; {_REFUSED}",
        errno.EACCES: f"; {_REFUSED}",
        errno.EINVAL: f"; the file is none; `ip netns delete {name}` removes it",
    }
    found = remedy.get(error.errno or 0, "")
    return PyagentError(f"cannot enter the network namespace {name}: {error.strerror or error}{found}")


def _enter(path: str) -> None:
    """Raises OSError."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _library().setns(opened, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(opened)


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)

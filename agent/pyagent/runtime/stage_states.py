"""What processors remember, from one run of the agent to the next: a file for each in a folder of the state directory.

It is written when the agent stops, and read when it starts, for a processor whose table is the same.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from pyagent.api.files import make_private_directory
from pyagent.pipeline.stages.chain import ProcessorChain
from pyagent.pipeline.stages.processors import RunningProcessor

__all__ = ["load_states", "save_states"]

_MOST = 64 << 20
"""Bytes of one."""


def load_states(stages: ProcessorChain, folder: Path | None, log: logging.Logger) -> None:
    """Give processors that have just been made what they remembered. What cannot be read is logged, and nobody needs it."""
    for name, stage in _named(stages) if folder is not None else ():
        path = folder / name if folder is not None else Path()
        try:
            with path.open("rb") as file:
                stage.plugin.load_state(file.read(_MOST + 1)[:_MOST])
        except FileNotFoundError:
            continue
        except Exception as error:
            log.warning("cannot read what %s remembered from %s, it begins anew: %s", stage.plan.label, path, error)


def save_states(stages: ProcessorChain, folder: Path | None, log: logging.Logger) -> None:
    """Keep what processors remember, and nothing else that was kept before."""
    if folder is None:
        return
    try:
        old = {path.name for path in folder.iterdir()}
    except OSError:
        old = set()
    for name, stage in _named(stages):
        try:
            state = stage.plugin.save_state()
            if state and len(state) < _MOST:
                make_private_directory(folder)
                _write(folder / name, state)
                old.discard(name)
        except Exception as error:
            log.warning("cannot keep what %s remembers in %s: %s", stage.plan.label, folder, error)
    for name in old:
        (folder / name).unlink(missing_ok=True)


def _named(stages: ProcessorChain) -> Iterator[tuple[str, RunningProcessor]]:
    """Those that are the agent's own and compute, each with the name of its file."""
    for place, processors in (("before", stages.before), ("after", stages.after)):
        for stage in processors:
            if not stage.isolated:
                yield f"{stage.plan.name}-{stage.plan.identity}-{place}", stage


def _write(path: Path, state: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(state)
    new.replace(path)

"""Where queues lie on disk: one folder for each."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from pyagent.lineprotocol.text import to_bytes

__all__ = ["QueueName", "StoredQueue", "stored_queues"]


@dataclass(frozen=True, slots=True)
class QueueName:
    """Whose queue it is: made of what says where the metrics belong, so that it outlives a change of URL or token."""

    output: str
    partition: str | None = None

    @property
    def folder(self) -> str:
        name = quote(to_bytes(self.output), safe="")
        if self.partition is not None:
            name += "+" + quote(to_bytes(self.partition), safe="")
        if len(name) > 200:
            name = f"{name[:180]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        return name

    @property
    def identity(self) -> str:
        return json.dumps({"output": self.output, "partition": self.partition}) + "\n"


@dataclass(frozen=True, slots=True)
class StoredQueue:
    """A queue's folder. `oldest`: when its oldest file was last written, seconds since the epoch."""

    path: Path
    name: QueueName
    bytes: int
    oldest: float


def stored_queues(directory: Path, errors: list[OSError] | None = None) -> list[StoredQueue]:
    """The queues that hold anything, by name. What cannot be read now is passed over; its `errors` are added."""
    found: list[StoredQueue] = []
    missed = errors if errors is not None else []
    try:
        paths = sorted(directory.iterdir())
    except FileNotFoundError:
        return found
    except OSError as error:
        missed.append(error)
        return found
    for path in paths:
        try:
            files = [os.stat(path / name) for name in os.listdir(path) if name.endswith(".seg")]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            missed.append(error)
            continue
        if files:
            oldest = min(file.st_mtime for file in files)
            found.append(StoredQueue(path, _name(path), sum(file.st_size for file in files), oldest))
    return found


def _name(path: Path) -> QueueName:
    try:
        document = json.loads((path / "identity").read_text())
        return QueueName(str(document["output"]), document["partition"])
    except (OSError, ValueError, TypeError, KeyError):
        output, separator, partition = path.name.partition("+")
        output, partition = (unquote(part, errors="surrogateescape") for part in (output, partition))
        name = QueueName(output, partition if separator else None)
        return name if name.folder == path.name else QueueName(path.name)

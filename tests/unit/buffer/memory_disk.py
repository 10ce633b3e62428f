"""A disk in memory that forgets, as one does at a loss of power: whatever was not synced may be there, in part, or not."""

import errno
import random
from dataclasses import dataclass, field
from pathlib import Path

from pyagent.buffer.log.files import Files


@dataclass
class Node:
    """A file. `durable`: what is sure to be there after a crash; `writes`: what came since, each (offset, data), or (size,
    None) where it was cut."""

    data: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    writes: list[tuple[int, bytes | None]] = field(default_factory=list)


class MemoryDisk(Files):
    """`fail` is asked before each call by the method's name, and may raise."""

    def __init__(self) -> None:
        self.files: dict[Path, Node] = {}
        self.durable_names: dict[Path, Node] = {}
        self.directories: set[Path] = set()
        self.locks: set[Path] = set()
        self._open: dict[int, tuple[Path, Node]] = {}
        self._next = 100
        self.fail = lambda name: None
        self.syncs = 0

    def make_directory(self, path: Path) -> None:
        self.fail("make_directory")
        self.directories.add(path)

    def remove_directory(self, path: Path) -> None:
        self.directories.remove(path)

    def lock(self, path: Path) -> int:
        if path in self.locks:
            raise BlockingIOError(errno.EAGAIN, "locked")
        self.locks.add(path)
        return self._descriptor(path, Node())

    def lock_directory(self, path: Path) -> int:
        return self.lock(path)

    def is_directory(self, path: Path) -> bool:
        return path in self.directories

    def is_file(self, path: Path) -> bool:
        return path in self.files

    def names(self, directory: Path) -> list[str]:
        self.fail("names")
        below = [path.name for path in (*self.files, *self.directories) if path.parent == directory]
        return below if directory not in {path.parent for path in self.locks} else [*below, "lock"]

    def create(self, path: Path) -> int:
        self.fail("create")
        if path in self.files:
            raise FileExistsError(errno.EEXIST, "there")
        self.files[path] = Node()
        return self._descriptor(path, self.files[path])

    def open(self, path: Path, *, write: bool = False) -> int:
        self.fail("open")
        if path in self.directories:
            return self._descriptor(path, Node())
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "not there")
        return self._descriptor(path, self.files[path])

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        node = self._open[descriptor][1]
        try:
            self.fail("write")
        except OSError:
            self._put(node, data[: len(data) // 2], offset)  # as far as there was room
            raise
        self._put(node, data, offset)

    def _put(self, node: Node, data: bytes, offset: int) -> None:
        node.data.extend(bytes(max(offset + len(data) - len(node.data), 0)))
        node.data[offset : offset + len(data)] = data
        node.writes.append((offset, bytes(data)))

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        self.fail("read")
        return bytes(self._open[descriptor][1].data[offset : offset + size])

    def size(self, descriptor: int) -> int:
        return len(self._open[descriptor][1].data)

    def truncate(self, path: Path, size: int) -> None:
        self.fail("truncate")
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "not there")
        node = self.files[path]
        del node.data[size:]
        node.writes.append((size, None))

    def sync(self, descriptor: int) -> None:
        node = self._open[descriptor][1]
        try:
            self.fail("sync")
        except OSError:
            node.writes.clear()  # the pages are marked clean, and never written: what a second sync would not tell
            raise
        self.syncs += 1
        durable = bytearray(node.durable)
        for offset, part in node.writes:
            if part is None:
                del durable[offset:]
            else:
                durable.extend(bytes(max(offset + len(part) - len(durable), 0)))
                durable[offset : offset + len(part)] = part
        node.durable, node.writes = bytes(durable), []

    def sync_directory(self, path: Path) -> None:
        self.fail("sync_directory")
        self.durable_names = dict(self.files)

    def rename(self, old: Path, new: Path) -> None:
        self.fail("rename")
        self.files[new] = self.files.pop(old)

    def unlink(self, path: Path) -> None:
        self.fail("unlink")
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "not there")
        del self.files[path]

    def close(self, descriptor: int) -> None:
        path, _ = self._open.pop(descriptor)
        self.locks.discard(path)

    def _descriptor(self, path: Path, node: Node) -> int:
        self._next += 1
        self._open[self._next] = (path, node)
        return self._next

    def crash(self, choice: random.Random, *, power: bool) -> None:
        """The process is gone; with `power` the machine, too, and with it any part of what was not synced."""
        self._open.clear()
        self.locks.clear()
        self.fail = lambda name: None
        if not power:
            return
        names = {**self.durable_names}
        for path, node in self.files.items():
            if self.durable_names.get(path) is not node and choice.random() < 0.5:
                names[path] = node
        for path in [path for path in names if path not in self.files]:
            if choice.random() < 0.5:
                del names[path]  # an unlink that did come through
        for node in names.values():
            data = bytearray(node.durable)
            for offset, part in node.writes:
                if part is None:
                    if choice.random() < 0.5:
                        del data[offset:]
                    continue
                # Blocks come through one by one, in any order.
                for start in range(0, len(part), 16):
                    if choice.random() < 0.6:
                        block = part[start : start + 16]
                        at = offset + start
                        data.extend(bytes(max(at + len(block) - len(data), 0)))
                        data[at : at + len(block)] = block
            node.data, node.durable, node.writes = data, bytes(data), []
        self.files = names
        self.durable_names = dict(names)

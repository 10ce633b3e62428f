"""Everything but the points: organisations, users, buckets, authorizations, telegraf configurations, labels, members.

It is small, so it lives in memory as plain dictionaries of JSON values and is written through to one SQLite table.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Document = dict[str, Any]


class Documents:
    """Kinds of documents by id. A document that was read must not be changed in place: put a new one."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._kinds: dict[str, dict[str, Document]] = {}
        try:
            self._load()
        except BaseException:
            self._db.close()
            raise

    def _load(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents(kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY(kind, id)) WITHOUT ROWID"
        )
        for kind, key, body in self._db.execute("SELECT kind, id, body FROM documents ORDER BY kind, id"):
            self._kinds.setdefault(kind, {})[key] = json.loads(body)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """All puts and deletes within become durable at once or, when the process dies, not at all."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def all(self, kind: str) -> Iterable[Document]:
        """Documents of a kind in the order of their ids."""
        found = self._kinds.get(kind, {})
        return [found[key] for key in sorted(found)]

    def get(self, kind: str, key: str) -> Document | None:
        return self._kinds.get(kind, {}).get(key)

    def find(self, kind: str, **values: object) -> Document | None:
        """The first document of a kind that has these values."""
        for document in self.all(kind):
            if all(document.get(name) == value for name, value in values.items()):
                return document
        return None

    def put(self, kind: str, key: str, document: Document) -> Document:
        self._db.execute("INSERT OR REPLACE INTO documents VALUES(?, ?, ?)", (kind, key, json.dumps(document)))
        self._kinds.setdefault(kind, {})[key] = document
        return document

    def delete(self, kind: str, key: str) -> None:
        self._db.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key))
        self._kinds.get(kind, {}).pop(key, None)

"""Parts of paths, in tags and fields.

Paths are those of Unix, and are taken as text: nothing is looked for on the disk.
"""

import posixpath
from collections.abc import Callable
from typing import Annotated

from pyagent.api import Metric, Options, Processor, option
from pyagent.kit.once import Once
from pyagent.kit.shown import quoted

__all__ = ["Filepath", "FilepathOptions", "Part", "Relative"]


class Part(Options, frozen=True):
    tag: Annotated[str, option("tag that has the path")] = ""
    field: Annotated[str, option("field that has the path; one that is no text stays as it is")] = ""
    dest: Annotated[str, option("tag or field for the result; empty: the same")] = ""


class Relative(Part, frozen=True):
    base_path: Annotated[str, option("the path that the result begins from")] = ""


class FilepathOptions(Options, frozen=True):
    stem: Annotated[list[Part], option("the last part, without what follows its last dot: /a/b.tar.gz is b.tar")] = []
    basename: Annotated[list[Part], option("the last part: /a/b.gz is b.gz")] = []
    rel: Annotated[list[Relative], option("the path from another one: /a/b from /a is b")] = []
    dirname: Annotated[list[Part], option("without the last part: /a/b.gz is /a")] = []
    clean: Annotated[list[Part], option("the shortest path of the same meaning: /a/./b/../c is /a/c")] = []
    toslash: Annotated[list[Part], option("nothing: there are slashes already")] = []


class Filepath(Processor[FilepathOptions]):
    def setup(self) -> None:
        options = self.options
        self._once = Once()
        self._steps: list[tuple[Part, Callable[[str], str]]] = [
            *[(part, _stem) for part in options.stem],
            *[(part, _basename) for part in options.basename],
            *[(part, self._relative(part.base_path)) for part in options.rel],
            *[(part, _dirname) for part in options.dirname],
            *[(part, _clean) for part in options.clean],
            *[(part, str) for part in options.toslash],
        ]

    def process(self, metrics: list[Metric]) -> list[Metric]:
        for part, function in self._steps:
            tag, field, dest = part.tag, part.field, part.dest
            for metric in metrics:
                if tag and (path := metric.tags.get(tag)) is not None:
                    metric.tags = {**metric.tags, dest or tag: function(path)}
                if field and isinstance(value := metric.fields.get(field), str):
                    metric.fields = {**metric.fields, dest or field: function(value)}
        return metrics

    def _relative(self, base: str) -> Callable[[str], str]:
        def relative(path: str) -> str:
            found = _relative(base, path)
            if found is not None:
                return found
            if self._once(path):
                self.log.error(
                    "cannot make %s relative to %s: no way leads from there to it", quoted(path), quoted(base)
                )
            return base

        return relative


def _clean(path: str) -> str:
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _basename(path: str) -> str:
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def _dirname(path: str) -> str:
    return _clean(path[: path.rfind("/") + 1])


def _stem(path: str) -> str:
    _, dot, extension = path[path.rfind("/") + 1 :].rpartition(".")
    return _basename(path).removesuffix(dot + extension) if dot else _basename(path)


def _relative(base: str, path: str) -> str | None:
    """None where the way is not known: only one of them is absolute, or the base is above what is known."""
    base, path = _clean(base), _clean(path)
    if base == path:
        return "."
    if base.startswith("/") != path.startswith("/"):
        return None
    here, there = _parts(base), _parts(path)
    common = 0
    while common < min(len(here), len(there)) and here[common] == there[common]:
        common += 1
    if ".." in here[common:]:
        return None
    return "/".join([".."] * (len(here) - common) + there[common:])


def _parts(path: str) -> list[str]:
    """Of a clean path, without the root."""
    return [part for part in path.split("/") if part not in ("", ".")]

"""Which class a plugin's name stands for. Nothing is imported before a configuration names it.

`[[inputs.mem]]` is the module `pyagent_plugins.inputs.mem`; else a file `mem.py` in a drop-in folder; else an entry point
`mem` of the group `pyagent.inputs`.
"""

import ast
import difflib
import functools
import hashlib
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pyagent import api
from pyagent.api import ConfigError, Plugin
from pyagent.api.foreign import call_with_deadline, describe, file_of
from pyagent.config.drop_ins import DropIns
from pyagent.config.options import check_type, suggest
from pyagent.config.plan import Origin, PluginKind
from pyagent.kit.libraries import missing_library
from pyagent.plugin_kinds import PLUGIN_KINDS
from pyagent.reading import read_file

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

__all__ = ["PluginBroken", "PluginRef", "Registry", "call_with_deadline", "from_outside", "is_of_other_kind"]

T = TypeVar("T")

BASES: dict[PluginKind, type[Plugin[Any]]] = {kind: getattr(api, one.base) for kind, one in PLUGIN_KINDS.items()}
MOST_SOURCE = 16 << 20
"""Bytes of a plugin's file."""
IMPORT_DEADLINE = 10.0
_MOST_NAMES = 12
"""In a message; the nearest ones where there are more."""
DISTRIBUTION = "pyagent-telemetry"
_imported: dict[tuple[str, str], ModuleType] = {}
"""Drop-in files by path and version."""
_hung: set[str] = set()
"""What hung when it was imported: each try costs a thread, so there is one only."""
_BUILTIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class PluginBroken(ConfigError):
    """An external plugin cannot be used: no reason to stop the others."""


@dataclass(frozen=True, slots=True)
class PluginRef:
    """A plugin's class, where it is from, and what changes when its code does (for a file, its hash)."""

    plugin: type[Plugin[Any]]
    origin: Origin
    version: str = ""
    format: "PluginRef | None" = None
    """The parser or serializer of its `data_format`, for a plugin that has one."""
    serializer: "PluginRef | None" = None
    """The serializer of the same name, for a plugin that has both: it reads and writes one format."""

    def formats(self) -> "tuple[PluginRef, ...]":
        return tuple(one for one in (self.format, self.serializer) if one is not None)


def entry_points(kind: PluginKind, name: str | None = None) -> "EntryPoints":
    """Those of the installed distributions: the ones of that name, else all of the kind."""
    found = _entry_points(f"pyagent.{kind}", tuple((path, _changed(path)) for path in sys.path))
    return found.select(name=name) if name is not None else found


@functools.lru_cache(maxsize=len(BASES))
def _entry_points(group: str, paths: tuple[tuple[str, int], ...]) -> "EntryPoints":
    """Read once for each state of `paths`: it opens a file of every distribution, and a command asks for each plugin."""
    del paths
    from importlib import metadata  # the plugins that come with the agent need it not

    return metadata.entry_points(group=group)


def _changed(path: str) -> int:
    """When a distribution was last installed there or removed, in ns."""
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=2 * len(BASES))
def _modules(folders: tuple[tuple[str, int], ...]) -> frozenset[str]:
    """Read once for each state of the folders: each unknown name of a configuration asks for those of every kind."""
    found = pkgutil.iter_modules([folder for folder, _ in folders])
    return frozenset(module.name for module in found if _BUILTIN_NAME.fullmatch(module.name))


class Registry:
    """`package`: where the plugins that come with the agent are. `directories`: drop-in folders; a missing one is empty."""

    def __init__(self, directories: Sequence[Path] = (), package: str = "pyagent_plugins") -> None:
        self.drop_ins = DropIns(directories)
        self._package = package
        self._found: dict[tuple[PluginKind, str], PluginRef] = {}

    def find(self, kind: PluginKind, name: str) -> PluginRef:
        """The plugin of that name.

        Raises PluginBroken for an external one that cannot be used, ConfigError for a name that is unknown or stands
        for several, and for a library that is missing.
        """
        found = self._found.get((kind, name))
        if found is None:
            found = self._found[kind, name] = self._find(kind, name)
        return found

    def _find(self, kind: PluginKind, name: str) -> PluginRef:
        builtin = self._builtin_file(kind, name)
        files = self.drop_ins.named(name)
        if builtin:
            files = [file for file in files if not is_of_other_kind(file, kind)]
        places = [*([builtin] if builtin else []), *map(str, files)]
        points = [] if builtin else list(entry_points(kind, name))
        places += [f"the entry point {point.value} of {point.dist.name if point.dist else '?'}" for point in points]
        if not places:
            raise self._unknown(kind, name)
        if len(places) > 1:
            raise ConfigError(f"the name {name!r} is taken twice: by {' and by '.join(places)}; rename or remove one")
        if builtin:
            return PluginRef(self._import_builtin(kind, name), "builtin")
        if files:
            return self._import_file(kind, name, files[0])
        return PluginRef(_guarded(places[0], lambda: _of_point(points[0].load(), kind, places[0])), "entry point")

    def names(self, kind: PluginKind) -> list[str]:
        """The names that may be used, sorted: of builtin plugins, drop-in files and entry points."""
        try:
            folders = list(importlib.import_module(f"{self._package}.{kind}").__path__)
        except ImportError:
            folders = []
        found = _modules(tuple((folder, _changed(folder)) for folder in folders)) | self.drop_ins.names()
        return sorted(found | {point.name for point in entry_points(kind)})

    def _builtin_file(self, kind: PluginKind, name: str) -> str | None:
        if not _BUILTIN_NAME.fullmatch(name):
            return None
        try:
            spec = importlib.util.find_spec(f"{self._package}.{kind}.{name}")
        except ModuleNotFoundError:
            return None
        return spec.origin if spec else None

    def _import_builtin(self, kind: PluginKind, name: str) -> type[Plugin[Any]]:
        try:
            module = importlib.import_module(f"{self._package}.{kind}.{name}")
        except ImportError as error:
            raise ConfigError(f"cannot load {kind}.{name}: {_missing(error, name)}") from None
        except Exception as error:  # ours to mend, and yet no reason for a traceback
            raise ConfigError(f"cannot load {kind}.{name}: {type(error).__name__}: {error}") from error
        return _only_class(module, kind, f"{kind}.{name}")

    def _import_file(self, kind: PluginKind, name: str, file: Path) -> PluginRef:
        # A changed file is read anew at a reload, and its old module left to whom it still serves.
        try:
            version = hashlib.sha256(read_file(file, MOST_SOURCE)).hexdigest()[:12]
        except OSError as error:
            raise PluginBroken(f"cannot read the plugin {file}: {error.strerror}") from None
        module_name = f"pyagent_plugin_{re.sub(r'[^0-9A-Za-z_]', '_', name)}_{version}"
        place = os.fspath(file)
        module = _imported.get((place, version))
        if module is None:
            module = _imported[place, version] = _guarded(place, lambda: _run_file(module_name, file), version)
        return PluginRef(_guarded(place, lambda: _only_class(module, kind, place), version), "file", version)

    def _unknown(self, kind: PluginKind, name: str) -> ConfigError:
        """With the ones that the name may have been meant for, and where one of one's own goes."""
        hints, names = [], self.names(kind)
        others = [other for other in BASES if other != kind and name in self.names(other)]
        if others:
            hints.append(f"there is {' and '.join(f'{other}.{name}' for other in others)}, of another kind")
        if near := suggest(name, names):
            hints.append(f"did you mean {near!r}?")
        elif names and not near:
            close = (
                difflib.get_close_matches(name, names, n=_MOST_NAMES, cutoff=0) if len(names) > _MOST_NAMES else names
            )
            more = ", ..." if len(names) > _MOST_NAMES else ""
            hints.append(f"no such plugin is installed; there are {', '.join(sorted(close))}{more}")
        elif not near:
            hints.append("no such plugin is installed")
        own = "; ".join(self.drop_ins.warnings or self.drop_ins.place(name))
        # Behind a question nothing can be joined to it.
        text = f"{'; '.join(hints)} ({own})" if own and near else "; ".join([*hints, own] if own else hints)
        return ConfigError(f"undefined but requested {PLUGIN_KINDS[kind].singular}: {name}; {text}")


def from_outside(found: PluginRef, work: Callable[[], T], what: str) -> T:
    """What `work` gives, which runs code of the plugin while a configuration is loaded. Raises ConfigError and, for one from
    outside that does anything else, PluginBroken; `what` is its message's beginning."""
    if found.origin == "builtin":
        return work()
    try:
        return call_with_deadline(work, IMPORT_DEADLINE, what)
    except ConfigError:
        raise
    except TimeoutError:
        raise PluginBroken(f"{what}: it takes more than {IMPORT_DEADLINE:g} s") from None
    except BaseException as error:
        raise PluginBroken(f"{what}: {describe(error, (file_of(found.plugin),))}") from None


def _of_point(loaded: object, kind: PluginKind, place: str) -> type[Plugin[Any]]:
    if isinstance(loaded, type) and issubclass(loaded, BASES[kind]):
        return _with_sound_options(loaded, place)
    if not isinstance(loaded, ModuleType):
        raise PluginBroken(f"{place} is neither a module nor a subclass of {BASES[kind].__name__}")
    return _only_class(loaded, kind, place)


def is_of_other_kind(file: Path, kind: PluginKind) -> bool:
    """A file that by its text defines plugins of another kind only: `file.py` may be an input beside the output `file`."""
    try:
        tree = ast.parse(read_file(file, MOST_SOURCE))
    except (OSError, SyntaxError, ValueError):
        return False
    bases = set()
    for node in tree.body:
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            base = base.value if isinstance(base, ast.Subscript) else base
            bases.add(base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", ""))
    return BASES[kind].__name__ not in bases and any(base.__name__ in bases for base in BASES.values())


def _run_file(module_name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and typing look a class's module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(module_name, None)
        raise
    return module


def _guarded(place: str, load: Callable[[], T], version: str = "") -> T:
    """Import external code: whatever it does, it gives a module within the deadline or PluginBroken."""
    try:
        if place + version in _hung:
            raise TimeoutError
        return call_with_deadline(load, IMPORT_DEADLINE, f"import of {place}")
    except PluginBroken:
        raise
    except TimeoutError:
        _hung.add(place + version)
        raise PluginBroken(f"cannot import {place}: it takes more than {IMPORT_DEADLINE:g} s") from None
    except ImportError as error:
        raise PluginBroken(f"cannot import {place}: {_missing(error)}") from None
    except SyntaxError as error:
        raise PluginBroken(f"cannot import {place}: line {error.lineno}: {error.msg}") from None
    except BaseException as error:  # even SystemExit: the code is not ours
        line = _line_in(error, place)
        raise PluginBroken(f"cannot import {place}: {line}{describe(error)}") from None


def _line_in(error: BaseException, file: str) -> str:
    line, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = f"line {trace.tb_lineno}: "
        trace = trace.tb_next
    return line


def _only_class(module: ModuleType, kind: PluginKind, place: str) -> type[Plugin[Any]]:
    base = BASES[kind]
    found = {
        item
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, base)
        and not item.__name__.startswith("_")  # a base that is the file's own affair
        and (item.__module__ == module.__name__ or item.__module__.startswith(f"{module.__name__}."))
    }
    if len(found) == 1:
        return _with_sound_options(found.pop(), place)
    names = ", ".join(sorted(item.__name__ for item in found)) or "none"
    raise PluginBroken(f"{place} must define exactly one subclass of {base.__name__}; it defines {names}")


def _with_sound_options(plugin: type[Plugin[Any]], place: str) -> type[Plugin[Any]]:
    """The class, if the types of its options are ones that a configuration can set."""
    try:
        for info in msgspec.structs.fields(plugin.options_type):
            check_type(info.type)
    except Exception as error:  # annotations are evaluated here: anything may happen
        raise PluginBroken(f"{place}: its options cannot be read: {error}") from None
    return plugin


def _missing(error: ImportError, plugin: str = "") -> str:
    """What an import failed for and, where a library is missing, how to install it."""
    library = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or not library or library.startswith("pyagent"):
        return str(error)
    from importlib import metadata

    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        requirements = []
    wanted = ""
    for requirement in requirements:
        name, _, marker = requirement.partition(";")
        if plugin and f"'{plugin}'" in marker.replace('"', "'") and name.startswith(library):
            wanted = re.split(r"[<>=!~ ]", name)[0]
    return missing_library(library, wanted)

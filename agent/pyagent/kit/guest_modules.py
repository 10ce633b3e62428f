"""Modules that one table imports from its own folders, kept from all others of the process.

    modules = GuestModules(["/etc/checks"], last=["/opt/check"])
    with modules.imports("my_check"):
        module = importlib.import_module("my_check")
    with modules.finds():
        module.run()

Two tables may each have a `helper` of their own. What is found in the folders is in `sys.modules` only while `imports` lasts;
an `import` in such a module finds it at any time, and `importlib.import_module` while `finds` lasts. `sys.path` never
changes.
"""

import builtins
import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader, SourcelessFileLoader
from types import ModuleType
from typing import Any

from pyagent.api.errors import PyagentError

__all__ = ["GuestModules"]

_LONGEST_WAIT = 60.0
_importing = threading.RLock()
"""Whoever holds it has its modules in `sys.modules`."""
_missing = object()


class _Here(threading.local):
    modules: "GuestModules | None" = None
    imports = False


_here = _Here()


class GuestModules:
    """`folders` count before all others, as first in `sys.path`; those of `last` behind them. `own`: modules that
    are this table's wherever they lie. `alone`: the process is this table's, so its `sys.path` has the folders."""

    def __init__(
        self, folders: Sequence[str], last: Sequence[str] = (), *, own: Sequence[str] = (), alone: bool = False
    ) -> None:
        self._alone = alone
        self._wherever = set(own)
        self._first = [os.path.abspath(folder) for folder in folders]
        self._last = [os.path.abspath(folder) for folder in last]
        self._own: dict[str, ModuleType] = {}
        self._names: set[str] = set()
        """Of the modules that were found in the folders."""
        self._others: set[tuple[str, tuple[str, ...]]] = set()
        """Those that are known to be the same for everybody."""
        self._builtins = vars(builtins) | {"__import__": self._import}
        if alone:
            sys.path[:0] = [folder for folder in self._first if folder not in sys.path]
            sys.path += [folder for folder in self._last if folder not in sys.path]
            importlib.invalidate_caches()
        else:
            _install()

    @contextlib.contextmanager
    def imports(self, *names: str) -> Iterator[None]:
        """What is imported meanwhile in this thread is looked for in the folders. `names`: modules of them that count more than
        one of the same name which is imported already. Raises PyagentError where another table's import does not end."""
        if self._alone:
            yield
            return
        if not _importing.acquire(timeout=_LONGEST_WAIT):
            raise PyagentError(
                f"the import of another input has not ended for {_LONGEST_WAIT:.0f} seconds; set isolate = true there"
            )
        try:
            if _here.imports and _here.modules is self:
                yield
                return
            before = _here.modules, _here.imports
            _here.modules, _here.imports = self, True
            aside = self._put_in(names)
            try:
                yield
            finally:
                self._take_out(aside)
                _here.modules, _here.imports = before
        finally:
            _importing.release()

    @contextlib.contextmanager
    def finds(self) -> Iterator[None]:
        """Other code that this thread calls meanwhile may ask `importlib.import_module` for what is in the folders."""
        before = _here.modules, _here.imports
        if not self._alone:
            _here.modules, _here.imports = self, False
        try:
            yield
        finally:
            _here.modules, _here.imports = before

    def add(self, name: str, module: ModuleType) -> None:
        """A module that is in no folder, for this table alone."""
        if self._alone:
            sys.modules[name] = module
            return
        with _importing:
            self._names.add(name)
            self._own[name] = module

    def prepare(self, spec: ModuleSpec) -> ModuleSpec:
        """So that imports in the module that is made of it are of this table. To be called for one that is not looked for here,
        as that of a file."""
        loader = None if self._alone else spec.loader
        if isinstance(loader, SourceFileLoader | SourcelessFileLoader):
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                module.__dict__["__builtins__"] = self._builtins
                execute(module)

            setattr(loader, "exec_module", exec_module)  # noqa: B010  # it stays the loader that it is, with all it can do
        return spec

    def find(self, name: str, path: Sequence[str] | None, *, first: bool) -> ModuleSpec | None:
        """Where a module is: in its own parent's path, or in the folders, those that count first or the others."""
        parent, _, _ = name.rpartition(".")
        if parent in self._names:
            return self._found(name, PathFinder.find_spec(name, path)) if first else None
        for folder in self._first if first else [*self._first, *self._last]:
            place = os.path.join(folder, *parent.split(".")) if parent else folder
            spec = PathFinder.find_spec(name, [place])
            # A folder without an __init__.py counts where there is nothing else of its name.
            if spec is not None and (spec.has_location or not first):
                return self._found(name, spec)
        if first and name in self._wherever:
            return self._found(name, PathFinder.find_spec(name, path))
        return None

    def _found(self, name: str, spec: ModuleSpec | None) -> ModuleSpec | None:
        if spec is None:
            return None
        self._names.add(name)
        return self.prepare(spec)

    def _import(
        self,
        name: str,
        globals: Any = None,  # as Python calls it
        locals: Any = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        wanted = tuple(fromlist or ())
        if level == 0 and (name, wanted) in self._others:
            return builtins.__import__(name, globals, locals, fromlist, level)
        own = self._own.get(name) if level == 0 else None
        # What a function imports at each call is not to cost the exchange of all modules.
        if own is not None and (all(hasattr(own, one) for one in wanted) if wanted else "." not in name):
            return own
        with self.imports():
            module = builtins.__import__(name, globals, locals, fromlist, level)
            if level == 0 and not any(map(self._is_own, (name, *(f"{name}.{one}" for one in wanted)))):
                self._others.add((name, wanted))
            return module

    def _is_own(self, name: str) -> bool:
        parts = name.split(".")
        return any(".".join(parts[:end]) in self._names for end in range(1, len(parts) + 1))

    def _put_in(self, wanted: Sequence[str]) -> dict[str, ModuleType]:
        """Own modules into `sys.modules`; those that had their names."""
        for name in wanted:
            if name not in self._own and name in sys.modules and self.find(name, None, first=True) is not None:
                self._names.update(one for one in sys.modules if one.startswith(f"{name}."))
        aside = {name: sys.modules[name] for name in self._names if name in sys.modules}
        for name in aside:
            _remove(name)
        for name, module in self._own.items():
            _put(name, module)
        return aside

    def _take_out(self, aside: dict[str, ModuleType]) -> None:
        for name in sorted(self._names):
            if name in sys.modules:
                self._own[name] = sys.modules[name]
                _remove(name)
        for name, module in aside.items():
            _put(name, module)


def _put(name: str, module: ModuleType) -> None:
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], last, module)


def _remove(name: str) -> None:
    module = sys.modules.pop(name)
    parent, _, last = name.rpartition(".")
    # `from parent import last` would find it there. An own parent goes with it, and keeps it.
    above = sys.modules.get(parent)
    if above is not None and getattr(above, last, None) is module:
        with contextlib.suppress(AttributeError):
            delattr(above, last)


class _Finder:
    def __init__(self, *, first: bool) -> None:
        self._is_first = first

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        modules = _here.modules
        if modules is None or not _here.imports:
            return None
        return modules.find(name, path, first=self._is_first)


_FIRST, _LAST = _Finder(first=True), _Finder(first=False)
_import_module = importlib.import_module


def _import_module_here(name: str, package: str | None = None) -> ModuleType:
    modules = _here.modules
    if modules is None or _here.imports:
        return _import_module(name, package)
    with modules.imports():
        return _import_module(name, package)


def _install() -> None:
    """Once; what it changes is the same as before in each thread that is not in `imports` or `finds`."""
    if _FIRST not in sys.meta_path:
        sys.meta_path.insert(0, _FIRST)
        sys.meta_path.append(_LAST)
        importlib.import_module = _import_module_here

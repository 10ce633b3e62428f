"""Runs Python modules that were written for collectd.

They find a module `collectd` with the functions and classes that collectd's own Python plugin has. What they dispatch has the
names and tags that the same values have when collectd sends them and the format `collectd` reads them.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

from pyagent.api import ConfigError, Measurement, Options, option
from pyagent.api.files import read_file
from pyagent.kit.foreign_settings import mask_settings
from pyagent.kit.guest_input import GuestInput, GuestOptions
from pyagent.kit.origins import module_file, origin_of_module
from pyagent_plugins.inputs.collectd_python.configuration import Block, SyntaxProblem, block_of, parse
from pyagent_plugins.inputs.collectd_python.types import OWN, read_types

__all__ = ["CollectdPython", "CollectdPythonOptions"]

_LARGEST = 1 << 20


class CollectdPythonOptions(GuestOptions, frozen=True):
    modules: Annotated[list[str], option("the modules to import, as after `Import`", executes=True)] = []
    module_path: Annotated[list[str], option("folders in which they are, as after `ModulePath`", executes=True)] = []
    module: Annotated[
        dict[str, dict[str, Any]], option("what stands in the block `<Module NAME>`, as a table", holds_secrets=True)
    ] = {}
    config: Annotated[
        str,
        option("blocks `<Module NAME>` or `<Plugin python>`, as collectd has them", executes=True, holds_secrets=True),
    ] = ""
    config_file: Annotated[
        str, option("a file of collectd with such blocks; other plugins' blocks are left out", executes=True)
    ] = ""
    types_db: Annotated[list[str], option("files types.db; without any, common types are known", reads_path=True)] = []
    collectd_parse_multivalue: Annotated[
        Literal["", "split", "join"],
        option("split: a metric for each value of a list; join: one with a field for each (empty: split)"),
    ] = ""
    store_rates: Annotated[bool, option("counters become rates per second, as with collectd's StoreRates")] = False


class CollectdPython(GuestInput[CollectdPythonOptions]):
    measurements = (Measurement("NAME", "what the modules dispatch, named by their plugin", open=True),)

    def setup(self) -> None:
        options = self.options
        paths, modules, blocks = _read(options)
        if not modules:
            raise ConfigError("there is no module; name one, as after `Import` in collectd", option="modules")
        types = dict(OWN)
        for path in options.types_db:
            try:
                types |= read_types(read_file(path).decode("utf-8", "replace"))
            except OSError as error:
                raise ConfigError(f"cannot read {path}: {error.strerror or error}", option="types_db") from None
        mask_settings([_settings(block) for block in blocks])
        self._origins = [origin_of_module(name, paths, package=name.partition(".")[0]) for name in modules]
        given = {
            "modules": modules,
            "module_path": paths,
            "blocks": blocks,
            "types": types,
            "joins": options.collectd_parse_multivalue == "join",
            "rates": options.store_rates,
            "isolated": options.isolate,
        }
        many = f"the modules {', '.join(modules)} of collectd"
        what = many if len(modules) > 1 else f"collectd's module {modules[0]}"
        self.host("pyagent_plugins.inputs.collectd_python.guest:make", given, what=what)

    @classmethod
    def read_at_start(cls, options: Options) -> Sequence[str]:
        assert isinstance(options, CollectdPythonOptions)
        files = [options.config_file, *options.types_db]
        with suppress(ConfigError):  # setup tells it
            paths, modules, _ = _read(options)
            files += [module_file(name, paths)[0] for name in modules]
        return [*filter(None, files)]

    def origins(self) -> Sequence[str]:
        return self._origins


def _read(options: CollectdPythonOptions) -> tuple[list[str], list[str], list[Block]]:
    """Folders, modules and their blocks, of the table and of collectd's texts. Raises ConfigError."""
    paths, modules = [str(path) for path in options.module_path], [str(name) for name in options.modules]
    blocks: list[Block] = []
    for source, text, where in _texts(options):
        try:
            found = parse(text)
        except SyntaxProblem as problem:
            cause = f"cannot read {source}, line {problem.line}: {problem}"
            raise ConfigError(cause, option=where) from None
        paths += found.module_path
        modules += found.imports
        blocks += found.modules
    blocks += [block_of("Module", table, (name,)) for name, table in options.module.items()]
    return paths, list(dict.fromkeys(modules)), blocks


def _texts(options: CollectdPythonOptions) -> list[tuple[str, str, str]]:
    """What it is for messages, the text, the option."""
    texts = []
    if path := options.config_file:
        try:
            content = read_file(path)
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror or error}", option="config_file") from None
        if len(content) > _LARGEST:
            raise ConfigError(f"cannot read {path}: it has more than 1 MiB", option="config_file")
        texts.append((path, content.decode("utf-8", "replace"), "config_file"))
    if options.config:
        texts.append(("the text of collectd", options.config, "config"))
    return texts


def _settings(block: Block) -> list[Any]:
    """The settings of a block by their names; of `Header "Token" "x"` the first value may be one, too."""
    key, values, children = block
    return [{key: values}, {str(one): values[1:] for one in values[:1]}, *map(_settings, children)]

"""`pyagent secrets`: look into the secret stores of a configuration, and keep values in those that can be written."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Mapping
from typing import Any

from pyagent.api import ConfigError, SecretStore, redact
from pyagent.cli.arguments import Choices, CommandParser
from pyagent.cli.chosen_instance import use_instance
from pyagent.cli.flags import add_instance_flag, add_source_flags, source_settings

_WORDS = {"list": (0, 99), "get": (2, 2), "set": (2, 3), "remove": (2, 2)}
"""Fewest and most words behind the action."""
_ACTIONS = Choices(
    list="print the stores and the names of their secrets",
    get="print a secret",
    set="set a secret; its value is asked for, or read from standard input",
    remove="remove a secret",
)
_EPILOG = """\
  pyagent secrets list --config telegraf.conf
  pyagent secrets get STORE KEY --config telegraf.conf"""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=_ACTIONS)
    parser.add_argument("words", nargs="*", metavar="STORE KEY", help="a store's id, and a key")
    parser.add_argument("--reveal-secret", action="store_true", help="with 'list': show the values, too")
    add_source_flags(parser)
    add_instance_flag(parser)
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 with one line that says what is wrong."""
    least, most = _WORDS[arguments.action]
    if not least <= len(arguments.words) <= most:
        arguments.parser.error(f"'{arguments.action}' takes {'STORE KEY' if least else 'ids of stores'}; see --help")
    try:
        stores = asyncio.run(_stores(arguments))
        return {"list": _list, "get": _get, "set": _set, "remove": _remove}[arguments.action](arguments, stores)
    except ConfigError as error:
        return _error(str(error))


async def _stores(arguments: argparse.Namespace) -> Mapping[str, SecretStore[Any]]:
    from pyagent.config.load import load_stores
    from pyagent.runtime.loading import Loader
    from pyagent.runtime.log import component_logger

    use_instance(arguments.parser, arguments)
    settings = source_settings(arguments.parser, arguments)
    texts = await Loader(settings, component_logger("config")).read()
    return load_stores(texts, environ=settings.environ, plugin_directories=settings.plugin_directories)


def _list(arguments: argparse.Namespace, stores: Mapping[str, SecretStore[Any]]) -> int:
    chosen = arguments.words or sorted(stores)
    for name in chosen:
        store = _store(stores, name)
        print(f"Known secrets for store {name!r}:")
        for key in store.list():
            print(f"    {key:<30}  {_value(store, name, key)}" if arguments.reveal_secret else f"    {key}")
    if not chosen:
        print("no secret store is configured")
    return 0


def _get(arguments: argparse.Namespace, stores: Mapping[str, SecretStore[Any]]) -> int:
    name, key = arguments.words
    print(f"{name}:{key} = {_value(_store(stores, name), name, key)}")
    return 0


def _set(arguments: argparse.Namespace, stores: Mapping[str, SecretStore[Any]]) -> int:
    name, key, *given = arguments.words
    store = _store(stores, name)
    if given:
        value = given[0]
    else:
        # Not among the arguments, which everybody on the host can read.
        value = getpass.getpass(f"Value of {name}:{key}: ") if sys.stdin.isatty() else sys.stdin.read().rstrip("\n")
    try:
        store.set(key, value)
    except ConfigError as error:
        return _error(f"cannot set {name}:{key}: {error}")
    return 0


def _remove(arguments: argparse.Namespace, stores: Mapping[str, SecretStore[Any]]) -> int:
    name, key = arguments.words
    try:
        _store(stores, name).remove(key)
    except LookupError:
        return _error(f"cannot remove {name}:{key}: there is no such secret")
    except ConfigError as error:
        return _error(f"cannot remove {name}:{key}: {error}")
    return 0


def _store(stores: Mapping[str, SecretStore[Any]], name: str) -> SecretStore[Any]:
    if name not in stores:
        raise ConfigError(f"there is no secret store {name!r}; there are {', '.join(sorted(stores)) or 'none'}")
    return stores[name]


def _value(store: SecretStore[Any], name: str, key: str) -> str:
    try:
        return store.get(key)
    except LookupError:
        raise ConfigError(f"the store {name!r} has no secret {key!r}") from None


def _error(text: str) -> int:
    print(f"E! {redact(text)}", file=sys.stderr)
    return 1

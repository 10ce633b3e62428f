"""The options of the plugins that run a Starlark script, and how the script is found."""

import logging
import re
from typing import Annotated, Any

from pyagent.api import ConfigError, Options, option
from pyagent.api.files import read_file
from pyagent.kit.once import Once
from pyagent.kit.starlark.script import Script

__all__ = ["ScriptLog", "ScriptOptions", "load_script"]

CALL = 4.0
"""Seconds for the metrics of one call: less than the engine waits."""
_NUMBERS = re.compile(r"\d+")


class ScriptOptions(Options, frozen=True):
    source: Annotated[str, option("the script")] = ""
    script: Annotated[str, option("else: the file that has it", reads_path=True)] = ""
    constants: Annotated[dict[str, Any], option("names that the script finds defined, with their values")] = {}


def load_script(options: ScriptOptions, log: logging.Logger) -> Script:
    """Raises ConfigError."""
    if not options.source and not options.script:
        raise ConfigError("cannot find the script: one of source or script must be set")
    if options.source and options.script:
        raise ConfigError("cannot choose the script: both source and script are set; leave one out", option="script")
    source, name = options.source, "source"
    if options.script:
        name = str(options.script)
        try:
            source = read_file(options.script).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ConfigError(f"cannot read {name}: it is not UTF-8", option="script") from None
        except OSError as error:
            raise ConfigError(f"cannot read {name}: {error.strerror or error}", option="script") from None
    try:
        return Script(source, name, options.constants, log, seconds=CALL)
    except ConfigError as error:
        option = error.option or ("script" if options.script else "source")
        raise ConfigError(str(error), option=option) from None


class ScriptLog:
    """The failures of a script, each cause once."""

    def __init__(self, script: Script, log: logging.Logger) -> None:
        self._script = script
        self._log = log
        self._once = Once()

    def failed(self, error: BaseException, what: str) -> None:
        """`what` became of it."""
        message = str(self._script.failure(error))
        words, _, place = message.rpartition(" (")  # numbers of lines tell causes apart
        self.told(f"{message}; {what}", f"{_NUMBERS.sub('#', words)} {place}")

    def told(self, message: str, cause: str = "") -> None:
        new = self._once(cause or message)
        self._log.log(logging.ERROR if new else logging.DEBUG, "%s", message)

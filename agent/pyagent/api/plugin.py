"""What all plugins have in common. A plugin's name is its module's name; the module defines exactly one subclass of its kind,
besides private bases (`_Base`).
"""

import logging
from typing import TYPE_CHECKING, Any, ClassVar, Generic, get_args

from pyagent.api.about import About
from pyagent.api.options import NoOptions, Options

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    O_co = TypeVar("O_co", bound=Options, default=NoOptions, covariant=True)
else:
    from typing import TypeVar

    O_co = TypeVar("O_co", bound=Options, covariant=True)

__all__ = ["O_co", "Plugin"]


class Plugin(Generic[O_co]):
    """Options and a log. Everything else is the engine's work."""

    options_type: ClassVar[type[Options]] = NoOptions
    about: ClassVar[About] = About()
    runs_scripts: ClassVar[bool] = False
    """Its options hold code, which may take as long as it likes: a processor or an aggregator is called in a thread of its own,
    with a deadline, as one from outside."""
    runs_foreign_code: ClassVar[bool] = False
    """This code may do anything else, too: the plugin has all that one from outside has, its setup and its answers included."""

    @classmethod
    def is_foreign(cls, options: Options) -> bool:
        """`runs_foreign_code`, of a plugin with these options: in a process of its own such code can do nothing here."""
        return cls.runs_foreign_code

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, Options):
                    cls.options_type = argument

    def __init__(self, options: O_co, log: logging.Logger) -> None:
        self.options: O_co = options
        self.log = log
        self.setup()

    def setup(self) -> None:
        """Check and prepare, without touching the network. Raise ConfigError for options that cannot work."""

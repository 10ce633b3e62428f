"""Lists of names to include and to exclude, with wildcards, as Telegraf's plugins have them (`filter.NewIncludeExcludeFilter`).

self._wanted = name_filter(self.options.include, self.options.exclude, names=("include", "exclude"))
...
if self._wanted(name):
"""

from collections.abc import Sequence

from pyagent.api.errors import ConfigError
from pyagent.kit.glob import Matcher, Verdicts, compile_patterns

__all__ = ["Matcher", "name_filter"]


def name_filter(
    include: Sequence[str],
    exclude: Sequence[str] = (),
    *,
    names: tuple[str, str] = ("include", "exclude"),
    separators: str = "",
    include_all: bool = True,
    exclude_all: bool = False,
) -> Matcher:
    """A test whether a name is one of `include` and none of `exclude`; patterns are those of `pyagent.kit.glob`.

    `names`: of the two options. `include_all`, `exclude_all`: what an empty list means. Raises ConfigError for a pattern that
    is none.
    """
    included = _compiled(include, names[0], separators)
    excluded = _compiled(exclude, names[1], separators)

    def passes(name: str) -> bool:
        return (include_all if included is None else included(name)) and not (
            exclude_all if excluded is None else excluded(name)
        )

    return Verdicts(passes).__getitem__


def _compiled(patterns: Sequence[str], option: str, separators: str) -> Matcher | None:
    try:
        return compile_patterns(patterns, separators) if patterns else None
    except ValueError as error:
        raise ConfigError(f"cannot use {option}: {error}", option=option) from None

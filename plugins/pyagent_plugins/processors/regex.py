"""Changes values and names by regular expressions.

Expressions are Go's (RE2), replacements its templates: `$1`, `${name}`. Tags come first, then fields, then the names of
tags, of fields and of measurements; within each the order is that of the configuration.
"""

from collections.abc import Callable
from typing import Annotated, TypeVar

from pyagent.api import ConfigError, Metric, Options, Processor, option
from pyagent.kit.filter import name_filter
from pyagent.kit.memo import KeysMemo, Memo
from pyagent.kit.once import Once
from pyagent.kit.regex import Regex, Template, compile_regex, compile_template

__all__ = ["Conversion", "RegexOptions", "RegexProcessor"]

T = TypeVar("T")


class Conversion(Options, frozen=True):
    key: Annotated[str, option("tags or fields whose values are meant, wildcards allowed; not for names")] = ""
    pattern: Annotated[str, option("regular expression; what it does not match stays as it is")] = ""
    replacement: Annotated[
        str, option("what each match becomes; $1, ${1} and ${name} stand for groups of the pattern")
    ] = ""
    result_key: Annotated[
        str,
        option("values: the tag or field to write, empty: the same; names: overwrite or keep what has the new name"),
    ] = ""
    append: Annotated[bool, option("of tags: add to the value that the tag has")] = False


class RegexOptions(Options, frozen=True):
    tags: Annotated[list[Conversion], option("values of tags to change")] = []
    fields: Annotated[list[Conversion], option("values of fields that are text, to change")] = []
    tag_rename: Annotated[list[Conversion], option("keys of tags to change")] = []
    field_rename: Annotated[list[Conversion], option("keys of fields to change")] = []
    metric_rename: Annotated[list[Conversion], option("measurements to change")] = []

    def remarks(self) -> list[tuple[str, str]]:
        names = ("tag_rename", "field_rename", "metric_rename")
        found = [
            (name, "has a `key`, which does nothing there")
            for name in names
            if any(one.key for one in getattr(self, name))
        ]
        if any(one.result_key for one in self.metric_rename):
            found.append(("metric_rename", "has a `result_key`, which does nothing there"))
        for name in ("tags", "fields"):
            if any(map(_empties, getattr(self, name))):
                found.append(
                    (name, "makes what matches empty: there is no replacement, and not every group has a name")
                )
        return found


def _empties(table: Conversion) -> bool:
    """What matches becomes nothing, which is probably not meant."""
    if table.replacement or table.result_key:
        return False
    try:
        groups = compile_regex(table.pattern).groups
    except ValueError:
        return False
    return not groups or not all(groups)


class RegexProcessor(Processor[RegexOptions]):
    def setup(self) -> None:
        options = self.options
        self._steps: list[Callable[[list[Metric]], None]] = []
        self._steps += [_Tags("tags", one, self._too_long) for one in options.tags]
        self._steps += [_Fields("fields", one, self._too_long) for one in options.fields]
        self._steps += [_TagNames("tag_rename", one, self._too_long) for one in options.tag_rename]
        self._steps += [_FieldNames("field_rename", one, self._too_long) for one in options.field_rename]
        self._steps += [_MetricNames("metric_rename", one, self._too_long) for one in options.metric_rename]
        self._once = Once()

    def process(self, metrics: list[Metric]) -> list[Metric]:
        for step in self._steps:
            step(metrics)
        return metrics

    def _too_long(self, pattern: str, error: ValueError) -> None:
        if self._once(pattern):
            self.log.error("cannot match %r, values stay as they are: %s", pattern[:80], error)


Report = Callable[[str, ValueError], None]


class _Step:
    """One table of the options. What a text becomes is kept: most come again."""

    def __init__(self, section: str, table: Conversion, report: Report) -> None:
        self.table = table
        try:
            self.regex: Regex = compile_regex(table.pattern)
        except ValueError as error:
            raise ConfigError(f"{section}: {error}", option=section) from None
        self.template: Template = compile_template(self.regex, table.replacement)
        self.replaced = Memo(self._quietly(lambda text: self.regex.replace(text, self.template), report)).__getitem__
        """The text with all matches replaced, None where there is none."""

    def _quietly(self, answer: Callable[[str], T | None], report: Report) -> Callable[[str], T | None]:
        def quiet(text: str) -> T | None:
            try:
                return answer(text)
            except ValueError as error:
                report(self.table.pattern, error)
                return None

        return quiet


class _Values(_Step):
    def __init__(self, section: str, table: Conversion, report: Report) -> None:
        super().__init__(section, table, report)
        key = table.key
        if not key:
            raise ConfigError(f'{section}: `key` is missing; name what is to be changed, or "*"', option=section)
        try:
            self.matches = name_filter([key], names=(section, ""))
        except ConfigError as error:
            raise ConfigError(f"{section}: {error}", option=section) from None
        self.only = "" if any(character in key for character in "*?[{\\") else key
        groups = self.regex.groups
        explicit = table.result_key or table.replacement
        self.groups = groups if groups and all(groups) and not explicit else ()
        """Where all groups have names and no replacement is given, each group becomes a tag or field of its name."""
        self.found = Memo(self._quietly(self.regex.find, report)).__getitem__

    def keys(self, present: dict[str, T]) -> list[str]:
        if self.only:
            return [self.only] if self.only in present else []
        return [key for key in present if self.matches(key)]


class _Tags(_Values):
    def __call__(self, metrics: list[Metric]) -> None:
        only, replaced = self.only, self.replaced
        if only and not self.groups and not self.table.append:
            target = self.table.result_key or only
            for metric in metrics:
                tags = metric.tags
                if only in tags and (new := replaced(tags[only])) is not None:
                    metric.tags = {**tags, target: new}
            return
        for metric in metrics:
            if only:
                if only in metric.tags:
                    self._change(metric, only)
            else:
                for key in sorted(
                    self.keys(metric.tags)
                ):  # as tags are ordered there: one may write what the next reads
                    self._change(metric, key)

    def _change(self, metric: Metric, key: str) -> None:
        tags = metric.tags
        if self.groups:
            found = self.found(tags[key])
            if found is None:
                return
            new = {name: text for name, text in zip(self.groups, found[1:], strict=True) if text}
        else:
            replaced = self.replaced(tags[key])
            if replaced is None:
                return
            new = {self.table.result_key or key: replaced}
        if self.table.append:
            new = {name: tags.get(name, "") + text for name, text in new.items()}
        metric.tags = {**tags, **new}


class _Fields(_Values):
    def __call__(self, metrics: list[Metric]) -> None:
        only, replaced = self.only, self.replaced
        if only and not self.groups:
            target = self.table.result_key or only
            for metric in metrics:
                fields = metric.fields
                value = fields.get(only)
                if isinstance(value, str) and (new := replaced(value)) is not None:
                    metric.fields = {**fields, target: new}
            return
        for metric in metrics:
            if only:
                if only in metric.fields:
                    self._change(metric, only)
            else:
                for key in self.keys(metric.fields):
                    self._change(metric, key)

    def _change(self, metric: Metric, key: str) -> None:
        fields = metric.fields
        value = fields[key]
        if not isinstance(value, str):
            return
        if self.groups:
            found = self.found(value)
            if found is not None:
                named = {name: text for name, text in zip(self.groups, found[1:], strict=True) if text}
                if self.table.append:
                    # The tag's value, as in Telegraf.
                    named = {name: metric.tags.get(name, "") + text for name, text in named.items()}
                metric.fields = {**fields, **named}
        else:
            replaced = self.replaced(value)
            if replaced is not None:
                metric.fields = {**fields, self.table.result_key or key: replaced}


class _Names(_Step):
    sorts = False
    """Which of two goes first is a matter of their names, as with Telegraf's tags."""

    def __init__(self, section: str, table: Conversion, report: Report) -> None:
        super().__init__(section, table, report)
        if table.result_key not in ("", "keep", "overwrite"):
            problem = f"{section}: cannot use result_key {table.result_key!r}; use keep or overwrite"
            raise ConfigError(problem, option=section)
        self.overwrites = table.result_key == "overwrite"
        self.plans = KeysMemo(self._plan)

    def renamed(self, present: dict[str, T]) -> dict[str, T] | None:
        """None where nothing changes."""
        plan = self.plans[tuple(present)]
        if plan is None:
            return None
        keys, late = plan
        result = dict(zip(keys, present.values(), strict=True))
        for key, name in late:
            if key in result:
                result[name] = result[key]
                del result[key]
        return result

    def _plan(self, present: tuple[str, ...]) -> "tuple[tuple[str, ...], list[tuple[str, str]]] | None":
        """The keys that take the place of these, and those that wait until all others are done, as they collide."""
        new = {key: name for key in present if (name := self.replaced(key)) is not None}
        if not new:
            return None
        taken = set(present)
        now = {key: key for key in present}
        late: list[tuple[str, str]] = []
        for key in sorted(new) if self.sorts else new:
            name = new[key]
            if name not in taken:
                taken.remove(key)
                taken.add(name)
                now[key] = name
            elif self.overwrites:
                late.append((key, name))
        return tuple(now.values()), late


class _TagNames(_Names):
    sorts = True

    def __call__(self, metrics: list[Metric]) -> None:
        for metric in metrics:
            if (tags := self.renamed(metric.tags)) is not None:
                metric.tags = tags


class _FieldNames(_Names):
    def __call__(self, metrics: list[Metric]) -> None:
        for metric in metrics:
            if (fields := self.renamed(metric.fields)) is not None:
                metric.fields = fields


class _MetricNames(_Step):
    def __call__(self, metrics: list[Metric]) -> None:
        for metric in metrics:
            if (name := self.replaced(metric.name)) is not None:
                metric.name = name

"""The filter options of a plugin, and the labels that choose plugins (reference: telegraf 2, 3.9)."""

import re
from collections.abc import Callable, Mapping, Sequence

from pyagent.api import ConfigError
from pyagent.config.common_options import common_text, strings
from pyagent.config.plan import FilterOptions
from pyagent.config.table_view import TableView, type_name
from pyagent.kit.glob import compile_patterns

__all__ = ["Selector", "parse_selectors", "read_filters", "read_labels"]

_OLD_NAMES = {"pass": "fieldinclude", "fieldpass": "fieldinclude", "drop": "fieldexclude", "fielddrop": "fieldexclude"}


def read_filters(view: TableView) -> FilterOptions:
    """The filters that a table sets. Raises ConfigError for wrong types, patterns and expressions that are none."""
    for old, new in _OLD_NAMES.items():
        if old in view.table:
            view.complain(f"the option {old!r} is deprecated; use {new!r}", old)
    return FilterOptions(
        namepass=_patterns(view, "namepass", separators="namepass_separator"),
        namepass_separator=common_text(view, "namepass_separator"),
        namedrop=_patterns(view, "namedrop", separators="namedrop_separator"),
        namedrop_separator=common_text(view, "namedrop_separator"),
        tagpass=_tag_patterns(view, "tagpass"),
        tagdrop=_tag_patterns(view, "tagdrop"),
        metricpass=_expression(view),
        fieldinclude=_patterns(view, "pass", "fieldpass", "fieldinclude"),
        fieldexclude=_patterns(view, "drop", "fielddrop", "fieldexclude"),
        taginclude=_patterns(view, "taginclude"),
        tagexclude=_patterns(view, "tagexclude"),
    )


def _patterns(view: TableView, *keys: str, separators: str = "") -> tuple[str, ...]:
    """The patterns of one list, which may be spread over several names."""
    found: tuple[str, ...] = ()
    for key in keys:
        if key in view.table:
            patterns = strings(view, view.table[key], key) or ()
            _check(view, patterns, common_text(view, separators) if separators else "", key)
            found += patterns
    return found


def _tag_patterns(view: TableView, key: str) -> Mapping[str, tuple[str, ...]]:
    table = view.table.get(key, {})
    if not isinstance(table, dict):
        message = f"the option {key!r} must be a table of lists, as in [{view.label}.{key}], not {type_name(table)}"
        raise view.error(message, key)
    found = {}
    for tag, given in table.items():
        patterns = strings(view, given, key, tag)
        if patterns is not None:
            _check(view, patterns, "", key, tag)
            found[tag] = patterns
    return found


def _expression(view: TableView) -> str:
    text = common_text(view, "metricpass")
    if text:
        from pyagent.cel import Expression, ExpressionError  # for configurations that use it

        try:
            Expression(text)
        except ExpressionError as error:
            raise view.error(f"the option 'metricpass': cannot use the expression: {error}", "metricpass") from None
    return text


def _check(view: TableView, patterns: Sequence[str], separators: str, *keys: str) -> None:
    try:
        compile_patterns(patterns, separators)
    except ValueError as error:
        raise view.error(f"the option {'.'.join(keys)!r}: {error}", *keys) from None


Selector = Callable[[Mapping[str, str]], bool]
"""Whether a plugin of these labels is to be used."""

_LABEL_KEY = re.compile(r"[A-Za-z0-9._-]+")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9._-]+")
_SELECTOR_VALUE = re.compile(r"[A-Za-z0-9._*?-]+")


def parse_selectors(texts: Sequence[str]) -> Selector:
    """The test for `--select`: pairs `key=value;key2=value2` must all fit, of several texts one. Raises ConfigError.

    A value may hold the wildcards `*` and `?`. A plugin without labels always passes, and all do without a selector.
    """
    groups = [group for text in texts if (group := _parse_selector(text))]

    def selected(labels: Mapping[str, str]) -> bool:
        if not groups or not labels:
            return True
        return any(all(key in labels and fits(labels[key]) for key, fits in group.items()) for group in groups)

    return selected


def _parse_selector(text: str) -> dict[str, Callable[[str], bool]]:
    group: dict[str, Callable[[str], bool]] = {}
    for pair in text.split(";") if text.strip() else ():
        key, equals, value = (part.strip() for part in pair.partition("="))
        problem = None
        if not equals:
            problem = "an equal sign is missing"
        elif not _LABEL_KEY.fullmatch(key):
            problem = f"{key!r} is not a key: use letters, digits, '.', '_' and '-'"
        elif not _SELECTOR_VALUE.fullmatch(value):
            problem = f"{value!r} is not a value: use letters, digits, '.', '_', '-', '*' and '?'"
        elif key in group:
            problem = f"the key {key!r} is given twice"
        if problem:
            raise ConfigError(f"invalid selector {text!r}: {problem}; write it as key=value;key2=value2")
        group[key] = compile_patterns([value])
    return group


def read_labels(view: TableView) -> dict[str, str]:
    """The table `labels` of a plugin. Raises ConfigError for a label that cannot be selected."""
    table = view.table.get("labels", {})
    if not isinstance(table, dict):
        view.warn(f"the option 'labels' is ignored: it must be a table, not {type_name(table)}", "labels")
        return {}
    labels = {}
    for key, value in table.items():
        if not isinstance(value, str):
            view.warn(f"the label {key!r} is ignored: it must be a string, not {type_name(value)}", "labels", key)
            continue
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            reason = "labels are made of letters, digits, '.', '_' and '-'"
            raise view.error(f"invalid label {key!r} = {value!r}: {reason}", "labels", key)
        labels[key] = value
    return labels

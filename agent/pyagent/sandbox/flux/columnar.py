"""map()'s function for whole columns: what it makes of a record as Python code, compiled for the types of a table's columns.

Only what is sure to give the same as the function called row by row: expressions whose types are known, without a null where
that would be an error. For all else there is the row by row way, also where the code here raises anything: so errors have one
place where they are made.
"""

from dataclasses import dataclass
from typing import Any, Final

from pyagent.sandbox.flux import syntax
from pyagent.sandbox.flux.evaluate import Closure, Package, both, either, join, knows_null
from pyagent.sandbox.flux.kinds import kind_of_value
from pyagent.sandbox.flux.patterns import Regex
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, LONG, STRING, TIME, UNSIGNED, Table
from pyagent.sandbox.flux.values import Callee, Time, Uint, arithmetic, concat, to_text
from pyagent.sandbox.limits import ROW, RUNNING, take

_DEPTH: Final = 50
_COMPARE: Final = ("==", "!=", "<", "<=", ">", ">=")
_NUMBERS: Final = (LONG, UNSIGNED, DOUBLE)
_PARAMETER: Final = object()
_PIECE: Final = 10_000
"""Rows between two looks whether the query has ended."""


class NoColumns(Exception):
    """The function is not of the kind that is compiled."""


@dataclass(frozen=True, slots=True)
class _Code:
    """Python code of an expression; it is None for some rows only where `null`, and raises only where `fails`."""

    text: str
    kind: str
    null: bool = False
    fails: bool = False


class _Names:
    """What the code names: columns and constants."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns: dict[str, str] = {}
        self.constants: dict[str, Any] = {}
        self.temporaries = 0

    def constant(self, value: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def temporary(self) -> str:
        self.temporaries += 1
        return f"t{self.temporaries}"


def mapped_columns(fn: Callee, table: Table) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """The columns that the function gives for all rows of a table, with their types, in the record's order.

    Raises:
        NoColumns: the function must be called row by row.
    """
    if not isinstance(fn, Closure) or not isinstance(fn.node.body, syntax.Record):
        raise NoColumns
    name, record = fn.node.parameters[0][0], fn.node.body
    data: dict[str, list[Any]] = {}
    types: dict[str, str] = {}
    if record.base is not None:
        if not isinstance(record.base, syntax.Identifier) or record.base.name != name:
            raise NoColumns
        data, types = dict(table.data), dict(table.types)
    for label, node in record.properties:
        if isinstance(node, syntax.Member) and _is_column(node, name, table):
            data[label], types[label] = table.data[node.name], table.types[node.name]
            continue
        names = _Names(table)
        code = _Compiler(names, fn).compile(node, {name: _PARAMETER}, 0)
        try:
            data[label], types[label] = _run(code, names), code.kind
        except Exception as error:
            raise NoColumns from error
    return data, types


def _is_column(node: syntax.Member, name: str, table: Table) -> bool:
    return isinstance(node.value, syntax.Identifier) and node.value.name == name and node.name in table.types


def _run(code: _Code, names: _Names) -> list[Any]:
    size = names.table.size
    if not names.columns:
        made = eval(code.text, names.constants)  # noqa: S307  (made here, of nothing from outside)
        return [made] * size
    columns = list(names.columns)
    variables = ", ".join(names.columns.values())
    rows = "columns[0]" if len(columns) == 1 else "zip(*columns)"
    source = f"lambda columns: [{code.text} for {variables} in {rows}]"
    work = eval(source, names.constants)  # noqa: S307  (made here: the script's names and values are not in the text)
    found: list[Any] = []
    budget = RUNNING.budget
    for first in range(0, size, _PIECE):
        before = budget.texts
        piece = work([names.table.data[column][first : first + _PIECE] for column in columns])
        take(ROW // 2 * len(piece))
        if budget.texts != before:
            budget.keep(before, piece)
        found += piece
    return found


class _Compiler:
    def __init__(self, names: _Names, fn: Closure) -> None:
        self.names = names
        self.scope = fn.scope

    def compile(self, node: object, known: dict[str, Any], depth: int) -> _Code:
        if depth > _DEPTH:
            raise NoColumns
        match node:
            case syntax.Literal():
                return self._constant(node.value)
            case syntax.Identifier(name=name):
                if name in known:
                    raise NoColumns
                return self._constant(self._found(name))
            case syntax.Member(value=syntax.Identifier(name=name)) if known.get(name) is _PARAMETER:
                return self._column(node.name)
            case syntax.Unary():
                return self._unary(node, known, depth + 1)
            case syntax.Binary():
                return self._binary(node, known, depth + 1)
            case syntax.Conditional():
                test = self._truth(self.compile(node.test, known, depth + 1))
                then, other = (self.compile(part, known, depth + 1) for part in (node.then, node.other))
                if then.kind != other.kind:
                    raise NoColumns
                return _Code(f"({then.text} if {test} else {other.text})", then.kind, then.null or other.null, True)
            case syntax.Text():
                return self._text(node, known, depth + 1)
            case syntax.Call():
                return self._call(node, known, depth + 1)
            case _:
                raise NoColumns

    def _found(self, name: str) -> Any:
        try:
            return self.scope.find(name)
        except Exception as error:
            raise NoColumns from error

    def _constant(self, value: Any) -> _Code:
        kind = kind_of_value(value)
        if not isinstance(kind, str):
            raise NoColumns
        plain = int(value) if isinstance(value, Time | Uint) else value
        return _Code(self.names.constant(plain), kind)

    def _column(self, name: str) -> _Code:
        table = self.names.table
        if name not in table.types:
            raise NoColumns
        variable = self.names.columns.setdefault(name, f"v{len(self.names.columns)}")
        return _Code(variable, table.types[name], None in table.data[name])

    def _truth(self, code: _Code) -> str:
        if code.kind != BOOLEAN:
            raise NoColumns
        return f"({code.text} is True)" if code.null else code.text

    def _unary(self, node: syntax.Unary, known: dict[str, Any], depth: int) -> _Code:
        value = node.value
        if node.operator == "exists" and isinstance(value, syntax.Member) and self._is_missing(value, known):
            return self._constant(False)
        code = self.compile(value, known, depth)
        if node.operator == "exists":
            return _Code(f"({code.text} is not None)" if code.null else self._constant(True).text, BOOLEAN)
        if node.operator == "not" and code.kind == BOOLEAN:
            return self._guarded([code], "(not {0})", BOOLEAN)
        if node.operator == "-" and code.kind in (LONG, DOUBLE):
            return self._guarded([code], "(-{0})", code.kind)
        raise NoColumns

    def _is_missing(self, node: syntax.Member, known: dict[str, Any]) -> bool:
        is_row = isinstance(node.value, syntax.Identifier) and known.get(node.value.name) is _PARAMETER
        return is_row and node.name not in self.names.table.types

    def _binary(self, node: syntax.Binary, known: dict[str, Any], depth: int) -> _Code:
        sign = node.operator
        left = self.compile(node.left, known, depth)
        if sign in ("=~", "!~"):
            return self._matches(left, node)
        right = self.compile(node.right, known, depth)
        if sign in ("and", "or"):
            return self._logical(sign, left, right)
        kinds = left.kind, right.kind
        if sign in _COMPARE:
            if not (kinds[0] == kinds[1] or (kinds[0] in _NUMBERS and kinds[1] in _NUMBERS)):
                raise NoColumns
            if kinds[0] == BOOLEAN and sign not in ("==", "!="):
                raise NoColumns
            return self._guarded([left, right], f"({{0}} {sign} {{1}})", BOOLEAN)
        if kinds[0] != kinds[1]:
            raise NoColumns
        return self._arithmetic(sign, left, right)

    def _logical(self, sign: str, left: _Code, right: _Code) -> _Code:
        if left.kind != BOOLEAN or right.kind != BOOLEAN:
            raise NoColumns
        fails = left.fails or right.fails
        if not left.null and not right.null:
            return _Code(f"({left.text} {sign} {right.text})", BOOLEAN, fails=fails)
        if knows_null(self.scope.calls):
            work = self.names.constant(both if sign == "and" else either)
            return _Code(f"{work}({left.text}, {right.text})", BOOLEAN, True, True)
        one, other = self._truth(left), right.text
        form = f"({other} if {one} else False)" if sign == "and" else f"(True if {one} else {other})"
        return _Code(form, BOOLEAN, right.null, fails)

    def _arithmetic(self, sign: str, left: _Code, right: _Code) -> _Code:
        kind, fails = left.kind, False
        if kind == STRING and sign == "+":
            form = f"{self.names.constant(concat)}({{0}}, {{1}})"
        elif kind == DOUBLE and (sign in ("+", "-", "*") or (sign == "/" and self.names.constants.get(right.text))):
            form = f"({{0}} {sign} {{1}})"
        elif kind == LONG and sign in ("+", "-", "*"):
            form = f"(({{0}} {sign} {{1}} + {2**63}) % {2**64} - {2**63})"
        elif kind in (LONG, DOUBLE) and (sign in ("/", "%") or (kind == DOUBLE and sign == "^")):
            form, fails = f"{self.names.constant(arithmetic)}({sign!r}, {{0}}, {{1}})", True
        else:
            raise NoColumns
        return self._guarded([left, right], form, kind, fails=fails)

    def _matches(self, left: _Code, node: syntax.Binary) -> _Code:
        match node.right:
            case syntax.Literal(value=value):
                pattern = value
            case syntax.Identifier(name=name):
                pattern = self._found(name)
            case _:
                raise NoColumns
        if not isinstance(pattern, Regex) or left.kind != STRING:
            raise NoColumns
        is_ = "is not" if node.operator == "=~" else "is"
        return self._guarded([left], f"({self.names.constant(pattern.search)}({{0}}) {is_} None)", BOOLEAN)

    def _text(self, node: syntax.Text, known: dict[str, Any], depth: int) -> _Code:
        parts = []
        for part in node.parts:
            if isinstance(part, str):
                parts.append(self.names.constant(part))
                continue
            code = self.compile(part, known, depth)
            if code.null or code.kind == TIME:
                raise NoColumns
            parts.append(code.text if code.kind == STRING else f"{self.names.constant(to_text)}({code.text})")
        return _Code(f"{self.names.constant(join)}([{','.join(parts)}])", STRING, fails=True)

    def _call(self, node: syntax.Call, known: dict[str, Any], depth: int) -> _Code:
        match node.callee:
            case syntax.Identifier(name=name) if name not in known:
                callee = self._found(name)
            case syntax.Member(value=syntax.Identifier(name=package), name=name) if package not in known:
                owner = self._found(package)
                callee = owner.get(name) if isinstance(owner, Package) else None
            case _:
                raise NoColumns
        if not isinstance(callee, Callee) or isinstance(callee, Closure) or not isinstance(callee.result, str):
            raise NoColumns
        given = [(name, self.compile(value, known, depth)) for name, value in node.arguments]
        if any(code.null or code.kind in (TIME, UNSIGNED) for _, code in given) or callee.result in (TIME, UNSIGNED):
            raise NoColumns
        if callee.name == "float" and callee.result == DOUBLE and [name for name, _ in given] == ["v"]:
            kind = given[0][1].kind
            if kind in (LONG, DOUBLE):
                text, fails = given[0][1].text, given[0][1].fails
                return _Code(text if kind == DOUBLE else f"float({text})", DOUBLE, fails=fails)
        arguments = ", ".join(f"{self.names.constant(name)}: {code.text}" for name, code in given)
        return _Code(f"{self.names.constant(callee)}(**{{{arguments}}})", callee.result, fails=True)

    def _guarded(self, operands: list[_Code], form: str, kind: str, *, fails: bool = False) -> _Code:
        """The form with the operands put in; None where one of them is."""
        failing = any(code.fails for code in operands)
        if not any(code.null for code in operands):
            return _Code(form.format(*(code.text for code in operands)), kind, fails=fails or failing)
        if failing:
            raise NoColumns  # the code for null leaves operands out that the script's operator computes first
        tests, texts = [], []
        for code in operands:
            if not code.null:
                texts.append(code.text)
            elif code.text.isalnum():
                tests.append(f"{code.text} is None")
                texts.append(code.text)
            else:
                name = self.names.temporary()
                tests.append(f"({name} := {code.text}) is None")
                texts.append(name)
        return _Code(f"(None if {' or '.join(tests)} else {form.format(*texts)})", kind, True, fails)

"""The packages math and bitwise."""

import math
import struct
from collections.abc import Callable
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.library import Registry
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, LONG, UNSIGNED
from pyagent.sandbox.flux.texts import declare
from pyagent.sandbox.flux.values import Uint, WrongType

MATH: Registry = {}
BITWISE: Registry = {}

_KINDS: dict[str, tuple[type, str]] = {DOUBLE: (float, "float"), LONG: (int, "int"), UNSIGNED: (Uint, "uint")}


def _function(
    registry: Registry, name: str, work: Callable[..., Any], names: dict[str, str], result: str | None = DOUBLE
) -> None:
    def run(_: Any, given: dict[str, Any]) -> Any:
        for argument, kind in names.items():
            wanted, shown = _KINDS[kind]
            if type(given[argument]) is not wanted:
                raise WrongType(argument, shown, given[argument])
        return work(*(given[argument] for argument in names))

    declare(registry, name, tuple(names), run, result)


def _safe(work: Callable[..., float], overflow: float = math.inf) -> Callable[..., float]:
    """Go's answers where Python raises: NaN outside of the domain, an infinity where it is too large."""

    def run(*values: float) -> float:
        try:
            return float(work(*values))
        except OverflowError:
            return overflow
        except ValueError:
            return math.nan

    return run


def _whole(work: Callable[[float], int]) -> Callable[[float], float]:
    return lambda x: math.copysign(float(work(x)), x) if math.isfinite(x) else x


def _half_away(x: float) -> int:
    whole = math.trunc(x)
    return whole + (1 if x > 0 else -1) if abs(x - whole) >= 0.5 else whole


def _log(work: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: -math.inf if x == 0 else _safe(work)(x)


def _acos(x: float) -> float:
    return math.pi / 2 - math.asin(x) if -1 <= x <= 1 else math.nan


def _cbrt(x: float) -> float:
    root = math.cbrt(x)
    return root - (root * root * root - x) / (3 * root * root) if root and math.isfinite(root) else root


def _tan(x: float) -> float:
    """Cephes' tangent, as Go has it; large arguments by the library."""
    if not math.isfinite(x):
        return math.nan
    if abs(x) >= 2**29:
        return math.tan(x)
    number = int(abs(x) * (4 / math.pi))
    number += number % 2
    whole = float(number)
    z = (
        (abs(x) - whole * 7.85398125648498535156e-1) - whole * 3.77489470793079817668e-8
    ) - whole * 2.69515142907905952645e-15
    zz = z * z
    y = z
    if zz > 1e-14:
        above = (-1.30936939181383777646e4 * zz + 1.15351664838587416140e6) * zz - 1.79565251976484877988e7
        below = ((zz + 1.36812963470692954678e4) * zz - 1.32089234440210967447e6) * zz + 2.50083801823357915839e7
        y = z + z * (zz * above / (below * zz - 5.38695755929454629881e7))
    if number % 4 == 2:
        y = -1 / y
    return -y if x < 0 else y


def _gamma(x: float) -> float:
    if x == 0:
        return math.copysign(math.inf, x)
    return _safe(math.gamma)(x)


def _power(x: float, y: float) -> float:
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and y == math.trunc(y) and y % 2 else math.inf
    except ValueError:
        if x == 0:
            odd = y == math.trunc(y) and abs(y) < 2**53 and y % 2
            return math.copysign(math.inf, x) if odd else math.inf
        return math.nan


def _mod(x: float, y: float) -> float:
    return math.fmod(x, y) if y and math.isfinite(x) and not math.isnan(y) else math.nan


def _larger(x: float, y: float) -> float:
    if math.inf in (x, y):
        return math.inf
    if math.isnan(x) or math.isnan(y):
        return math.nan
    if x == 0 and y == 0:
        return y if math.copysign(1, x) < 0 else x
    return max(x, y)


def _smaller(x: float, y: float) -> float:
    if -math.inf in (x, y):
        return -math.inf
    if math.isnan(x) or math.isnan(y):
        return math.nan
    if x == 0 and y == 0:
        return x if math.copysign(1, x) < 0 else y
    return min(x, y)


def _dim(x: float, y: float) -> float:
    difference = x - y
    return 0.0 if difference <= 0 else difference


def _erfinv(x: float) -> float:
    if math.isnan(x) or not -1 <= x <= 1:
        return math.nan
    if abs(x) == 1:
        return math.copysign(math.inf, x)
    low, high = -6.0, 6.0
    for _ in range(200):
        middle = (low + high) / 2
        if math.erf(middle) < x:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _is_infinite(f: float, sign: int) -> bool:
    return math.isinf(f) and (sign == 0 or (sign > 0) == (f > 0))


def _frexp(f: float) -> dict[str, Any]:
    fraction, exponent = math.frexp(f)
    return {"frac": fraction, "exp": exponent}


def _modf(f: float) -> dict[str, Any]:
    fraction, whole = math.modf(f)
    return {"int": whole, "frac": fraction}


def _lgamma(x: float) -> dict[str, Any]:
    negative = x < 0 and x != math.floor(x) and math.floor(x) % 2 != 0
    return {"lgamma": _safe(math.lgamma)(x) if x > 0 or x != math.floor(x) else math.inf, "sign": -1 if negative else 1}


def _logb(x: float) -> float:
    if x == 0:
        return -math.inf
    return float(math.frexp(x)[1] - 1) if math.isfinite(x) else abs(x)


def _ilogb(x: float) -> int:
    if x == 0:
        return -(2**31)
    return math.frexp(x)[1] - 1 if math.isfinite(x) else 2**31 - 1


def _bessel(kind: str, order: int, x: float) -> float:
    """Bessel's functions of whole order: their integrals by the trapezoidal rule, Hankel's expansion for large arguments."""
    if math.isnan(x) or abs(order) > 1000:
        return math.nan if math.isnan(x) or kind == "y" else 0.0
    sign = -1.0 if order < 0 and order % 2 else 1.0
    order = abs(order)
    if kind == "j":
        sign *= -1.0 if x < 0 and order % 2 else 1.0
        return sign * (_hankel(kind, order, abs(x)) if abs(x) > 50 + order**2 else _bessel_j(order, abs(x)))
    if x < 0:
        return math.nan
    if x == 0:
        return -math.inf
    return sign * (_hankel(kind, order, x) if x > 50 + order**2 else _bessel_y(order, x))


def _bessel_j(order: int, x: float) -> float:
    steps = 400 + 4 * (int(min(x, 100_000)) + order)
    total = 0.5 * (1.0 + math.cos(order * math.pi))
    for at in range(1, steps):
        angle = math.pi * at / steps
        total += math.cos(order * angle - x * math.sin(angle))
    return total / steps


def _bessel_y(order: int, x: float) -> float:
    panels = 4000 + 8 * (int(min(x, 100_000)) + order)
    first = _simpson(lambda angle: math.sin(x * math.sin(angle) - order * angle), math.pi, panels)

    def falling(t: float) -> float:
        exponent = order * t - x * math.sinh(t)
        if exponent < -700:
            return 0.0
        return math.exp(exponent) + (-1.0) ** order * math.exp(-order * t - x * math.sinh(t))

    return (first - _simpson(falling, 14.0, 20_000)) / math.pi


def _simpson(work: Callable[[float], float], stop: float, panels: int) -> float:
    panels += panels % 2
    width = stop / panels
    inner = math.fsum((4 if at % 2 else 2) * work(at * width) for at in range(1, panels))
    return (work(0.0) + inner + work(stop)) * width / 3


def _hankel(kind: str, order: int, x: float) -> float:
    mu, p, q, term = 4.0 * order * order, 0.0, 0.0, 1.0
    for at in range(12):
        if at % 2 == 0:
            p += term if at % 4 == 0 else -term
        else:
            q += term if at % 4 == 1 else -term
        term *= (mu - (2 * at + 1) ** 2) / ((at + 1) * 8.0 * x)
    phase = x - order * math.pi / 2 - math.pi / 4
    if not math.isfinite(x):
        return 0.0
    amplitude = math.sqrt(2 / (math.pi * x))
    if kind == "j":
        return amplitude * (p * math.cos(phase) - q * math.sin(phase))
    return amplitude * (p * math.sin(phase) + q * math.cos(phase))


def _inf(sign: int) -> float:
    return math.inf if sign >= 0 else -math.inf


_X, _XY, _F = {"x": DOUBLE}, {"x": DOUBLE, "y": DOUBLE}, {"f": DOUBLE}
_OF_ONE: dict[str, Callable[..., Any]] = {
    "abs": abs, "acos": _acos, "acosh": _safe(math.acosh), "asin": _safe(math.asin), "asinh": math.asinh,
    "atan": math.atan, "atanh": lambda x: math.copysign(math.inf, x) if abs(x) == 1 else _safe(math.atanh)(x),
    "cbrt": _cbrt, "ceil": _whole(math.ceil), "cos": _safe(math.cos), "cosh": _safe(math.cosh),
    "erf": math.erf, "erfc": math.erfc, "erfinv": _erfinv, "erfcinv": lambda x: _erfinv(1 - x), "exp": _safe(math.exp),
    "exp2": _safe(lambda x: 2.0**x), "expm1": _safe(math.expm1), "floor": _whole(math.floor), "gamma": _gamma,
    "j0": lambda x: _bessel("j", 0, x), "j1": lambda x: _bessel("j", 1, x), "log": _log(math.log), "log10": _log(math.log10),
    "log1p": lambda x: -math.inf if x == -1 else _safe(math.log1p)(x), "log2": _log(math.log2), "logb": _logb,
    "round": _whole(_half_away), "roundtoeven": _whole(round), "sin": _safe(math.sin),
    "sinh": lambda x: _safe(math.sinh, math.copysign(math.inf, x))(x), "sqrt": _safe(math.sqrt), "tan": _tan,
    "tanh": math.tanh, "trunc": _whole(math.trunc), "y0": lambda x: _bessel("y", 0, x), "y1": lambda x: _bessel("y", 1, x),
}  # fmt: skip
for _name, _work in _OF_ONE.items():
    _function(MATH, _name, _work, _X)
for _name, _of_two in {
    "copysign": math.copysign, "dim": _dim, "mMax": _larger, "mMin": _smaller, "mod": _mod, "nextafter": math.nextafter,
    "pow": _power, "remainder": _safe(math.remainder),
}.items():  # fmt: skip
    _function(MATH, _name, _of_two, _XY)
_function(MATH, "atan2", math.atan2, {"y": DOUBLE, "x": DOUBLE})
_function(MATH, "hypot", math.hypot, {"p": DOUBLE, "q": DOUBLE})
_function(MATH, "isNaN", math.isnan, _F, BOOLEAN)
_function(MATH, "isInf", _is_infinite, {"f": DOUBLE, "sign": LONG}, BOOLEAN)
_function(MATH, "signbit", lambda x: math.copysign(1.0, x) < 0, _X, BOOLEAN)
_function(MATH, "NaN", lambda: math.nan, {})
_function(MATH, "mInf", _inf, {"sign": LONG})
_function(MATH, "float64bits", lambda f: Uint(struct.unpack("<Q", struct.pack("<d", f))[0]), _F, UNSIGNED)
_function(MATH, "float64frombits", lambda b: struct.unpack("<d", struct.pack("<Q", b))[0], {"b": UNSIGNED})
_function(MATH, "frexp", _frexp, _F, None)
_function(MATH, "ilogb", _ilogb, _X, LONG)
_function(MATH, "jn", lambda n, x: _bessel("j", n, x), {"n": LONG, "x": DOUBLE})
_function(MATH, "yn", lambda n, x: _bessel("y", n, x), {"n": LONG, "x": DOUBLE})
_function(MATH, "ldexp", _safe(lambda frac, exp: math.ldexp(frac, int(exp))), {"frac": DOUBLE, "exp": LONG})
_function(MATH, "lgamma", _lgamma, _X, None)
_function(MATH, "modf", _modf, _F, None)
_function(MATH, "pow10", _safe(lambda n: float(f"1e{n}")), {"n": LONG})
_function(MATH, "sincos", lambda x: {"sin": math.sin(x), "cos": math.cos(x)}, _X, None)

_PHI = (1 + math.sqrt(5)) / 2
CONSTANTS: dict[str, Any] = {
    "pi": math.pi, "e": math.e, "phi": _PHI, "sqrt2": math.sqrt(2), "sqrte": math.sqrt(math.e), "sqrtpi": 1.772453850905516,
    "sqrtphi": math.sqrt(_PHI), "ln2": math.log(2), "log2e": 1 / math.log(2), "ln10": math.log(10),
    "log10e": 0.4342944819032518,
    "maxfloat": 1.7976931348623157e308, "smallestNonzeroFloat": 5e-324, "maxint": 2**63 - 1, "minint": -(2**63),
    "maxuint": Uint(2**64 - 1),
}  # fmt: skip


def _constant(value: Any) -> Callable[[Any], Any]:
    return lambda context: value


for _name, _value in CONSTANTS.items():
    MATH[_name] = _constant(_value)


def _signed(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def _shift(count: int) -> int:
    if count < 0:
        raise invalid("cannot shift by a negative number of bits")
    return min(count, 64)


for _prefix, _kind, _make in (("u", UNSIGNED, lambda value: Uint(value % 2**64)), ("s", LONG, _signed)):
    _AB = {"a": _kind, "b": _kind}
    for _name, _bits in {
        "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b, "clear": lambda a, b: a & ~b,
        "lshift": lambda a, b: a << _shift(b), "rshift": lambda a, b: a >> _shift(b),
    }.items():  # fmt: skip
        _function(BITWISE, _prefix + _name, lambda a, b, bits=_bits, make=_make: make(bits(int(a), int(b))), _AB, _kind)
    _function(BITWISE, _prefix + "not", lambda a, make=_make: make(~int(a)), {"a": _kind}, _kind)

"""The numbers that Go's `math/rand` draws from a source with a seed: what hangs on them comes out as in Telegraf.

random = GoRandom(1)
random.float32() < 0.5
random.below(10)
"""

from array import array
from functools import cache
from struct import pack, unpack

__all__ = ["GoRandom"]

_LENGTH, _TAP = 607, 273
_MASK64, _MASK63 = (1 << 64) - 1, (1 << 63) - 1
_PRIME = (1 << 31) - 1
_STEPS = 7_800_000_000_000
"""So far had the generator gone when its state became the one from which all seeds begin."""
_WIDTH = 18
"""Bytes for a coefficient of a product: twice 64 bits, and 10 for the sum of 607 of them."""


class GoRandom:
    """One source. It takes 5 KB."""

    __slots__ = ("_feed", "_state", "_tap")

    def __init__(self, seed: int) -> None:
        self._state = array("Q", _seeded(seed))
        self._tap, self._feed = 0, _LENGTH - _TAP

    def int63(self) -> int:
        self._tap = self._tap - 1 if self._tap else _LENGTH - 1
        self._feed = self._feed - 1 if self._feed else _LENGTH - 1
        value = (self._state[self._feed] + self._state[self._tap]) & _MASK64
        self._state[self._feed] = value
        return value & _MASK63

    def float32(self) -> float:
        """At least 0, less than 1, with the precision of 32 bits."""
        while True:
            value: float = unpack("f", pack("f", self.int63() / (1 << 63)))[0]
            if value != 1:
                return value

    def below(self, limit: int) -> int:
        """`Intn` of a limit below 2^31."""
        if limit & (limit - 1) == 0:
            return (self.int63() >> 32) & (limit - 1)
        most = _PRIME - (1 << 31) % limit
        while (value := self.int63() >> 32) > most:
            pass
        return value % limit


@cache
def _seeded(seed: int) -> tuple[int, ...]:
    return tuple(value ^ start for value, start in zip(_sequence(seed, 40, 20), _start(), strict=True))


def _sequence(seed: int, first: int, second: int) -> list[int]:
    seed = seed % _PRIME or 89_482_311
    numbers = []
    for _ in range(20):
        seed = seed * 48_271 % _PRIME
    for _ in range(_LENGTH):
        high = seed = seed * 48_271 % _PRIME
        middle = seed = seed * 48_271 % _PRIME
        seed = seed * 48_271 % _PRIME
        numbers.append(((high << first) ^ (middle << second) ^ seed) & _MASK64)
    return numbers


@cache
def _start() -> tuple[int, ...]:
    """The state after `_STEPS`, which is computed in place of a table of its numbers.

    A step adds the numbers of 607 and of 273 steps ago. So the number after n steps is the first ones times the coefficients of
    x^n modulo x^607 - x^334 - 1, and a product of such polynomials is one product of large integers.
    """
    state = _sequence(1, 20, 10)
    numbers = [state[(_LENGTH - _TAP - 1 - k) % _LENGTH] for k in range(_LENGTH)]
    for k in range(_LENGTH, 2 * _LENGTH):
        numbers.append((numbers[k - _LENGTH] + numbers[k - _TAP]) & _MASK64)
    power = [1] + [0] * (_LENGTH - 1)
    for bit in f"{_STEPS:b}":
        power = _reduced(_product(power, power))
        if bit == "1":
            power = _reduced([0, *power])
    product = _product(power[::-1], numbers)
    last = {(_LENGTH - _TAP - 1 - _STEPS - k) % _LENGTH: product[_LENGTH - 1 + k] for k in range(_LENGTH)}
    return tuple(last[k] for k in range(_LENGTH))


def _product(left: list[int], right: list[int]) -> list[int]:
    """The coefficients modulo 2^64."""
    size = len(left) + len(right)
    product = (_joined(left) * _joined(right)).to_bytes(_WIDTH * size, "little")
    return [int.from_bytes(product[at : at + 8], "little") for at in range(0, _WIDTH * size, _WIDTH)]


def _joined(coefficients: list[int]) -> int:
    return int.from_bytes(b"".join(value.to_bytes(_WIDTH, "little") for value in coefficients), "little")


def _reduced(coefficients: list[int]) -> list[int]:
    for power in range(len(coefficients) - 1, _LENGTH - 1, -1):
        value = coefficients[power]
        for lower in (power - _LENGTH, power - _TAP):
            coefficients[lower] = (coefficients[lower] + value) & _MASK64
    return coefficients[:_LENGTH]

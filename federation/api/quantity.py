"""Kubernetes quantities, exactly: `100m`, `1.5`, `2Gi`, `1e3` as fractions, and back."""

import math
import re
from fractions import Fraction
from functools import lru_cache

_PATTERN = re.compile(r"([+-]?[0-9]*\.?[0-9]*)(?:([eE][+-]?[0-9]+)|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)?)")
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "k": Fraction(10**3),
    "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12), "P": Fraction(10**15), "E": Fraction(10**18),
}  # fmt: skip


@lru_cache(maxsize=4096)
def parse_quantity(text: str | float) -> Fraction:
    """The exact value. Raises ValueError, which quotes the text, for anything that Kubernetes would refuse."""
    match = _PATTERN.fullmatch(str(text).strip())
    if match is None or match[1] in ("", "+", "-", "."):
        raise ValueError(f"{text!r} is not a quantity (examples: 100m, 1.5, 2Gi)")
    number = Fraction(match[1] if not match[1].endswith(".") else match[1] + "0")
    if match[2]:
        return number * Fraction(10) ** int(match[2][1:])
    suffix = match[3]
    if not suffix:
        return number
    return number * (_BINARY[suffix] if suffix in _BINARY else _DECIMAL[suffix])


@lru_cache(maxsize=4096)
def nanos(text: str | float) -> int:
    """The value in billionths, rounded up: the finest that Kubernetes keeps. For sums over many clusters: ints are fast."""
    return math.ceil(parse_quantity(text) * 10**9)


def format_quantity(value: Fraction | int) -> str:
    """A short text that parses back to the same value: whole numbers (in Ki to Ei where exact), else milli, else nano."""
    value = Fraction(value)
    if value.denominator == 1:
        number = value.numerator
        for suffix, factor in reversed(_BINARY.items()):
            if number and number % factor == 0:
                return f"{number // factor}{suffix}"
        return str(number)
    for suffix in ("m", "u", "n"):
        scaled = value / _DECIMAL[suffix]
        if scaled.denominator == 1:
            return f"{scaled.numerator}{suffix}"
    return f"{-(-value // _DECIMAL['n'])}n"

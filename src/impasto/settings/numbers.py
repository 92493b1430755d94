"""Numbers in text, as options, presets and grids contain them.

Python's own conversions also accept "1_0", " 1 " and the digits of other scripts, which are typing errors here.
"""

import re
from typing import get_args

_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|nan)", re.IGNORECASE | re.ASCII)
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)


def parse_number(text: str) -> float:
    """The number that `text` is, such as "0.5" or "1e-3"; also "inf" and "nan", which are refused by their range.

    Raises:
        ValueError: anything else.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError("input should be a valid number")
    return float(text)


def parse_whole_number(text: str) -> int:
    """The whole number that `text` is.

    Raises:
        ValueError: anything else, or thousands of digits.
    """
    if not _WHOLE_NUMBER.fullmatch(text):
        raise ValueError("input should be a valid integer")
    return int(text)


def from_text(value: object, kind: object) -> object:
    """`value`, converted if it is text and `kind` is int, float, or a choice of whole numbers; otherwise unchanged.

    Raises:
        ValueError: text that is no such number.
    """
    if not isinstance(value, str):
        return value
    if kind is float:
        return parse_number(value)
    if kind is int or any(isinstance(choice, int) for choice in get_args(kind)):
        return parse_whole_number(value)
    return value

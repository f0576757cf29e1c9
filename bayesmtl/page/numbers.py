"""Numbers as a reader wants them: as many digits as their interval supports."""

import math
from typing import NamedTuple

NONE, APOSTROPHE = "\N{EN DASH}", "\N{RIGHT SINGLE QUOTATION MARK}"
_MINUS, _TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Estimate(NamedTuple):
    """A mean and its interval as text."""

    mean: str
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.mean} ({self.interval})" if self.interval else self.mean


def estimate(mean: float, low: float, high: float) -> Estimate:
    """A mean with an interval; the half width of the interval keeps two digits.

    Examples
    --------
    >>> print(estimate(0.06931, 0.05121, 0.08733))
    0.069 (0.051 to 0.087)
    >>> print(estimate(12345.6, 11000.0, 13500.0))
    12,300 (11,000 to 13,500)
    """
    if math.isnan(mean):
        return Estimate(NONE)
    half = (high - low) / 2
    if not math.isfinite(half) or half <= 0:
        return Estimate(plain(mean))
    power, places, mark = 0, 1 - math.floor(math.log10(half)), ""
    largest = max(abs(low), abs(high))
    if places > 5 or largest >= 1e7:
        power = math.floor(math.log10(largest))
        places += power
        mark = f"{_TIMES}10{str(power).translate(_RAISED)}"
    said = [_fixed(value / 10.0**power, places) for value in (mean, low, high)]
    return Estimate(said[0] + mark, f"{said[1]} to {said[2]}{mark}")


def percent(mean: float, low: float, high: float) -> Estimate:
    """A share with an interval as percentages, of at most one decimal.

    Examples
    --------
    >>> print(percent(0.36841, 0.36592, 0.37113))
    36.8% (36.6 to 37.1%)
    """
    wide = max(high - low, 0.002)
    if wide > high - low:
        return Estimate(f"{_fixed(100 * mean, 1)}%")
    places = max(0, min(1, 1 - math.floor(math.log10(50 * wide))))
    said = [_fixed(100 * value, places) for value in (mean, low, high)]
    return Estimate(f"{said[0]}%", f"{said[1]} to {said[2]}%")


def plain(value: float, digits: int = 3) -> str:
    """A number without an interval.

    Examples
    --------
    >>> plain(1234567), plain(0.012345), plain(2.0)
    ('1,234,567', '0.0123', '2')
    """
    if math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    if value == round(value) and abs(value) < 1e9:
        return f"{value:,.0f}".replace("-", _MINUS)
    power = math.floor(math.log10(abs(value)))
    if power < -4 or power > 7:
        front = _fixed(value / 10.0**power, digits - 1)
        return f"{front}{_TIMES}10{str(power).translate(_RAISED)}"
    return _fixed(value, digits - 1 - power)


def count(number: int, noun: str, plural: str = "") -> str:
    """A number of things.

    Examples
    --------
    >>> count(1, "cell"), count(2832, "cell"), count(2, "family", "families")
    ('1 cell', '2,832 cells', '2 families')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def called(task: str) -> str:
    """A task as a sentence calls it.

    Examples
    --------
    >>> called("income"), called("23")
    ('income', 'task 23')
    """
    return f"task {task}" if task.isdigit() else task


def joined(words: list[str], most: int = 6) -> str:
    """Words as a list in a sentence.

    Examples
    --------
    >>> joined(["age"]), joined(["age", "income"]), joined(list("abcdefgh"))
    ('age', 'age and income', 'a, b, c, d, e, f and 2 more')
    """
    if len(words) > most + 1:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _fixed(value: float, places: int) -> str:
    places = min(places, 12)
    text = f"{round(value, places):,.{max(places, 0)}f}"
    zero = not text.strip("-0.,")
    return text.lstrip("-") if zero else text.replace("-", _MINUS)

"""Numbers and times in words: percentages, money and intervals with the digits that they support."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass

from .estimate import Estimate

__all__ = ["Named", "amount", "counted", "interval", "moment", "number", "percent", "plain", "span", "spoken", "times"]


def number(value: float, digits: int = 3) -> str:
    """Return a number with `digits` decimals, such as `0.847`; what would read `-0.000` loses its sign."""
    return f"{0.0 if abs(value) < 0.5 * 10**-digits else value:,.{digits}f}"


def plain(value: float) -> str:
    """Return any number with about four digits: `12,346`, `0.1642`, `3.2e-06`; a count is written in full."""
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{value:,.0f}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def counted(count: int, noun: str) -> str:
    """Return a number of things, such as `1 window` or `1,200 predictions`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(share: float, digits: int = 1) -> str:
    """Return a share of one as a percentage, such as `16.4%`."""
    return f"{number(100 * share, digits)}%"


def amount(money: float, currency: str) -> str:
    """Return an amount of money, with cents only where they matter, such as `12,346 USD` or `9.68 USD`."""
    cents = abs(money) < 100 and not float(money).is_integer()
    return f"{number(money, 2 if cents else 0)} {currency}"


def times(log_odds: float) -> str:
    """Return what is added to log-odds as the factor by which it multiplies the odds, such as `×2.51` or `×0.82`."""
    return f"\N{MULTIPLICATION SIGN}{math.exp(log_odds):.2f}"


def moment(time: dt.datetime) -> str:
    """Return a time in UTC to the minute, such as `2025-06-01 09:30 UTC`."""
    return f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def spoken(name: str) -> str:
    """Return a name from the settings as it is spoken, such as `F1` or `top decile`."""
    return {"f1": "F1"}.get(name, name.replace("_", " "))


def span(estimate: Estimate, write: Callable[[float], str] = number) -> str:
    """Return an interval alone, such as `18,041 to 121,051`."""
    return f"{write(estimate.lower)} to {write(estimate.upper)}"


def interval(estimate: Estimate, write: Callable[[float], str] = number, unit: str = "") -> str:
    """Return a number with its interval, such as `0.847 (0.831 to 0.862)` or `9.68 USD (9.18 to 10.14)`."""
    point = f"{write(estimate.point)} {unit}".rstrip()
    return f"{point} ({span(estimate, write)})"


@dataclass(frozen=True)
class Named:
    """A quantity as readers see it, the same on every surface: its label, its unit and its decimals.

    Attributes:
        label: What it is called in the middle of a sentence, such as `ROC AUC` or `log loss`.
        unit: `%` for a share of one that is written as a percentage, `pp` for a difference of two shares in percentage
            points, `money` for an amount in the currency that is in force, any other as it is written behind the
            number, such as `s` or `MB`; empty for none.
        digits: Decimals; of the percentage, where it is one.
    """

    label: str
    unit: str = ""
    digits: int = 3

    @property
    def heading(self) -> str:
        """The label as it begins a sentence, a row or a card."""
        return f"{self.label[:1].upper()}{self.label[1:]}"

    def column(self, currency: str = "") -> str:
        """Return the label with the unit, for the head of a column whose cells are bare numbers."""
        unit = self._unit(currency)
        return f"{self.label}, {unit}" if unit else self.label

    def number(self, value: float) -> str:
        """Return a value without its unit, such as `9.43`; a percentage keeps its sign, such as `1.8%`."""
        if self.unit == "%":
            return percent(value, self.digits)
        return number(100 * value if self.unit == "pp" else value, self.digits)

    def text(self, value: float, currency: str = "") -> str:
        """Return a value with its unit, such as `0.866`, `1.8%` or `9.43 USD`."""
        return f"{self.number(value)} {self._unit(currency)}".rstrip()

    def interval(self, estimate: Estimate, currency: str = "") -> str:
        """Return an estimate with its unit and interval, such as `9.43 USD (9.02 to 9.85)`."""
        return interval(estimate, self.number, self._unit(currency))

    def span(self, estimate: Estimate) -> str:
        """Return the interval alone, such as `9.02 to 9.85`."""
        return span(estimate, self.number)

    def _unit(self, currency: str) -> str:
        return {"%": "", "money": currency}.get(self.unit, self.unit)

"""Numbers as people read them: percentages, money and intervals with no more digits than they bear."""

from __future__ import annotations

from collections.abc import Callable

from .estimate import Estimate

__all__ = ["amount", "interval", "number", "percent", "plain", "signed", "spoken"]


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


def percent(share: float, digits: int = 1) -> str:
    """Return a share of one as a percentage, such as `16.4%`."""
    return f"{number(100 * share, digits)}%"


def amount(money: float, currency: str) -> str:
    """Return an amount of money, with cents only where they matter, such as `12,346 USD` or `9.68 USD`."""
    cents = abs(money) < 100 and not float(money).is_integer()
    return f"{number(money, 2 if cents else 0)} {currency}"


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, such as `+0.92`."""
    return f"{value:+,.{digits}f}"


def spoken(name: str) -> str:
    """Return a name from the settings as it is spoken, such as `F1` or `top decile`."""
    return {"f1": "F1"}.get(name, name.replace("_", " "))


def interval(estimate: Estimate, write: Callable[[float], str] = number, unit: str = "") -> str:
    """Return a number with its interval, such as `0.847 [0.831, 0.862]` or `9.68 USD [9.18, 10.14]`."""
    point = f"{write(estimate.point)} {unit}".rstrip()
    return f"{point} [{write(estimate.lower)}, {write(estimate.upper)}]"

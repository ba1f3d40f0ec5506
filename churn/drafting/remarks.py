"""Remarks on drafted columns: stray words, placeholders for missing values, repeated columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from .sample import SampledColumn

__all__ = ["remarks_on"]

_STAND_INS = [sign * number for number in (99, 999, 9999, 99999, 999999, 9999999) for sign in (1, -1)] + [-1, -9]
"""Numbers that are often written where a value is missing."""
APART = 2.0
"""A stand-in lies so many times as far out as any other value, or"""
OFTEN = 3
"""it stands so many times as often as any value near it."""
MIN_OFTEN = 5
ALIKE = 0.9999
"""Two columns of numbers with such a correlation say the same."""
SAMPLE = 20_000


def remarks_on(columns: Sequence[SampledColumn]) -> dict[str, list[str]]:
    """Return what is to be checked about columns, by their names."""
    remarks: dict[str, list[str]] = {}
    for column in columns:
        notes = [*_strays(column), *_stand_ins(column), *_units(column)]
        if notes:
            remarks[column.name] = notes
    for name, other in _same(columns).items():
        remarks.setdefault(name, []).append(f"it says the same as {other}: one of the two is enough.")
    return remarks


def _strays(column: SampledColumn) -> Iterator[str]:
    if not column.odd:
        return
    rows = sum(column.odd.values())
    words = ", ".join(f"{value!r} {n:,} times" for value, n in list(column.odd.items())[:3])
    more = f" and {len(column.odd) - 3:,} others" if len(column.odd) > 3 else ""
    start = f"numbers but for {rows:,} rows, {rows / len(column.text):.1%} ({words}{more})"
    if column.is_numeric:
        yield f"{start}, which would be set aside: leave them blank in the source if they mean missing."
    else:
        yield f"{start}, so each value is a category: leave them blank in the source to have numbers."


def _units(column: SampledColumn) -> Iterator[str]:
    if column.units and column.content == "categorical":
        yield (
            f"numbers with a unit ({', '.join(column.units)}), so each value is a category: write them as plain "
            "numbers in the source to have numbers."
        )


def _stand_ins(column: SampledColumn) -> Iterator[str]:
    if not column.is_numeric:
        return
    counts = column.values.value_counts()
    for number in _STAND_INS:
        if number not in counts.index:
            continue
        others = counts[~counts.index.isin(_STAND_INS)]
        if others.empty or not _stands_out(number, int(counts[number]), others):
            continue
        low, high = others.index.min(), others.index.max()
        yield (
            f"{number:,} stands {counts[number]:,} times ({counts[number] / len(column.text):.1%}), the other values "
            f"are {low:,g} to {high:,g}: leave it blank in the source if it means missing."
        )


def _stands_out(number: int, times: int, others: pd.Series) -> bool:
    values = others.index.to_numpy()
    if number < 0 and values.min() >= 0:
        return bool(values.max() > 1)  # -1, 0 and 1 are an answer of three values
    outermost = number < values.min() if number < 0 else number > values.max()
    if not outermost:
        return False
    if abs(number) >= APART * np.abs(values).max():
        return True
    near = others[np.abs(values - number) <= (values.max() - values.min()) / 4]
    return times >= max(MIN_OFTEN, OFTEN * int(near.max() if len(near) else 1))


def _same(columns: Sequence[SampledColumn]) -> dict[str, str]:
    """Return columns that say the same as an earlier one: value for value, or in proportion."""
    same: dict[str, str] = {}
    first: dict[bytes, str] = {}
    for column in columns:
        if 2 <= column.distinct < len(column.text) - column.missing:
            codes = pd.factorize(column.text)[0].astype(np.int32).tobytes()
            other = first.setdefault(codes, column.name)
            if other != column.name:
                same[column.name] = other
    numbers = {c.name: c.values for c in columns if c.is_numeric and c.distinct > 2 and c.name not in same}
    return {**same, **_proportional(numbers)}


def _proportional(numbers: Mapping[str, pd.Series]) -> dict[str, str]:
    frame = pd.DataFrame(numbers).iloc[:SAMPLE]
    correlation = np.triu(np.abs(frame.corr(min_periods=min(30, len(frame))).to_numpy()), k=1)
    pairs = np.argwhere(correlation > ALIKE)
    names = list(numbers)
    return {names[later]: names[earlier] for earlier, later in reversed(pairs.tolist())}

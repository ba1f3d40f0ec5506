"""The audience of a campaign: profile of the list and what sets apart customers of lower risk, from a sample.

Everything here describes customers as they are. That customers with a long contract churn less does not prove that a
longer contract would keep somebody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from ..core.frozen import Finite
from ..core.wording import percent, plain
from ..data.contract import ColumnSpec
from ..model.frame import uncoded
from ..scoring.rows import coded_columns
from .candidates import BoolArray, Candidates

__all__ = ["Audience", "Reason", "Reasons", "Sample", "audience_of", "read_reason", "reasons_of", "sample_of"]

_SAMPLED = 20_000
_BANDS, _VALUES = 4, 6
_NOTICEABLE = 0.05
"""Correlation of a number with the risk from which on it is said where the customers of lower risk are."""
_ENOUGH = 30
"""Customers from which on the share of a group is quoted."""
_STRONG, _SOME = 0.69, 0.22
"""Log-odds that double the odds of churn, and that raise them by a quarter."""
_AMOUNT = re.compile(r"(?P<words>.*) \((?P<added>[+-]\d[\d,]*\.\d+)\)", re.DOTALL)
_OTHER, _UNKNOWN = "other", "not known"


class Audience(Finite):
    """The customers of a sample by two columns, those in which their risks differ most.

    Attributes:
        down: What the rows are, in words; `rows` are its values or ranges.
        across: What the columns are, in words; `columns` are its values or ranges.
        customers: Customers of each cell, a tuple a row.
        contacted: Those of them who are on the list.
        sampled: Customers of the sample.
    """

    down: str
    rows: tuple[str, ...]
    across: str
    columns: tuple[str, ...]
    customers: tuple[tuple[int, ...], ...]
    contacted: tuple[tuple[int, ...], ...]
    sampled: int


class Sample(NamedTuple):
    """Some customers of a batch: `values` has a column for each of the contract's, all have one row a customer."""

    values: pd.DataFrame
    probability: pd.Series
    contacted: pd.Series


class Reason(NamedTuple):
    """A reason in words, such as `length of the contract: Month-to-month (strong)`, and what goes with less risk.

    Attributes:
        words: What raises the risk, with how much.
        change: The value that customers of lower risk have; None where that is not known.
        actionable: Whether the business can change it.
    """

    words: str
    change: str | None
    actionable: bool


def sample_of(
    candidates: Candidates,
    contacted: BoolArray,
    facts: pa.RecordBatchReader,
    entity: str,
    columns: Mapping[str, ColumnSpec],
) -> Sample:
    """Return every so-manieth customer of a batch with their values, at most about 20,000.

    Args:
        candidates: The customers of the batch.
        contacted: Who is on the list, shape `(n,)`.
        facts: A row for each customer: `entity`, and those of `columns` that are known.
        entity: The column of the customer.
        columns: The columns of the contract.
    """
    step, kinds = max(1, len(candidates) // _SAMPLED), {name: column.kind for name, column in columns.items()}
    parts: list[pd.DataFrame] = []
    for batch in facts:
        rows = batch.take(pa.array(np.arange(0, batch.num_rows, step)))
        places = candidates.places(rows.column(entity))
        part = pd.DataFrame({name: uncoded(values) for name, values in coded_columns(rows, kinds).items()})
        part["_place"] = places
        parts.append(part[places >= 0])
    values = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"_place": []}, dtype=int)
    chosen = values.pop("_place").to_numpy(dtype=np.intp)
    return Sample(values, pd.Series(candidates.probability[chosen]), pd.Series(contacted[chosen]))


def audience_of(sample: Sample, columns: Mapping[str, ColumnSpec]) -> Audience | None:
    """Return the sample by the two columns that together tell its risks apart best; None where fewer than two do."""
    bands = {name: _banded(sample.values[name]) for name in columns if name in sample.values}
    bands = {name: band for name, band in bands.items() if band.nunique() > 1}
    if len(bands) < 2 or sample.probability.nunique() < 2:
        return None
    first = max(bands, key=lambda name: _told_apart(sample.probability, [bands[name]]))
    others = [name for name in bands if name != first]
    second = max(others, key=lambda name: _told_apart(sample.probability, [bands[first], bands[name]]))
    down, across = sorted((first, second), key=lambda name: -bands[name].nunique())
    customers = pd.crosstab(bands[down], bands[across], dropna=False)
    listed = pd.crosstab(
        bands[down], bands[across], values=sample.contacted.astype(int), aggfunc="sum", dropna=False
    ).fillna(0)
    return Audience(
        down=columns[down].description,
        rows=tuple(map(str, customers.index)),
        across=columns[across].description,
        columns=tuple(map(str, customers.columns)),
        customers=tuple(map(tuple, customers.to_numpy().tolist())),
        contacted=tuple(map(tuple, listed.to_numpy(dtype=int).tolist())),
        sampled=len(sample.probability),
    )


def _banded(values: pd.Series) -> pd.Series:
    """Return values as a few ordered groups: the most frequent texts, or ranges of numbers with as many customers."""
    if values.dtype == object:
        present = values.dropna().astype(str)
        frequent = list(present.value_counts().index[:_VALUES])
        names = sorted(frequent) + [_OTHER] * (present.nunique() > _VALUES)
        texts = present.where(present.isin(frequent), _OTHER)
    else:
        present = values.dropna()
        if present.nunique() < 2:
            return pd.Series(pd.Categorical([_UNKNOWN] * len(values)))
        ranges = pd.qcut(present, _BANDS, duplicates="drop")
        groups = present.groupby(ranges, observed=True)
        spans = [(group, float(part.min()), float(part.max())) for group, part in groups]
        words = {group: plain(low) if low == high else f"{plain(low)} to {plain(high)}" for group, low, high in spans}
        names, texts = list(dict.fromkeys(words.values())), ranges.map(words).astype(str)
    if len(present) < len(values):
        names = [*names, _UNKNOWN]
    return pd.Series(pd.Categorical(texts.reindex(values.index).fillna(_UNKNOWN), names, ordered=True))


def _told_apart(probability: pd.Series, groups: Sequence[pd.Series]) -> float:
    """Return which share of the variance of the risks lies between the groups."""
    means = probability.groupby(list(groups), observed=True).transform("mean")
    return float(means.var() / probability.var())


class Reasons(NamedTuple):
    """How to speak of the reasons of a batch.

    Attributes:
        actionable: The descriptions of what the business can change.
        lower: For each description and value (as text) in words the value that customers of less risk have.
        direction: For each description of a number, `lower` or `higher`: where the customers of less risk are.
    """

    actionable: frozenset[str]
    lower: Mapping[str, Mapping[str, str]]
    direction: Mapping[str, str]

    def read(self, text: str) -> Reason:
        """Return a reason as `churn.model.reasons` writes it in words for people."""
        words, fact = read_reason(text)
        description = next((name for name in self.actionable if fact.startswith(f"{name}: ")), None)
        if description is None:
            return Reason(words, None, False)
        value = fact.removeprefix(f"{description}: ")
        change = self.lower.get(description, {}).get(value) or self.direction.get(description)
        return Reason(words, None if change is None else f"{description}: {change}", True)


def read_reason(text: str) -> tuple[str, str]:
    """Return a reason with its strength in a word, `strong`, `some` or `slight`, and without."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return text, text
    added = abs(float(match["added"].replace(",", "")))
    strength = "strong" if added >= _STRONG else "some" if added >= _SOME else "slight"
    return f"{match['words']} ({strength})", match["words"]


def reasons_of(sample: Sample | None, columns: Mapping[str, ColumnSpec], computed: Sequence[str] = ()) -> Reasons:
    """Return how to speak of reasons, by what a sample says of the actionable columns.

    A text is proposed only if it occurs with every fixed (not actionable) text that the present one occurs with: who
    has internet does not get "no internet service" proposed.

    Args:
        sample: Customers of the batch; None where nothing is known of them.
        columns: The columns of the contract.
        computed: Descriptions of computed features that the business can change.
    """
    able = {name: column for name, column in columns.items() if column.actionable}
    lower: dict[str, dict[str, str]] = {}
    direction: dict[str, str] = {}
    for name, column in able.items() if sample is not None else ():
        if sample is None or name not in sample.values:
            continue
        values = sample.values[name]
        if column.kind == "categorical":
            lower[column.description] = _lower_values(sample, name, columns)
        elif values.nunique() > 1 and abs(slope := values.corr(sample.probability)) > _NOTICEABLE:
            direction[column.description] = "lower" if slope > 0 else "higher"
    return Reasons(frozenset([*(column.description for column in able.values()), *computed]), lower, direction)


def _lower_values(sample: Sample, name: str, columns: Mapping[str, ColumnSpec]) -> dict[str, str]:
    values = sample.values[name]
    groups = sample.probability.groupby(values)
    risks = groups.mean()[groups.size() >= _ENOUGH].sort_values(kind="stable").to_dict()
    fixed = [
        other
        for other, column in columns.items()
        if other in sample.values and column.kind == "categorical" and not column.actionable
    ]
    occurs = {
        value: {(other, text) for other in fixed for text in sample.values[other][values == value].dropna().unique()}
        for value in risks
    }
    words: dict[str, str] = {}
    for value, risk in risks.items():
        best = next((other for other in risks if occurs[value] <= occurs[other]), value)
        if risks[best] < risk:
            words[str(value)] = f"{best} ({percent(risks[best], 0)} churn expected there, {percent(risk, 0)} here)"
    return words

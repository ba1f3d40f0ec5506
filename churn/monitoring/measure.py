"""A window of predictions, or a baseline, as figures: what its columns hold, how it differs, and how well it did."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..core.estimate import Estimate
from ..model.frame import FloatArray
from ..model.money import MoneySettings
from ..ports.windows import GROUP, LOGIT_LIMIT, LOGIT_WIDTH, Aggregates, Bins
from .drift import Counted, drift_of, share_p_value
from .performance import Cells, calibration_error_of_mean, estimated, realised

__all__ = ["LABEL", "SCORE", "WHOLE", "Difference", "Figure", "Side", "differences", "figures", "sides_of"]

WHOLE, SCORE, LABEL = ":table", "probability", "label"
"""What figures are of that belong to no input: all rows, the predictions, and the known outcomes."""
_QUANTILES = (5, 25, 50, 75, 95)
_HALF = round(LOGIT_LIMIT / LOGIT_WIDTH)
_SCORE_BINS = Bins(
    name=SCORE,
    kind="number",
    edges=tuple((1 / (1 + np.exp(-LOGIT_WIDTH * np.arange(1 - _HALF, _HALF)))).tolist()),
)
_LABEL_BINS = Bins(name=LABEL, kind="text", texts=("stayed", "churned"))


@dataclass(frozen=True)
class Side:
    """One window of one version and source, or a baseline.

    Attributes:
        columns: Rows of `COLUMNS` by column.
        groups: Predictions by slice and value; the key of all of them is a pair of empty texts.
    """

    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    groups: Mapping[tuple[str, str], Cells] = field(default_factory=dict)

    @property
    def whole(self) -> Cells:
        """All predictions."""
        return self.groups.get(("", ""), Cells.empty())

    def counted(self, column: Bins) -> Counted:
        """Return the values of a column by bin; none where it is not there."""
        row = self.columns.get(column.name)
        if row is None:
            return Counted(np.zeros(len(column.edges or column.texts) + 1))
        return Counted(np.array(row["counts"], dtype=np.float64), row["min"], row["max"], row["distinct"])


def sides_of(aggregates: Aggregates) -> dict[tuple[dt.datetime | None, str], Side]:
    """Return what was counted by window and source."""
    columns: dict[tuple[dt.datetime | None, str], dict[str, Any]] = {}
    for row in aggregates.columns.to_pylist():
        columns.setdefault((row["window"], row["source"]), {})[row["column"]] = row
    groups: dict[tuple[dt.datetime | None, str], dict[tuple[str, str], Cells]] = {}
    cells = aggregates.cells.sort_by([(name, "ascending") for name in GROUP])
    keys = cells.select(list(GROUP)).to_pylist()
    starts = [place for place, key in enumerate(keys) if place == 0 or key != keys[place - 1]]
    for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
        key = keys[start]
        group = groups.setdefault((key["window"], key["source"]), {})
        group[key["slice"], key["value"]] = Cells.of(cells.slice(start, end - start))
    return {place: Side(columns.get(place, {}), slices) for place, slices in groups.items()}


class Figure(NamedTuple):
    """One figure of a column: its name in the registry of metrics, how it was come by, and its value.

    `kind` is `measured`, `realised` (of rows with a known outcome), `estimated` (of all rows, without outcomes), or
    `backtest` (the same of the rows whose outcome is known, to be held against `realised`).
    """

    column: str
    metric: str
    kind: str
    number: float | None
    interval: Estimate | None = None


class Difference(NamedTuple):
    """One measure of how a column differs from the side that it is compared with."""

    column: str
    metric: str
    number: float | None


def figures(
    side: Side,
    bins: Sequence[Bins],
    group: tuple[str, str] = ("", ""),
    *,
    money: MoneySettings,
    baseline: Side | None = None,
    confidence: float = 0.95,
) -> Iterator[Figure]:
    """Yield every figure of a group of predictions; those of its columns only where it is the whole.

    Args:
        side: The window.
        bins: How its columns were counted.
        group: Slice and value; a pair of empty texts for all rows.
        money: What a treatment costs and earns.
        baseline: Its version's baseline, which says how sure the probabilities are.
        confidence: Coverage of the intervals.
    """
    cells = side.groups.get(group, Cells.empty())
    stayed, churned = cells.outcomes
    rows = cells.rows
    yield Figure(WHOLE, "rows", "measured", rows)
    contacted, mature = cells.contacted, cells.mature
    yield Figure(WHOLE, "immature_rows", "measured", rows - stayed - churned - contacted)
    if contacted:
        yield Figure(WHOLE, "contacted_rows", "measured", contacted)
    if (mature.weight != 1).any():
        yield Figure(WHOLE, "effective_rows", "realised", mature.effective)
    if rows:
        yield Figure(WHOLE, "mean_probability", "measured", float(cells.sums["p"].sum()) / rows)
        yield Figure(WHOLE, "share", "measured", float(cells.sums["rows"][cells.treated].sum()) / rows)
    for metric, number in realised(cells, money).items():
        yield Figure(WHOLE, metric, "realised", number)
    calibration = calibration_error_of_mean(baseline.whole) if baseline else 0.0
    for kind, part in (("estimated", cells), ("backtest", mature)):
        for metric, estimate in estimated(part, money, calibration=calibration, confidence=confidence).items():
            yield Figure(WHOLE, metric, kind, estimate.point, estimate)
    if group == ("", ""):
        matched = max((row["matched"] for row in side.columns.values()), default=0)
        if side.columns:
            yield Figure(WHOLE, "unmatched_share", "measured", 1 - matched / rows if rows else None)
        for column in bins:
            yield from _column_figures(column, side.columns.get(column.name), matched)


def differences(
    bins: Sequence[Bins], before: Side, after: Side, group: tuple[str, str] = ("", "")
) -> Iterator[Difference]:
    """Yield how predictions and known outcomes differ from the same group before, and, of all rows, the columns."""
    was, is_ = (side.groups.get(group, Cells.empty()) for side in (before, after))
    for column, counted in ((_SCORE_BINS, _scores), (_LABEL_BINS, _labels)):
        for metric, number in drift_of(column, counted(was), counted(is_)).items():
            yield Difference(column.name, metric, number)
    if group == ("", ""):
        for column in bins:
            yield from _column_differences(column, before, after)


def _column_figures(column: Bins, row: Mapping[str, Any] | None, matched: int) -> Iterator[Figure]:
    filled = row["known"] if row else 0
    yield Figure(column.name, "null_share", "measured", 1 - filled / matched if matched else None)
    yield Figure(column.name, "distinct", "measured", row["distinct"] if row else 0)
    if column.kind == "number":
        exists = bool(row and filled)
        mean = row["total"] / filled if row and filled else None
        variance = row["squares"] / filled - mean**2 if row and filled and mean is not None else None
        yield Figure(column.name, "mean", "measured", mean)
        yield Figure(column.name, "std", "measured", None if variance is None else float(np.sqrt(max(variance, 0))))
        yield Figure(column.name, "min", "measured", row["min"] if row else None)
        yield Figure(column.name, "max", "measured", row["max"] if row else None)
        for percent in _QUANTILES:
            value = _quantile(column, row, percent / 100) if row and exists and column.edges else None
            yield Figure(column.name, f"quantile_{percent}", "measured", value)


def _quantile(column: Bins, row: Mapping[str, Any], share: float) -> float:
    """Return the upper edge of the bin in which a quantile lies."""
    place = int(np.searchsorted(np.cumsum(row["counts"]), share * row["known"]))
    edge = column.edges[place] if place < len(column.edges) else row["max"]
    return float(min(max(edge, row["min"]), row["max"]))


def _column_differences(column: Bins, before: Side, after: Side) -> Iterator[Difference]:
    was, is_ = before.counted(column), after.counted(column)
    for metric, number in drift_of(column, was, is_).items():
        yield Difference(column.name, metric, number)
    rows = [max((row["matched"] for row in side.columns.values()), default=0) for side in (before, after)]
    missing = [(total - side.known, total) for total, side in zip(rows, (was, is_), strict=True)]
    if all(rows):
        yield Difference(column.name, "null_share_gain", missing[1][0] / rows[1] - missing[0][0] / rows[0])
        yield Difference(column.name, "null_p", share_p_value(*missing))
    if was.known and is_.known:
        outside = [_unseen(column, side) for side in (was, is_)]
        yield Difference(column.name, "unseen_share", outside[1] / is_.known)
        unseen = share_p_value((outside[0], was.known), (outside[1], is_.known))
        yield Difference(column.name, "unseen_p", unseen)
        if column.kind == "number" and column.edges:
            moments = [_moments(side.columns[column.name]) for side in (before, after)]
            outside_range = outside[1] > is_.known / 2
            factor = _scale_of_moments(*moments) if outside_range else _scale(column, was, is_)
            yield Difference(column.name, "scale", factor)


def _unseen(column: Bins, side: Counted) -> float:
    """Return how many values the baseline's columns do not have: other texts, or numbers outside their range."""
    return float(side.counts[-1] + (side.counts[0] if column.kind == "number" and column.edges else 0.0))


def _scale(column: Bins, before: Counted, after: Counted) -> float | None:
    """Return the factor by which all numbers seem to have been multiplied; None where no factor explains the change.

    The factor is the median ratio of the deciles. It explains the change if the distributions, once it is taken out,
    lie at most half as far apart (Kolmogorov-Smirnov) as with it.
    """
    edges = np.array(column.edges)
    steps = [np.cumsum(side.counts)[:-1] / side.known for side in (before, after)]
    shares = np.linspace(0.1, 0.9, 9)
    deciles = [np.interp(shares, *_strictly_rising(step, edges)) for step in steps]
    usable = np.abs(deciles[0]) > 1e-12
    if usable.sum() < 5 or len(np.unique(deciles[0])) < 5:
        return None
    factor = float(np.median(deciles[1][usable] / deciles[0][usable]))
    if factor <= 0:
        return None
    apart = float(np.max(np.abs(steps[0] - steps[1])))
    inside = edges * factor <= edges[-1]
    rescaled = np.interp(edges[inside] * factor, edges, steps[1])
    without = float(np.max(np.abs(steps[0][inside] - rescaled), initial=0.0))
    return factor if without <= apart / 2 else None


def _moments(row: Mapping[str, Any]) -> tuple[float, float]:
    mean = row["total"] / row["known"]
    return mean, float(np.sqrt(max(row["squares"] / row["known"] - mean**2, 0.0)))


def _scale_of_moments(before: tuple[float, float], after: tuple[float, float]) -> float | None:
    """Return the factor of the means, if that of the standard deviations is within a tenth of it."""
    if not all(before) or not all(after):
        return None
    mean, spread = after[0] / before[0], after[1] / before[1]
    return mean if 0.9 < spread / mean < 1.1 else None


def _strictly_rising(step: FloatArray, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    _, first = np.unique(step, return_index=True)
    return step[first], edges[first]


def _scores(cells: Cells) -> Counted:
    counts = np.zeros(2 * _HALF)
    np.add.at(counts, np.clip(cells.bin + _HALF, 0, 2 * _HALF - 1), cells.sums["rows"])
    return Counted(counts, 0.0, 1.0)


def _labels(cells: Cells) -> Counted:
    """Return how many stayed and churned, in shares of the rows that they stand for, and as many as they tell."""
    mature = cells.mature
    counts = np.array([mature.sums["rows"][mature.outcome == outcome].sum() for outcome in (0, 1)] + [0.0])
    return Counted(counts if (mature.weight == 1).all() else counts * mature.effective / counts.sum())

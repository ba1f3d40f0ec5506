"""How often each rule for groups of customers refuses equal models, and lets a group pass that is truly worse.

Champion and challenger see the true risk with a blur of the same size each. In one group, drawn anew in every round,
the challenger may also be shifted, so that it is known how much worse the group is served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.gate_rounds import MONEY, Known, values
from churn.core.estimate import Estimate
from churn.evaluation.oracle import expected_loss
from churn.evaluation.significance import p_value_worse
from churn.evaluation.slices import slice_masks
from churn.gate.comparison import PairedRows, VersionScores, compare
from churn.gate.report import Comparison
from churn.gate.settings import GateSettings
from churn.model.frame import FloatArray
from churn.model.model import sigmoid

__all__ = ["print_slice_rules"]

_ALPHA, _BLUR, _MIN_ROWS = 0.05, 0.25, 100
_SHIFTS = (0.0, 0.4, 0.7, 1.0)
"""How far the challenger's log-odds are shifted in the worse group."""
_EXTRA = ("gender", "partner", "dependents", "phone_service", "multiple_lines", "online_security", "tech_support")
"""Columns beside the contract's slices that are asked about in addition."""

Rule = Callable[[Sequence[Mapping[str, Estimate]]], bool]
"""Takes the gains of every group that is judged, and returns whether the challenger is refused."""


def holm(p_values: FloatArray) -> FloatArray:
    """Return p-values corrected for their number, in the same order (Holm 1979, Scandinavian J. of Stat. 6:65-70)."""
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def _p_values(groups: Sequence[Mapping[str, Estimate]]) -> FloatArray:
    return np.array([p_value_worse(gain) for group in groups for gain in group.values()])


def _worse_by_more_than(margin: float, level: float) -> Rule:
    return lambda groups: any(
        group["log_loss"].point < -margin and p_value_worse(group["log_loss"]) < level for group in groups
    )


RULES: Mapping[str, Rule] = {
    "Holm over all groups": lambda groups: bool(np.any(holm(_p_values(groups)) < _ALPHA)),
    "each at 0.05": lambda groups: bool(np.any(_p_values(groups) < _ALPHA)),
    "each at 0.01": lambda groups: bool(np.any(_p_values(groups) < 0.01)),
    "each at 0.005": lambda groups: bool(np.any(_p_values(groups) < 0.005)),
    "each at 0.002": lambda groups: bool(np.any(_p_values(groups) < 0.002)),
    "at 0.05 and by 0.02": _worse_by_more_than(0.02, _ALPHA),
    "at 0.05 and by 0.01": _worse_by_more_than(0.01, _ALPHA),
    "at 0.05 and by 0.03": _worse_by_more_than(0.03, _ALPHA),
    "that or profit at 0.005": lambda groups: (
        _worse_by_more_than(0.02, _ALPHA)(groups)
        or any(p_value_worse(group["profit_per_customer"]) < 0.005 for group in groups)
    ),
    "no worse than 0.02": lambda groups: any(group["log_loss"].lower < -0.02 for group in groups),
    "no worse than 0.05": lambda groups: any(group["log_loss"].lower < -0.05 for group in groups),
}


@dataclass(frozen=True)
class _Round:
    """A holdout with drawn outcomes, and both models' views of it."""

    known: Known
    rows: np.ndarray
    random: np.random.Generator
    columns: Mapping[str, np.ndarray]

    @classmethod
    def draw(cls, known: Known, number: int) -> _Round:
        random = np.random.default_rng([7, number])
        rows = np.sort(random.permutation(len(known.truth))[: len(known.truth) // 5])
        names = (*known.contract.slices, *_EXTRA)
        return cls(known, rows, random, {name: known.data.columns[name][rows] for name in names})

    def compared(self, shift: float) -> tuple[float, Comparison]:
        """Return how much log loss the worse group truly loses, in nats, and the comparison of both models."""
        named = {name: self.columns[name] for name in self.known.contract.slices}
        masks = [mask for _, _, mask in slice_masks(named) if np.sum(mask) >= _MIN_ROWS]
        worse = masks[self.random.integers(len(masks))]
        truth = self.known.truth[self.rows]
        logit = np.log(truth / (1 - truth))
        old, new = (sigmoid(logit + self.random.normal(0, _BLUR, len(logit))) for _ in range(2))
        shifted = sigmoid(np.log(new / (1 - new)) + shift * worse)
        label = (self.random.random(len(truth)) < truth).astype(np.int8)
        times = pd.Series(pd.Timestamp("2024-01-01", tz="UTC"), index=range(len(label)))
        paired = PairedRows(
            label, self.known.data.entity[self.rows], times, values(len(label)),
            VersionScores(old, 0.3), VersionScores(shifted, 0.3), slices=self.columns,
        )  # fmt: skip
        settings = GateSettings(resamples=400, min_slice_rows=_MIN_ROWS)
        found = compare(paired, MONEY, settings, name="holdout", seed=1)
        return expected_loss(shifted[worse], truth[worse]) - expected_loss(old[worse], truth[worse]), found


def print_slice_rules(known: Known, rounds: int) -> None:
    """Print, by rule and number of groups, how often the challenger is refused: equal, and worse in one group."""
    found = [[_Round.draw(known, number).compared(shift) for shift in _SHIFTS] for number in range(rounds)]
    few, many = known.contract.slices, (*known.contract.slices, *_EXTRA)
    print(f"\ngroups of customers, {rounds} rounds, {len(known.truth) // 5:,} customers, each model blurred by {_BLUR}")
    losses = [float(np.mean([pair[index][0] for pair in found])) for index in range(len(_SHIFTS))]
    print(f"{'':24s}" + "".join(f"{f'loses {loss:.3f}' if loss else 'equal':>22s}" for loss in losses))
    for name, rule in RULES.items():
        cells = []
        for index in range(len(_SHIFTS)):
            shares = []
            for columns in (few, many):
                shares.append(np.mean([rule(_gains(pair[index][1], columns)) for pair in found]))
            cells.append(f"{shares[0]:.2f} / {shares[1]:.2f}")
        print(f"{name:24s}" + "".join(f"{cell:>22s}" for cell in cells))
    counts = [np.mean([len(_gains(pair[0][1], columns)) for pair in found]) for columns in (few, many)]
    print(f"share of rounds in which the challenger is refused, with {counts[0]:.0f} groups / with {counts[1]:.0f}")
    _print_metric_rules(found)


METRIC_RULES: Mapping[str, Rule] = {
    "Holm over four metrics": lambda metrics: bool(np.any(holm(_p_values(metrics)) < _ALPHA)),
    "each at 0.05": lambda metrics: bool(np.any(_p_values(metrics) < _ALPHA)),
    "each at 0.025": lambda metrics: bool(np.any(_p_values(metrics) < _ALPHA / 2)),
}
"""Rules for log loss, ROC AUC, profit and F1 of all customers; one map of gains in place of the groups'."""


def _print_metric_rules(found: Sequence[Sequence[tuple[float, Comparison]]]) -> None:
    print("\nthe same for the four tested metrics of all customers")
    tested = ("log_loss", "roc_auc", "profit_per_customer", "f1")
    for name, rule in METRIC_RULES.items():
        shares = []
        for index in range(len(_SHIFTS)):
            gains = [{m.name: m.gain for m in pair[index][1].metrics if m.name in tested} for pair in found]
            shares.append(np.mean([rule([gain]) for gain in gains]))
        print(f"{name:24s}" + "".join(f"{share:>22.2f}" for share in shares))


def _gains(comparison: Comparison, columns: Sequence[str]) -> list[dict[str, Estimate]]:
    return [part.gains for part in comparison.slices if part.column in columns and part.gains]

"""What decisions earn on customers whose outcome is known: `python benchmarks/decisions.py [--splits 100-119]`.

IBM's Telco data (TELCO_CSV, or ../shared/data beside the checkout), stratified 80/20 splits; a model is trained on each
and decides about the customers it never saw. Money is counted with their outcomes at the expected acceptance rate
(docs/money.md). Intervals over splits are corrected for overlapping training sets (Nadeau and Bengio 2003, "Inference
for the generalization error"); intervals of one split are a paired bootstrap over its customers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.customers import contract_of, read_telco, split
from benchmarks.measure import seeds, stopwatch
from benchmarks.quality import interval
from benchmarks.quality_peers import METHODS, warm_up
from churn.evaluation.bootstrap import bootstrap, estimate
from churn.model.frame import FloatArray
from churn.model.money import MoneySettings, expected_value, treatment_pays

Policy = Callable[[FloatArray, FloatArray, MoneySettings], npt.NDArray[np.bool_]]
"""Whom to treat, from probabilities and customer values."""
ECONOMICS = {
    "every customer worth 200 (the defaults)": MoneySettings(),
    "customers worth 30% of 24 months' revenue": MoneySettings.model_validate(
        {"customer_value": {"amount": 200, "margin": 0.3, "months": 24}}
    ),
}
CAPACITY = 0.1


def first_tenth(score: FloatArray) -> npt.NDArray[np.bool_]:
    """Choose the tenth of the customers with the highest score; of equals, the one that stands first."""
    chosen = np.zeros(len(score), dtype=bool)
    chosen[np.argsort(-score, kind="stable")[: round(CAPACITY * len(score))]] = True
    return chosen


POLICIES: Mapping[str, Policy] = {
    "expected value above 0": treatment_pays,
    "p >= 0.5": lambda probability, value, money: probability >= 0.5,
    "everybody": lambda probability, value, money: np.ones(len(probability), dtype=bool),
    "first 10% by expected value": lambda probability, value, money: first_tenth(
        expected_value(probability, value, money)
    ),
    "first 10% by probability": lambda probability, value, money: first_tenth(probability),
}
PAIRS = (
    ("expected value above 0", "p >= 0.5"),
    ("expected value above 0", "everybody"),
    ("first 10% by expected value", "first 10% by probability"),
    ("expected value above 0", "first 10% by probability"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=seeds, default="100-119", help="split seeds, such as 0-9 or 100-119 (default)")
    splits = parser.parse_args().splits
    contract = contract_of("telco")
    data = read_telco(contract)
    warm_up()
    earned: dict[str, list[dict[str, FloatArray]]] = {name: [] for name in ECONOMICS}
    treated: dict[str, list[list[float]]] = {name: [] for name in ECONOMICS}
    for seed in splits:
        rows = split(contract, data, seed)
        probability = METHODS["ours"](rows, seed).probability
        label = rows.test.label.astype(np.float64)
        revenue = rows.test.columns[str(contract.monthly_revenue)].astype(np.float64)
        for name, money in ECONOMICS.items():
            value = money.customer_value.values(len(label), revenue)
            chosen = {policy: choose(probability, value, money) for policy, choose in POLICIES.items()}
            won = expected_value(label, value, money)
            earned[name].append({policy: np.where(who, won, 0.0) for policy, who in chosen.items()})
            treated[name].append([float(np.mean(who)) for who in chosen.values()])
        print(f"split {seed}: " + "; ".join(f"{mean(earned[name][-1]):.2f}" for name in ECONOMICS), flush=True)
    for name in ECONOMICS:
        report(name, splits, earned[name], np.array(treated[name]))


def mean(earned: Mapping[str, FloatArray]) -> float:
    return float(np.mean(earned["expected value above 0"]))


def report(name: str, splits: Sequence[int], earned: Sequence[Mapping[str, FloatArray]], treated: FloatArray) -> None:
    """Print what each policy earns, and the difference of each pair over splits and over customers."""
    customers = len(earned[0]["everybody"])
    totals = {policy: np.array([each[policy].mean() for each in earned]) for policy in POLICIES}
    print(f"\n{name}: USD per customer of the holdout ({customers:,} customers, {len(splits)} splits)")
    for place, policy in enumerate(POLICIES):
        share = float(treated[:, place].mean())
        print(f"  {policy:30s}{totals[policy].mean():8.2f}   treats {share:6.1%}")
    print(
        "  differences, with 95% interval over splits, and that over the customers of one split (median of the splits)"
    )
    for ours, other in PAIRS:
        gaps = totals[ours] - totals[other]
        within = [paired(each[ours] - each[other], seed) for each, seed in zip(earned, splits, strict=True)]
        low, high = np.median(np.array(within), axis=0)
        ahead = sum(low > 0 for low, _ in within)
        print(f"  {ours} minus {other}: {interval(gaps)}; one split [{low:+.2f}, {high:+.2f}]")
        print(f"      ahead on {int(np.sum(gaps > 0))} of {len(gaps)} splits, by more than chance on {ahead}")


def paired(gap: FloatArray, seed: int) -> tuple[float, float]:
    """Return the bootstrap interval over customers of the mean of a difference."""
    draws = bootstrap(
        lambda weights: {"gap": float(np.average(gap, weights=weights))},
        np.arange(len(gap)),
        resamples=500,
        seed=seed,
    )
    found = estimate(float(np.mean(gap)), draws["gap"], 0.95)
    return (float("nan"), float("nan")) if found is None else (found.lower, found.upper)


if __name__ == "__main__":
    with stopwatch() as spent:
        main()
    print(f"\n{spent.seconds:.0f} s")

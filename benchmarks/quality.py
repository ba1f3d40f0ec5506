"""Quality of the trainer beside its peers on the same rows: `python benchmarks/quality.py`.

Without an option: IBM's Telco data (TELCO_CSV, or ../shared/data beside the checkout), stratified 80/20 splits.
With --tables FOLDER: every table of a folder that `python benchmarks/tables.py FOLDER` has filled, beside each
library's defaults. Intervals are 95 %: over customers for tables, else corrected for overlapping training sets (Nadeau
and Bengio 2003, "Inference for the generalization error"). CPU seconds are those of the fit, imports and prediction
left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.customers import Rows, contract_of, labelled, outcomes, read_telco, split, subset
from benchmarks.measure import print_row, seeds, stopwatch
from benchmarks.quality_peers import BASELINES, METHODS, Fitted, automl, ours, warm_up
from benchmarks.quality_zoo import ZOO, Problem
from benchmarks.tables import Table, read_tables
from churn.data.contract import DatasetContract
from churn.data.labels import sides_of
from churn.evaluation.oracle import expected_loss, reachable
from churn.evaluation.ranking import (
    Ranking,
    average_precision,
    brier_losses,
    calibration_gap,
    equal_mass_bins,
    log_losses,
    roc_auc,
)
from churn.evaluation.significance import corrected_resampled_t
from churn.model.frame import FloatArray
from churn.model.money import CostMatrix, MoneySettings
from churn.simulation.simulate import SIMULATORS, SimulationSettings, simulate
from churn.training.blending import Difference, paired_difference

Method = Callable[[Rows, int], Fitted]
METRICS = ("AUC", "PR AUC", "log loss", "Brier", "ECE", "F1", "$/customer", "CPU s")
COSTS = CostMatrix(tp=1500, fp=-500, fn=-2000, tn=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=seeds, help="split seeds, such as 0-9 (100-119; 0-2 with --tables)")
    parser.add_argument("--peer", choices=("autogluon", "flaml"), help="also an AutoML library, installed apart by uv")
    parser.add_argument("--peer-seconds", type=float, default=120.0, help="time limit of the AutoML library")
    parser.add_argument("--peer-python", help="interpreter of an environment that has the AutoML library")
    parser.add_argument("--tables", type=Path, help="every table of this folder instead")
    parser.add_argument("--zoo", action="store_true", help="made-up data sets unlike Telco instead")
    parser.add_argument("--draws", type=int, default=5, help="draws of each made-up data set")
    parser.add_argument("--only", default="", help="only the tables or made-up data sets whose name contains this")
    parser.add_argument("--simulator", action="store_true", help="simulated businesses with known truth instead")
    options = parser.parse_args()
    methods: dict[str, Method] = dict(METHODS)
    if options.peer:
        methods[options.peer] = automl(options.peer, options.peer_seconds, options.peer_python)
    warm_up()
    if options.tables:
        peers = {options.peer: methods[options.peer]} if options.peer else {}
        chosen = [table for table in read_tables(options.tables) if options.only in table.name]
        tables(chosen, options.splits or range(3), {"ours": ours, **BASELINES, **peers}, best_of=[*BASELINES])
    elif options.zoo:
        zoo([problem for problem in ZOO if options.only in problem.name], options.draws)
    elif options.simulator:
        simulator()
    else:
        telco(options.splits or range(100, 120), methods)


def tables(
    chosen: Sequence[Table], splits: Sequence[int], methods: Mapping[str, Method], *, best_of: Sequence[str]
) -> None:
    """Print the log loss on each table; that on which ours is furthest behind the best of `best_of` comes first."""
    peers = [name for name in methods if name not in ("ours", *best_of)]
    found = [on_table(table, splits, methods, best_of) for table in chosen]
    found.sort(key=lambda result: -result.behind["best"].mean)
    compared = ["best", *peers]
    behind = [f"ours - {name}" for name in compared]
    print(f"\nlog loss, {len(splits)} splits 80/20; best: the best of {', '.join(best_of)}; ± 95 % over customers")
    print_row("", ["rows", "churn", *methods, "CPU s", *(f"{name} CPU s" for name in peers)], first=12)
    for result in found:
        cells = [f"{result.rows}", f"{result.churn:.3f}", *(f"{loss:.4f}" for loss in result.losses.values())]
        print_row(result.name, [*cells, *(f"{result.cpu_seconds[name]:.1f}" for name in ("ours", *peers))], first=12)
    losses = [np.mean([result.losses[name] for result in found]) for name in methods]
    cpu = [np.mean([result.cpu_seconds[name] for result in found]) for name in ("ours", *peers)]
    print_row("mean", ["", "", *(f"{loss:.4f}" for loss in losses), *(f"{value:.1f}" for value in cpu)], first=12)
    print()
    print_row("", behind, first=12, width=24)
    for result in found:
        gaps = [result.behind[name] for name in compared]
        print_row(result.name, [f"{gap.mean:+.4f} ± {1.96 * gap.se:.4f}" for gap in gaps], first=12, width=24)


class OnTable(NamedTuple):
    """The mean log loss and CPU seconds of each method on one table, and how far ours is behind others."""

    name: str
    rows: int
    churn: float
    losses: dict[str, float]
    cpu_seconds: dict[str, float]
    behind: dict[str, Difference]


def on_table(table: Table, splits: Sequence[int], methods: Mapping[str, Method], best_of: Sequence[str]) -> OnTable:
    losses: dict[str, list[FloatArray]] = {name: [] for name in methods}
    spent: dict[str, list[float]] = {name: [] for name in methods}
    asked = []
    for seed in splits:
        rows = split(table.contract, table.data, seed)
        asked.append(rows.test.entity.astype(str))
        for name, method in methods.items():
            fitted = method(rows, seed)
            losses[name].append(log_losses(rows.test.label.astype(np.float64), fitted.probability))
            spent[name].append(fitted.cpu_seconds)
        print(f"{table.name} {seed}: " + ", ".join(f"{name} {losses[name][-1].mean():.4f}" for name in methods))
    every = {name: np.concatenate(values) for name, values in losses.items()}
    customer = np.unique(np.concatenate(asked), return_inverse=True)[1]
    means = {name: float(np.mean(values)) for name, values in every.items()}
    others = {"best": min(best_of, key=means.__getitem__)} | {name: name for name in methods if name not in best_of}
    behind = {name: paired_difference(every["ours"], every[other], customer) for name, other in others.items()}
    cpu = {name: float(np.mean(values)) for name, values in spent.items()}
    return OnTable(table.name, len(table.data.label), float(np.mean(table.data.label)), means, cpu, behind)


def telco(splits: Sequence[int], methods: Mapping[str, Method]) -> None:
    contract = contract_of("telco")
    data = read_telco(contract)
    scores: dict[str, list[list[float]]] = {name: [] for name in methods}
    for seed in splits:
        rows = split(contract, data, seed)
        for name, method in methods.items():
            scores[name].append(score(method(rows, seed), rows.test.label.astype(np.float64)))
        print(f"split {seed}: " + ", ".join(f"{name} {scores[name][-1][0]:.4f}" for name in methods), flush=True)
    table = {name: np.array(values) for name, values in scores.items()}
    print(f"\nIBM Telco, {len(splits)} splits 80/20; F1 at each method's own threshold, $ at {COSTS.threshold:g}")
    print_row("", METRICS)
    for name, values in table.items():
        print_row(name, [f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}" for value in values.mean(axis=0)])
        print_row("  least, greatest AUC", [f"{values[:, 0].min():.4f}", f"{values[:, 0].max():.4f}"])
    print("\nours minus the other, with 95 % interval, and the splits on which ours has the greater AUC")
    for name in list(table)[1:]:
        gaps = table["ours"] - table[name]
        print_row(name, [interval(gaps[:, column]) for column in range(len(METRICS) - 1)], width=20)
        print_row("", [f"ahead on {int(np.sum(gaps[:, 0] > 0))} of {len(gaps)}"], width=20)


def zoo(problems: Sequence[Problem], draws: int) -> None:
    names = ("ours", "XGBoost defaults", "plain logistic")
    print("expected log loss on 10,000 new rows, and ours minus the better baseline ± its standard error over draws")
    print_row("", ["rows", *names, "truth", "ours - best", "CPU s"], width=18)
    for problem in problems:
        found = np.array([one_draw(problem, names, seed) for seed in range(draws)])
        best = 1 + int(np.argmin(found[:, 1:3].mean(axis=0)))
        gaps = found[:, 0] - found[:, best]
        error = np.std(gaps, ddof=1) / np.sqrt(draws) if draws > 1 else np.nan
        cells = [f"{problem.rows}", *(f"{value:.4f}" for value in found[:, :4].mean(axis=0))]
        print_row(problem.name, [*cells, f"{gaps.mean():+.4f} ± {error:.4f}", f"{found[:, 4].mean():.1f}"], width=18)


def one_draw(problem: Problem, names: Sequence[str], seed: int) -> list[float]:
    random = np.random.default_rng([seed, problem.rows])
    (learn, learn_truth), (ask, truth) = problem.draw(problem.rows, random), problem.draw(10_000, random)
    kinds = {name: "categorical" if values.dtype == object else "number" for name, values in learn.items()}
    contract = DatasetContract.model_validate(
        {
            "name": "zoo",
            "description": problem.name,
            "entity_key": "id",
            "event_time": {"column": None, "as_of": "2024-01-01"},
            "label": {"column": "label", "positive": "1", "negative": "0", "window_days": 1},
            "columns": {name: {"type": kind, "description": name} for name, kind in kinds.items()},
        }
    )
    rows = Rows(contract, outcomes(learn, learn_truth, random), outcomes(ask, truth, random))
    fitted = {name: METHODS[name](rows, seed) for name in names}
    losses = [expected_loss(fitted[name].probability, truth) for name in names]
    return [*losses, expected_loss(truth, truth), fitted["ours"].cpu_seconds]


def simulator() -> None:
    print_row("", ["rows", "AUC", "best AUC", "share", "log loss", "best", "$ share", "CPU s"])
    for name in SIMULATORS:
        contract = contract_of(f"{name}_simulated")
        frame = simulate(name, SimulationSettings(seed=7)).to_pandas()
        frame = frame[frame[contract.label.column].notna()].reset_index(drop=True)
        data = labelled(contract, frame)
        side = sides_of(data.entity, 0.2, "churn")
        rows = Rows(contract, subset(data, side == "train"), subset(data, side == "holdout"))
        truth = frame[contract.truth].to_numpy(dtype=np.float64)[side == "holdout"]
        fitted, money = METHODS["ours"](rows, 0), MoneySettings()
        found = reachable(fitted.probability, truth, money.customer_value.values(len(truth)), money)
        auc, loss, profit = found.roc_auc, found.log_loss, found.profit_per_customer
        cells = [f"{len(rows.train.label)}", f"{auc.model:.4f}", f"{auc.best:.4f}", f"{auc.share:.1%}"]
        cells += [f"{loss.model:.4f}", f"{loss.best:.4f}", f"{profit.share:.1%}", f"{fitted.cpu_seconds:.1f}"]
        print_row(name, cells)


def score(fitted: Fitted, label: FloatArray) -> list[float]:
    probability, counts = fitted.probability, Ranking.of(label, fitted.probability).counts()
    called = probability >= fitted.threshold
    return [
        roc_auc(counts),
        average_precision(counts),
        float(np.mean(log_losses(label, probability))),
        float(np.mean(brier_losses(label, probability))),
        calibration_gap(label, probability, equal_mass_bins(probability, 10), np.ones_like(label)),
        float(2 * np.sum(label[called]) / (np.sum(called) + np.sum(label))),
        float(np.mean(COSTS.profit(label, probability > COSTS.threshold))),
        fitted.cpu_seconds,
    ]


def interval(gaps: FloatArray) -> str:
    if len(gaps) < 2:
        return f"{gaps.mean():+.4f}"
    gain = corrected_resampled_t(gaps, test_share=0.2 / 0.8, alpha=0.025).gain
    return f"{gain.point:+.4g} ± {gain.upper - gain.point:.2g}"


if __name__ == "__main__":
    with stopwatch() as spent:
        main()
    print(f"\n{spent.seconds:.0f} s")

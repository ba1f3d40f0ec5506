"""How often the gate is wrong, and how long it takes: `python benchmarks/gate.py [--rounds 60] [--slices 100]`.

IBM's Telco customers (TELCO_CSV, or ../shared/data beside the checkout). Their outcomes are drawn anew in every round
from known probabilities, the out-of-fold predictions of the full trainer, so that it is known which model is better.
Rates have 95 % intervals (Wilson 1927). A round that was simulated is kept in --out, and a run under the same settings
goes on from there; after a change of code, give another file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import astuple
from functools import partial
from itertools import zip_longest
from pathlib import Path
from statistics import NormalDist
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.customers import contract_of, read_telco
from benchmarks.gate_rounds import MODEL, MONEY, PAIRS, RULES, Known, one_round, start_worker, without
from benchmarks.gate_slices import print_slice_rules
from benchmarks.measure import Spent, print_row, stopwatch
from benchmarks.quality_peers import warm_up
from churn.data.contract import DatasetContract
from churn.data.labels import sides_of
from churn.data.tables import EVENT_TIME, FEATURE_TIME, LABEL, LABEL_TIME, SPLIT
from churn.data.training_set import TrainingSet, customer_values, read_training_set
from churn.evaluation.evaluate import EvaluationSettings
from churn.gate.comparison import PairedRows, VersionScores, compare
from churn.gate.quality import quality_checks
from churn.gate.recipes import compare_recipes
from churn.gate.settings import GateSettings
from churn.lifecycle.training import evaluate_holdout
from churn.model.model import ChurnModel
from churn.training.recipe import Recipe
from churn.training.search import TuningSettings
from churn.training.train import ModelSettings, TrainingData, train

T = TypeVar("T")

_SETTINGS = {"alpha", "resamples", "folds", "repeats", "margins", "max_ece", "min_churners", "min_slice_rows"}
_WORSE = ("trained on a quarter of the rows", "without contract and internet")
_DROPPED = ("contract", "internet_service")
_LOOP = 100
_row = partial(print_row, width=19, first=34)
_QUESTIONS = ("log loss on the holdout", "log loss over the folds", "AUC on the holdout", "AUC over the folds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="rounds of the simulation; 0 leaves it out")
    parser.add_argument("--slices", type=int, default=100, help="rounds of the rules for groups; 0 leaves them out")
    parser.add_argument("--jobs", type=int, default=2, help="rounds side by side")
    default = Path(tempfile.gettempdir()) / "gate_rounds.jsonl"
    parser.add_argument("--out", type=Path, default=default, help=f"rounds so far, one a line (default {default})")
    parser.add_argument("--no-times", action="store_true", help="leave out the times")
    options = parser.parse_args()
    contract = contract_of("telco")
    data = read_telco(contract)
    if options.rounds > 0 or options.slices > 0:
        known = Known(contract, data, train(data, contract, ModelSettings(), seed=0).oof_probability)
    if options.slices > 0:
        print_slice_rules(known, options.slices)
    if options.rounds > 0:
        print_rates(simulate(known, GateSettings(), options))
    if not options.no_times:
        print_times(contract, data)


def simulate(known: Known, settings: GateSettings, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rounds' pairs; those that `--out` holds under the same settings are not simulated again."""
    kept = {number: pairs for number, pairs in _kept(options.out, settings) if number < options.rounds}
    missing = [number for number in range(options.rounds) if number not in kept]
    print(f"{len(kept)} rounds are in {options.out}, {len(missing)} to go", file=sys.stderr)
    context = multiprocessing.get_context("spawn")
    with (
        options.out.open("a", encoding="utf-8") as file,
        ProcessPoolExecutor(options.jobs, context, start_worker, (known,)) as pool,
    ):
        running = {pool.submit(one_round, number, settings): number for number in missing}
        for future in as_completed(running):
            kept[running[future]] = future.result()
            line = {"round": running[future], "settings": _key(settings), "pairs": future.result()}
            file.write(json.dumps(line) + "\n")
            file.flush()
    return [kept[number] for number in sorted(kept)]


def _kept(file: Path, settings: GateSettings) -> Iterator[tuple[int, dict[str, Any]]]:
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        found = json.loads(line)
        if all(found["settings"].get(name) == value for name, value in _key(settings).items()):
            yield found["round"], found["pairs"]


def _key(settings: GateSettings) -> dict[str, Any]:
    """Return the settings that a round depends on."""
    return settings.model_dump(mode="json", include=_SETTINGS)


def print_rates(rounds: Sequence[dict[str, Any]]) -> None:
    family = MODEL.candidates[0]
    print(
        f"IBM Telco, {len(rounds)} rounds of drawn outcomes, 80/20. For the cost's sake every model is {family} alone "
        f"on {MODEL.folds} folds, or additive where another family is compared."
    )
    print("\nhow much better the challenger truly is (means over rounds, on the holdout's customers)")
    _row("", ["AUC", "log loss", "USD/customer"])
    for pair in PAIRS:
        true = [each[pair]["true"] for each in rounds]
        means = {name: float(np.mean([gains[name] for gains in true])) for name in true[0]}
        _row(pair, [f"{means[name]:+.4f}" for name in ("roc_auc", "log_loss", "profit")])
    print("\nhow often each rule promotes it, with 95 % interval")
    print_header(RULES)
    for pair in PAIRS:
        promoted = [sum(each[pair]["promoted"][rule] for each in rounds) for rule in RULES]
        _row(pair, [f"{count / len(rounds):.2f} {wilson(count, len(rounds))}" for count in promoted])
    worse = [each[pair]["promoted"]["ours: superiority"] for each in rounds for pair in _WORSE]
    print(
        "goals of superiority: an equal model 0.05 at most, 0.005 of AUC worse 0.01 at most, 0.006 better 0.80 at least"
    )
    print(f"the two worse models together: {sum(worse)} of {len(worse)}, {wilson(sum(worse), len(worse), 3)}")
    print("\nwhich of our checks refuse it under superiority, share of rounds")
    for pair in PAIRS:
        refused = [check for each in rounds for check in each[pair]["refused"]["ours: superiority"]]
        shares = {check: refused.count(check) / len(rounds) for check in dict.fromkeys(refused)}
        _row(pair, [f"{check} {share:.2f}" for check, share in shares.items()], width=16)
    print_errors(rounds)


def print_errors(rounds: Sequence[dict[str, Any]]) -> None:
    """Print the standard error of each question's gain, which is what decides how small a gain it can see."""
    print("\nstandard error of the measured gain, median over rounds")
    print_header(_QUESTIONS)
    for pair in PAIRS:
        cells = [
            np.median([each[pair][where][metric][-1 if where == "holdout" else 3] for each in rounds])
            for metric in ("log_loss", "roc_auc")
            for where in ("holdout", "recipes")
        ]
        _row(pair, [f"{cell:.4f}" for cell in cells])


def wilson(count: int, total: int, digits: int = 2) -> str:
    """Return the 95 % interval of a share (Wilson 1927, "Probable inference", JASA 22:209-212)."""
    z = NormalDist().inv_cdf(0.975)
    share = count / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return f"[{max(centre - half, 0):.{digits}f}, {centre + half:.{digits}f}]"


def print_header(names: Sequence[str]) -> None:
    for cells in zip_longest(*(textwrap.wrap(name, 16) for name in names), fillvalue=""):
        _row("", cells)


def print_times(contract: DatasetContract, data: TrainingData) -> None:
    """Judge the full trainer's model against one without contract and internet; print what took how long."""
    warm_up()
    settings, fewer = GateSettings(), without(contract, *_DROPPED)
    table = joined(contract, data)
    rows, fewer_rows = (read_training_set(table, each) for each in (contract, fewer))
    new = train(rows.side("train").data, contract, ModelSettings(), seed=0).model
    old = train(fewer_rows.side("train").data, fewer, ModelSettings(), seed=0).model
    recipes = [
        Recipe.of(each, ModelSettings(), TuningSettings(), ModelSettings().boosting) for each in (fewer, contract)
    ]
    holdout = rows.side("holdout")
    parts: dict[str, Spent] = {}

    def taken(name: str, work: Callable[[], T]) -> T:
        with stopwatch() as parts[name]:
            return work()

    evaluations = [
        taken(
            f"evaluation of the {who}, 500 resamples",
            lambda model=model: evaluate_holdout(
                model, rows, contract, money=MONEY, settings=EvaluationSettings(), seed=0
            ),
        )
        for who, model in (("champion", old), ("challenger", new))
    ]
    paired = paired_rows(contract, holdout, old, new)
    version = f"version question, {settings.resamples:,} paired resamples"
    compared = taken(version, lambda: compare(paired, MONEY, settings, name="holdout", seed=0))
    refitted = taken(
        f"recipe question, {settings.repeats} x {settings.folds} folds each",
        lambda: compare_recipes(*recipes, table, settings=settings, seed=0, threads=2, progress=lambda *_: None),
    )
    checks = quality_checks(
        "recipe",
        holdout=compared,
        newest=None,
        recipes=refitted,
        evaluation=evaluations[1],
        settings=settings,
        currency=MONEY.currency,
    )
    print(
        f"\nthe gate's statistics on IBM Telco ({len(rows.rows):,} rows, holdout {len(holdout.rows):,}): wall and CPU s"
    )
    parts["together"] = Spent(*(sum(times) for times in zip(*map(astuple, parts.values()), strict=True)))
    for name, spent in parts.items():
        print(f"{name:50s}{spent.seconds:8.1f}{spent.cpu_seconds:8.1f}")
    print("\nwhat the gate says of it")
    for check in checks:
        print(f"{check.verdict:6s}{check.name:14s}{check.sentence}")
    print_loop(paired, settings, parts[version].seconds)


def print_loop(paired: PairedRows, settings: GateSettings, seconds: float) -> None:
    """Print resamples per second of ours, with every metric and slice, and of AUC and log loss in a loop."""
    from sklearn.metrics import log_loss, roc_auc_score

    label, random = np.asarray(paired.label), np.random.default_rng(0)
    with stopwatch() as spent:
        for _ in range(_LOOP):
            drawn = random.integers(0, len(label), len(label))
            for side in (paired.champion, paired.challenger):
                roc_auc_score(label[drawn], side.probability[drawn])
                log_loss(label[drawn], side.probability[drawn])
    plain, ours = _LOOP / spent.seconds, settings.resamples / seconds
    print(f"\npaired resamples per second on {len(label):,} rows")
    print(f"{'ours: 8 metrics of both models, every slice':50s}{ours:8,.0f}")
    print(f"{'scikit-learn in a loop: AUC and log loss of both':50s}{plain:8,.0f}")
    print(f"{'ratio':50s}{ours / plain:8.0f}")


def joined(contract: DatasetContract, data: TrainingData) -> pa.Table:
    """Return the customers as the table that the features pipeline joins for training."""
    time_ = pd.Timestamp("2024-01-01", tz="UTC")
    stored = [spec.name for spec in contract.stored_features]
    frame = pd.DataFrame({name: data.columns[name] for name in (*contract.columns, *stored)})
    frame = frame.assign(
        **{
            contract.entity_key: data.entity,
            EVENT_TIME: time_,
            FEATURE_TIME: time_,
            LABEL: data.label,
            LABEL_TIME: time_ + pd.Timedelta(days=contract.label.window_days),
            SPLIT: sides_of(data.entity, 0.2, "churn"),
        }
    )
    return pa.Table.from_pandas(frame.sort_values(contract.entity_key), preserve_index=False)


def paired_rows(contract: DatasetContract, holdout: TrainingSet, old: ChurnModel, new: ChurnModel) -> PairedRows:
    """Return the holdout with what both models say of it."""
    return PairedRows(
        label=holdout.data.label,
        entity=holdout.data.entity,
        event_time=holdout.rows[EVENT_TIME],
        value=customer_values(holdout, contract, MONEY),
        champion=VersionScores(old.probability(holdout.columns), old.thresholds["f1"]),
        challenger=VersionScores(new.probability(holdout.columns), new.thresholds["f1"]),
        slices={name: holdout.columns[name] for name in contract.slices},
    )


if __name__ == "__main__":
    main()

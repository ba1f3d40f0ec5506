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
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import zip_longest
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.gate_rounds import RULES, one_round, start_worker  # noqa: E402
from benchmarks.gate_slices import print_slice_rules  # noqa: E402
from benchmarks.gate_time import print_times  # noqa: E402
from benchmarks.gate_trainers import MODEL, PAIRS, Known  # noqa: E402
from benchmarks.quality import read_telco  # noqa: E402
from churn.data.contract import DatasetContract  # noqa: E402
from churn.gate.settings import GateSettings  # noqa: E402
from churn.training.train import ModelSettings, train  # noqa: E402

_SETTINGS = {"alpha", "resamples", "folds", "repeats", "margins", "max_ece", "min_churners", "min_slice_rows"}
_WORSE = ("trained on a quarter of the rows", "without contract and internet")
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
    contract = DatasetContract.load(ROOT / "configs" / "datasets" / "telco.yaml")
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
    print_row("", ["AUC", "log loss", "USD/customer"])
    for pair in PAIRS:
        true = [each[pair]["true"] for each in rounds]
        means = {name: float(np.mean([gains[name] for gains in true])) for name in true[0]}
        print_row(pair, [f"{means[name]:+.4f}" for name in ("roc_auc", "log_loss", "profit")])
    print("\nhow often each rule promotes it, with 95 % interval")
    print_header(RULES)
    for pair in PAIRS:
        promoted = [sum(each[pair]["promoted"][rule] for each in rounds) for rule in RULES]
        print_row(pair, [f"{count / len(rounds):.2f} {wilson(count, len(rounds))}" for count in promoted])
    worse = [each[pair]["promoted"]["ours: superiority"] for each in rounds for pair in _WORSE]
    print(
        "goals of superiority: an equal model 0.05 at most, 0.005 of AUC worse 0.01 at most, 0.006 better 0.80 at least"
    )
    print(f"the two worse models together: {sum(worse)} of {len(worse)}, {wilson(sum(worse), len(worse), 3)}")
    print("\nwhich of our checks refuse it under superiority, share of rounds")
    for pair in PAIRS:
        refused = [check for each in rounds for check in each[pair]["refused"]["ours: superiority"]]
        shares = {check: refused.count(check) / len(rounds) for check in dict.fromkeys(refused)}
        print_row(pair, [f"{check} {share:.2f}" for check, share in shares.items()], width=16)
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
        print_row(pair, [f"{cell:.4f}" for cell in cells])


def wilson(count: int, total: int, digits: int = 2) -> str:
    """Return the 95 % interval of a share (Wilson 1927, "Probable inference", JASA 22:209-212)."""
    z = NormalDist().inv_cdf(0.975)
    share = count / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return f"[{max(centre - half, 0):.{digits}f}, {centre + half:.{digits}f}]"


def print_header(names: Sequence[str], width: int = 19) -> None:
    lines = (textwrap.wrap(name, width - 3) for name in names)
    for cells in zip_longest(*lines, fillvalue=""):
        print_row("", cells, width)


def print_row(name: str, cells: Sequence[str], width: int = 19) -> None:
    print(f"{name:34s}" + "".join(f"{cell:>{width}s}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()

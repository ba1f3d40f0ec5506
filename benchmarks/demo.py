"""The rules of Databricks' churn demo beside those of this project, on the same inputs: `python benchmarks/demo.py`.

The demo's notebooks of 2026-03, without Spark and Unity Catalog: `dbdemos-notebooks`, product_demos/Data-Science/
mlops-end2end/02-mlops-advanced. Each function names its notebook and line; nothing is made worse than it is there.
`benchmarks/gate.py` measures how often its gate promotes a model that is worse or equal, and
tests/behaviour/test_gate_behaviour.py tests what this project does in each case.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from churn.core.errors import DataError  # noqa: E402
from churn.gate.report import Check, run_check  # noqa: E402
from churn.model.money import CostMatrix  # noqa: E402

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_NEGATIVE = 1500, -500, 2000, 0
"""04a, line 264 and around it: what each outcome earns, in dollars."""


@dataclass(frozen=True)
class Run:
    """A finished training run, with the F1 that it logged on its own test split."""

    run_id: str
    test_f1_score: float


def search(
    objective: Callable[[Any], float], trials: int, storage: Any, *, seed: int, name: str = "mlops-hpo-best-run"
) -> Any:
    """Return the study as the driver sees it after a search for the greatest objective (02, lines 476 and 514).

    The study is created in the storage without a direction, which means that it minimises. The driver then changes a
    private attribute of its own object. The workers load the study from the storage.
    """
    import optuna

    driver = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
    driver._directions = [optuna.study.StudyDirection.MAXIMIZE]
    for number in range(trials):
        sampler = optuna.samplers.TPESampler(n_startup_trials=4, seed=seed + number)
        worker = optuna.load_study(study_name=name, storage=storage, sampler=sampler)
        worker.optimize(objective, n_trials=1)
    return driver


def best_run(runs: Sequence[Run]) -> Run:
    """Return the run whose model is registered: the best F1 of all history (03b, lines 79 to 81)."""
    return max(runs, key=lambda run: run.test_f1_score)


def newest_version(versions: Sequence[int]) -> str:
    """Return the newest version, by the greatest number as text (API_Helpers, line 175)."""
    return max(map(str, versions))


def label_table(label: npt.NDArray[np.int_]) -> pd.DataFrame:
    """Return the outcomes with their split: `train` or `test`, and nothing else (01, line 167)."""
    drawn = np.random.default_rng(42).random(len(label))
    return pd.DataFrame({"churn": label, "split": np.where(drawn < 0.8, "train", "test")})


def f1_passed(challenger_f1: float, champion_f1: Callable[[], float]) -> bool:
    """Compare the F1 that each training run logged on its own split (04a, lines 212 to 219)."""
    try:
        return challenger_f1 >= champion_f1()
    except:  # noqa: E722 - as it stands there
        return True


def value_in_dollars(label: npt.NDArray[np.int_], predicted: npt.NDArray[np.int_]) -> float:
    """Return what a model earns (04a, line 264)."""
    from sklearn.metrics import confusion_matrix

    tn, fp, fn, tp = confusion_matrix(label, predicted).ravel()
    return float(tn * TRUE_NEGATIVE + fp * FALSE_POSITIVE + fn * FALSE_NEGATIVE + tp * TRUE_POSITIVE)


def business_passed(table: pd.DataFrame, predicted: Mapping[str, npt.NDArray[np.int_]]) -> bool:
    """Compare what both aliases earn on the split `validate` (04a, lines 243 and 285).

    Args:
        table: Outcomes with their split.
        predicted: What the model under each alias, `Champion` and `Challenger`, says of the rows: 1 churns, 0 stays.
    """
    validate = (table["split"] == "validate").to_numpy()
    try:
        champion, challenger = (
            value_in_dollars(table["churn"].to_numpy()[validate], predicted[alias][validate])
            for alias in ("Champion", "Challenger")
        )
        return challenger >= champion
    except:  # noqa: E722 - as it stands there
        return True


def evaluation_task(tags: dict[str, str], promote: Callable[[], None], *, passed: bool) -> None:
    """End the evaluation, which is the task before the one that asks a person (04a, lines 325 and 332)."""
    if passed:
        promote()
        tags["Approval_Check"] = "Approved"
    else:
        tags["Approval_Check"] = "Failed"


def approval_task(tags: Mapping[str, str], promote: Callable[[], None]) -> None:
    """Promote whatever carries the tag, whoever set it (04b)."""
    if tags.get("Approval_Check", "").lower() != "approved":
        raise RuntimeError("Model version not approved for deployment")
    promote()


def has_artifacts(files: Mapping[str, str], folder: Path) -> bool:
    """Return whether a run has artifacts: copy them into a folder that every run shares, and look there (04a)."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return any(folder.iterdir())


def main() -> None:
    print(f"{'case':<52} {'the demo':<28} here")
    for case, theirs, ours in (*searches(), *gates(), *registries()):
        print(f"{case:<52} {theirs:<28} {ours}")


def searches() -> Iterator[tuple[str, str, str]]:
    """Yield what a search of a maximum returns, and what it does on other data."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def score(trial: Any) -> float:
        return float(1 - (trial.suggest_float("x", 0, 1) - 0.7) ** 2)

    storage = optuna.storages.InMemoryStorage()
    theirs = search(score, 8, storage, seed=1)
    ours = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=1))
    ours.optimize(score, n_trials=8)
    chosen = [
        f"{study.best_trial.value:.3f} of {min(values):.3f} to {max(values):.3f}"
        for study in (theirs, ours)
        if (values := [trial.value for trial in study.trials])
    ]
    yield "the trial that a search for the maximum returns", chosen[0], chosen[1]
    again = len(search(score, 8, storage, seed=2).trials)
    yield "trials of 8 on other data", f"{again}: the old ones too", "8: the study's name carries the data"


def gates() -> Iterator[tuple[str, str, str]]:
    """Yield what each gate answers where it should refuse."""
    random = np.random.default_rng(0)
    label = (random.random(1409) < 0.27).astype(int)
    nobody, matrix = np.zeros(1409, dtype=int), CostMatrix()
    yield (
        "USD of treating nobody, against knowing every churner",
        f"{value_in_dollars(label, nobody):,.0f} against {value_in_dollars(label, label):,.0f}",
        f"{matrix.profit(label, nobody).sum():,.0f} against {matrix.profit(label, label).sum():,.0f}",
    )

    def no_champion() -> Any:
        raise DataError("The champion cannot be loaded.")

    yield "an exception while the champion is scored", verdict_of(f1_passed(0.01, no_champion)), _answer(no_champion)
    table = label_table(label)
    empty = business_passed(table, {"Champion": label, "Challenger": nobody})
    yield "a comparison on a split that nobody wrote", verdict_of(empty), "refuses: too few rows is an error"


def registries() -> Iterator[tuple[str, str, str]]:
    """Yield which version is taken, and what a tag does."""
    yield "the newest of versions 1 to 10", newest_version(range(1, 11)), str(max(range(1, 11)))
    before, after = Run("before drift", 0.64), Run("after drift", 0.58)
    yield "the run that is registered", best_run([before, after]).run_id, "the one that just ended"
    promoted: list[str] = []
    approval_task({"Approval_Check": "Approved"}, lambda: promoted.append("yes"))
    yield "a tag that anybody can set promotes", "yes" if promoted else "no", "no: the ledger decides"
    tags: dict[str, str] = {}
    evaluation_task(tags, lambda: promoted.append("yes"), passed=True)
    yield "promoted before anybody was asked", "yes" if len(promoted) == 2 else "no", "no: approval comes first"
    with tempfile.TemporaryDirectory() as folder:
        has_artifacts({"card.html": "<h1>The first model</h1>"}, Path(folder))
        passed = has_artifacts({}, Path(folder))
    yield "a model without a card, after one that had one", verdict_of(passed), "refuses: no model card"


def _answer(asked: Callable[[], Any]) -> str:
    def ask() -> Check:
        return Check(name="f1", verdict="pass", sentence="", value=asked())

    return {"pass": "passes", "error": "refuses: an exception is a failed check"}.get(
        run_check("f1", ask).verdict, "refuses"
    )


def verdict_of(passed: bool) -> str:
    return "passes" if passed else "refuses"


if __name__ == "__main__":
    main()

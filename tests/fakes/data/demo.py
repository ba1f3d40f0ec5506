"""The rules of Databricks' churn demo, as its notebooks of 2026-03 state them, without Spark and Unity Catalog.

`dbdemos-notebooks`, product_demos/Data-Science/mlops-end2end/02-mlops-advanced. Each function names its notebook and
line; nothing is made worse than it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.ports.registry import ModelRegistry, ModelVersion

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


def newest_version(versions: Sequence[ModelVersion]) -> str:
    """Return the newest version, by the greatest number as text (API_Helpers, line 175)."""
    return max(str(version.version) for version in versions)


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


def register(registry: ModelRegistry, name: str, package: Path, run: Run) -> ModelVersion:
    """Register a model; description and alias follow after the deployment job has started (03b, lines 103 to 162)."""
    version = registry.register(name, package, description="", tags={}, run_id=run.run_id)
    registry.set_alias(name, "Challenger", version.version)
    return version


def has_artifacts(files: Mapping[str, str], folder: Path) -> bool:
    """Return whether a run has artifacts: copy them into a folder that every run shares, and look there (04a)."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return any(folder.iterdir())

"""The trainers that benchmarks/quality.py compares: ours, the demo's recipe, plain baselines and AutoML libraries."""

from __future__ import annotations

import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.customers import Rows
from benchmarks.measure import stopwatch
from churn.model.frame import FloatArray
from churn.training.train import ModelSettings, train

__all__ = ["BASELINES", "METHODS", "Fitted", "automl", "warm_up"]


@dataclass(frozen=True)
class Fitted:
    """What a trainer gave: probabilities of the test rows, its threshold for F1, and the CPU seconds it took to fit."""

    probability: FloatArray
    threshold: float
    cpu_seconds: float


def ours(rows: Rows, seed: int) -> Fitted:
    with stopwatch() as spent:
        model = train(rows.train, rows.contract, ModelSettings(), seed=seed).model
    return Fitted(model.probability(rows.test.columns), model.thresholds["f1"], spent.cpu_seconds)


def xgboost_defaults(rows: Rows, seed: int) -> Fitted:
    from xgboost import XGBClassifier

    return _fit_trees(XGBClassifier(enable_categorical=True, random_state=seed, n_jobs=1), rows)


def lightgbm_defaults(rows: Rows, seed: int) -> Fitted:
    from lightgbm import LGBMClassifier

    return _fit_trees(LGBMClassifier(random_state=seed, n_jobs=1, verbose=-1), rows)


def catboost_defaults(rows: Rows, seed: int) -> Fitted:
    from catboost import CatBoostClassifier

    categorical = [name for name, kind in rows.kinds().items() if kind == "categorical"]
    learn, ask = (rows.frame(data).fillna(dict.fromkeys(categorical, "missing")) for data in (rows.train, rows.test))
    options = {"random_seed": seed, "thread_count": 1, "verbose": False, "allow_writing_files": False}
    with stopwatch() as spent:
        model = CatBoostClassifier(**options).fit(learn, rows.train.label, cat_features=categorical)
    return Fitted(model.predict_proba(ask)[:, 1].astype(np.float64), 0.5, spent.cpu_seconds)


def plain_logistic(rows: Rows, seed: int) -> Fitted:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(_one_hot(rows), LogisticRegression(max_iter=1000, random_state=seed))
    return _fit_pipeline(pipeline, rows)


def demo_recipe(rows: Rows, seed: int) -> Fitted:
    """Databricks' demo: 32 Optuna trials over three classifiers, F1 at 0.5 on one unstratified tenth of the rows.

    XGBoost growing leaf by leaf stands in for LightGBM, with the demo's ranges. The demo's study returns its worst
    trial, because the direction never reaches its storage; here it gets the best one.
    """
    import optuna
    from sklearn.metrics import f1_score
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    frame, label = rows.frame(rows.train), rows.train.label
    learn, check, learn_label, check_label = train_test_split(frame, label, test_size=0.1, random_state=42)

    def objective(trial: optuna.Trial) -> float:
        pipeline = make_pipeline(_one_hot(rows), _demo_classifier(trial)).fit(learn, learn_label)
        return float(f1_score(check_label, pipeline.predict(check)))

    with stopwatch() as search:
        sampler = optuna.samplers.TPESampler(n_startup_trials=4, n_ei_candidates=4, seed=2025 + seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(objective, n_trials=32)
    best = _demo_classifier(optuna.trial.FixedTrial(study.best_params))
    final = _fit_pipeline(make_pipeline(_one_hot(rows), best), rows)
    return Fitted(final.probability, 0.5, search.cpu_seconds + final.cpu_seconds)


def _demo_classifier(trial: Any) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from xgboost import XGBClassifier

    name = trial.suggest_categorical("classifier", ["LogisticRegression", "RandomForest", "LightGBM"])
    if name == "LogisticRegression":
        penalty, tolerance = (
            trial.suggest_float("C", 1e-2, 1, log=True),
            trial.suggest_float("tol", 1e-6, 1e-3, step=1e-6),
        )
        return LogisticRegression(C=penalty, tol=tolerance, random_state=42)
    trees, depth = trial.suggest_int("n_estimators", 10, 200, log=True), trial.suggest_int("max_depth", 3, 10)
    if name == "RandomForest":
        split, leaf = trial.suggest_int("min_samples_split", 2, 10), trial.suggest_int("min_samples_leaf", 1, 10)
        return RandomForestClassifier(
            trees, max_depth=depth, min_samples_split=split, min_samples_leaf=leaf, random_state=42
        )
    return XGBClassifier(
        grow_policy="lossguide",
        n_estimators=trees,
        max_depth=depth,
        learning_rate=trial.suggest_float("learning_rate", 1e-2, 0.9),
        max_bin=trial.suggest_int("max_bin", 2, 256),
        max_leaves=trial.suggest_int("num_leaves", 2, 256),
        min_child_weight=1e-3,
        random_state=42,
        n_jobs=1,
    )


def _fit_trees(classifier: Any, rows: Rows) -> Fitted:
    """Fit a classifier that takes pandas' categories."""
    # XGBoost 3.2 stumbles over a category without a single value.
    learn = rows.frame(rows.train).dropna(axis="columns", how="all")
    ask = rows.frame(rows.test)[list(learn)]
    for name, kind in rows.kinds().items():
        if kind == "categorical" and name in learn:
            learn[name] = learn[name].astype("category")
            ask[name] = pd.Categorical(ask[name], categories=learn[name].cat.categories)
    with stopwatch() as spent:
        model = classifier.fit(learn, rows.train.label)
    return Fitted(model.predict_proba(ask)[:, 1].astype(np.float64), 0.5, spent.cpu_seconds)


def _one_hot(rows: Rows) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    kinds = rows.kinds()
    numeric = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    return make_column_transformer(
        (numeric, [name for name, kind in kinds.items() if kind == "numeric"]),
        (OneHotEncoder(handle_unknown="ignore"), [name for name, kind in kinds.items() if kind == "categorical"]),
    )


def _fit_pipeline(pipeline: Any, rows: Rows) -> Fitted:
    learn, ask = rows.frame(rows.train), rows.frame(rows.test)
    with warnings.catch_warnings(), stopwatch() as spent:
        warnings.simplefilter("ignore")
        pipeline.fit(learn, rows.train.label)
    probability: npt.NDArray[np.float64] = pipeline.predict_proba(ask)[:, 1].astype(np.float64)
    return Fitted(probability, 0.5, spent.cpu_seconds)


METHODS: dict[str, Callable[[Rows, int], Fitted]] = {
    "ours": ours,
    "demo's recipe": demo_recipe,
    "XGBoost defaults": xgboost_defaults,
    "plain logistic": plain_logistic,
}

BASELINES: dict[str, Callable[[Rows, int], Fitted]] = {
    "XGBoost": xgboost_defaults,
    "LightGBM": lightgbm_defaults,
    "CatBoost": catboost_defaults,
    "logistic": plain_logistic,
}
"""The defaults of each library: what anyone gets without thinking."""

_PACKAGES = {"autogluon": "autogluon.tabular[lightgbm,xgboost,catboost]", "flaml": "flaml[automl]"}
_AUTOML = """
import json, resource, sys, pandas as pd
name, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
learn, ask = (pd.read_pickle(f"{folder}/{part}.pkl") for part in ("learn", "ask"))
def cpu():
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
if name == "autogluon":
    from autogluon.tabular import TabularPredictor
    import lightgbm, xgboost, catboost
    start = cpu()
    model = TabularPredictor("label", eval_metric="log_loss", path=f"{folder}/ag", verbosity=0)
    model.fit(learn, presets="best_quality", time_limit=seconds, dynamic_stacking=False, fit_strategy="sequential")
    used, probability = cpu() - start, model.predict_proba(ask)[1]
else:
    from flaml import AutoML
    import lightgbm, xgboost
    start = cpu()
    model = AutoML()
    model.fit(learn.drop(columns="label"), learn["label"], task="classification", metric="log_loss",
              time_budget=seconds, verbose=0, seed=1)
    used, probability = cpu() - start, pd.Series(model.predict_proba(ask)[:, 1])
json.dump({"cpu": used, "probability": probability.tolist()}, open(f"{folder}/out.json", "w"))
"""


def automl(name: str, seconds: float, python: str | None = None) -> Callable[[Rows, int], Fitted]:
    """Return the AutoML library as a trainer: for log loss, `seconds` long, by an interpreter that has it or by uv."""

    def fit(rows: Rows, seed: int) -> Fitted:
        with tempfile.TemporaryDirectory() as folder:
            learn = rows.frame(rows.train).assign(label=rows.train.label.astype(int))
            learn.to_pickle(f"{folder}/learn.pkl")
            rows.frame(rows.test).to_pickle(f"{folder}/ask.pkl")
            environment = ["uv", "run", "--isolated", "--no-project", "--python", "3.11", "--with", _PACKAGES[name]]
            interpreter = [python] if python else [*environment, "python"]
            program = [*interpreter, "-c", _AUTOML, name, folder, str(seconds)]
            done = subprocess.run(program, check=False, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
            found = json.loads(Path(folder, "out.json").read_text(encoding="utf-8"))
        return Fitted(np.array(found["probability"]), 0.5, found["cpu"])

    return fit


def warm_up() -> None:
    """Import what the trainers import, so that CPU seconds are those of the fit."""
    import optuna  # noqa: F401
    import scipy.interpolate  # noqa: F401
    import sklearn.compose
    import sklearn.ensemble
    import sklearn.linear_model
    import sklearn.pipeline  # noqa: F401
    import threadpoolctl  # noqa: F401
    import xgboost  # noqa: F401

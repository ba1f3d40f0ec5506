"""A dataset with known outcomes in an in-memory store, and real models of it as the gate is given them."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from churn.core.errors import ModelError
from churn.data.ingest import Source, conform, to_bronze
from churn.data.labels import SplitSettings, labels_of
from churn.data.training_set import bronze_to_features, read_training_set
from churn.gate.inputs import TRAINED_UNTIL, JudgedVersion
from churn.model.scorer import Scorer, ScoringSettings
from churn.ports.registry import MODEL_DIGEST, ModelVersion
from churn.settings import Settings, read_configuration
from churn.training.recipe import RECIPE, Recipe
from churn.training.search import TuningSettings
from churn.training.train import ModelSettings, train
from tests.fakes.data.customers import CONTRACT, raw_columns, true_logit
from tests.fakes.ports.tables import MemoryFeatureStore

CONFIGS = Path(__file__).parents[3] / "configs"
SPLIT = SplitSettings()
NOW = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
MODEL = "churn_toy"
GOOD = ModelSettings(candidates=("additive",), folds=3)
"""Settings of a model that fits in a fraction of a second."""


@cache
def settings(*overrides: str) -> Settings:
    """Return settings under which a gate takes seconds."""
    quick = ("gate.resamples=200", "gate.repeats=1", "gate.folds=3", "evaluation.resamples=100", "seed=5")
    return read_configuration(CONFIGS, overrides=["profile.state=/state", *quick, *overrides]).settings


def raw_rows(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Return made-up customers as their source delivers them."""
    columns = raw_columns(rows, seed)
    churned = np.random.default_rng(seed + 1).random(rows) < 1 / (1 + np.exp(-true_logit(columns)))
    keys = [f"c{number:06d}" for number in range(rows)]
    return pd.DataFrame({"customer_id": keys, **columns, "churn": np.where(churned, "Yes", "No")})


def filled_store(frame: pd.DataFrame) -> MemoryFeatureStore:
    """Return a store with the feature table and the label table of these rows."""
    store = MemoryFeatureStore("toy")
    bronze = to_bronze(conform(Source("made-up", pa.Table.from_pandas(frame)), CONTRACT).frame, CONTRACT)
    store.replace(CONTRACT.table("features"), bronze_to_features(bronze, CONTRACT))
    store.replace(CONTRACT.table("labels"), labels_of(bronze, CONTRACT, SPLIT))
    return store


@cache
def store() -> MemoryFeatureStore:
    """Return the store of the usual rows; nobody writes to it but the gate."""
    return filled_store(raw_rows())


def loaded_version(
    number: int, *, model: ModelSettings = GOOD, seed: int = 1, digest: str = "", **tags: str
) -> JudgedVersion:
    """Return a registered version, loaded, whose model was trained on the training side of `store()`.

    Args:
        number: The version.
        model: How it is trained.
        seed: Seed of the training.
        digest: The registered digest; one that tells number, settings and seed apart if empty.
        tags: Tags that differ from the usual ones.
    """
    scorer = _scorer(model, seed)
    recipe = Recipe.of(CONTRACT, model, TuningSettings(), model.boosting)
    own = {
        MODEL_DIGEST: digest or f"{number:02d}{seed:02d}" * 16,
        "data_digest": "d0", "data_version": "0", "git_commit": "abc", "config_digest": "c0",
        "contract_digest": CONTRACT.digest, "recipe_digest": recipe.digest,
        TRAINED_UNTIL: "2024-01-01T00:00:00+00:00", "split": SPLIT.tag,
        "metric_roc_auc": "0.8", "metric_log_loss": "0.4", "threshold_f1": "0.3",
    }  # fmt: skip
    version = ModelVersion(MODEL, number, "run-1", "A churn model of made-up customers.", {**own, **tags})
    inputs = tuple(column.name for column in scorer.model.schema.inputs)
    return JudgedVersion(
        version=version,
        metadata={RECIPE: recipe.stored()},
        inputs=inputs,
        card="# Card\n\nA model.",
        size=1_000_000,
        score=scorer.score,
        thresholds=scorer.model.thresholds,
    )


@cache
def _scorer(model: ModelSettings, seed: int) -> Scorer:
    rows = store()
    labels, features = (rows.latest(CONTRACT.table(name).name) for name in ("labels", "features"))
    joined = rows.point_in_time_join(labels, features, CONTRACT.table("training"), known_by=NOW)
    side = read_training_set(rows.read(joined), CONTRACT).side("train")
    return Scorer(train(side.data, CONTRACT, model, seed=seed, threads=1).model, ScoringSettings())


class Shelf:
    """Loads versions by number; one that is not there is refused as a registry's damaged package is."""

    def __init__(self, *versions: JudgedVersion) -> None:
        self._by_number = {loaded.version.version: loaded for loaded in versions}

    def __call__(self, version: ModelVersion) -> JudgedVersion:
        if version.version not in self._by_number:
            raise ModelError(f"The packaged model of version {version.version} is not loaded: its files are damaged.")
        return self._by_number[version.version]


def changed(given: JudgedVersion, **changes: Any) -> JudgedVersion:
    """Return a loaded version with some of its fields changed."""
    return replace(given, **changes)

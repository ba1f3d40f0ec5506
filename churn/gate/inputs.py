"""What the gate judges: loaded versions, and the rows with known outcomes that neither of them was trained on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import DataError, ModelError
from ..data.contract import DatasetContract
from ..data.tables import EVENT_TIME, LABEL, SPLIT, WEIGHT
from ..data.training_set import TrainingSet, customer_values, drawn_rows, read_training_set, require_outcomes
from ..data.untreated import UntreatedRows, untreated_rows
from ..model.frame import FloatArray
from ..model.money import MoneySettings
from ..ports.registry import ModelVersion
from ..ports.tables import FeatureStore, TableRef
from ..training.recipe import Recipe, read_recipe
from .report import TRAINED_UNTIL, VersionSummary
from .settings import GateRules

__all__ = [
    "MORE_OUTCOMES",
    "TRAINED_UNTIL",
    "EvaluationRows",
    "JudgedVersion",
    "Load",
    "MatureRows",
    "mature_rows",
    "newer_than",
    "read_rows",
    "unseen_rows",
]

MORE_OUTCOMES = (
    "to judge a model (gate.min_churners): wait until more outcomes are known, hold out more customers "
    "(split.holdout_share), or bring more history."
)
"""What to do where too few customers churned, or stayed, to judge on."""
_SOURCES: tuple[Literal["labels"], Literal["features"]] = ("labels", "features")


@dataclass(frozen=True)
class JudgedVersion:
    """A registered version whose package was checked and loaded.

    Attributes:
        version: The registry's entry.
        metadata: The metadata in the package.
        inputs: The columns of its signature; empty where it has none.
        card: Its model card, Markdown; empty where it has none.
        size: Bytes of the package.
        score: Raw contract columns in, probability, decision, expected value and reasons out; see `Scorer.score`.
        thresholds: Probabilities from which a customer counts as a churner, by rule.
        model_folder: Where the model's files lie; None where nobody will ask for them.
    """

    version: ModelVersion
    metadata: Mapping[str, Any]
    inputs: tuple[str, ...]
    card: str
    size: int
    score: Callable[..., pd.DataFrame]
    thresholds: Mapping[str, float]
    model_folder: Path | None = None

    def probability(self, customers: pd.DataFrame) -> FloatArray:
        """Return the churn probability of each customer, shape `(n_rows,)`."""
        return self.score(customers, explain=False)["probability"].to_numpy(dtype=np.float64)

    @property
    def f1_threshold(self) -> float:
        """The probability from which the deployed model counts a customer as a churner.

        Raises:
            ModelError: the package has no threshold `f1`.
        """
        if "f1" not in self.thresholds:
            raise ModelError(f"The package of version {self.version.version} has no threshold `f1`: train it again.")
        return float(self.thresholds["f1"])

    @cached_property
    def recipe(self) -> Recipe:
        """How the version was made.

        Raises:
            ModelError: the package does not hold it, or in a format that is not known.
        """
        try:
            return read_recipe(self.metadata)
        except ModelError as error:
            raise ModelError(f"Version {self.version.version} of {self.version.name!r}: {error}") from error


Load = Callable[[ModelVersion], JudgedVersion]
"""Fetches and loads a version by its registered digest; raises StoreError or ModelError."""


@dataclass(frozen=True)
class EvaluationRows:
    """Rows with known outcomes.

    Attributes:
        customers: Raw contract columns, as a model is sent them.
        training: The same rows as a training set: outcome, customer, time, columns.
        value: The value of keeping each customer, in the currency, shape `(n_rows,)`.
    """

    customers: pd.DataFrame
    training: TrainingSet
    value: FloatArray

    @property
    def event_time(self) -> pd.Series:
        """When each row's facts were true (UTC)."""
        return self.training.rows[EVENT_TIME]

    @property
    def weight(self) -> FloatArray | None:
        """How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone."""
        return self.training.weight

    @property
    def label(self) -> npt.NDArray[np.int8]:
        """1 churned, 0 stayed, shape `(n_rows,)`."""
        return self.training.data.label

    @property
    def entity(self) -> npt.NDArray[np.object_]:
        """The customer of each row, shape `(n_rows,)`."""
        return self.training.data.entity

    def slices(self, contract: DatasetContract) -> Mapping[str, npt.NDArray[np.generic]]:
        """Return the columns by whose values groups of customers are judged, in words, each of shape `(n_rows,)`."""
        return {words: self.training.columns[name] for words, name in contract.slice_names.items()}

    def where(self, mask: npt.NDArray[np.bool_]) -> EvaluationRows:
        """Return the rows where `mask`, of shape `(n_rows,)`, is true."""
        customers = self.customers.loc[mask].reset_index(drop=True)
        return EvaluationRows(customers, self.training.where(mask), self.value[mask])

    def require(self, min_customers: int) -> None:
        """Refuse rows that cannot tell a good model from a bad one.

        Raises:
            NotEnoughData: fewer than `min_customers` churned, or stayed.
        """
        require_outcomes(self.label, self.entity, min_customers, rows="holdout", remedy=MORE_OUTCOMES)


@dataclass(frozen=True)
class MatureRows:
    """The rows whose outcome is known.

    Attributes:
        ref: The joined table of features and outcomes.
        unseen: The rows that no version under judgement was trained on; of many, those of customers drawn at random.
        available: How many such rows there are.
        churn_rate: The share of the training side's rows that churned, untreated.
        customers: Customers of the training side and the holdout together.
        untreated: What past campaigns cost the table; None where none touched it.
    """

    ref: TableRef
    unseen: EvaluationRows
    available: int
    churn_rate: float
    customers: int
    untreated: UntreatedRows | None = None


def mature_rows(
    store: FeatureStore,
    contract: DatasetContract,
    rules: GateRules,
    versions: Sequence[tuple[ModelVersion, VersionSummary]],
    now: dt.datetime,
) -> MatureRows:
    """Join the outcomes that are known at `now` with the features of their time.

    Raises:
        NotEnoughData: too few mature rows that no version was trained on.
        DataError: a version was trained under another split.
        StoreError: a table cannot be read.
    """
    labels, features = (store.latest(contract.table(name).name) for name in _SOURCES)
    ref = store.point_in_time_join(labels, features, contract.table("evaluation"), known_by=now)
    where = unseen_rows(
        [summary for _, summary in versions], [v.tags.get("split", "") for v, _ in versions], rules.split
    )
    table, available = drawn_rows(store, ref, contract, where, limit=rules.evaluation.max_rows, seed=rules.seed)
    unseen = read_rows(table, contract, rules.money)
    unseen.require(rules.gate.min_churners)
    untreated = untreated_rows(store, ref, contract)
    outcomes = store.read(ref, [contract.entity_key, LABEL, SPLIT, *([] if untreated is None else [WEIGHT])])
    train = outcomes.filter(pc.field(SPLIT) == "train").to_pandas()
    churn_rate = float(np.average(train[LABEL], weights=None if untreated is None else train[WEIGHT]))
    customers = pc.count_distinct(outcomes[contract.entity_key]).as_py()
    return MatureRows(ref, unseen, available, churn_rate, customers, untreated)


def read_rows(table: pa.Table, contract: DatasetContract, money: MoneySettings) -> EvaluationRows:
    """Return the joined rows with their outcomes, all of them.

    Raises:
        NotEnoughData: no outcome is mature.
    """
    training = read_training_set(table, contract)
    customers = table.select([name for name in contract.columns if name in table.column_names]).to_pandas()
    return EvaluationRows(customers, training, customer_values(training, contract, money))


def unseen_rows(versions: Sequence[VersionSummary], splits: Sequence[str], split: str) -> pc.Expression:
    """Return the rows that no version was trained on: those of the holdout, and those newer than every training.

    Args:
        versions: The versions to compare.
        splits: The split that each of them was trained under, as its tag `split` names it.
        split: The split as the settings have it now.

    Returns:
        A condition on the split and the event time of a row.

    Raises:
        DataError: one of them was trained under another split, and so saw part of the holdout.
    """
    for version, trained_under in zip(versions, splits, strict=True):
        if trained_under != split:
            raise DataError(
                f"Version {version.version} was trained with the customers split "
                f"{trained_under or 'in a way not on record'}, and the settings split them {split}: part of this "
                "holdout was in its training. Set split.holdout_share and split.salt back, or train it again."
            )
    holdout, until = pc.field(SPLIT) == "holdout", _trained_until(versions)
    return holdout if until is None else holdout | (pc.field(EVENT_TIME) > pa.scalar(until, pa.timestamp("us", "UTC")))


def newer_than(rows: EvaluationRows, versions: Sequence[VersionSummary]) -> npt.NDArray[np.bool_]:
    """Return which rows are newer than everything that any of the versions was trained on, shape `(n_rows,)`.

    Where it is not on record until when one of them was trained, no row counts as newer.
    """
    until = _trained_until(versions)
    if until is None:
        return np.zeros(len(rows.value), dtype=bool)
    return np.asarray(rows.event_time > pd.Timestamp(until))


def _trained_until(versions: Sequence[VersionSummary]) -> dt.datetime | None:
    """Return the newest time that one of the versions was trained on; None where one has it not on record."""
    times = [version.trained_until for version in versions]
    return None if None in times else max((time for time in times if time is not None), default=None)

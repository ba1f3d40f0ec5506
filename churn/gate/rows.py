"""The rows that both models are judged on: mature, the same for both, and known to neither's training."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ..core.errors import DataError, NotEnoughData
from ..data.contract import DatasetContract
from ..data.tables import EVENT_TIME, SPLIT
from ..data.training_set import TrainingSet, customer_values, read_training_set
from ..model.frame import FloatArray
from ..model.money import MoneySettings
from .report import Contestant

__all__ = ["JudgedRows", "newer", "read_rows", "unseen_rows"]


@dataclass(frozen=True)
class JudgedRows:
    """Rows with known outcomes.

    Attributes:
        customers: Raw contract columns, as a model is sent them.
        training: The same rows as a training set: outcome, customer, time, columns.
        value: What keeping each customer is worth, in the currency, shape `(n_rows,)`.
    """

    customers: pd.DataFrame
    training: TrainingSet
    value: FloatArray

    @property
    def event_time(self) -> pd.Series:
        """When each row's facts were true (UTC)."""
        return self.training.rows[EVENT_TIME]

    @property
    def label(self) -> npt.NDArray[np.int8]:
        """1 churned, 0 stayed, shape `(n_rows,)`."""
        return self.training.data.label

    def where(self, mask: npt.NDArray[np.bool_]) -> JudgedRows:
        """Return the rows where `mask`, of shape `(n_rows,)`, is true."""
        customers = self.customers.loc[mask].reset_index(drop=True)
        return JudgedRows(customers, self.training.where(mask), self.value[mask])

    def require(self, least: int) -> None:
        """Refuse rows that cannot tell a good model from a bad one.

        Raises:
            NotEnoughData: fewer than `least` customers churned, or stayed.
        """
        entity = self.training.rows[self.training.entity]
        for outcome, word in ((1, "churned"), (0, "stayed")):
            customers = entity[self.label == outcome].nunique()
            if customers < least:
                raise NotEnoughData(
                    f"{customers} customers of the holdout {word}, and {least} are needed to judge a model "
                    "(gate.min_churners): wait for more outcomes to mature, or bring more customers."
                )


def read_rows(table: pa.Table, contract: DatasetContract, money: MoneySettings) -> JudgedRows:
    """Return the joined rows with their outcomes, all of them.

    Raises:
        NotEnoughData: no outcome is mature.
    """
    training = read_training_set(table, contract)
    customers = table.select([name for name in contract.columns if name in table.column_names]).to_pandas()
    return JudgedRows(customers, training, customer_values(training, contract, money))


def unseen_rows(rows: JudgedRows, contestants: Sequence[Contestant], splits: Sequence[str], split: str) -> JudgedRows:
    """Return the rows that no contestant was trained on: the holdout's, and those newer than every training.

    Args:
        rows: All rows with a mature outcome.
        contestants: The versions to compare.
        splits: The split that each of them was trained under, as its tag `split` names it.
        split: The split as the settings have it now.

    Raises:
        DataError: one of them was trained under another split, and so saw part of the holdout.
    """
    for contestant, own in zip(contestants, splits, strict=True):
        if own != split:
            raise DataError(
                f"Version {contestant.version} was trained with the customers split {own or 'in a way not on record'}, "
                f"and the settings split them {split}: part of this holdout was in its training. Set "
                "split.holdout_share and split.salt back, or train it again."
            )
    return rows.where((rows.training.rows[SPLIT] == "holdout").to_numpy() | newer(rows, contestants))


def newer(rows: JudgedRows, contestants: Sequence[Contestant]) -> npt.NDArray[np.bool_]:
    """Return which rows are newer than everything that any contestant was trained on, shape `(n_rows,)`.

    None is, where it is not on record until when one of them was trained.
    """
    known = [contestant.trained_until for contestant in contestants]
    if not known or any(until is None for until in known):
        return np.zeros(len(rows.value), dtype=bool)
    latest: dt.datetime = max(until for until in known if until is not None)
    return np.asarray(rows.event_time > pd.Timestamp(latest))

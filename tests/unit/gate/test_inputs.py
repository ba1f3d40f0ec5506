"""The rows that both models are judged on."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn.core.errors import DataError, NotEnoughData
from churn.data.tables import EVENT_TIME, LABEL, SPLIT
from churn.data.training_set import TrainingSet
from churn.gate.inputs import EvaluationRows, newer_than, unseen_rows
from churn.gate.report import VersionSummary

SPLIT_TAG = "0.2 by churn"


def day(number: int) -> pd.Timestamp:
    return pd.Timestamp(2024, 1, number, tz="UTC")


def rows() -> EvaluationRows:
    """Four customers on each of three days, two of them in the holdout; one in each half churns."""
    frame = pd.DataFrame(
        {
            "customer": [f"c{number}" for number in range(4)] * 3,
            EVENT_TIME: [day(number) for number in (1, 2, 3) for _ in range(4)],
            LABEL: [0, 1, 0, 1] * 3,
            SPLIT: ["train", "train", "holdout", "holdout"] * 3,
        }
    )
    training = TrainingSet(frame, {"tenure": np.arange(12.0)}, "customer")
    return EvaluationRows(pd.DataFrame({"tenure": np.arange(12.0)}), training, np.full(12, 200.0))


def trained_until(number: int | None, version: int = 1) -> VersionSummary:
    until = None if number is None else dt.datetime(2024, 1, number, tzinfo=dt.UTC)
    return VersionSummary(version=version, digest="d", description="", trained_until=until)


def unseen(*versions: VersionSummary) -> EvaluationRows:
    where = unseen_rows(versions, [SPLIT_TAG] * len(versions), SPLIT_TAG)
    table = pa.Table.from_pandas(rows().training.rows.assign(row=range(12)))
    return rows().where(np.isin(range(12), table.filter(where)["row"].to_numpy()))


def test_the_holdout_and_what_is_newer_than_every_training_are_unseen() -> None:
    found = unseen(trained_until(1), trained_until(2))
    assert found.customers["tenure"].tolist() == [2, 3, 6, 7, 8, 9, 10, 11]
    assert found.training.columns["tenure"].tolist() == found.customers["tenure"].tolist()
    assert len(found.value) == len(found.label) == len(found.event_time) == 8


def test_a_row_at_the_end_of_the_training_was_seen() -> None:
    assert unseen(trained_until(3)).customers["tenure"].tolist() == [2, 3, 6, 7, 10, 11]


def test_without_a_record_of_the_training_only_the_holdout_is_unseen() -> None:
    assert unseen(trained_until(1), trained_until(None)).customers["tenure"].tolist() == [2, 3, 6, 7, 10, 11]


def test_the_newest_rows_are_those_the_champion_is_too_old_to_know() -> None:
    rows = unseen(trained_until(2), trained_until(1))
    found = rows.where(newer_than(rows, [trained_until(2)]))
    assert found.customers["tenure"].tolist() == [8, 9, 10, 11]


def test_a_model_of_another_split_is_not_judged_on_this_holdout() -> None:
    with pytest.raises(
        DataError, match=r"Version 7 was trained with the customers split 0.3 by churn, and the settings"
    ):
        unseen_rows([trained_until(1, version=7)], ["0.3 by churn"], SPLIT_TAG)
    with pytest.raises(DataError, match="split in a way not on record"):
        unseen_rows([trained_until(1)], [""], SPLIT_TAG)


def test_customers_of_both_outcomes_are_counted_not_their_rows() -> None:
    found = unseen(trained_until(3))
    found.require(1)
    with pytest.raises(NotEnoughData, match="1 customers of the holdout rows churned, and 2 are needed"):
        found.require(2)

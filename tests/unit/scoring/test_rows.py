"""Record batches are scored as a table is: the same numbers, every row accounted for, whatever it holds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn.core.errors import ContractError
from churn.model.scorer import ReasonSettings, ScoringSettings
from churn.scoring.rows import ScoredRows, reason_columns, score_batch, score_batches, scored_schema
from tests.fakes.data.batches import Registered, feature_rows
from tests.fakes.data.scorers import small_scorer


def scored(rows: pa.Table, scorer: Any = None, **options: Any) -> ScoredRows:
    batch = rows.combine_chunks().to_batches()[0] if rows.num_rows else pa.RecordBatch.from_pylist([], rows.schema)
    return score_batch(scorer or small_scorer(boosted=True), batch, entity="customer_id", **options)


def reasons_of(rows: pa.RecordBatch) -> list[list[str]]:
    names = [name for name in rows.schema.names if name.startswith("reason_")]
    return [[row[name] for name in names if row[name] is not None] for row in rows.to_pylist()]


@pytest.mark.parametrize("coded", [False, True])
def test_a_batch_has_the_numbers_of_a_table_bit_for_bit(coded: bool) -> None:
    rows, scorer = feature_rows(300), small_scorer(boosted=True)
    expected = scorer.score(rows.to_pandas())
    if coded:
        rows = rows.set_column(2, "contract", rows["contract"].dictionary_encode())
    found = scored(rows, scorer).rows
    assert found.schema == scored_schema("customer_id", 3)
    for name in ("probability", "expected_value"):
        np.testing.assert_array_equal(found.column(name).to_numpy(), expected[name].to_numpy())
    assert found.column("decision").to_pylist() == expected["decision"].tolist()
    assert reasons_of(found) == expected["reasons"].tolist()
    assert found.column("customer_id").to_pylist() == rows["customer_id"].to_pylist()
    assert set(found.column("customer_value").to_pylist()) == {200.0}


def test_reasons_are_given_to_those_who_are_asked_for() -> None:
    rows = feature_rows(200)
    everybody, treated, nobody = (scored(rows, explain=explain).rows for explain in ("all", "treated", "none"))
    assert set(everybody.column("decision").to_pylist()) == {"treat", "leave"}
    assert [row for row in reasons_of(nobody) if row] == []
    decisions = everybody.column("decision").to_pylist()
    whole = reasons_of(everybody)
    assert reasons_of(treated) == [row if each == "treat" else [] for row, each in zip(whole, decisions, strict=True)]
    for other in (treated, nobody):
        assert other.column("probability").equals(everybody.column("probability"))


@pytest.mark.parametrize("top", [0, 1, 5])
def test_there_are_as_many_columns_of_reasons_as_the_settings_ask_for(top: int) -> None:
    scorer = small_scorer(ScoringSettings(reasons=ReasonSettings(top=top)), boosted=True)
    rows = feature_rows(50)
    found = scored(rows, scorer).rows
    assert found.schema == scored_schema("customer_id", top)
    assert [name for name in found.schema.names if name.startswith("reason_")] == reason_columns(top)
    assert reasons_of(found) == scorer.score(rows.to_pandas())["reasons"].tolist()
    assert max(map(len, reasons_of(found))) == top


@pytest.mark.parametrize(
    ("column", "rule"),
    [("customer_id", "the row has a customer"), ("transaction_ts", "the row has a time")],
)
def test_a_row_without_customer_or_time_is_set_aside(column: str, rule: str) -> None:
    rows = feature_rows(4)
    values = rows[column].to_pylist()
    position = rows.column_names.index(column)
    rows = rows.set_column(position, column, pa.array([None, *values[1:]], rows.schema.field(column).type))
    found = scored(rows, source="somewhere")
    assert found.rows.num_rows == 3
    assert found.rejected["rule"].to_pylist() == [rule]
    assert found.rejected["source"].to_pylist() == ["somewhere"]
    assert json.loads(found.rejected["row"][0].as_py())["monthly_charges"] == 20.0


def test_a_row_of_whom_nothing_is_known_is_set_aside_and_one_value_is_enough() -> None:
    nothing = {"contract": [None, None, "Two year"], "monthly_charges": [None, float("nan"), None]}
    types = {"contract": pa.string(), "monthly_charges": pa.float64()}
    columns = {name: pa.array(values, types[name]) for name, values in nothing.items()}
    empty = {"tenure": pa.array([None] * 3, pa.int64()), "total_charges": pa.array([None] * 3, pa.float64())}
    found = scored(feature_rows(3, **columns, **empty))
    assert found.rows.column("customer_id").to_pylist() == ["c002"]
    assert set(found.rejected["rule"].to_pylist()) == {"the row has a value in some column that the model reads"}
    assert found.rejected.num_rows == 2


def test_a_row_that_gets_no_probability_is_set_aside() -> None:
    class Unsure(Registered):
        def predict(self, customers: Any, **options: Any) -> Any:
            found = super().predict(customers, **options)
            found.probability[1] = np.nan
            return found

    found = scored(feature_rows(3), Unsure())
    assert found.rows.column("customer_id").to_pylist() == ["c000", "c002"]
    assert found.rejected["rule"].to_pylist() == ["the row gets a probability from the model"]


def test_values_that_training_did_not_know_are_counted_and_scored_as_missing() -> None:
    rows = feature_rows(3, contract=["Ten year", "Ten year", "Two year"])
    found = scored(rows)
    assert found.unseen == {"contract": 2}
    missing = scored(feature_rows(3, contract=pa.array([None, None, "Two year"])))
    assert (missing.unseen, missing.missing) == ({}, {"contract": 2})
    assert found.rows.column("probability").equals(missing.rows.column("probability"))


def test_other_columns_and_their_order_make_no_difference() -> None:
    rows = feature_rows(20)
    turned = rows.select(rows.column_names[::-1]).append_column("zodiac", pa.array(["lion"] * 20))
    assert scored(turned).rows.equals(scored(rows).rows)


def test_a_column_that_may_be_missing_may_be_absent_and_another_is_named() -> None:
    rows = feature_rows(5)
    empty = rows.set_column(5, "total_charges", pa.array([None] * 5, pa.float64()))
    assert scored(rows.drop_columns(["total_charges"])).rows.equals(scored(empty).rows)
    with pytest.raises(ContractError, match="lack monthly_charges"):
        scored(rows.drop_columns(["monthly_charges"]))


def test_an_empty_batch_comes_back_empty() -> None:
    found = scored(feature_rows(3).slice(0, 0))
    assert (found.rows.num_rows, found.rejected.num_rows, found.unseen) == (0, 0, {})
    assert found.rows.schema == scored_schema("customer_id", 3)


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_come_back_in_their_order_whatever_the_threads(threads: int) -> None:
    rows, scorer = feature_rows(500), small_scorer(boosted=True)
    parts = list(score_batches(scorer, rows.to_batches(37), entity="customer_id", threads=threads))
    whole = scored(rows, scorer).rows
    assert pa.Table.from_batches([part.rows for part in parts]).equals(pa.Table.from_batches([whole]))


def test_only_a_few_batches_are_read_ahead() -> None:
    read = []

    def reading():  # type: ignore[no-untyped-def]
        for number, batch in enumerate(feature_rows(500).to_batches(10)):
            read.append(number)
            yield batch

    scoring = score_batches(small_scorer(), reading(), entity="customer_id", threads=2)
    next(scoring)
    assert len(read) <= 4

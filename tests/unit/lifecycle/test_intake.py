"""A table that is handed in to be scored: what keeps the contract is scored, the rest is set aside with the rule."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from churn.core.errors import ContractError, ValidationFailed
from churn.data.ingest import Source
from churn.data.validation import ValidationReport
from churn.lifecycle.intake import take_in
from churn.ports.tables import TableRef
from tests.fakes.data.batches import CONTRACT, NOW, day, feature_rows, predictions, run
from tests.fakes.ports.tables import MemoryFeatureStore

pytestmark = pytest.mark.slow

ROWS = feature_rows(6, contract=["Month-to-month", "Two year"] * 3, customer_id=[f"d{n}" for n in range(6)])


@pytest.fixture
def store() -> MemoryFeatureStore:
    return MemoryFeatureStore("toy")


def taken(store: MemoryFeatureStore, rows: pa.Table, **options: Any) -> tuple[TableRef, ValidationReport]:
    return take_in(store, Source("handed.csv", rows), CONTRACT, now=NOW, **options)


def with_column(name: str, values: list[Any], rows: pa.Table = ROWS) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, pa.array(values))


def rules(store: MemoryFeatureStore) -> list[str]:
    return sorted(store.read(store.latest("quarantine"))["rule"].to_pylist())


def test_a_table_without_outcomes_is_scored(store: MemoryFeatureStore, tmp_path: Path) -> None:
    ref, report = taken(store, ROWS)
    assert (report.accepted, report.quarantined, ref.rows) == (6, 0, 6)
    assert [row["customer_id"] for row in predictions(store, run(store, tmp_path, table="to_score"))] == [
        f"d{number}" for number in range(6)
    ]


def test_the_names_and_types_of_a_source_do_not_matter(store: MemoryFeatureStore, tmp_path: Path) -> None:
    taken(store, ROWS)
    plain = predictions(store, run(store, tmp_path, table="to_score"))
    times = [f"{time:%Y-%m-%d}" for time in ROWS["transaction_ts"].to_pylist()]
    texts = pa.table(
        {name: [None if v is None else str(v) for v in ROWS[name].to_pylist()] for name in ROWS.column_names}
    )
    texts = with_column("transaction_ts", times, texts)
    renamed = texts.rename_columns(
        ["CustomerId", "Transaction TS", "Contract", "Tenure", "monthlyCharges", "Total-Charges"]
    )
    taken(store, renamed)
    again = predictions(store, run(store, tmp_path, table="to_score"))
    assert [row["probability"] for row in again] == [row["probability"] for row in plain]


def test_rows_that_break_the_contract_are_set_aside_however_many(store: MemoryFeatureStore, tmp_path: Path) -> None:
    ref, report = taken(store, with_column("contract", ["Weekly"] * 5 + ["Two year"]))
    assert (report.rows, report.accepted, report.quarantined, ref.rows) == (6, 1, 5, 1)
    assert set(rules(store)) == {"contract is one of Month-to-month, Two year"}
    assert run(store, tmp_path, table="to_score").scored == 1


def test_a_customer_who_stands_twice_at_one_time_is_set_aside(store: MemoryFeatureStore) -> None:
    ref, report = taken(store, with_column("customer_id", ["d0", "d0", "d2", "d3", "d4", "d5"]))
    assert (report.quarantined, ref.rows) == (2, 4)
    assert set(rules(store)) == {"customer_id stands once for each time"}


def test_an_exact_copy_counts_once(store: MemoryFeatureStore) -> None:
    ref, report = taken(store, pa.concat_tables([ROWS, ROWS.slice(0, 2)]))
    assert (report.copies, report.quarantined, ref.rows) == (2, 0, 6)


def test_of_a_customers_months_the_newest_is_scored(store: MemoryFeatureStore, tmp_path: Path) -> None:
    later = with_column("transaction_ts", [day(30)] * 6).cast(ROWS.schema)
    taken(store, pa.concat_tables([later, ROWS]))
    assert {row["transaction_ts"] for row in predictions(store, run(store, tmp_path, table="to_score"))} == {day(30)}
    old = run(store, tmp_path, table="to_score", as_of=day(1))
    assert {row["transaction_ts"] for row in predictions(store, old)} == {day(0)}


def test_nobody_is_left_where_every_row_breaks_the_contract(store: MemoryFeatureStore) -> None:
    with pytest.raises(ValidationFailed, match=r"None of 6 rows from handed.csv keeps .*Nobody was scored"):
        taken(store, with_column("tenure", [-1] * 6))
    assert store.latest("quarantine").rows == 6


def test_nulls_everywhere_are_no_customers(store: MemoryFeatureStore) -> None:
    empty = pa.table({name: pa.array([None, None], ROWS.schema.field(name).type) for name in ROWS.column_names})
    with pytest.raises(ValidationFailed, match="keeps the dataset contract"):
        taken(store, empty)


def test_an_empty_table_or_one_that_lacks_a_column_is_refused(store: MemoryFeatureStore) -> None:
    with pytest.raises(ContractError, match=r"handed.csv has no rows"):
        taken(store, ROWS.slice(0, 0))
    with pytest.raises(ContractError, match="lacks 1 column"):
        taken(store, ROWS.drop_columns(["tenure"]))


def test_a_row_of_the_future_is_set_aside(store: MemoryFeatureStore) -> None:
    times = [NOW + dt.timedelta(days=1)] + [day(0)] * 5
    ref, report = taken(store, with_column("transaction_ts", times))
    assert (report.quarantined, ref.rows) == (1, 5)

"""What a table holds, column by column."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pytest

from churn.data.snapshot import SAMPLE, ColumnProfile, TableSnapshot, profile_of, snapshot_of
from churn.ports.tables import TableRef, TableSpec
from tests.fakes.ports.tables import MemoryFeatureStore


def profile(values: list[object], kind: pa.DataType | None = None) -> ColumnProfile:
    (column,) = profile_of(pa.table({"x": pa.array(values, kind)}))
    return column


def test_numbers_have_a_range_a_mean_and_twelve_bins() -> None:
    found = profile([0.0, 1.0, 1.0, 11.0, 12.0, None])
    assert (found.name, found.type, found.missing, found.distinct) == ("x", "number", 1, 4)
    assert (found.low, found.high, found.mean) == ("0", "12", 5.0)
    assert list(found.spread.values()) == [1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert list(found.spread)[:2] == ["0.5", "1.5"]


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.float64()])
def test_every_type_of_number_is_a_number(kind: pa.DataType) -> None:
    found = profile([1, 0, 1, None], kind)
    assert (found.type, found.missing, found.distinct, found.low, found.high) == ("number", 1, 2, "0", "1")
    assert found.mean == pytest.approx(2 / 3)


def test_one_value_in_every_row_has_no_width() -> None:
    found = profile([5.0] * 4)
    assert (found.low, found.high, found.distinct, sum(found.spread.values())) == ("5", "5", 1, 4)


def test_text_has_its_eight_most_frequent_values() -> None:
    words = [letter for count, letter in enumerate("abcdefghij", 1) for _ in range(count)]
    found = profile([*words, None])
    assert (found.type, found.missing, found.distinct) == ("text", 1, 10)
    assert list(found.spread.items()) == [(letter, count) for count, letter in enumerate("abcdefghij", 1)][:1:-1]
    assert (found.low, found.high, found.mean) == (None, None, None)


def test_times_have_a_range_and_their_months_in_order() -> None:
    moments = [dt.datetime(2025, month, 3, tzinfo=dt.UTC) for month in (11, 2, 11)]
    found = profile([*moments, None], pa.timestamp("us", tz="UTC"))
    assert (found.type, found.missing, found.distinct, found.mean) == ("time", 1, 2, None)
    assert (found.low, found.high) == ("2025-02-03T00:00:00+00:00", "2025-11-03T00:00:00+00:00")
    assert list(found.spread.items()) == [("2025-02", 1), ("2025-11", 2)]


@pytest.mark.parametrize(
    ("kind", "called"),
    [(pa.float64(), "number"), (pa.string(), "text"), (pa.timestamp("us", tz="UTC"), "time"), (pa.null(), "number")],
)
@pytest.mark.parametrize("rows", [0, 3])
def test_a_column_without_values_has_no_range(kind: pa.DataType, called: str, rows: int) -> None:
    found = profile([None] * rows, kind)
    assert found == ColumnProfile(name="x", type=called, missing=rows, distinct=0, spread={})


CUSTOMERS = TableSpec(name="customers", key=("customer_id",))


def test_a_snapshot_is_the_reference_with_the_profile_of_that_version() -> None:
    store = MemoryFeatureStore()
    first = store.replace(CUSTOMERS, pa.table({"customer_id": ["a", "b"], "tenure": [1, 9]}))
    store.replace(CUSTOMERS, pa.table({"customer_id": ["a"], "tenure": [5]}))
    snapshot = snapshot_of(store, first)
    assert (snapshot.ref, snapshot.sampled) == (first, 2)
    assert {column.name: column.high for column in snapshot.columns}["tenure"] == "9"
    assert TableSnapshot.model_validate_json(snapshot.model_dump_json()) == snapshot


def test_an_empty_table_has_its_columns() -> None:
    store = MemoryFeatureStore()
    rows = pa.table({"customer_id": pa.array([], pa.string()), "tenure": pa.array([], pa.int64())})
    snapshot = snapshot_of(store, store.replace(CUSTOMERS, rows))
    assert snapshot.sampled == 0
    assert [column.type for column in snapshot.columns][:2] == ["text", "number"]


class LargeTable(MemoryFeatureStore):
    """A table of a million rows that counts how many batches of 50,000 are read."""

    batches = 0

    def scan(
        self,
        ref: TableRef,
        columns: Sequence[str] | None = None,
        batch_rows: int = 65_536,
        *,
        where: Mapping[str, str] | None = None,
    ) -> pa.RecordBatchReader:
        batch = pa.record_batch({"x": pa.array(range(50_000))})

        def read() -> Iterator[pa.RecordBatch]:
            for _ in range(20):
                self.batches += 1
                yield batch

        return pa.RecordBatchReader.from_batches(batch.schema, read())


def test_a_large_table_is_profiled_from_a_sample_without_reading_the_rest() -> None:
    store = LargeTable()
    ref = TableRef(dataset="d", name="t", version=0, rows=1_000_000, content_id="", key=(), uri="")
    snapshot = snapshot_of(store, ref)
    assert (snapshot.sampled, sum(snapshot.columns[0].spread.values())) == (SAMPLE, SAMPLE)
    assert store.batches == SAMPLE // 50_000

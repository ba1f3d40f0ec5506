"""The fingerprint of a table's rows."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.local.digest import Digest, digest_of

pytestmark = pytest.mark.slow

TIME = pa.timestamp("us", tz="UTC")
NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
SCHEMA = pa.schema([("t", pa.string()), ("f", pa.float64()), ("i", pa.int64()), ("b", pa.bool_()), ("s", TIME)])
ROW = st.fixed_dictionaries(
    {
        "t": st.none() | st.sampled_from(["", "a", "b", "0", "é"]),
        "f": st.none() | st.sampled_from([0.0, 1.0, float("nan"), float("inf"), 5e-324]),
        "i": st.none() | st.integers(-2, 2),
        "b": st.none() | st.booleans(),
        "s": st.none() | st.sampled_from([NOON, NOON + dt.timedelta(microseconds=1)]),
    }
)


def digest(rows: list[dict[str, Any]] | pa.Table, **options: Any) -> Digest:
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, SCHEMA)
    return digest_of(table.to_batches(), **options)


def test_it_is_the_same_on_every_machine_and_in_every_release() -> None:
    """Digests are stored with tables: a change here makes every stored one wrong."""
    values = {
        "text": ["Month-to-month", None, "zwölf Monate"],
        "number": [70.35, float("nan"), -0.0],
        "small": pa.array([1, -1, None], pa.int8()),
        "yes": [True, False, None],
        "day": [NOON.date(), None, NOON.date()],
        "time": pa.array([NOON, None, NOON], TIME),
    }
    assert str(digest(pa.table(values))) == "d7891e44bdbeff2fd49b80ef33cc0dd8"
    assert str(digest(pa.table({"x": pa.array([], pa.int64())}))) == "0" * 32


@given(rows=st.lists(ROW, max_size=8), data=st.data())
def test_order_batches_and_columns_order_do_not_matter(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    table = pa.Table.from_pylist(data.draw(st.permutations(rows)), SCHEMA).select(
        data.draw(st.permutations(SCHEMA.names))
    )
    cut = data.draw(st.integers(0, len(rows)))
    assert digest_of([*table.slice(cut).to_batches(), *table.slice(0, cut).to_batches()]) == digest(rows)


@given(rows=st.lists(ROW, max_size=6), others=st.lists(ROW, max_size=6))
def test_it_adds_up(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    assert digest(rows) + digest(others) == digest(rows + others)
    assert digest(rows + others) - digest(others) == digest(rows)
    assert Digest.parse(str(digest(rows))) == digest(rows)


@given(rows=st.lists(ROW, max_size=6), others=st.lists(ROW, max_size=6))
def test_it_tells_different_rows_apart(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    one, other = (sorted(repr(sorted(row.items())) for row in several) for several in (rows, others))
    assert (digest(rows) == digest(others)) == (one == other)


def test_nearly_equal_tables_do_not_collide() -> None:
    """Small whole numbers as floats have all their bits at one end: the hardest case for a product."""
    random = np.random.default_rng(0)
    cells = random.integers(0, 20, (50_000, 6)).astype(float)
    distinct = np.unique(cells, axis=0)
    digests = {
        str(digest_of([pa.record_batch({f"c{j}": [value] for j, value in enumerate(row)})])) for row in distinct[:5_000]
    }
    assert len(digests) == 5_000


@pytest.mark.parametrize(
    "same",
    [
        (pa.array([0.0]), pa.array([-0.0])),
        (pa.array([np.nan]), pa.array([-np.nan])),
        (pa.array([1], pa.int8()), pa.array([1], pa.int64())),
        (pa.array([0.5], pa.float32()), pa.array([0.5], pa.float64())),
    ],
)
def test_one_value_has_one_digest(same: tuple[pa.Array, pa.Array]) -> None:
    first, second = same
    assert digest(pa.table({"x": first})) == digest(pa.table({"x": second}))


def test_each_kind_of_value_is_another() -> None:
    columns = [[1], [1.0], [True], ["1"], [dt.date(1970, 1, 2)], pa.array([1], TIME), [None], [float("nan")], [0]]
    digests = {str(digest(pa.table({"x": values, "k": ["key"]}))) for values in columns}
    assert len(digests) == len(columns)


def test_a_column_without_values_counts_as_none() -> None:
    bare = pa.table({"k": ["a", "b"]})
    assert digest(bare.append_column("x", pa.array([None, None], pa.float64()))) == digest(bare)
    assert digest(bare.append_column("x", pa.array([None, 0.0]))) != digest(bare)


def test_a_column_may_be_left_out() -> None:
    bare = pa.table({"k": ["a", "b"]})
    assert digest(bare.append_column("x", pa.array([1, 2])), leave_out=["x"]) == digest(bare)


def test_a_slice_is_digested_as_its_rows() -> None:
    table = pa.table({"t": ["a", None, "b", "a"], "b": [None, True, False, True], "f": [1.0, None, 2.0, 3.0]})
    parts = [digest(pa.table(table.slice(start, 1).to_pydict(), table.schema)) for start in range(4)]
    assert digest(table.slice(1, 3)) == parts[1] + parts[2] + parts[3]

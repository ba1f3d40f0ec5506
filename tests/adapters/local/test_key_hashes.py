"""Duplicated keys are found by 64 bits of each key; two keys with the same bits are still two keys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from adapters.local.digest import row_words
from adapters.local.feature_store import LocalFeatureStore
from churn.core.errors import StoreError
from churn.ports.tables import TableSpec

TABLE = TableSpec(name="pairs", key=("a", "b"))
WORDS = 2**64


def words(a: list[int], b: list[int]) -> list[int]:
    batch = pa.record_batch({"a": pa.array(a, pa.int64()), "b": pa.array(b, pa.int64())})
    return [int(word) for word in row_words(batch, TABLE.key)]


def colliding() -> tuple[list[int], list[int]]:
    """Return two keys whose 64 bits are the same, found by solving for the second `b`.

    What a column adds is `factor * folded + offset`, modulo 2**64, with `folded` the value and its upper half as one.
    """
    zero, one = words([0, 0], [0, 1])
    factor = (one - zero) % WORDS
    first, second = words([1, 2], [0, 0])
    folded = (first - second) * pow(factor, -1, WORDS) % WORDS
    return [1, 2], [0, int(np.uint64(folded ^ (folded >> 32)).astype(np.int64))]


def written(tmp_path: Path, a: list[int], b: list[int]) -> int:
    rows = pa.table({"a": pa.array(a, pa.int64()), "b": pa.array(b, pa.int64())})
    return LocalFeatureStore(tmp_path, "telco").replace(TABLE, rows.to_reader()).rows


def test_two_keys_with_the_same_bits_are_two_rows(tmp_path: Path) -> None:
    a, b = colliding()
    assert b[1] != b[0]
    first, second = words(a, b)
    assert first == second
    assert written(tmp_path, a, b) == 2


def test_a_key_that_is_duplicated_beside_them_is_refused(tmp_path: Path) -> None:
    a, b = colliding()
    with pytest.raises(StoreError, match=r"A key of 'pairs' stands in more than one row \(a=7, b=7\)"):
        written(tmp_path, [*a, 7, 7], [*b, 7, 7])


def test_keys_that_are_duplicated_in_two_batches_are_refused(tmp_path: Path) -> None:
    batches = [pa.record_batch({"a": [number, number + 1], "b": [0, 0]}) for number in (1, 3, 4)]
    rows = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    with pytest.raises(StoreError, match=r"A key of 'pairs' stands in more than one row \(a=4, b=0\)"):
        LocalFeatureStore(tmp_path, "telco").replace(TABLE, rows)

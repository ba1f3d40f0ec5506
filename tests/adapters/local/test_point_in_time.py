"""The point-in-time join where two customers have one hash, and where a row names no customer."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from adapters.local.delta_table import DeltaVersion
from adapters.local.duck import Duck
from adapters.local.point_in_time import plan_join
from tests.adapters.local.delta_tables import KEY, START, TIME


def table(path: Path, customers: list[str | None], **columns: list[float]) -> DeltaVersion:
    times = pa.array([START + dt.timedelta(days=day) for day in range(len(customers))], TIME)
    write_deltalake(
        path, pa.table({"customer_id": pa.array(customers, pa.string()), "transaction_ts": times, **columns})
    )
    return DeltaVersion(path)


@pytest.mark.parametrize("hash_function", ["hash", "length"])
def test_customers_of_one_hash_get_their_own_features(tmp_path: Path, hash_function: str) -> None:
    features = table(tmp_path / "features", ["a", "b", None, "ccc"], x=[1.0, 2.0, 3.0, 4.0])
    spine = table(tmp_path / "spine", ["d", "a", "b", None, "a", "ccc"])
    join = dataclasses.replace(plan_join(spine, features, KEY), hash_function=hash_function)
    with Duck("1GB", 2, tmp_path / "spill").session() as connection:
        joined = join.run(connection, lambda query: connection.sql(query).to_arrow_table())
    rows = joined.sort_by("transaction_ts")
    assert rows["customer_id"].to_pylist() == ["d", "a", "b", None, "a", "ccc"]
    assert rows["x"].to_pylist() == [None, 1.0, 2.0, None, 1.0, 4.0]
    assert rows["feature_ts"].null_count == 2

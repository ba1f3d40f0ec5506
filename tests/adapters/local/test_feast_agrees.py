"""The point-in-time join gives what Feast's `get_historical_features` gives, where both mean the same.

Feast knows one time of a row and drops labels that have no earlier feature: nothing arrives late here, and every
customer has a feature row before its first label.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.local.feature_store import LocalFeatureStore
from churn.ports.tables import TableRef, TableSpec

KEY = ("customer_id", "transaction_ts")
START = datetime(2024, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")


def drawn(random: np.random.Generator, rows: int, first: int) -> pa.Table:
    """Return distinct customers and hours, in any order."""
    hours = (
        pd.DataFrame(random.integers([0, first], [40, 500], (rows, 2))).drop_duplicates().sample(frac=1, random_state=1)
    )
    times = pa.array([START + timedelta(hours=hour) for hour in hours[1]], TIME)
    return pa.table({"customer_id": [f"c{number}" for number in hours[0]], "transaction_ts": times})


@pytest.fixture
def tables() -> tuple[pa.Table, pa.Table]:
    """A spine and features with ties in time, gaps and nulls."""
    random = np.random.default_rng(4)
    spine = drawn(random, 800, first=10)
    features = drawn(random, 1500, first=0)
    early = pa.table(
        {"customer_id": [f"c{number}" for number in range(40)], "transaction_ts": pa.array([START] * 40, TIME)}
    )
    known = {*zip(*early.to_pydict().values(), strict=True)}
    later = features.filter(pa.array([tuple(row.values()) not in known for row in features.to_pylist()]))
    features = pa.concat_tables([early, later])
    numbers = random.normal(size=len(features))
    contracts = pa.array(random.choice(["Month-to-month", "One year", None], len(features)))
    return spine, features.append_column("charges", pa.array(numbers)).append_column("contract", contracts)


def by_feast(folder: Path, spine: pa.Table, features: pa.Table) -> pd.DataFrame:
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, String

    pq.write_table(features, folder / "features.parquet")
    store = FeatureStore(
        config=RepoConfig(
            project="churn",
            provider="local",
            registry=str(folder / "registry.db"),
            offline_store={"type": "dask"},
            online_store=None,
            entity_key_serialization_version=3,
        )
    )
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="churn",
        entities=[customer],
        ttl=timedelta(0),
        schema=[Field(name="charges", dtype=Float64), Field(name="contract", dtype=String)],
        source=FileSource(path=str(folder / "features.parquet"), timestamp_field="transaction_ts"),
    )
    store.apply([customer, view])
    labels = spine.to_pandas().rename(columns={"transaction_ts": "event_timestamp"})
    found = store.get_historical_features(entity_df=labels, features=["churn:charges", "churn:contract"]).to_df()
    return found.rename(columns={"event_timestamp": "transaction_ts"})


def by_us(folder: Path, spine: pa.Table, features: pa.Table) -> pd.DataFrame:
    store = LocalFeatureStore(folder, "telco")
    refs: list[TableRef] = [
        store.upsert(TableSpec(name=name, key=KEY), rows) for name, rows in (("labels", spine), ("features", features))
    ]
    return store.read(store.point_in_time_join(*refs, TableSpec(name="training", key=KEY))).to_pandas()


def test_the_join_is_that_of_feast(tmp_path: Path, tables: tuple[pa.Table, pa.Table]) -> None:
    columns = ["customer_id", "transaction_ts", "charges", "contract"]
    ours, theirs = (
        join(tmp_path, *tables)[columns].sort_values(columns[:2]).reset_index(drop=True) for join in (by_us, by_feast)
    )
    assert len(ours) == tables[0].num_rows
    assert ours["charges"].notna().all()
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False)

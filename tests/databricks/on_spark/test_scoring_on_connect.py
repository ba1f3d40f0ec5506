"""Batch scoring over Spark Connect, which serverless compute is: the rows of a laptop, from tables in Unity Catalog."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from adapters.databricks.catalog import frame_at
from adapters.databricks.tables import UnityTables
from adapters.spark.frames import newest
from adapters.spark.scoring import rows_in, scored, unscored_in
from churn.data.tables import EVENT_TIME
from churn.ports.tables import TableSpec
from churn.scoring.rows import score_batch
from tests.databricks.sail import sail_catalog
from tests.fakes.data.batches import feature_rows
from tests.fakes.data.scorers import small_scorer

ENTITY = "customer_id"


class OneThread:
    """A model that is where it is needed."""

    def __init__(self) -> None:
        self._scorer: Any = small_scorer()

    def use_threads(self, threads: int) -> None:
        assert threads == 1

    def __getattr__(self, name: str) -> Any:
        if name == "_scorer":
            raise AttributeError(name)
        return getattr(self._scorer, name)


@dataclass(frozen=True)
class Shipped:
    """What travels to the workers."""

    def scorer(self) -> OneThread:
        return OneThread()


@pytest.mark.parametrize("explain", ["all", "none"])
def test_what_workers_score_is_what_this_process_scores(explain: Any) -> None:
    rows = feature_rows(300)
    older = rows.set_column(
        rows.column_names.index(EVENT_TIME),
        EVENT_TIME,
        pa.array([time - dt.timedelta(days=31) for time in rows[EVENT_TIME].to_pylist()], pa.timestamp("us", "UTC")),
    )
    catalog = sail_catalog()
    tables = UnityTables(catalog, "telco")
    ref = tables.upsert(TableSpec(name="features", key=(ENTITY, EVENT_TIME)), pa.concat_tables([older, rows]))
    as_of = max(rows[EVENT_TIME].to_pylist())
    customers = newest(frame_at(catalog.session, ref), [ENTITY], as_of)
    top = small_scorer().settings.reasons.top
    found = scored(customers, Shipped(), entity=ENTITY, top_reasons=top, explain=explain)  # type: ignore[arg-type]
    parts = found.toArrow().combine_chunks().to_batches()
    got = pa.Table.from_batches([rows_in(part, ENTITY, top) for part in parts]).sort_by(ENTITY)
    batch = tables.latest_rows(ref, as_of).read_all()
    expected = score_batch(OneThread(), batch.combine_chunks().to_batches()[0], entity=ENTITY, explain=explain)
    assert got.num_rows == 300
    assert got.to_pylist() == pa.Table.from_batches([expected.rows]).sort_by(ENTITY).to_pylist()
    rejected = [unscored_in(part)[0] for part in parts]
    assert sum(part.num_rows for part in rejected) == expected.rejected.num_rows

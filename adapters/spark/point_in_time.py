"""The newest row of each customer that was known at a time, on Spark."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from churn.data.tables import ARRIVED_AT, EVENT_TIME

from .frames import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["newest"]

_SEEN, _ROW = "__seen", "__row"


def newest(
    features: DataFrame, entity: Sequence[str], as_of: dt.datetime, max_age: dt.timedelta | None = None
) -> DataFrame:
    """Return each customer's newest row of those that were known by `as_of`; see `FeatureStore.latest_rows`.

    Args:
        features: Rows with an event time.
        entity: The columns that tell customers apart.
        as_of: With a time zone.
        max_age: How long before the newest event of all that of a customer may lie; None for any time.
    """
    from pyspark.sql import functions as f

    whole = f.struct(*map(column, features.columns))
    known = features.where(_seen(features) <= f.lit(as_of))
    found = known.groupBy(*map(column, entity)).agg(f.max_by(whole, _order(features)).alias(_ROW))
    if max_age is not None:
        oldest = known.agg((f.max(column(EVENT_TIME)) - f.lit(max_age)).alias(_SEEN))
        found = found.crossJoin(f.broadcast(oldest)).where(f.col(f"{_ROW}.{EVENT_TIME}") >= f.col(_SEEN))
    return found.select(f"{_ROW}.*")


def _order(rows: DataFrame) -> Column:
    """Return what decides between rows that are both known: the event, then the arrival."""
    from pyspark.sql import functions as f

    return f.struct(column(EVENT_TIME).alias("event"), _arrival(rows).alias("arrival"))


def _arrival(rows: DataFrame) -> Column:
    from pyspark.sql import functions as f

    return f.coalesce(column(ARRIVED_AT), column(EVENT_TIME)) if ARRIVED_AT in rows.columns else column(EVENT_TIME)


def _seen(rows: DataFrame) -> Column:
    """Return since when a row can be seen; a row without an event time never can."""
    from pyspark.sql import functions as f

    return f.when(column(EVENT_TIME).isNotNull(), f.greatest(column(EVENT_TIME), _arrival(rows)))

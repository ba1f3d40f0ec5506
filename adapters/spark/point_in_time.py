"""What was known at a time, on Spark: the newest row of each customer, and the point-in-time join.

A feature row comes into sight at the later of its event and its arrival. The join sorts the spine rows and the feature
rows of a customer into one sequence by these times; its running maximum, by event and then arrival, is what was known.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from churn.data.tables import ARRIVED_AT, EVENT_TIME, FEATURE_TIME, LABEL_TIME

from .tables import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["joined", "newest"]

_SEEN, _ROW, _SPINE = "__seen", "__row", "__spine"


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


def joined(
    spine: DataFrame, features: DataFrame, entity: Sequence[str], known_by: dt.datetime | None = None
) -> DataFrame:
    """Return the spine's rows with the features as known at their time; see `FeatureStore.point_in_time_join`.

    Args:
        spine: Rows with an event time.
        features: Rows with an event time; neither has a column `feature_ts`.
        entity: The columns in which both agree, of the same types.
        known_by: With a time zone; None for all.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    left_out = {name.lower() for name in (*spine.columns, *entity, EVENT_TIME)}
    taken = [name for name in features.columns if name.lower() not in left_out]
    if known_by is not None:
        features = features.where(_arrival(features) <= f.lit(known_by))
        if LABEL_TIME in spine.columns:
            spine = spine.where(column(LABEL_TIME) <= f.lit(known_by))
    keys = [column(name) for name in entity]
    values = f.struct(_order(features).alias("order"), *(column(name).alias(f"_{name}") for name in taken))
    seen = features.where(column(EVENT_TIME).isNotNull()).select(
        *keys, _seen(features).alias(_SEEN), values.alias(_ROW)
    )
    asked = spine.select(*keys, column(EVENT_TIME).alias(_SEEN), f.struct(*map(column, spine.columns)).alias(_SPINE))
    # In a range, rows of the same time count as before each other.
    before = Window.partitionBy(*keys).orderBy(_SEEN).rangeBetween(Window.unboundedPreceding, Window.currentRow)
    known = f.max_by(column(_ROW), f.col(f"{_ROW}.order")).over(before)
    matched = asked.unionByName(seen, allowMissingColumns=True).withColumn(_ROW, known)
    return matched.where(column(_SPINE).isNotNull()).select(
        f"{_SPINE}.*",
        *(column(_ROW).getField(f"_{name}").alias(name) for name in taken),
        column(_ROW).getField("order").getField("event").alias(FEATURE_TIME),
    )


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

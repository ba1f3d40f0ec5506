"""Tables as Spark frames: Parquet files of a known schema, the types that tables hold, each customer's newest row."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from churn.data.tables import ARRIVED_AT, EVENT_TIME

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

__all__ = ["address", "column", "frame_of", "newest", "plain", "spark_schema"]

_SEEN, _ROW = "__seen", "__row"


def frame_of(session: SparkSession, files: Sequence[Path], stored: str, schema: pa.Schema) -> DataFrame:
    """Return the rows of Parquet files, read by the workers; Spark needs no package for the table's format.

    Args:
        session: On a cluster of several machines, the files must be where all of them see them.
        files: The files of one version of a table.
        stored: The columns of the files as a Spark schema in JSON, which is what a Delta table's log holds.
        schema: The types that the columns get; other programs may have written others.
    """
    from pyspark.sql.types import StructType

    kinds = StructType.fromJson(json.loads(stored))
    whole = map(_verbatim, files)
    rows = session.read.schema(kinds).parquet(*whole) if files else session.createDataFrame([], kinds)
    return rows.select(*(column(field.name).cast(field.dataType) for field in spark_schema(schema)))


def column(name: str) -> Column:
    """Return a column by its name, whatever characters that has."""
    from pyspark.sql.functions import col

    return col("`" + name.replace("`", "``") + "`")


def spark_schema(schema: pa.Schema) -> StructType:
    """Return an Arrow schema as Spark's."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(plain(schema), prefer_timestamp_ntz=False)


def plain(schema: pa.Schema) -> pa.Schema:
    """Return a schema in which coded text is text: Spark has no codes."""
    return pa.schema(
        [field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema]
    )


def address(path: Path) -> str:
    """Return a path as Spark writes to it; it takes a URI as it is and decodes nothing."""
    return f"file://{path}"


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


def _verbatim(file: Path) -> str:
    """Return a path as Spark reads it, with no pattern in it."""
    return re.sub(r"([*?\\])", r"\\\1", address(file))


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

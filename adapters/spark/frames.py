"""Tables as Spark frames: Parquet files of a known schema, the types that tables hold, each customer's newest row."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from churn.data.tables import ARRIVED_AT, EVENT_TIME, FEATURE_TIME, LABEL_TIME

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

__all__ = [
    "address",
    "arrow_schema",
    "as_known",
    "column",
    "commented",
    "frame_from",
    "frame_of",
    "known_until",
    "newest",
    "parts",
    "plain",
    "spark_schema",
    "viewed",
    "widened",
]

_SEEN, _ROW, _SPINE, _EVENT, _ARRIVAL = "__seen", "__row", "__spine", "__event", "__arrival"


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


def frame_from(session: SparkSession, rows: pa.Table) -> DataFrame:
    """Return rows of this process as a frame, in the types that they have here."""
    return session.createDataFrame(rows, spark_schema(rows.schema))


def column(name: str) -> Column:
    """Return a column by its name, whatever characters that has."""
    from pyspark.sql.functions import col

    return col("`" + name.replace("`", "``") + "`")


def spark_schema(schema: pa.Schema) -> StructType:
    """Return an Arrow schema as Spark's."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(plain(schema), prefer_timestamp_ntz=False)


def arrow_schema(frame: DataFrame) -> pa.Schema:
    """Return the columns of a frame in Arrow's types; times are UTC."""
    from pyspark.sql.pandas.types import to_arrow_schema

    return pa.schema(
        [
            field.with_type(pa.timestamp("us", "UTC"))
            if pa.types.is_timestamp(field.type)
            else field.with_nullable(True)
            for field in to_arrow_schema(frame.schema)
        ]
    )


def plain(schema: pa.Schema) -> pa.Schema:
    """Return a schema in which coded text is text: Spark has no codes."""
    return pa.schema(
        [field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema]
    )


def address(path: Path) -> str:
    """Return a path as Spark writes to it; it takes a URI as it is and decodes nothing. Volumes are no local files."""
    return str(path) if path.parts[:2] == ("/", "Volumes") else f"file://{path}"


def newest(
    features: DataFrame, entity: Sequence[str], as_of: dt.datetime, max_age: dt.timedelta | None = None
) -> DataFrame:
    """Return each customer's newest row of those that were known by `as_of`; see `FeatureStore.latest_rows`.

    Args:
        features: Rows with an event time.
        entity: The columns that identify a customer.
        as_of: With a time zone.
        max_age: How long before the newest event of all that of a customer may lie; None for any time.
    """
    from pyspark.sql import functions as f

    whole = f.struct(*map(column, features.columns))
    seen = features.where(_seen(features) <= f.lit(as_of))
    rows = seen.groupBy(*map(column, entity)).agg(f.max_by(whole, _order(features)).alias(_ROW))
    if max_age is not None:
        oldest = seen.agg((f.max(column(EVENT_TIME)) - f.lit(max_age)).alias(_SEEN))
        rows = rows.crossJoin(f.broadcast(oldest)).where(f.col(f"{_ROW}.{EVENT_TIME}") >= f.col(_SEEN))
    return rows.select(f"{_ROW}.*")


def widened(rows: DataFrame, schema: pa.Schema) -> DataFrame:
    """Return rows with the columns of a schema in its order, null where they lack one."""
    from pyspark.sql import functions as f

    return rows.select(
        *(
            column(field.name) if field.name in rows.columns else f.lit(None).cast(field.dataType).alias(field.name)
            for field in spark_schema(schema)
        )
    )


def commented(rows: DataFrame, comments: Mapping[str, str]) -> DataFrame:
    """Return rows whose columns say what they mean, which a table that is made of them keeps."""
    return rows.select(
        *(
            column(name).alias(name, metadata={"comment": comments[name]}) if name in comments else column(name)
            for name in rows.columns
        )
    )


def parts(rows: DataFrame, key: Sequence[str], count: int) -> Iterator[DataFrame]:
    """Yield so many parts of the rows, divided by a hash of the key."""
    from pyspark.sql import functions as f

    for part in range(max(1, count)):
        share = f.pmod(f.xxhash64(*map(column, key)), f.lit(count))
        yield rows.where(share == part) if count > 1 else rows


@contextmanager
def viewed(rows: DataFrame) -> Iterator[str]:
    """Let a frame have a name in SQL for a while."""
    name = f"churn_{uuid.uuid4().hex}"
    rows.createOrReplaceTempView(name)
    try:
        yield name
    finally:
        rows.sparkSession.catalog.dropTempView(name)


def known_until(rows: DataFrame, as_of: dt.datetime) -> DataFrame:
    """Return one row with the newest time, not after `as_of`, at which a row became known; null where none was."""
    from pyspark.sql import functions as f

    return rows.select(_seen(rows).alias(_SEEN)).where(f.col(_SEEN) <= f.lit(as_of)).agg(f.max(_SEEN))


def as_known(
    spine: DataFrame, features: DataFrame, entity: Sequence[str], known_by: dt.datetime | None = None
) -> DataFrame:
    """Return the spine with the features as they were known at each row's time; see `FeatureStore.point_in_time_join`.

    Spark has no as-of join. Both tables are put into one, in the order in which rows could be seen: the features of a
    spine row are then the newest event so far of its customer, which one pass over the sorted rows finds.

    Args:
        spine: Rows with an event time.
        features: Rows with an event time.
        entity: The columns in which both agree.
        known_by: Only features that arrived, and outcomes that were known, by then; with a time zone.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    left_out = {name.lower() for name in (*spine.columns, *entity, EVENT_TIME)}
    taken = [name for name in features.columns if name.lower() not in left_out]
    ordered = (column(EVENT_TIME).alias(_EVENT), _arrival(features).alias(_ARRIVAL))
    seen = features.select(
        *map(column, entity), _seen(features).alias(_SEEN), f.struct(*ordered, *map(column, taken)).alias(_ROW)
    ).where(f.col(_SEEN).isNotNull())
    asked = spine
    if known_by is not None:
        seen = seen.where(f.col(f"{_ROW}.{_ARRIVAL}") <= f.lit(known_by))
        asked = asked.where(column(LABEL_TIME) <= f.lit(known_by)) if LABEL_TIME in asked.columns else asked
    asked = asked.select(
        *map(column, entity), column(EVENT_TIME).alias(_SEEN), f.struct(*map(column, spine.columns)).alias(_SPINE)
    )
    # A feature that is seen at the very time of a spine row comes before it.
    so_far = Window.partitionBy(*map(column, entity)).orderBy(_SEEN, f.col(_SPINE).isNotNull())
    newest_so_far = f.max(_ROW).over(so_far.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    seen = seen.withColumn(_SPINE, f.lit(None).cast(asked.schema[_SPINE].dataType))
    asked = asked.withColumn(_ROW, f.lit(None).cast(seen.schema[_ROW].dataType))
    joined = seen.unionByName(asked).withColumn(_ROW, newest_so_far)
    return joined.where(f.col(_SPINE).isNotNull()).select(
        *(_within(_SPINE, name) for name in spine.columns),
        *(_within(_ROW, name) for name in taken),
        f.col(f"{_ROW}.{_EVENT}").alias(FEATURE_TIME),
    )


def _within(struct: str, name: str) -> Column:
    return column(struct).getField(name).alias(name)


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

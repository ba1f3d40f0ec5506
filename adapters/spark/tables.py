"""A version of a Delta table as a Spark frame."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import DeltaTable

from ..local.delta_table import DeltaVersion

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

__all__ = ["address", "column", "frame_of", "spark_schema"]


def frame_of(session: SparkSession, version: DeltaVersion) -> DataFrame:
    """Return the rows of a table, read from its Parquet files by the workers.

    The files are listed by the Delta library here, so that Spark needs no Delta package of its own. On a cluster of
    several machines they must lie where all of them see them.
    """
    from pyspark.sql.types import StructType

    schema = DeltaTable(version.path, version=version.version).schema()
    stored = StructType.fromJson(json.loads(schema.to_json()))
    if version.files:
        rows = session.read.schema(stored).parquet(*map(_verbatim, version.files))
    else:
        rows = session.createDataFrame([], stored)
    # Types that other programs may have written become those that tables hold.
    return rows.select(*(column(field.name).cast(field.dataType) for field in spark_schema(version.schema)))


def column(name: str) -> Column:
    """Return a column by its name, whatever characters that has."""
    from pyspark.sql.functions import col

    return col("`" + name.replace("`", "``") + "`")


def spark_schema(schema: pa.Schema) -> StructType:
    """Return an Arrow schema as Spark's; text that is coded is text."""
    from pyspark.sql.pandas.types import from_arrow_schema

    plain = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema
    ]
    return from_arrow_schema(pa.schema(plain), prefer_timestamp_ntz=False)


def address(path: Path) -> str:
    """Return a path as Spark writes to it; it takes a URI as it is and decodes nothing."""
    return f"file://{path}"


def _verbatim(file: Path) -> str:
    """Return a path as Spark reads it, with no pattern in it."""
    return re.sub(r"([*?\\])", r"\\\1", address(file))

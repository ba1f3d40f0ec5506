"""Tables as Spark frames: Parquet files of a known schema, and the types that tables hold."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

__all__ = ["address", "column", "frame_of", "spark_schema"]


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

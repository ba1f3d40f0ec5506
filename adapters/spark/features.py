"""The features of a table on Spark, by the same functions as everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from churn.data.contract import DatasetContract
from churn.data.training_set import bronze_to_features

from .tables import spark_schema

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["features_of"]


def features_of(bronze: DataFrame, contract: DatasetContract) -> DataFrame:
    """Return the rows of the feature table, as `bronze_to_features` makes them of a whole table.

    A contract's own feature functions travel with it; a library that they import must be on the workers.
    """
    from pyspark.sql.pandas.types import to_arrow_schema

    schema = to_arrow_schema(bronze.schema, timezone="UTC")
    result = bronze_to_features(schema.empty_table(), contract).schema  # reads the functions: they are pickled too

    def compute(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from bronze_to_features(pa.Table.from_batches([batch]), contract).cast(result).to_batches()

    return bronze.mapInArrow(compute, spark_schema(result))

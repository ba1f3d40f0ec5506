"""Features on demand as SQL functions are, on a real Spark, those that a model is given: row for row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from adapters.spark.features import feature_statements
from churn.data.contract import DatasetContract
from churn.model.features import BUILT_IN, FeatureSpec, compute_features
from tests.fakes.data.case import CONFIGS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = "spark_catalog.default"
NUMBERS = [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -3.0, 1 / 3, 1e308, -1e308, 5e-324]
TEXTS = [None, "", "Yes", "No", "it's", "\\", "yes", 'say "x"']
ODD = (
    FeatureSpec(name="calls_it_s", compute="count_equal", inputs=("plan", "payment_method", "plan", "tenure"),
                arguments={"value": "it's"}, on_demand=True, description="columns that say it's"),
    FeatureSpec(name="backslashes", compute="count_equal", inputs=("plan",), arguments={"value": "\\"}, on_demand=True,
                description="a \\ in `quotes`"),
    FeatureSpec(name="per_month", compute="ratio", inputs=("charges", "tenure"), on_demand=True, description="share"),
    FeatureSpec(name="above", compute="above_average", inputs=("charges", "per_month", "tenure"), on_demand=True,
                description="reads a feature on demand"),
    FeatureSpec(name="left_over", compute="difference", inputs=("above", "per_month"), on_demand=True,
                description="reads two"),
)  # fmt: skip


def contracts() -> list[DatasetContract]:
    shipped = [DatasetContract.load(path) for path in sorted((CONFIGS / "datasets").glob("*.yaml"))]
    telco = next(contract for contract in shipped if contract.name == "telco")
    columns = {
        "plan": telco.columns["payment_method"],
        "payment_method": telco.columns["payment_method"],
        "charges": telco.columns["total_charges"],
        "tenure": telco.columns["tenure"],
    }
    odd = telco.model_copy(
        update={"name": "odd", "columns": columns, "features": ODD, "slices": (), "monthly_revenue": "charges"}
    )
    return [odd, *(contract for contract in shipped if any(spec.on_demand for spec in contract.features))]


@pytest.mark.parametrize("contract", contracts(), ids=lambda contract: contract.name)
def test_a_function_computes_what_the_model_is_given(contract: DatasetContract, spark: SparkSession) -> None:
    draw = np.random.default_rng(7)
    kinds = {**contract.kinds, **{spec.name: spec.kind for spec in contract.stored_features}}
    frame = pd.DataFrame(
        {
            name: pd.Series([(NUMBERS if kind == "numeric" else TEXTS)[place] for place in drawn], dtype=object)
            for name, kind in kinds.items()
            for drawn in [draw.integers(0, len(NUMBERS if kind == "numeric" else TEXTS), 2000)]
        }
    )
    columns = {name: frame[name].to_numpy(np.float64 if kind == "numeric" else object) for name, kind in kinds.items()}
    with np.errstate(all="ignore"):
        expected = compute_features([spec for spec in contract.features if spec.on_demand], columns, contract.functions)
    rows = pa.table(
        {name: pa.array(frame[name], pa.float64() if kind == "numeric" else pa.string(), from_pandas=False)
         for name, kind in kinds.items()}
    )  # fmt: skip
    given = spark.createDataFrame(rows)
    given.createOrReplaceTempView("given")
    for name, inputs, sql in feature_statements(contract, SCHEMA):
        spark.sql(sql)
        taken = ", ".join(f"`{column}`" for column in inputs)
        found = spark.sql(f"SELECT {name}({taken}) AS value FROM given").toArrow()["value"]
        wanted = pa.array(expected[name.rpartition(".")[2]], from_pandas=True)
        assert found.combine_chunks().to_pylist() == wanted.to_pylist()
        assert 0 < found.null_count < len(found) or contract.name == "odd"


def test_every_built_in_function_has_a_form() -> None:
    assert {spec.compute for spec in ODD} == BUILT_IN.keys()

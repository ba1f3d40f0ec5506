"""Features on demand as functions in SQL: the contract's definitions, in the dialect of Spark and Databricks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from churn.core.errors import ConfigError
from churn.data.contract import DatasetContract
from churn.model.features import BUILT_IN, FeatureSpec
from churn.model.frame import Kind, canonical_text

from .sql import qualified, quoted, text

__all__ = ["FeatureStatement", "feature_statements"]


class FeatureStatement(NamedTuple):
    """A function of one feature.

    Attributes:
        name: Its full name, unquoted.
        inputs: The columns that it takes, in order.
        sql: The statement that creates or replaces it.
    """

    name: str
    inputs: tuple[str, ...]
    sql: str


def feature_statements(contract: DatasetContract, schema: str) -> list[FeatureStatement]:
    """Return a function for each feature that is computed on demand, one value a row; missing values are NULL.

    Args:
        contract: The data set.
        schema: Where the functions go, such as `main.telco`.

    Raises:
        ConfigError: there is no such feature, or one is computed by Python of the contract's own.
    """
    on_demand = [spec for spec in contract.features if spec.on_demand]
    if not on_demand:
        raise ConfigError(
            f"The data set {contract.name} has no feature with `on_demand: true`, so there is no function."
        )
    stored = {spec.name: spec for spec in contract.stored_features}
    descriptions = {name: column.description for name, column in contract.columns.items()}
    descriptions |= {name: spec.description for name, spec in stored.items()}
    kinds = {**contract.kinds, **{name: spec.kind for name, spec in stored.items()}}
    parameters = {
        name: f"{quoted(name)} {'DOUBLE' if kind == 'numeric' else 'STRING'} COMMENT {text(descriptions[name])}"
        for name, kind in kinds.items()
    }
    written: dict[str, tuple[str, tuple[str, ...]]] = {}
    statements = []
    for spec in on_demand:
        expression, inputs = written[spec.name] = _written(spec, kinds, written)
        taken = ", ".join(parameters[name] for name in inputs)
        head = f"CREATE OR REPLACE FUNCTION {qualified(f'{schema}.{spec.name}')}({taken})"
        sql = f"{head} RETURNS DOUBLE COMMENT {text(spec.description)} RETURN {expression}"
        statements.append(FeatureStatement(f"{schema}.{spec.name}", inputs, sql))
    return statements


def _written(
    spec: FeatureSpec, kinds: Mapping[str, Kind], before: Mapping[str, tuple[str, tuple[str, ...]]]
) -> tuple[str, tuple[str, ...]]:
    """Return the expression of a feature and the columns in it; features on demand that it reads are written out."""
    if spec.compute not in BUILT_IN or spec.kind != "numeric":
        raise ConfigError(
            f"The feature {spec.name!r} is computed by {spec.compute!r}, which has no form in SQL: of features on "
            f"demand, those of {', '.join(BUILT_IN)} that are numbers can be functions of the schema."
        )
    parts = [before.get(name, (quoted(name), (name,))) for name in spec.inputs]
    numeric = [kinds.get(name, "numeric") == "numeric" for name in spec.inputs]
    if spec.compute == "count_equal":
        value = text(canonical_text(spec.arguments["value"]))
        counted = (
            "0" if number else f"CASE WHEN {part} = {value} THEN 1 ELSE 0 END"
            for (part, _), number in zip(parts, numeric, strict=True)
        )
        expression = f"CAST({' + '.join(counted)} AS DOUBLE)"
    else:
        expression = _IN_SQL[spec.compute](*(part for part, _ in parts), **spec.arguments)
    return _finite(expression), tuple(dict.fromkeys(name for _, names in parts for name in names))


def _ratio(numerator: str, denominator: str) -> str:
    return f"CASE WHEN {denominator} = 0 THEN NULL ELSE {numerator} / {denominator} END"


def _above_average(current: str, total: str, periods: str) -> str:
    return f"CASE WHEN {periods} = 0 THEN 0.0D ELSE {current} - {total} / {periods} END"


_IN_SQL: Mapping[str, Callable[..., str]] = {
    "ratio": _ratio,
    "difference": lambda left, right: f"{left} - {right}",
    "above_average": _above_average,
}
"""The built-in functions of `churn.model.features`, but `count_equal`, which takes any number of columns."""


def _finite(expression: str) -> str:
    """Return the number, or NULL where there is none; to Spark, NaN is equal to itself."""
    for gap in ("NaN", "Infinity", "-Infinity"):
        expression = f"nullif({expression}, CAST('{gap}' AS DOUBLE))"
    return expression

"""What is sent to Unity Catalog is SQL that an independent parser knows, but for what is named here."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from adapters.databricks.catalog import KEY, TableText, UnityCatalog, key_statements, text_statements
from adapters.databricks.merge import MergePlan
from adapters.platform import feature_functions
from adapters.spark.features import feature_statements
from adapters.spark.sql import all_equal, content, text
from churn.core.errors import ConfigError
from churn.settings import load_contract, read_configuration
from tests.fakes.data.case import CONFIGS

DOCS = Path(__file__).parents[3] / "docs" / "databricks.md"
UNPARSED = (
    "VACUUM ",
    "REORG TABLE ",
    "SHOW TBLPROPERTIES ",
    "MERGE WITH SCHEMA EVOLUTION ",
    "GRANT USE CATALOG ",
    "GRANT READ VOLUME",
)
"""sqlglot 30 takes these for a bare command, or not at all."""
SCHEMA = pa.schema(
    [("customer_id", pa.string()), ("transaction_ts", pa.timestamp("us", "UTC")), ("it's", pa.float64())]
)


NOW = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)


class Recorded:
    """A Spark session, and each of its frames, that keeps what it is asked and has an empty answer."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.sparkSession, self.catalog, self.schema, self.fields = self, self, self, []

    def sql(self, statement: str) -> Recorded:
        self.statements.append(statement)
        return self

    def toArrow(self) -> pa.Table:
        metrics = pa.array([[("sizeOfDataToDelete", "7")]], pa.map_(pa.string(), pa.string()))
        said = {"key": [KEY], "value": ['["old"]'], "version": [3], "timestamp": [NOW], "now": [NOW]}
        return pa.table({**said, "operationMetrics": metrics})

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self


def statements() -> list[str]:
    session = Recorded()
    catalog = UnityCatalog(session, "main.telco")
    said = TableText("it's a row", {"it's": "a number"}, {"churn_dataset": "telco"})
    catalog.create("features", session, ["customer_id", "transaction_ts"], **{"delta.appendOnly": "true"})
    catalog.declare("features", ["customer_id", "transaction_ts"], said)
    catalog.release("features")
    catalog.newest("features")
    catalog.rows("features", 3)
    catalog.vacuum("features", dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
    catalog.drop("features")
    columns = text_statements("`main`.`telco`.`features`", said, {"it's": None})
    for batch in (None, ("customer_id", "it's")):
        for lacking in ((), (pa.field("note", pa.string()),)):
            plan = MergePlan("`main`.`telco`.`features`", "given", ("customer_id",), SCHEMA, lacking, batch)
            session.statements += [plan.changes, plan.statement]
    session.statements += [
        f"SELECT {', '.join(content(SCHEMA))} FROM t WHERE {all_equal({'customer_id': 'a'})}",
        *columns,
    ]
    return list(dict.fromkeys(session.statements))


@pytest.mark.parametrize("statement", [statement for statement in statements() if not statement.startswith(UNPARSED)])
def test_a_parser_of_databricks_sql_knows_the_statement(statement: str) -> None:
    tree = sqlglot.parse_one(statement, dialect="databricks")
    assert not tree.find(exp.Command)


@pytest.mark.parametrize(
    "granted", ["USE SCHEMA, CREATE TABLE, CREATE MODEL, CREATE FUNCTION", "USE SCHEMA, READ VOLUME, WRITE VOLUME"]
)
def test_privileges_on_a_schema_which_its_tables_and_volumes_inherit_are_known(granted: str) -> None:
    tree = sqlglot.parse_one(f"GRANT {granted} ON SCHEMA main.churn TO `6f3c-jobs`", dialect="databricks")
    assert isinstance(tree, exp.Grant)
    assert not tree.find(exp.Command)


def test_the_event_time_is_a_time_series_in_the_primary_key() -> None:
    *_, constraint = key_statements("`main`.`t`.`f`", "f_key", ["customer_id", "transaction_ts"])
    parsed = sqlglot.parse_one(constraint, dialect="databricks")
    assert parsed.sql("databricks") == constraint
    assert "PRIMARY KEY (`customer_id`, `transaction_ts` TIMESERIES)" in constraint


@pytest.mark.parametrize("dataset", ["telco", "saas"])
def test_the_function_of_a_feature_on_demand_is_sql_that_a_parser_knows(dataset: str) -> None:
    profile = read_configuration(CONFIGS, "databricks").profile
    contract = load_contract(CONFIGS, dataset)
    functions = feature_functions(profile, contract, create=False)
    assert [name.rpartition(".")[2] for name in functions] == [
        spec.name for spec in contract.features if spec.on_demand
    ]
    for name, sql in functions.items():
        tree = sqlglot.parse_one(sql, dialect="databricks")
        assert isinstance(tree, exp.Create)
        assert not tree.find(exp.Command)
        assert name.startswith(f"main.{dataset}.")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"compute": "own"}, r"'price_per_seat' is computed by 'own', which has no form in SQL"),
        ({"kind": "categorical"}, "has no form in SQL"),
        ({"on_demand": False}, "has no feature with `on_demand: true`"),
    ],
)
def test_a_feature_that_can_be_no_function_is_named(changed: dict[str, Any], message: str) -> None:
    contract = load_contract(CONFIGS, "saas")
    features = [
        spec.model_copy(update=changed) if spec.name == "price_per_seat" else spec for spec in contract.features
    ]
    with pytest.raises(ConfigError, match=message):
        feature_statements(contract.model_copy(update={"features": tuple(features)}), "main.saas")


@pytest.mark.parametrize("value", ["it's", "\\", "\\'", 'say "x"', "a\nb", "%s {y} `z`", "' OR '1' = '1"])
def test_a_text_is_one_literal_whatever_is_in_it(value: str) -> None:
    tree = sqlglot.parse_one(f"SELECT {text(value)}", dialect="databricks")
    assert [literal.this for literal in tree.find_all(exp.Literal)] == [value]


def test_what_no_parser_knows_is_listed_as_unproved() -> None:
    document = DOCS.read_text(encoding="utf-8")
    for beginning in UNPARSED:
        assert re.search(rf"`{beginning.strip()}", document), beginning

"""The tables of a data set are declared as they are written."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.local.decision_ledger import LocalDecisionLedger
from adapters.local.feature_store import LocalFeatureStore
from churn.approval.archive import keep_report
from churn.data.ingest import bronze_schema
from churn.data.labels import SplitSettings, labels_of
from churn.data.tables import FEATURE_TIME, INGESTED_AT, TABLES, TableName
from churn.data.training_set import bronze_to_features
from churn.data.validation import QUARANTINE_SCHEMA
from churn.ports.ledger import Entry
from churn.scoring.batch import predictions_schema
from churn.scoring.logged import LOGGED_SCHEMA, prediction_rows
from tests.fakes.data.campaigns import listed, many, planned
from tests.fakes.data.customers import CONTRACT
from tests.fakes.data.gate_reports import gate_report
from tests.fakes.ports.tables import MemoryFeatureStore


def written(name: TableName, folder: Path) -> pa.Schema:
    bronze = bronze_schema(CONTRACT).empty_table()
    store = MemoryFeatureStore("toy")
    if name == "gate_reports":
        keep_report(store, gate_report())
        return store.read(store.latest("gate_reports")).schema
    if name == "decisions":
        ledger = LocalDecisionLedger(folder, "toy")
        entry = Entry(
            at=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
            kind="gate_passed",
            model="m",
            version=1,
            champion=None,
            who="a",
            why="",
        )
        ledger.append(entry, after="")
        tables = LocalFeatureStore(folder, "toy")
        return tables.read(tables.latest("decisions")).schema
    schemas = {
        "bronze": lambda: bronze.schema,
        "quarantine": lambda: QUARANTINE_SCHEMA,
        "features": lambda: bronze_to_features(bronze, CONTRACT).schema,
        "labels": lambda: labels_of(bronze, CONTRACT, SplitSettings()).schema,
        "predictions": lambda: predictions_schema(CONTRACT.entity_key, 3),
        "contacts": lambda: listed(planned(many())).schema,
    }
    made: pa.Schema = schemas[name]()
    return made


@pytest.mark.parametrize(
    "name", ["bronze", "quarantine", "features", "labels", "predictions", "contacts", "decisions", "gate_reports"]
)
def test_a_declared_table_has_the_columns_that_are_written(name: TableName, tmp_path: Path) -> None:
    table, schema = TABLES[name], written(name, tmp_path)
    declared = table.arrow_schema(CONTRACT.entity_key, optional=table.optional)
    of_contract = {*CONTRACT.columns} if table.has_inputs else set()
    if table.has_features:
        of_contract |= {spec.name for spec in CONTRACT.stored_features}
    columns = {*schema.names} - of_contract - {INGESTED_AT}
    assert columns - {*declared.names} == set()
    assert {*declared.names} - columns <= {*table.optional}
    for column in columns:
        kind = schema.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        assert kind == declared.field(column).type, (column, kind)
    assert {*table.spec(CONTRACT.entity_key).key} <= {*schema.names}


def test_rows_of_the_endpoint_have_every_column_that_is_declared() -> None:
    table = TABLES["predictions"]
    rows = prediction_rows(LOGGED_SCHEMA.empty_table(), "b", CONTRACT.entity_key)
    assert rows.schema.equals(table.arrow_schema(CONTRACT.entity_key, optional=table.optional))


def test_a_joined_table_has_what_it_is_joined_from() -> None:
    customer = CONTRACT.entity_key
    columns = [*TABLES["labels"].arrow_schema(customer), *TABLES["features"].arrow_schema(customer)]
    names = {*(column.name for column in columns), FEATURE_TIME}
    for name in ("training", "evaluation"):
        table = TABLES[name]
        assert {*table.arrow_schema(customer).names} == names
        assert all(table.arrow_schema(customer).field(column.name) == column for column in columns)
        assert (table.key, table.optional) == (TABLES["labels"].key, TABLES["labels"].optional)


def test_no_two_tables_have_one_name_and_each_key_is_a_column() -> None:
    assert len({table.name for table in TABLES.values()}) == len(TABLES)
    for table in TABLES.values():
        assert {*table.key} <= {column.name for column in table.columns}
        assert all(column.meaning for column in table.columns)

"""What tables say of themselves in Unity Catalog."""

from __future__ import annotations

import pytest

from adapters.databricks.texts import texts_of
from churn.data.contract import DatasetContract
from churn.data.tables import TABLES
from tests.fakes.data.case import CONFIGS

CONTRACTS = [DatasetContract.load(path) for path in sorted((CONFIGS / "datasets").glob("*.yaml"))]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_every_declared_column_and_input_has_its_meaning(contract: DatasetContract) -> None:
    said = texts_of(contract, {"churn_project": "churn"})
    assert said.keys() == {table.name for table in TABLES.values()}
    features = said["churn_features"].columns
    assert features[contract.entity_key] == "the customer"
    assert all(features[name] == column.description for name, column in contract.columns.items())
    assert all(features[spec.name] == spec.description for spec in contract.stored_features)
    assert not any(spec.name in features for spec in contract.features if spec.on_demand)
    for table in TABLES.values():
        names = table.arrow_schema(contract.entity_key, optional=table.optional).names
        assert set(names) <= said[table.name].columns.keys()


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_tags_keep_what_unity_catalog_asks_of_them(contract: DatasetContract) -> None:
    for text in texts_of(contract, {"managed_by": "churn"}).values():
        assert text.tags["churn_dataset"] == contract.name
        assert len(text.tags) <= 50
        for key, value in text.tags.items():
            assert not set(key) & set(".,-=/: ")
            assert len(key) <= 255
            assert len(value) <= 1000
        assert all(0 < len(comment) <= 1000 for comment in (text.comment, *text.columns.values()))

"""Comments and tags of a data set's tables in Unity Catalog, from the contract and the list of tables."""

from __future__ import annotations

from collections.abc import Mapping

from churn.data.contract import DatasetContract
from churn.data.tables import INGESTED_AT, TABLES

from .catalog import TableText

__all__ = ["texts_of"]

_LONGEST = 1000
"""Characters that Databricks takes of a comment or a tag's value, at least."""


def texts_of(contract: DatasetContract, tags: Mapping[str, str]) -> dict[str, TableText]:
    """Return the comment, the columns' meanings and the tags of each table, by its name.

    Args:
        contract: The data set.
        tags: Tags of everything that the project makes.
    """
    inputs = {name: column.description for name, column in contract.columns.items()}
    features = {spec.name: spec.description for spec in contract.stored_features}
    texts = {}
    for table in TABLES.values():
        key = table.spec(contract.entity_key).key
        names = table.arrow_schema(contract.entity_key, optional=table.optional).names
        columns = dict(zip(names, (column.meaning for column in table.columns), strict=True))
        columns |= (inputs if table.has_inputs else {}) | (features if table.has_features else {})
        columns[INGESTED_AT] = "when the row was written"
        texts[table.name] = TableText(
            comment=f"A row is {table.meaning}. Data set {contract.name}: {contract.description}"[:_LONGEST],
            columns={name: meaning[:_LONGEST] for name, meaning in columns.items()},
            tags={**tags, "churn_dataset": contract.name, "churn_source": contract.source, "churn_key": " ".join(key)},
        )
    return texts

"""A table that a user hands in to be scored: under the contract's names and types, without the rows that break it."""

from __future__ import annotations

import datetime as dt

from ..core.errors import ValidationFailed
from ..data.contract import DatasetContract
from ..data.ingest import Source, conform, to_bronze
from ..data.training_set import bronze_to_features
from ..data.validation import ValidationReport, ValidationSettings, validate
from ..ports.tables import FeatureStore, TableRef

__all__ = ["take_in"]


def take_in(
    store: FeatureStore, source: Source, contract: DatasetContract, *, now: dt.datetime
) -> tuple[TableRef, ValidationReport]:
    """Take a source's rows into the table that is scored, with the features that the feature table has.

    The outcome may be missing from the source. Rows that break the contract, the same customer twice at one time among
    them, go to quarantine with the rule, however many they are; the others are scored.

    Raises:
        ContractError: the source is empty, or lacks a column that the contract requires.
        ValidationFailed: no row keeps the contract.
    """
    # However large a share is broken, the rest can be scored; learning from such a table would be another matter.
    settings = ValidationSettings(max_quarantine_share=1.0)
    accepted, quarantine, report = validate(conform(source, contract), contract, settings, now=now)
    if quarantine.num_rows:
        store.upsert(contract.table("quarantine"), quarantine)
    if accepted.empty:
        worst = "; ".join(
            f"{rule.column} {rule.rule} ({rule.broken:,} rows do not, such as {', '.join(rule.examples)})"
            for rule in report.broken_rules[:3]
        )
        raise ValidationFailed(
            f"None of {report.rows:,} rows from {report.source} keeps the dataset contract: {worst}. Nobody was "
            "scored; the rows are in the quarantine table. Mend the source, or correct the contract if these values "
            "are right."
        )
    rows = bronze_to_features(to_bronze(accepted, contract), contract)
    return store.replace(contract.table("to_score"), rows), report

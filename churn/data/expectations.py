"""The contract's rules as Great Expectations checks, generated from the contract and run on a pandas frame."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from ..core.errors import ValidationFailed
from .contract import DatasetContract
from .ingest import RAW_LABEL
from .tables import EVENT_TIME

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

__all__ = ["Rule", "broken_rows", "rules"]


class Rule(NamedTuple):
    """A rule for one column: in words, and as an expectation."""

    column: str
    words: str
    expectation: Expectation


def rules(contract: DatasetContract, now: dt.datetime) -> Iterator[Rule]:
    """Generate the rules of a contract; no row may lie after `now`."""
    import great_expectations.expectations as gxe

    key, label = contract.entity_key, contract.label
    yield Rule(key, "is never missing", gxe.ExpectColumnValuesToNotBeNull(column=key))
    yield Rule(EVENT_TIME, "is never missing", gxe.ExpectColumnValuesToNotBeNull(column=EVENT_TIME))
    yield Rule(
        EVENT_TIME,
        "does not lie in the future",
        gxe.ExpectColumnValuesToBeBetween(column=EVENT_TIME, max_value=pd.Timestamp(now)),
    )
    yield Rule(
        key,
        "stands once for each time",
        gxe.ExpectCompoundColumnsToBeUnique(column_list=[key, EVENT_TIME], ignore_row_if="any_value_is_missing"),
    )
    outcomes = [label.positive, label.negative]
    yield Rule(
        label.column,
        f"is {label.positive!r}, {label.negative!r} or not known yet",
        gxe.ExpectColumnValuesToBeInSet(column=RAW_LABEL, value_set=outcomes),
    )
    for name, column in contract.columns.items():
        if not column.nullable:
            yield Rule(name, "is never missing", gxe.ExpectColumnValuesToNotBeNull(column=name))
        if column.allowed is not None:
            in_set = gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(column.allowed))
            yield Rule(name, f"is one of {', '.join(column.allowed)}", in_set)
        if column.min is not None or column.max is not None:
            between = gxe.ExpectColumnValuesToBeBetween(column=name, min_value=column.min, max_value=column.max)
            yield Rule(name, _range_in_words(column.min, column.max), between)


def _range_in_words(low: float | None, high: float | None) -> str:
    if low is None:
        return f"is at most {high:,g}"
    return f"is at least {low:,g}" if high is None else f"lies between {low:,g} and {high:,g}"


def broken_rows(frame: pd.DataFrame, rules: list[Rule]) -> list[tuple[Rule, list[int]]]:
    """Return each rule with the index labels of the rows of `frame` that break it.

    Raises:
        ValidationFailed: a rule could not be checked at all.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("source").add_dataframe_asset("batch")
    batch = asset.add_batch_definition_whole_dataframe("all rows").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="contract", expectations=[rule.expectation for rule in rules])
    outcome = batch.validate(suite, result_format={"result_format": "COMPLETE"})
    by_expectation = {_identity(rule.expectation.configuration): rule for rule in rules}
    broken = []
    for result in outcome.results:
        if result.exception_info and result.exception_info.get("raised_exception"):
            raise ValidationFailed(f"A rule could not be checked: {result.exception_info['exception_message']}.")
        rows = result.result.get("unexpected_index_list") or []
        broken.append((by_expectation[_identity(result.expectation_config)], [int(row) for row in rows]))
    return broken


def _identity(configuration: Any) -> tuple[str, str]:
    keyed = {name: value for name, value in configuration.kwargs.items() if name != "batch_id"}
    return configuration.type, json.dumps(keyed, sort_keys=True, default=str)

"""Validates rows against the contract; those that break a rule are quarantined with it, never dropped."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field

from ..core.errors import ValidationFailed
from ..core.frozen import Frozen
from .contract import DatasetContract
from .ingest import RAW_LABEL, CellFault, Conformed, fault_columns
from .scorable import identifies
from .tables import EVENT_TIME, TABLES

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

__all__ = [
    "LINE_COLUMN",
    "NEVER_MISSING",
    "NOT_KNOWN_YET",
    "QUARANTINE_SCHEMA",
    "RuleResult",
    "Validated",
    "ValidationReport",
    "ValidationSettings",
    "distinct_rows",
    "merged",
    "quarantine_table",
    "validate",
]

QUARANTINE_SCHEMA = TABLES["quarantine"].arrow_schema()
"""One row for each rule a source's row broke; `row` is the source's row as JSON, `row_digest` its SHA-256."""

NEVER_MISSING = "is never missing"
"""The rule of a column that always has a value."""
NOT_KNOWN_YET = "or not known yet"
"""How the rule of the outcome ends."""
_EXAMPLES = 3
LINE_COLUMN = "the line"
"""What the quarantine calls the column of a line of text that is no row."""
_LINE_RULE = "has one value for each column"
_ROWS_OF_KEY = "rows_of_key"
"""The column of how many rows, 1 or more than 1, have the customer and the event time of a row."""


class ValidationSettings(Frozen):
    """How many broken rows a batch may hold."""

    max_quarantine_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of a batch's rows that may break the contract before the run stops.",
    )


class RuleResult(Frozen):
    """One rule and how a batch kept it."""

    column: str
    rule: str
    checked: int
    broken: int
    examples: tuple[str, ...] = ()
    set_aside: bool = Field(
        default=True, description="Whether rows that break it are set aside; else the value is scored as missing."
    )


class ValidationReport(Frozen):
    """What became of a batch's rows: `rows = accepted + quarantined + copies`."""

    source: str
    rows: int
    accepted: int
    quarantined: int
    copies: int
    ignored_columns: tuple[str, ...]
    max_quarantine_share: float
    rules: tuple[RuleResult, ...]
    scoring: bool = Field(default=False, description="Whether the rows were only to be scored; see `validate`.")

    @property
    def quarantine_share(self) -> float:
        """Quarantined rows as a share of the batch, 0 to 1."""
        return self.quarantined / self.rows

    @property
    def passed(self) -> bool:
        """Whether the batch may be used: few enough rows are quarantined, and some are left."""
        return self.quarantine_share <= self.max_quarantine_share and self.accepted > 0

    @property
    def broken_rules(self) -> tuple[RuleResult, ...]:
        """The rules that some row broke, most broken first."""
        return tuple(sorted((rule for rule in self.rules if rule.broken), key=lambda rule: -rule.broken))

    def require(self) -> None:
        """Stop a run whose batch may not be used.

        Raises:
            ValidationFailed: naming the rules, columns and example values.
        """
        if self.passed:
            return
        worst = "; ".join(
            f"{rule.column} {rule.rule} ({rule.broken:,} rows do not, such as {', '.join(rule.examples)})"
            for rule in self.broken_rules[:3]
            if rule.set_aside
        )
        raise ValidationFailed(
            f"{self.quarantined:,} of {self.rows:,} rows from {self.source} break the dataset contract "
            f"({self.quarantine_share:.1%}; validation.max_quarantine_share allows {self.max_quarantine_share:.1%}): "
            f"{worst}. None of the batch was used; the broken rows are in the quarantine table. Mend the source, or "
            "correct the contract if these values are right.",
            evidence=self,
        )

    @classmethod
    def of_kept_rows(cls, rows: int, source: str) -> Self:
        """Return the report of rows that were validated when they were delivered."""
        return cls(
            source=source,
            rows=rows,
            accepted=rows,
            quarantined=0,
            copies=0,
            ignored_columns=(),
            max_quarantine_share=1.0,
            rules=(),
        )


class Validated(NamedTuple):
    """A batch after validation: the rows that keep every rule, the others for the quarantine, and the report."""

    accepted: pd.DataFrame
    quarantine: pa.Table
    report: ValidationReport


def validate(
    batch: Conformed,
    contract: DatasetContract,
    settings: ValidationSettings,
    *,
    now: dt.datetime,
    scoring: bool = False,
) -> Validated:
    """Check a batch against its contract with Great Expectations.

    Args:
        batch: The conformed rows; their own faults (values of the wrong type) count as broken rules too.
        contract: The dataset contract.
        settings: How many broken rows are allowed; `report.require()` applies it.
        now: No row may lie after it.
        scoring: Whether the rows are only to be scored: then rows are set aside that are no customer at a time, and
            those that break other rules are accepted; see `churn.data.scorable.scorable`.
    """
    checked_frame = batch.frame.assign(**{_ROWS_OF_KEY: np.where(batch.shared, 2, 1)})
    outcome = _broken_rows(checked_frame, list(_rules(contract, now)))
    faults = [*batch.faults, *_faults(outcome, batch)]
    checked = dict.fromkeys([(rule.column, rule.words) for rule, _ in outcome] + [(f.column, f.rule) for f in faults])
    strict = {column: not scoring or identifies(column, contract) for column, _ in checked}
    results = [_result(column, words, faults, len(batch.frame), strict[column]) for column, words in checked]
    faults = [fault for fault in faults if strict[fault.column]]
    if batch.broken_lines:
        examples = tuple(repr(line[:80]) for line in batch.broken_lines[:_EXAMPLES])
        count, total = len(batch.broken_lines), len(batch.frame) + len(batch.broken_lines)
        results.append(RuleResult(column=LINE_COLUMN, rule=_LINE_RULE, checked=total, broken=count, examples=examples))
    broken = sorted({fault.row for fault in faults})
    report = ValidationReport(
        source=batch.source,
        rows=len(batch.frame) + batch.copies + len(batch.broken_lines),
        accepted=len(batch.frame) - len(broken),
        quarantined=len(broken) + len(batch.broken_lines),
        copies=batch.copies,
        ignored_columns=batch.ignored,
        max_quarantine_share=settings.max_quarantine_share,
        rules=tuple(results),
        scoring=scoring,
    )
    return Validated(batch.frame.drop(index=broken), _quarantine(faults, batch), report)


def merged(reports: Sequence[ValidationReport], contract: DatasetContract, now: dt.datetime) -> ValidationReport:
    """Return the report of a table from those of its parts, as `validate` would have reported on the whole."""
    if len(reports) == 1:
        return reports[0]
    names = ("rows", "accepted", "quarantined", "copies")
    sums = {name: sum(getattr(report, name) for report in reports) for name in names}
    results: dict[tuple[str, str], list[RuleResult]] = {}
    for result in (result for report in reports for result in report.rules):
        results.setdefault((result.column, result.rule), []).append(result)
    checked = sums["rows"] - sums["copies"]
    rows = checked - sum(result.broken for result in results.get((LINE_COLUMN, _LINE_RULE), ()))
    always, columns = {(rule.column, rule.words) for rule in _rules(contract, now)}, fault_columns(contract)

    def place(key: tuple[str, str]) -> tuple[int, int, str]:
        """Sort as `validate` does: the rules, then what could not be read, of which a part names only what it has."""
        column, words = key
        if column == LINE_COLUMN:
            return 2, 0, ""
        return (0, 0, "") if key in always else (1, columns.index(column), words)

    summed = [_summed(results[key], checked if key[0] == LINE_COLUMN else rows) for key in sorted(results, key=place)]
    return reports[0].model_copy(update={**sums, "rules": tuple(summed)})


def _summed(results: Sequence[RuleResult], checked: int) -> RuleResult:
    examples = dict.fromkeys(value for result in results for value in result.examples)
    broken = sum(result.broken for result in results)
    return results[0].model_copy(update={"checked": checked, "broken": broken, "examples": tuple(examples)[:_EXAMPLES]})


def distinct_rows(rejected: Sequence[pa.Table]) -> pa.Table | None:
    """Return the rows for the quarantine, one for each row and rule; None without any."""
    if not sum(table.num_rows for table in rejected):
        return None
    rows = pa.concat_tables(rejected)
    numbered = rows.append_column("_row", pa.array(range(len(rows)))).group_by(["row_digest", "rule"])
    return rows.take(numbered.aggregate([("_row", "min")])["_row_min"])


class _Rule(NamedTuple):
    """A rule for one column: in words, and as an expectation."""

    column: str
    words: str
    expectation: Expectation


def _rules(contract: DatasetContract, now: dt.datetime) -> Iterator[_Rule]:
    """Generate the rules of a contract; no row may lie after `now`. The frame has `_ROWS_OF_KEY` beside its columns."""
    import great_expectations.expectations as gxe

    key, label = contract.entity_key, contract.label
    yield _Rule(key, NEVER_MISSING, gxe.ExpectColumnValuesToNotBeNull(column=key))
    yield _Rule(EVENT_TIME, NEVER_MISSING, gxe.ExpectColumnValuesToNotBeNull(column=EVENT_TIME))
    yield _Rule(
        EVENT_TIME,
        "does not lie in the future",
        gxe.ExpectColumnValuesToBeBetween(column=EVENT_TIME, max_value=pd.Timestamp(now)),
    )
    yield _Rule(
        key,
        "stands once for each time",
        gxe.ExpectColumnValuesToBeBetween(column=_ROWS_OF_KEY, max_value=1),
    )
    outcomes = [label.positive, label.negative]
    yield _Rule(
        label.column,
        f"is {label.positive!r}, {label.negative!r} {NOT_KNOWN_YET}",
        gxe.ExpectColumnValuesToBeInSet(column=RAW_LABEL, value_set=outcomes),
    )
    for name, column in contract.columns.items():
        if not column.nullable:
            yield _Rule(name, NEVER_MISSING, gxe.ExpectColumnValuesToNotBeNull(column=name))
        if column.allowed is not None:
            in_set = gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(column.allowed))
            yield _Rule(name, f"is one of {', '.join(column.allowed)}", in_set)
        if column.min is not None or column.max is not None:
            between = gxe.ExpectColumnValuesToBeBetween(column=name, min_value=column.min, max_value=column.max)
            yield _Rule(name, _range_in_words(column.min, column.max), between)


def _range_in_words(low: float | None, high: float | None) -> str:
    if low is None:
        return f"is at most {high:,g}"
    return f"is at least {low:,g}" if high is None else f"lies between {low:,g} and {high:,g}"


def _broken_rows(frame: pd.DataFrame, rules: list[_Rule]) -> list[tuple[_Rule, list[int]]]:
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


def _faults(outcome: list[tuple[_Rule, list[int]]], batch: Conformed) -> Iterator[CellFault]:
    """Yield what the rules found, but for values that were unreadable and are missing only for that reason."""
    unreadable = {(fault.column, fault.row) for fault in batch.faults}
    for rule, rows in outcome:
        values = batch.raw.get(rule.column, batch.frame.get(rule.column))
        for row in rows:
            if (rule.column, row) not in unreadable:
                value = None if values is None else values.iloc[row]
                yield CellFault(row, rule.column, rule.words, "" if pd.isna(value) else str(value))


def _result(column: str, words: str, faults: list[CellFault], checked: int, set_aside: bool) -> RuleResult:
    broken = [fault for fault in faults if (fault.column, fault.rule) == (column, words)]
    examples = tuple(dict.fromkeys(repr(fault.value) for fault in broken))[:_EXAMPLES]
    return RuleResult(
        column=column, rule=words, checked=checked, broken=len(broken), examples=examples, set_aside=set_aside
    )


def _quarantine(faults: list[CellFault], batch: Conformed) -> pa.Table:
    rows = sorted({fault.row for fault in faults})
    lines = batch.raw.iloc[rows].to_json(orient="records", lines=True, date_format="iso", force_ascii=False)
    text = dict(zip(rows, lines.rstrip("\n").split("\n"), strict=True)) if rows else {}
    entries = [(text[fault.row], fault.column, fault.rule, fault.value) for fault in faults]
    entries += [(line, LINE_COLUMN, _LINE_RULE, line[:80]) for line in batch.broken_lines]
    return quarantine_table(dict.fromkeys(entries), batch.source)


def quarantine_table(entries: Iterable[tuple[str, str, str, str]], source: str) -> pa.Table:
    """Return rows of the quarantine; an entry is the row as JSON, the column, the rule it breaks, and the value."""
    return pa.Table.from_pylist(
        [
            {
                "row_digest": hashlib.sha256(row.encode()).hexdigest(),
                "rule": f"{column} {rule}",
                "column": column,
                "value": value,
                "row": row,
                "source": source,
            }
            for row, column, rule, value in entries
        ],
        schema=QUARANTINE_SCHEMA,
    )

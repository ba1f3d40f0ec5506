"""Which rows of a batch keep the contract; those that break a rule are set aside with it, never dropped."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import NamedTuple, Self

import pandas as pd
import pyarrow as pa
from pydantic import Field

from ..core.errors import ValidationFailed
from ..core.frozen import Frozen
from .contract import DatasetContract
from .expectations import Rule, broken_rows, rules
from .ingest import Conformed, Fault

__all__ = ["QUARANTINE_SCHEMA", "RuleResult", "Validated", "ValidationReport", "ValidationSettings", "validate"]

QUARANTINE_SCHEMA = pa.schema(
    [
        ("row_digest", pa.string()),
        ("rule", pa.string()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("row", pa.string()),
        ("source", pa.string()),
    ]
)
"""One row for each rule a source's row broke; `row` is the source's row as JSON, `row_digest` its SHA-256."""

_EXAMPLES = 3
_LINE = "the line"
_LINE_RULE = "has one value for each column"


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
    batch: Conformed, contract: DatasetContract, settings: ValidationSettings, *, now: dt.datetime
) -> Validated:
    """Check a batch against its contract with Great Expectations.

    Args:
        batch: The conformed rows; their own faults (values of the wrong type) count as broken rules too.
        contract: The dataset contract.
        settings: How many broken rows are allowed; `report.require()` applies it.
        now: No row may lie after it.
    """
    outcome = broken_rows(batch.frame, list(rules(contract, now)))
    faults = [*batch.faults, *_faults(outcome, batch)]
    checked = dict.fromkeys([(rule.column, rule.words) for rule, _ in outcome] + [(f.column, f.rule) for f in faults])
    results = [_result(column, words, faults, len(batch.frame)) for column, words in checked]
    if batch.broken_lines:
        examples = tuple(repr(line[:80]) for line in batch.broken_lines[:_EXAMPLES])
        count, total = len(batch.broken_lines), len(batch.frame) + len(batch.broken_lines)
        results.append(RuleResult(column=_LINE, rule=_LINE_RULE, checked=total, broken=count, examples=examples))
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
    )
    return Validated(batch.frame.drop(index=broken), _quarantine(faults, batch), report)


def _faults(outcome: list[tuple[Rule, list[int]]], batch: Conformed) -> Iterator[Fault]:
    """Yield what the rules found, but for values that were unreadable and are missing only for that reason."""
    unreadable = {(fault.column, fault.row) for fault in batch.faults}
    for rule, rows in outcome:
        values = batch.raw.get(rule.column, batch.frame.get(rule.column))
        for row in rows:
            if (rule.column, row) not in unreadable:
                value = None if values is None else values.iloc[row]
                yield Fault(row, rule.column, rule.words, "" if pd.isna(value) else str(value))


def _result(column: str, words: str, faults: list[Fault], checked: int) -> RuleResult:
    broken = [fault for fault in faults if (fault.column, fault.rule) == (column, words)]
    examples = tuple(dict.fromkeys(repr(fault.value) for fault in broken))[:_EXAMPLES]
    return RuleResult(column=column, rule=words, checked=checked, broken=len(broken), examples=examples)


def _quarantine(faults: list[Fault], batch: Conformed) -> pa.Table:
    rows = sorted({fault.row for fault in faults})
    lines = batch.raw.iloc[rows].to_json(orient="records", lines=True, date_format="iso", force_ascii=False)
    text = dict(zip(rows, lines.rstrip("\n").split("\n"), strict=True)) if rows else {}
    entries = [(text[fault.row], fault.column, fault.rule, fault.value) for fault in faults]
    entries += [(line, _LINE, _LINE_RULE, line[:80]) for line in batch.broken_lines]
    return pa.Table.from_pylist(
        [
            {
                "row_digest": hashlib.sha256(row.encode()).hexdigest(),
                "rule": f"{column} {rule}",
                "column": column,
                "value": value,
                "row": row,
                "source": batch.source,
            }
            for row, column, rule, value in dict.fromkeys(entries)
        ],
        schema=QUARANTINE_SCHEMA,
    )

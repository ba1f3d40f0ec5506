"""The data of a run as sections of a page: table profiles, validation, leakage checks."""

from __future__ import annotations

from collections.abc import Iterable

from churn.core.wording import percent
from churn.data.leakage import LeakageReport
from churn.data.snapshot import ColumnProfile, TableSnapshot
from churn.data.untreated import UntreatedRows
from churn.data.validation import RuleResult, ValidationReport

from .page import Block, Callout, Card, Cards, Cell, Definitions, Section, Table

__all__ = ["leakage_section", "table_section", "untreated_section", "validation_section"]

_BLOCKS = " ▁▂▃▄▅▆▇█"


def table_section(snapshot: TableSnapshot) -> Section:
    """Return the profile of one version of a table."""
    ref = snapshot.ref
    facts: dict[str, Cell] = {
        "table": f"{ref.dataset}.{ref.name}, version {ref.version}",
        "rows": ref.rows,
        "key": ", ".join(ref.key),
        "content": ref.content_id,
        "place": ref.uri,
    }
    rows = [_column_row(column, snapshot.sampled) for column in snapshot.columns]
    sampled = "" if snapshot.sampled == ref.rows else f", from a sample of {snapshot.sampled:,} rows"
    caption = f"All {len(rows)} columns{sampled}"
    return Section(f"Table {ref.name}", [Definitions(facts), Table.of(rows, caption, right=["missing"], folded=True)])


def _column_row(column: ColumnProfile, rows: int) -> dict[str, Cell]:
    spread = ", ".join(column.spread) if column.type == "text" else _sparkline(list(column.spread.values()))
    return {
        "column": column.name,
        "type": column.type,
        "missing": percent(column.missing / rows) if column.missing else "",
        "distinct": column.distinct,
        "from": column.low,
        "to": column.high,
        "mean": column.mean,
        "values, most frequent first, or their spread": spread,
    }


def _sparkline(counts: list[int]) -> str:
    top = max(counts, default=0)
    return "".join(_BLOCKS[-(-count * 8 // top)] if top else " " for count in counts)


def validation_section(report: ValidationReport) -> Section:
    """Return what became of a batch's rows and which rules they broke."""
    sentence = "Nothing is lost: rows that break a rule wait in the quarantine table with the rule"
    sentence += "; other values that break one are scored as missing." if report.scoring else "."
    what = "rows were set aside" if report.scoring else "rows broke the contract"
    then = "the others were scored" if report.scoring else "none of the batch was used"
    limit = f"the {percent(report.max_quarantine_share)} that validation.max_quarantine_share allows"
    above = f"More {what} than {limit}: {then}."
    verdict = Callout(sentence, "good") if report.passed else Callout(above, "bad")
    cards = [
        Card("rows from the source", report.rows, report.source),
        Card("accepted", report.accepted),
        Card(
            "quarantined",
            report.quarantined,
            percent(report.quarantine_share),
            "warn" if report.quarantined else "plain",
        ),
        Card("exact copies", report.copies),
    ]
    unbroken = [rule for rule in report.rules if not rule.broken]
    blocks: list[Block] = [verdict, Cards(cards)]
    if report.broken_rules:
        blocks.append(_rules("Rules that some rows broke", report.broken_rules, then=report.scoring))
    if unbroken:
        blocks.append(_rules(f"Rules that every row kept: {len(unbroken)}", unbroken, folded=True))
    ignored = ", ".join(report.ignored_columns) or "none"
    return Section(
        "Validation",
        blocks,
        lead="Great Expectations checked every row against the dataset contract. Columns of the source that the "
        f"contract does not know, and that were ignored: {ignored}.",
    )


def _rules(caption: str, rules: Iterable[RuleResult], *, folded: bool = False, then: bool = False) -> Table:
    rows: list[dict[str, Cell]] = [
        {
            "column": rule.column,
            "rule": rule.rule,
            "rows checked": rule.checked,
            "broken": rule.broken,
            "examples": ", ".join(rule.examples),
            **({"then": "set aside" if rule.set_aside else "scored as missing"} if then else {}),
        }
        for rule in rules
    ]
    return Table.of(rows, caption, folded=folded)


def untreated_section(untreated: UntreatedRows) -> Section:
    """Return what past campaigns cost the outcomes, and whom nobody stands for."""
    facts: dict[str, Cell] = {
        "rows with a known outcome": untreated.rows,
        "left out, contacted meanwhile": untreated.contacted,
        "of the control group, weighted": untreated.control,
        "left out, and nobody stands for them": untreated.uncontrolled,
        "effective sample size": round(untreated.effective),
    }
    lost: list[dict[str, Cell]] = [
        {"group of": part.column, "value": part.value, "rows": part.rows, "not seen": percent(part.lost / part.rows, 0)}
        for part in untreated.unseen
    ]
    costs: list[Block] = [Callout(untreated.cost, "warn"), Table.of(lost)] if untreated.cost else []
    return Section("Untreated customers", [Definitions(facts), *costs], lead=untreated.sentence)


def leakage_section(report: LeakageReport) -> Section:
    """Return the leakage checks, and how well each feature predicts alone."""
    checks: list[dict[str, Cell]] = [
        {"check": check.name, "held": check.passed, "found": check.finding} for check in report.checks
    ]
    best = sorted(report.feature_auc.items(), key=lambda item: -item[1])
    alone: list[dict[str, Cell]] = [{"feature": name, "ROC AUC alone": auc} for name, auc in best]
    return Section(
        "Leakage",
        [Table.of(checks), Table.of(alone, "How well each feature predicts alone", folded=True)],
        lead="A training set must know nothing that was not known when the prediction would have been made.",
    )

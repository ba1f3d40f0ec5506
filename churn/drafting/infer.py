"""Drafts a dataset contract from a sample of a table: a guess at the role of each column, and what to check."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..core.errors import ContractError, nearest
from ..data.contract import snake_case
from ..data.leakage import LeakageSettings, halves, univariate_auc
from ..data.tables import TRUTH
from .draft import Draft, write
from .sample import SampledColumn, read_columns

__all__ = ["infer"]

Columns = Mapping[str, SampledColumn]

WINDOW_DAYS = 30
MAX_CATEGORIES = 1000
UNIQUE_SHARE = 0.5
"""Text with a larger share of different values names things instead of grouping them."""
FEW_VALUES = 20
"""A column with so few different values groups its rows, however few rows there are."""
MIN_PER_OUTCOME = 10
"""Customers of each outcome that the AUC of a column needs."""
MAX_SLICES, MAX_SLICE_VALUES, MIN_SLICE_SHARE = 4, 8, 0.02

_OUTCOME = re.compile(r"churn|cancel|exited|attrit|terminat|unsubscri|deactivat|lapse|defect")
_OUTCOME_NAMES = {"left", "leave", "leaver", "closed", "lost", "gone", "target", "label", "status", "outcome"}
_CHURNED = re.compile(r"churn|cancel|attrit|exit|terminat|unsubscri|lapse|inactive|left|leaver|gone|closed|lost")
_TRUE = {"1", "1.0", "true", "t", "yes", "y"}
_ENTITY = re.compile(r"customer|client|account|user|subscriber|member|msisdn|cust|acct|company")
_KEY = re.compile(r"(id|key|number|no|num|nr|uuid|guid|ref|msisdn)$")
_ROW_NUMBER = re.compile(r"^(row|index|unnamed|record)")
_PERSONAL = re.compile(r"name$|mail|phone|address|birth|passport|iban|ssn")
_WHEN = {"event", "transaction", "snapshot", "observation", "period", "month", "date", "time", "ts", "report", "as"}
_HISTORY = re.compile(r"birth|dob|sign|join|start|creat|regist|activat|first|last|end|renew|expir|since|open|updat")
_REVENUE = ("monthly_charge", "mrr", "monthly_revenue", "monthly_fee", "monthly", "arpu", "revenue", "fee", "charge")


def infer(
    frame: pd.DataFrame,
    name: str,
    *,
    key: str | None = None,
    label: str | None = None,
    time: str | None = None,
    today: dt.date,
) -> str:
    """Return the draft of a dataset contract: commented YAML that `DatasetContract.load` reads.

    Args:
        frame: A sample of the table, one row per customer, or per customer and time; values may be text.
        name: What to call the data set.
        key: The column that identifies a customer, where the guess is wrong.
        label: The column of the outcome, where the guess is wrong.
        time: The column of the event time, where the guess is wrong.
        today: The day from which a table without an event time is dated back.

    Raises:
        ContractError: the table is empty, two columns share a name, a named column is not there, or none can be the
            key or the outcome: a draft with something in their place would train a model of something else.
    """
    columns = {column.name: column for column in read_columns(frame)}
    outcome = _named(columns, label, "label") or _outcome(columns)
    positive, negative, doubts = _sides(outcome)
    entity = _named(columns, key, "key") or _entity(columns, outcome)
    event = _named(columns, time, "time") or _event_time(columns, entity)
    others = [column for column in columns.values() if column not in (outcome, entity, event)]
    churned = outcome.text.map({positive: 1.0, negative: 0.0}).astype(np.float64)
    aucs = {column.name: _auc(column, churned, entity) for column in others}
    left_out = {column.source: why for column in others if (why := _unfit(column, aucs[column.name]))}
    inputs = [column for column in others if column.source not in left_out]
    if not inputs:
        listed = "; ".join(f"{column}: {why}" for column, why in left_out.items())
        raise ContractError(f"No column is left for a model to learn from. {listed or 'The table has no others'}.")
    return write(
        Draft(
            name=_dataset_name(name),
            rows=len(frame),
            key=entity,
            event=event,
            as_of=_as_of(today),
            outcome=outcome,
            positive=positive,
            negative=negative,
            churn_share=float(churned.mean()),
            window_days=WINDOW_DAYS,
            inputs=inputs,
            left_out=left_out,
            revenue=_revenue(inputs),
            slices=_slices(inputs, aucs),
            doubts={**doubts, **_time_doubts(entity, event)},
        )
    )


def _as_of(today: dt.date) -> dt.date:
    """Return the first of a month so long ago that the outcome window of its rows has closed."""
    return (today - dt.timedelta(days=2 * WINDOW_DAYS)).replace(day=1)


def _dataset_name(name: str) -> str:
    normal = snake_case(name)
    return normal if re.match(r"[a-z]", normal) else f"data_{normal}".rstrip("_")


def _named(columns: Columns, wanted: str | None, role: str) -> SampledColumn | None:
    if wanted is None:
        return None
    if snake_case(wanted) not in columns:
        raise ContractError(f"The table has no column {wanted!r} for the {role}{nearest(snake_case(wanted), columns)}")
    return columns[snake_case(wanted)]


def _outcome(columns: Columns) -> SampledColumn:
    """Return the column with two values that is called like an outcome, or whose values are."""

    def likeness(column: SampledColumn) -> int:
        by_name = 4 * bool(_OUTCOME.search(column.name)) + 2 * (column.name in _OUTCOME_NAMES)
        return by_name + 2 * (sum(bool(_CHURNED.search(kind.lower())) for kind in column.different) == 1)

    binary = [column for column in columns.values() if column.distinct == 2 and column.content != "time"]
    likely = [column for column in binary if likeness(column)]
    if not likely:
        listed = ", ".join(column.source for column in binary) or "none"
        raise ContractError(
            "No column with two values is called or filled like an outcome (churn, cancelled, exited, left): name it "
            f"with --label COLUMN. Columns with two values: {listed}."
        )
    return max(likely, key=likeness)


def _sides(outcome: SampledColumn) -> tuple[str, str, dict[str, str]]:
    """Return the values of the customers who left and of those who stayed, and what is doubtful about that."""
    values = outcome.different
    if len(values) != 2:
        shown = ", ".join(values[:5])
        raise ContractError(
            f"The outcome {outcome.source!r} must have two values, left and stayed; it has {len(values)} ({shown}). "
            "Keep the rows of two of them, or name another column with --label."
        )
    churned = [value for value in values if value.lower().rstrip(".") in _TRUE or _CHURNED.search(value.lower())]
    if len(churned) == 1:
        positive, doubts = churned[0], {}
    else:
        positive = str(outcome.text.value_counts().index[-1])
        doubts = {"label": f"neither {values[0]!r} nor {values[1]!r} says who left; the rarer one was taken."}
    return positive, next(value for value in values if value != positive), doubts


def _entity(columns: Columns, outcome: SampledColumn) -> SampledColumn:
    """Return the column that is called like a customer's key, a different one in every row before any other."""

    def likeness(column: SampledColumn) -> tuple[int, bool]:
        called = bool(_KEY.search(column.name))
        return called * (1 + bool(_ENTITY.search(column.name))), column.unique

    able = [
        c for c in columns.values() if c is not outcome and c.content in ("integer", "categorical") and not c.missing
    ]
    named = [c for c in able if re.match(r"[a-z]", c.name) and not _ROW_NUMBER.search(c.name)]
    keys = [c for c in named if c.unique or likeness(c)[0]]
    if not keys:
        listed = ", ".join(column.source for column in columns.values())
        raise ContractError(
            "No column identifies a customer: none is different in every row, and none is called like a key without "
            f"missing values. Name it with --key COLUMN, or add one to the table; it has: {listed}."
        )
    return max(keys, key=likeness)


def _event_time(columns: Columns, entity: SampledColumn) -> SampledColumn | None:
    """Return the time that is called like the time of a row, not like a date in the customer's history."""
    times = [
        column
        for column in columns.values()
        if column.content == "time" and not _HISTORY.search(column.name) and not _OUTCOME.search(column.name)
    ]
    return max(times, key=lambda column: len(_WHEN & set(column.name.split("_"))), default=None)


def _time_doubts(entity: SampledColumn, event: SampledColumn | None) -> dict[str, str]:
    rows = pd.DataFrame({"key": entity.text, "time": "" if event is None else event.values})
    repeated = int(rows.duplicated().sum())
    if repeated:
        what = "a customer" if event is None else "a customer at the same time"
        doubt = f"rows that repeat {what}: {repeated:,}. They would be refused; --time COLUMN names another time."
        return {"event_time": doubt}
    if event is not None and event.ambiguous:
        return {"event_time": f"day and month may be the other way round; {event.format} was taken."}
    return {}


def _auc(column: SampledColumn, churned: pd.Series, entity: SampledColumn) -> float:
    """Return how well a column alone tells who left, 0.5 to 1; 0.5 where too few customers did, or stayed."""
    labelled = churned.notna()
    label = churned[labelled].to_numpy().astype(np.int8)
    if np.bincount(label, minlength=2).min() < MIN_PER_OUTCOME:
        return 0.5
    values = column.values if column.content in ("integer", "number") else column.text
    return univariate_auc(values[labelled].to_numpy(), label, halves(entity.text[labelled]))


def _unfit(column: SampledColumn, auc: float) -> str | None:
    """Return why a model should not learn from a column, or None."""
    present = len(column.text) - column.missing
    grouping = column.content == "number" or column.distinct <= FEW_VALUES
    names = column.content == "categorical" and column.distinct > min(UNIQUE_SHARE * present, MAX_CATEGORIES)
    numbering = _KEY.search(column.name) and column.distinct > UNIQUE_SHARE * present
    reasons = [
        (not re.match(r"[a-z]", column.name), "its name does not begin with a letter: rename it in the source"),
        (_OUTCOME.search(column.name), "called like something that is known only once a customer has left"),
        (column.name == TRUTH, "the probability from which a simulation drew the outcome"),
        (column.content == "nested", "it holds lists or structures"),
        (column.distinct == 0, "it is always missing"),
        (
            auc > LeakageSettings().max_feature_auc,
            f"it alone tells who left (ROC AUC {auc:.3f}): probably written afterwards",
        ),
        (column.distinct == 1, "it never changes"),
        (column.content == "time", "a date: give the model a number instead, such as the days until the event time"),
        (column.content == "formatted numbers", "numbers with signs or separators: write them as plain numbers"),
        (column.unique and _ROW_NUMBER.search(column.name), "it numbers the rows"),
        (numbering and not grouping, "it numbers something"),
        (_PERSONAL.search(column.name) and not grouping, "personal data, which says nothing about a group"),
        (names and not grouping, f"names or free text: {column.distinct:,} different values"),
    ]
    return next((why for applies, why in reasons if applies), None)


def _revenue(inputs: list[SampledColumn]) -> str | None:
    numbers = [column.name for column in inputs if column.content in ("integer", "number")]
    return next((name for word in _REVENUE for name in numbers if word in name and "total" not in name), None)


def _slices(inputs: list[SampledColumn], aucs: Mapping[str, float]) -> list[str]:
    """Return the groupings by which churn differs most, without groups too small to judge."""
    few = [column for column in inputs if 2 <= column.distinct <= MAX_SLICE_VALUES]
    groupings = [c.name for c in few if c.text.value_counts(normalize=True).min() >= MIN_SLICE_SHARE]
    return sorted(groupings, key=lambda name: -aucs[name])[:MAX_SLICES]

"""The tables of a data set: the name, key and columns of each, with their meaning."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import pyarrow as pa
from pydantic import Field

from ..core.frozen import Frozen
from ..ports.tables import TableSpec

__all__ = [
    "ARRIVED_AT",
    "CAMPAIGN_GROUP",
    "EVENT_TIME",
    "FEATURE_TIME",
    "INGESTED_AT",
    "LABEL",
    "LABEL_TIME",
    "RESERVED",
    "SPLIT",
    "TABLES",
    "TRUTH",
    "WEIGHT",
    "DeclaredTable",
    "RetentionSettings",
    "Side",
    "TableColumn",
    "TableName",
]

EVENT_TIME = "transaction_ts"
"""When the facts of a row were true (UTC); every table of features and labels has it under this name."""
ARRIVED_AT = "arrived_at"
"""When a row could first be seen (UTC): the contract's arrival column, or the event time where the source has none."""
INGESTED_AT = "ingested_at"
"""When a row was written (UTC)."""
LABEL = "label"
"""The outcome: 1 churned, 0 stayed, missing while it is not known."""
LABEL_TIME = "label_ts"
"""When the outcome became known (UTC)."""
FEATURE_TIME = "feature_ts"
"""The event time of the feature row that the point-in-time join gave to a row (UTC)."""
SPLIT = "split"
"""The side of the split that a customer is on for ever."""
Side = Literal["train", "holdout"]
"""The two sides: customers whose outcomes a model learns from, and those it is judged on."""
TRUTH = "true_probability"
"""The churn probability a simulation drew the label from; never a feature."""

WEIGHT = "untreated_weight"
"""How many rows an outcome stands for: 1; more in a control group; 0 where the customer was contacted meanwhile."""
CAMPAIGN_GROUP = "campaign_group"
"""Why a row has another weight than 1: `control`, `treatment`, or `uncontrolled`, contacted without a control group."""


class RetentionSettings(Frozen):
    """How long what is no longer current is kept."""

    days: int = Field(
        default=90,
        ge=0,
        description="Days that a replaced version of a table is kept; those that registered models name stay for ever.",
    )
    log_days: int = Field(default=30, ge=0, description="Days that the log of a run is kept; the next run removes it.")
    endpoint_days: int | None = Field(
        default=365,
        ge=1,
        description="Days that rows of the endpoint stay in churn_predictions; `data vacuum` erases older ones. null: "
        "for ever.",
    )


TableName = Literal[
    "bronze",
    "quarantine",
    "features",
    "labels",
    "training",
    "evaluation",
    "baseline",
    "predictions",
    "batches",
    "contacts",
    "campaign_effects",
    "decisions",
    "gate_reports",
    "profile_metrics",
    "drift_metrics",
    "retrainings",
]
"""The tables of a data set, by what they are for."""

_CUSTOMER = "<customer>"
_ARROW = {
    "text": pa.string(),
    "integer": pa.int64(),
    "outcome": pa.int8(),
    "number": pa.float64(),
    "truth": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
}


class TableColumn(Frozen):
    """One column: `<customer>` stands for the contract's customer key.

    One that is `optional` is there only for some data sets, versions or settings.
    """

    name: str
    type: Literal["text", "integer", "outcome", "number", "truth", "time"]
    meaning: str
    optional: bool = False


class DeclaredTable(Frozen):
    """One table of every data set.

    Attributes:
        name: What it is called in the store.
        key: The columns that identify a row; `<customer>` stands for the contract's customer key.
        meaning: What a row is.
        columns: The columns that every data set has; times are UTC. The store adds `ingested_at`.
        has_inputs: Whether the contract's columns are there too.
        has_features: Whether the contract's stored features are there too.
    """

    name: str
    key: tuple[str, ...]
    meaning: str
    columns: tuple[TableColumn, ...]
    has_inputs: bool = False
    has_features: bool = False

    @property
    def optional(self) -> tuple[str, ...]:
        """The columns that are there only for some data sets, versions or settings."""
        return tuple(column.name for column in self.columns if column.optional)

    def spec(self, customer: str = "") -> TableSpec:
        """Return name and key for a data set whose customer key is `customer`."""
        return TableSpec(name=self.name, key=tuple(customer if name == _CUSTOMER else name for name in self.key))

    def arrow_schema(self, customer: str = "", *, optional: Collection[str] = ()) -> pa.Schema:
        """Return names and types of the declared columns; of those that are optional, the ones that are named."""
        return pa.schema(
            (customer if column.name == _CUSTOMER else column.name, _ARROW[column.type])
            for column in self.columns
            if column.name in optional or not column.optional
        )


def _columns(**named: str) -> tuple[TableColumn, ...]:
    """Return columns written as `name="type: meaning"`, or `type?` where the column is optional."""
    columns = []
    for name, text in named.items():
        kind, _, meaning = text.partition(": ")
        columns.append({"name": name, "type": kind.rstrip("?"), "meaning": meaning, "optional": kind.endswith("?")})
    return tuple(map(TableColumn.model_validate, columns))


_KEY = _columns(**{_CUSTOMER: "text: the customer", EVENT_TIME: "time: when the facts of the row were true"})
_ARRIVED = _columns(**{ARRIVED_AT: "time: when the row could first be seen"})
_TRUTH = _columns(**{TRUTH: "number?: the probability that a simulation drew the outcome from, 0 to 1"})
_OUTCOME = _columns(
    **{
        LABEL: "outcome: 1 churned, 0 stayed",
        LABEL_TIME: "time: from when on the outcome may be used",
        SPLIT: "text: train or holdout",
    }
)
_UNTREATED = _columns(
    **{
        WEIGHT: "number?: rows that the outcome stands for; 0 where the customer was contacted meanwhile",
        CAMPAIGN_GROUP: "text?: control, treatment, or uncontrolled; missing without a campaign meanwhile",
    }
)
_SCORED = _columns(
    probability="number: of churn, calibrated, 0 to 1",
    expected_value="number: expected profit of treating the customer, in the currency",
    customer_value="number: what the customer is worth over the horizon, in the currency",
)
_REASONS = _columns(**{f"reason_{rank}": "text?: why, strongest first" for rank in (1, 2, 3)})
_OF_ENDPOINT = _columns(
    request_id="text?: of the request; missing in a batch, as the next three are",
    role="text?: answered, shadow where the client was not told, or what_if where nobody acts on it",
    status="text?: ok, stale, unknown, or failed where a version on trial could not score the row",
    inputs="text?: columns that the model read, as JSON, as far as serving.log.columns names them",
    score_ms="number?: milliseconds that scoring took, of the rows of a request their mean",
)
_ROW = (_CUSTOMER, EVENT_TIME)
_MEASURED = _columns(
    model_name="text: the registered model",
    model_version="integer: its version",
    clock="text: event or scoring, the time that puts a prediction into a window",
    length="text: day, week or month",
    window_start="time: when the window begins",
    source="text: batch or endpoint",
    slice="text: the column of a slice; empty for all rows",
    slice_value="text: its value; empty for all rows",
    column="text: the input, probability, label, or :table for all of the rows",
)


def _joined(name: str, meaning: str) -> DeclaredTable:
    """Return a table of the point-in-time join."""
    feature_time = _columns(**{FEATURE_TIME: "time: the event time of the feature row that was joined"})
    columns = (*_KEY, *_OUTCOME, *_TRUTH, *_UNTREATED, *_ARRIVED, *feature_time)
    return DeclaredTable(name=name, key=_ROW, meaning=meaning, columns=columns, has_inputs=True, has_features=True)


TABLES: dict[TableName, DeclaredTable] = {
    "bronze": DeclaredTable(
        name="bronze_customers",
        key=_ROW,
        meaning="a delivered row that keeps the contract",
        columns=(
            *_KEY,
            *_ARRIVED,
            *_columns(
                raw_label="text: the outcome as the source spells it; missing while it is not known",
                **{LABEL_TIME: "time: when the source says that the outcome was known"},
            ),
            *_TRUTH,
        ),
        has_inputs=True,
    ),
    "quarantine": DeclaredTable(
        name="quarantine",
        key=("row_digest", "rule"),
        meaning="a rule that a delivered row broke",
        columns=_columns(
            row_digest="text: SHA-256 of the row",
            rule="text: column and rule in words",
            column="text: the column",
            value="text: the value that broke it",
            row="text: the row as it arrived, as JSON",
            source="text: where it came from",
        ),
    ),
    "features": DeclaredTable(
        name="churn_features",
        key=_ROW,
        meaning="a customer's inputs and stored features at one time",
        columns=(*_KEY, *_ARRIVED),
        has_inputs=True,
        has_features=True,
    ),
    "labels": DeclaredTable(
        name="churn_labels",
        key=_ROW,
        meaning="a known outcome",
        columns=(*_KEY, *_OUTCOME, *_TRUTH, *_UNTREATED),
    ),
    "training": _joined("churn_training", "an outcome with the features as they were known at its time"),
    "evaluation": _joined("churn_evaluation", "as churn_training, with the outcomes that were known when a gate ran"),
    "baseline": DeclaredTable(
        name="churn_baseline",
        key=("model_digest", *_ROW),
        meaning="a holdout row as a registered version scored it; written once, at registration",
        columns=(
            *_columns(
                model_digest="text: what the version computes",
                model_name="text: the registered model",
                model_version="integer: its version",
            ),
            *_KEY,
            *_OUTCOME[:2],
            *_UNTREATED[:1],
            *_SCORED,
            *_columns(treated="truth: whether treating pays"),
        ),
        has_inputs=True,
        has_features=True,
    ),
    "predictions": DeclaredTable(
        name="churn_predictions",
        key=("batch_id", *_ROW, "row_number"),
        meaning="a customer's score in one batch, or in one answer of the endpoint",
        columns=(
            *_columns(batch_id="text: the batch; of the endpoint, the rows that came into the table together"),
            *_KEY,
            *_columns(row_number="integer: of the endpoint, from 0 in each batch_id; 0 in a batch"),
            *_SCORED,
            *_REASONS,
            *_columns(
                decision="text: treat or not",
                model_name="text: the registered model",
                model_version="integer: its version",
                model_alias="text: by which it was loaded",
                threshold_policy="text: the rule of the decision and its economics",
                features_version="integer: version of churn_features; missing where a request brought all columns",
                scored_at="time: when it was scored, by the clock",
                source="text: batch or endpoint",
            ),
            *_OF_ENDPOINT,
        ),
    ),
    "batches": DeclaredTable(
        name="churn_batches",
        key=("batch_id",),
        meaning="a batch that was scored",
        columns=_columns(
            batch_id="text: the batch",
            model_name="text: the registered model",
            model_version="integer: its version",
            as_of="time: what was known then was scored",
            scored_at="time: when it was scored",
            scored="integer: customers with a score",
            quarantined="integer: customers set aside",
            treated="integer: customers whose treatment pays",
            value_at_stake="number: customer value of those who are expected to leave, in the currency",
            summary="text: the whole summary, as JSON with its format",
        ),
    ),
    "contacts": DeclaredTable(
        name="churn_contacts",
        key=("batch_id", _CUSTOMER),
        meaning="a customer who is to be contacted, or belongs to the control group",
        columns=(
            *_columns(batch_id="text: the batch"),
            _KEY[0],
            *_columns(group="text: treatment or control", rank="integer: from 1; missing in the control group"),
            *_SCORED,
            *_columns(expected_cost="number: expected cost of the treatment, in the currency"),
            *_REASONS,
            *_columns(
                actionable_reason="text?: the first reason that the business can act on",
                what_would_change_it="text?: what customers of lower risk have there instead",
                contacted_at="time: when the list was made, by the clock; in rows without as_of, the time of the data",
                planned_at="time: when the campaign was planned, by the clock; cool-down counts from it",
                as_of="time?: as of which the batch was scored, in the time of the data",
                salt="text?: by which the control group was drawn",
                control_share="number?: share of the customers who were held back, 0 to 0.5",
                offer="text?: what was offered, of contacts that were made outside and imported",
            ),
        ),
    ),
    "campaign_effects": DeclaredTable(
        name="campaign_effects",
        key=("campaign",),
        meaning="what a campaign changed, as it was measured last",
        columns=_columns(
            campaign="text: the batch, or salt: and the salt of all campaigns that it drew the control group of",
            salt="text: by which the control group was drawn",
            campaigns="integer: campaigns that were pooled",
            measured_at="time: when the outcomes were read",
            known_from="time: from when on all outcomes may be known, in the time of the data",
            contacted="integer: customers who were contacted",
            contacted_known="integer: those of them whose outcome is known",
            contacted_churned="integer: those of them who churned",
            control="integer: customers of the control group",
            control_known="integer: those of them whose outcome is known",
            control_churned="integer: those of them who churned",
            confidence="number: of the intervals, 0 to 1",
            drop="number: churn of the control group less that of the contacted, -1 to 1",
            drop_lower="number: lower end of its interval",
            drop_upper="number: upper end",
            saved="number: worth of the customers who were kept, in the currency",
            spent="number: cost of contacts and incentives, in the currency",
            net="number: saved less spent, in the currency",
            net_lower="number: lower end of its interval",
            net_upper="number: upper end",
            acceptance="number: posterior mean of the acceptance rate, 0 to 1",
            acceptance_alpha="number: alpha of the Beta distribution that fits the posterior",
            acceptance_beta="number: beta of it",
            currency="text: of the amounts",
            verdict="text: earned, lost, kept, unclear, too early, or no control group",
        ),
    ),
    "decisions": DeclaredTable(
        name="decisions",
        key=("decision_id",),
        meaning="a decision about a version; rows are appended and never changed",
        columns=_columns(
            decision_id="text: of the record",
            sequence="integer: from 1, without gaps",
            at="time: when it was decided",
            kind="text: what was decided",
            model="text: the registered model",
            version="integer: the version that it is about",
            champion="integer: the version that was live",
            who="text: who decided",
            why="text: the reason",
            numbers="text: figures, as JSON",
            verdicts="text: checks and their results, as JSON",
            digests="text: of model, champion and gate report, as JSON",
            previous="text: hash of the record before",
            hash="text: of this record",
            record="text?: the canonical text that is hashed",
        ),
    ),
    "gate_reports": DeclaredTable(
        name="gate_reports",
        key=("digest",),
        meaning="the report of one gate",
        columns=_columns(
            digest="text: of the report",
            model="text: the registered model",
            version="integer: the challenger's version",
            at="time: when the gate ran",
            verdict="text: passed or failed",
            report="text: the whole report, as JSON with its format",
        ),
    ),
    "profile_metrics": DeclaredTable(
        name="profile_metrics",
        key=(*(column.name for column in _MEASURED), "metric", "kind"),
        meaning="a figure of a window of predictions",
        columns=(
            *_MEASURED,
            *_columns(
                metric="text: its name in the registry of metrics",
                kind="text: measured, realised, estimated, or backtest (estimated where outcomes are known)",
                number="number: the figure; missing where it does not exist",
                lower="number: lower end of its interval, if it has one",
                upper="number: upper end of its interval, if it has one",
                se="number: standard error, if it has one",
                content="text: changes where the rows of the window do, or how they are measured",
                measured_at="time: when it was measured",
            ),
        ),
    ),
    "drift_metrics": DeclaredTable(
        name="drift_metrics",
        key=(*(column.name for column in _MEASURED), "against", "metric"),
        meaning="how a window of predictions differs from the baseline, or from the window before",
        columns=(
            *_MEASURED,
            *_columns(
                against="text: baseline, or before",
                metric="text: its name in the registry of metrics",
                number="number: the measure; missing where it does not exist",
                measured_at="time: when it was measured",
            ),
        ),
    ),
    "retrainings": DeclaredTable(
        name="retrainings",
        key=("model_name", "started_at"),
        meaning="a retraining that monitoring called for, and what became of it",
        columns=(
            *_columns(
                model_name="text: the registered model",
                started_at="time: when it began, by the clock",
                cutoff="time: outcomes that were known by then were used",
                reason="text: why it was called for",
                new_outcomes="integer: outcomes that became known since the last training",
                before="integer: the version that was live; missing without one",
                version="integer: the version that was trained",
                state="text: promoted, waiting, rollout, kept, same_model or taken_back",
                live="integer: the version that was live afterwards; missing without one",
                gate_report="text: digest of the gate's report; missing where the model is the live one",
                compared_on="text: holdout or newest, the rows that the gains are of; missing without a comparison",
                compared_rows="integer: how many",
            ),
            *_columns(
                **{
                    f"{metric}_gain{end}": f"number: {what} of the gain in {metric}; above 0 the new one is better"
                    for metric in ("profit_per_customer", "roc_auc", "log_loss")
                    for end, what in (("", "estimate"), ("_lower", "lower end"), ("_upper", "upper end"))
                },
                sentence="text: what became of it, in a sentence",
            ),
        ),
    ),
}
"""Every table that there is."""

RESERVED = frozenset(
    column.name
    for table in TABLES.values()
    if table.has_inputs
    for column in table.columns
    if column.name not in (_CUSTOMER, TRUTH)
) | {INGESTED_AT}
"""Names that no input may have: tables have columns of their own under them, beside the inputs."""

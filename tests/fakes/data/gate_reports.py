"""What a gate could have found; numbers that a test looks for are given here."""

from __future__ import annotations

import datetime as dt
from typing import Any

from churn.approval.state import VersionStatus
from churn.core.estimate import Estimate
from churn.gate.report import (
    Check,
    Comparison,
    GateReport,
    PairedMetric,
    RecipeComparison,
    RecipeMetric,
    SliceComparison,
    VersionSummary,
)
from churn.gate.settings import GateSettings
from churn.lifecycle.deployment import Deployment
from churn.lifecycle.release import Release
from churn.ports.ledger import Decision, Entry
from tests.fakes.data.evaluations import evaluation

AT = dt.datetime(2025, 6, 1, 9, 30, tzinfo=dt.UTC)
SETTINGS = GateSettings()


def estimate(point: float, se: float) -> Estimate:
    """Return a number with the interval that a normal distribution gives it at 90 %."""
    return Estimate(point=point, lower=point - 1.645 * se, upper=point + 1.645 * se, se=se)


def paired(name: str, champion: float, gain: float, se: float, margin: float | None = None) -> PairedMetric:
    """Return a paired metric whose challenger leads by `gain`; less is better for log loss and calibration error."""
    return PairedMetric(
        name=name,
        champion=champion,
        challenger=champion - gain if name in ("log_loss", "brier", "ece") else champion + gain,
        gain=estimate(gain, se),
        margin=margin,
        detectable=2.486 * se,
    )


METRICS = (
    paired("log_loss", 0.4139, 0.0022, 0.0013, 0.01),
    paired("roc_auc", 0.8402, 0.0031, 0.0018, 0.01),
    paired("profit_per_customer", 9.18, 0.11, 0.125, 0.918),
    paired("average_precision", 0.6551, 0.0041, 0.0038),
    paired("brier", 0.1341, 0.0007, 0.0005),
    paired("ece", 0.0212, 0.0018, 0.0049),
    paired("f1", 0.6290, 0.0026, 0.0061),
    paired("cost_matrix_profit", 151.2, 3.4, 6.2),
)


def part(
    column: str, value: str, rows: int, log_loss: float, profit: float, p_worse: float, *, worse: bool = False
) -> SliceComparison:
    """Return a group of customers that was judged."""
    scale = rows**-0.5
    gains = {"log_loss": estimate(log_loss, 0.05 * scale), "profit_per_customer": estimate(profit, 4.2 * scale)}
    return SliceComparison(column=column, value=value, rows=rows, gains=gains, p_worse=p_worse, worse=worse)


SLICES = (
    part("contract", "Month-to-month", 781, 0.0034, 0.24, 1.0),
    part("contract", "One year", 302, 0.0008, -0.05, 1.0),
    part("contract", "Two year", 326, -0.0002, 0.0, 1.0),
    part("internet_service", "DSL", 489, 0.0011, 0.10, 1.0),
    part("internet_service", "Fiber optic", 622, 0.0040, 0.21, 1.0),
    part("internet_service", "No", 298, 0.0, -0.02, 1.0),
    part("payment_method", "Electronic check", 470, 0.0051, 0.33, 1.0),
    part("senior_citizen", "0", 1183, 0.0024, 0.14, 1.0),
    SliceComparison(column="payment_method", value="(missing)", rows=4, skipped="fewer than 100 rows"),
)
HOLDOUT = Comparison(
    name="holdout",
    rows=1409,
    customers=1409,
    churners=373,
    since=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    until=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    resamples=2000,
    metrics=METRICS,
    slices=SLICES,
)
NEWEST = HOLDOUT.model_copy(
    update={
        "name": "newest",
        "until": dt.datetime(2024, 3, 1, tzinfo=dt.UTC),
        "slices": (),
        "rows": 2800,
        "churned_customers": 240,
    }
)
RECIPES = RecipeComparison(
    rows=5634,
    customers=5634,
    folds=5,
    repeats=2,
    metrics=(
        RecipeMetric(
            name="log_loss",
            champion=0.4128,
            challenger=0.4110,
            gain=estimate(0.0018, 0.0006),
            p_better=0.0093,
            p_worse=0.9907,
            detectable=0.0017,
            folds=(0.0012, 0.0025, 0.0009, 0.0031, 0.0016, 0.0022, -0.0003, 0.0028, 0.0019, 0.0021),
        ),
        RecipeMetric(
            name="roc_auc",
            champion=0.8466,
            challenger=0.8481,
            gain=estimate(0.0015, 0.0008),
            p_better=0.048,
            p_worse=0.952,
            detectable=0.0022,
            folds=(0.0011, 0.0032, 0.0004, 0.0024, 0.0013, 0.0019, -0.0011, 0.0026, 0.0014, 0.0018),
        ),
    ),
)
CHECKS = (
    Check(
        name="digest",
        verdict="pass",
        value="3f9c2a7be410",
        threshold="registered digest",
        sentence="What was loaded is, byte for byte, what was registered.",
    ),
    Check(
        name="recipe",
        verdict="pass",
        value=0.0093,
        threshold=0.05,
        sentence="Trained on the same customers, the new recipe is better than luck explains.",
    ),
    Check(
        name="profit",
        verdict="pass",
        value=0.11,
        threshold=-0.918,
        sentence="Version 5 earns 0.11 USD per customer more than the champion, give or take 0.21.",
    ),
    Check(name="calibration", verdict="pass", value=0.0194, threshold=0.05, sentence="Its probabilities are true."),
)
FAILED = Check(
    name="slices", verdict="fail", value="contract One year", threshold=0.05, sentence="One group is worse off."
)
UNANSWERED = Check(
    name="model_card", verdict="error", sentence="Could not be answered, so the answer is no: the registry is locked."
)


def contestant(version: int, noise: float) -> VersionSummary:
    """Return a registered version."""
    return VersionSummary(
        version=version,
        digest=f"{version}f" * 32,
        description=f"Churn model number {version}.",
        recipe_digest=f"{version}e" * 32,
        data_digest="d1" * 32,
        trained_until=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        registered_at=dt.datetime(2025, 5, 20 + version, tzinfo=dt.UTC),
        evaluation=evaluation(noise),
    )


def gate_report(**changes: Any) -> GateReport:
    """Return the report of a challenger that passes: another recipe against a champion, on the same rows."""
    report = GateReport(
        model="churn_telco",
        at=AT,
        settings=SETTINGS,
        currency="USD",
        relation="recipe",
        challenger=contestant(5, 0.4),
        champion=contestant(3, 0.8),
        checks=CHECKS,
        holdout=HOLDOUT,
        recipes=RECIPES,
        evaluated_on={"churn_training": "version 7, d1d1d1d1d1d1"},
        seconds={"holdout": 2.1, "recipes": 31.4},
    )
    return report.model_copy(update=changes)


def first_report(**changes: Any) -> GateReport:
    """Return the report of a first version, which has nobody to be compared with."""
    return gate_report(relation="first", champion=None, holdout=None, recipes=None, **changes)


PASSED = Decision.chained(
    Entry(
        kind="gate_passed",
        model="churn_telco",
        version=5,
        champion=3,
        at=AT,
        who="Ada",
        why="All 4 checks of the gate passed.",
        verdicts={check.name: check.verdict for check in CHECKS},
        digests={"gate_report": "ab" * 32, "model": "5f" * 32, "champion": "3f" * 32},
    ),
    None,
)
VERSION_STATUS = VersionStatus(
    model="churn_telco",
    version=5,
    state="pending",
    why="It passed the gate on 2025-06-01 09:30 UTC and waits for a person to approve or reject it.",
    gate=PASSED,
)
DEPLOYMENT = Deployment(
    model="churn_telco",
    version=5,
    champion=5,
    previous=3,
    state="promoted",
    sentence="churn_telco version 5 is @Champion, version 3 is @PreviousChampion.",
)

RELEASE = Release(
    deployment=DEPLOYMENT,
    state="verified",
    sentence="4,000 customers are online, and 20 of them were scored as in a batch, at http://127.0.0.1:8080.",
    address="http://127.0.0.1:8080",
    online=4000,
    compared=1000,
    scored=20,
)

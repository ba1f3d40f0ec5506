"""What the steps of a small training run could have found; numbers that a test looks for are given here."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from churn.data.leakage import LeakageCheck, LeakageReport
from churn.data.snapshot import TableSnapshot, profile_of
from churn.data.validation import RuleResult, ValidationReport
from churn.evaluation.importance import Explanation, explain_rows
from churn.lifecycle.registration import Findings, Registration
from churn.model.frame import columns_of
from churn.ports.studies import Trial
from churn.ports.tables import TableRef
from churn.training.blending import BlendScore
from churn.training.boosting import BoostingParams
from churn.training.calibration import Calibration, CalibrationScore
from churn.training.search import TuningResult
from churn.training.train import TrainingReport
from tests.fakes.data.evaluations import evaluation
from tests.fakes.data.scorers import SCHEMA, customers, small_scorer

ROWS = pa.table(
    {
        "customer_id": ["a", "b", "c", "d"],
        "tenure": [1, 5, 5, None],
        "contract": ["Two year", None, "Month-to-month", "Two year"],
        "label": pa.array([1, 0, 0, 1], pa.int8()),
    }
)
REF = TableRef(
    dataset="gym_simulated",
    name="churn_training",
    version=7,
    rows=4,
    content_id="d1" * 32,
    key=("customer_id",),
    uri="/tables/gym",
)
SNAPSHOT = TableSnapshot(ref=REF, sampled=4, columns=profile_of(ROWS))

TRIALS = (
    Trial(number=0, state="COMPLETE", value=0.4210, params={"max_depth": 2}, seconds=1.24),
    Trial(number=1, state="PRUNED", value=None, params={"max_depth": 6}, seconds=0.5),
    Trial(number=2, state="COMPLETE", value=0.4105, params={"max_depth": 3}, seconds=2.0),
)
TUNING = TuningResult(
    trials=TRIALS,
    best=TRIALS[2],
    boosting=BoostingParams(max_depth=3),
    objective="log_loss",
    gain=0.0105,
    gain_se=0.002,
    seconds=3.7,
    reason="The search saved 0.0105 of log loss.",
)

_SCORE = CalibrationScore(log_loss=0.41, brier=0.13, ece=0.012, ece_by_chance=0.011, slope=0.97, intercept=-0.02)
TRAINING = TrainingReport(
    rows=4800,
    customers=2400,
    churn_rate=0.25,
    blends=(
        BlendScore(
            members=("additive", "boosting"),
            log_loss=0.4100,
            se=0.005,
            behind_default=0.0,
            behind_default_se=0.0,
            default=True,
            chosen=True,
        ),
        BlendScore(
            members=("additive",),
            log_loss=0.4155,
            se=0.005,
            behind_default=0.0055,
            behind_default_se=0.001,
            default=False,
            chosen=False,
        ),
    ),
    chosen=("additive", "boosting"),
    calibration=Calibration(
        slope=1.0, intercept=0.0, gain=0.0001, gain_se=0.0002, applied=False, before=_SCORE, after=_SCORE
    ),
    thresholds={"f1": 0.33},
    fitted={"boosting_rounds": 120, "additive_penalty": 3.0},
    seconds={"prepare": 0.1},
    cpu_seconds={"prepare": 0.1, "boosting": 1.9},
)

LEAKAGE = LeakageReport(
    checks=(
        LeakageCheck(name="Nothing from the future", passed=True, finding="all 4 rows see only features of their time"),
        LeakageCheck(name="No copy of the label", passed=False, finding="left_on always tells the outcome."),
    ),
    feature_auc={"tenure": 0.61, "contract": 0.72},
)
VALIDATION = ValidationReport(
    source="members.csv",
    rows=1000,
    accepted=960,
    quarantined=30,
    copies=10,
    ignored_columns=("favourite_colour",),
    max_quarantine_share=0.05,
    rules=(
        RuleResult(column="tenure", rule="is at least 0", checked=990, broken=5, examples=("'-1'",)),
        RuleResult(column="contract", rule="is one of its values", checked=990, broken=25, examples=("'Weekly'",)),
        RuleResult(column="member_id", rule="is never missing", checked=990, broken=0),
    ),
)
REGISTRATION = Registration(
    name="churn_gym_simulated",
    version=4,
    run_id="run-1",
    digest="m0" * 32,
    unchanged=False,
    description="Churn model of the gym.",
    tags={"data_version": "7", "seed": "42"},
)


@cache
def explanation() -> Explanation:
    """Return the reasons of three customers."""
    frame = customers(3)
    columns = small_scorer().model.complete(columns_of(frame, {column.name: column.kind for column in SCHEMA.inputs}))
    return explain_rows(small_scorer(), columns, np.array(frame["customer_id"]), seed=0)


def findings() -> Findings:
    """Return all of it as the end of a run takes it."""
    return Findings(SNAPSHOT, TUNING, TRAINING, evaluation(), explanation())

"""Small real scorers, whose numbers can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from churn.model.additive import AdditiveModel, Curve
from churn.model.features import FeatureSpec
from churn.model.model import ChurnModel, InputColumn, ModelSchema
from churn.model.scorer import Scorer, ScoringSettings

SCHEMA = ModelSchema(
    inputs=(
        InputColumn(name="contract", kind="categorical", description="length of the contract", actionable=True),
        InputColumn(name="tenure", kind="numeric", integer=True, description="months as a customer"),
        InputColumn(name="monthly_charges", kind="numeric", description="monthly charges", actionable=True),
        InputColumn(name="total_charges", kind="numeric", nullable=True, description="charges so far"),
    ),
    features=(
        FeatureSpec(
            name="price_rise",
            compute="above_average",
            inputs=("monthly_charges", "total_charges", "tenure"),
            description="price above the customer's average so far",
            actionable=True,
        ),
    ),
)
CATEGORIES = {"contract": ("Month-to-month", "Two year")}


def line(slope: float, start: float, missing: float) -> Curve:
    """Return `start + slope · value` for values from 0 to 100."""
    return Curve(knots=(0.0, 100.0), pieces=((0.0, 0.0, slope, start),), missing=missing)


ADDITIVE = AdditiveModel(
    intercept=-1.0,
    tables={"contract": (0.9, -0.5, 0.25)},  # the last one for a contract that is missing or unknown
    curves={"price_rise": line(0.1, 0.0, missing=0.0), "tenure": line(-0.02, 0.7, missing=0.2)},
)


def small_scorer(settings: ScoringSettings | None = None, *, boosted: bool = False) -> Scorer:
    """Return a scorer of four columns: log-odds -1, plus the contract's, plus 0.7 - 0.02 a month of tenure."""
    booster = _booster() if boosted else None
    model = ChurnModel(schema=SCHEMA, categories=CATEGORIES, additive=ADDITIVE, booster=booster)
    return Scorer(model, settings or ScoringSettings())


def customers(rows: int = 3) -> pd.DataFrame:
    """Return customers as a source delivers them: other columns among the model's, whole numbers, a missing value."""
    start = {
        "customer_id": ["7590-VHVEG", "5575-GNVDE", "3668-QPYBK"],
        "tenure": [10, 60, 0],
        "contract": ["Month-to-month", "Two year", "One year"],
        "monthly_charges": [50.0, 30.0, 70.35],
        "total_charges": [480.0, 1800.0, None],
    }
    return pd.concat([pd.DataFrame(start)] * (rows // 3 + 1), ignore_index=True).head(rows)


def _booster():  # type: ignore[no-untyped-def]  # xgboost is heavy: only where it is asked for
    import xgboost

    random = np.random.default_rng(7)
    values = np.column_stack([random.integers(0, 2, 400), random.uniform(0, 72, (400, 4))]).astype(np.float32)
    label = random.random(400) < 1 / (1 + np.exp(values[:, 1] / 20 - values[:, 0]))
    types = ["c", "float", "float", "float", "float"]
    data = xgboost.DMatrix(values, label=label, feature_types=types)
    return xgboost.train({"objective": "binary:logistic", "max_depth": 2, "nthread": 1}, data, num_boost_round=10)

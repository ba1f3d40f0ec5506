"""The evaluation of a model on a holdout of made-up customers."""

from __future__ import annotations

from functools import cache

import pandas as pd

from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.model.money import MoneySettings
from tests.fakes.data.predictions import predictions


@cache
def evaluation(noise: float = 0.5) -> Evaluation:
    """Return the metrics of a holdout of 600 customers; the more noise, the worse the model."""
    sample = predictions(600, noise=noise)
    return evaluate(
        sample.label,
        sample.probability,
        sample.entity,
        thresholds={"f1": 0.33},
        money=MoneySettings(),
        value=200.0,
        slices={},
        settings=EvaluationSettings(resamples=100),
        seed=1,
        event_time=pd.Series(pd.Timestamp("2025-01-01", tz="UTC"), index=range(600)),
    )

"""A small made-up business: customers whose churn depends on tenure, plan and an interaction, and a column of noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from churn.data.contract import DatasetContract
from churn.data.training_set import TrainingData
from churn.model.features import compute_features
from churn.model.frame import Columns

CONTRACT = DatasetContract.model_validate(
    {
        "name": "toy",
        "description": "Made-up customers.",
        "entity_key": "customer_id",
        "event_time": {"column": None, "as_of": "2024-01-01"},
        "label": {"column": "churn", "positive": "Yes", "negative": "No", "window_days": 30},
        "columns": {
            "tenure": {"type": "integer", "min": 0, "description": "months as a customer"},
            "charges": {"type": "number", "nullable": True, "description": "monthly charges", "actionable": True},
            "plan": {"type": "categorical", "description": "plan"},
            "noise": {"type": "number", "description": "nothing"},
        },
        "features": [
            {"name": "spent", "compute": "ratio", "inputs": ["charges", "tenure"], "description": "charges a month"}
        ],
    }
)


def raw_columns(rows: int, seed: int) -> dict[str, npt.NDArray[np.generic]]:
    """Return the contract's columns for made-up customers; a tenth of the charges is missing."""
    random = np.random.default_rng(seed)
    charges = random.lognormal(3, 1, rows)
    charges[random.random(rows) < 0.1] = np.nan
    return {
        "tenure": random.integers(0, 60, rows).astype(np.float64),
        "charges": charges,
        "plan": random.choice(np.array(["basic", "plus", "pro", None], dtype=object), rows, p=[0.4, 0.3, 0.2, 0.1]),
        "noise": random.normal(size=rows),
    }


def true_logit(columns: Columns) -> npt.NDArray[np.float64]:
    """Return the log-odds that the outcomes are drawn from."""
    tenure = columns["tenure"].astype(np.float64)
    charges = np.nan_to_num(np.log(columns["charges"].astype(np.float64)), nan=3.0)
    basic = (columns["plan"] == "basic").astype(np.float64)
    return 0.6 * (charges - 3) * (1 + basic) - 0.05 * (tenure - 20) + 0.8 * basic - 1.0


def customers(rows: int = 600, seed: int = 0) -> TrainingData:
    """Return made-up customers with outcomes, one row each."""
    columns = raw_columns(rows, seed)
    drawn = np.random.default_rng(seed + 1).random(rows) < 1 / (1 + np.exp(-true_logit(columns)))
    complete = compute_features(CONTRACT.features, columns, CONTRACT.functions)
    entity = np.array([f"c{index:06d}" for index in range(rows)], dtype=object)
    return TrainingData(complete, drawn.astype(np.int8), entity)

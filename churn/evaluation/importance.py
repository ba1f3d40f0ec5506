"""Why the model says what it says on the holdout: which features count, and the reasons of a few customers."""

from __future__ import annotations

import numpy as np

from ..core.frozen import Frozen
from ..model.frame import Columns
from ..model.reasons import Described, global_importance, values_in_words
from ..model.scorer import Scorer

__all__ = [
    "CustomerReasons",
    "Explanation",
    "explain_rows",
]

_ROWS = 2_000
_EXAMPLES = 8


class CustomerReasons(Frozen):
    """One customer's prediction with its reasons, and what each feature, with its value, adds to the log-odds."""

    customer: str
    probability: float
    decision: str
    expected_value: float
    reasons: tuple[str, ...]
    contributions: tuple[tuple[str, float], ...]
    base: float


class Explanation(Frozen):
    """The model's features by importance (mean absolute log-odds over `rows` rows), and examples."""

    rows: int
    currency: str
    importance: dict[str, float]
    descriptions: dict[str, str]
    examples: tuple[CustomerReasons, ...]


def explain_rows(scorer: Scorer, columns: Columns, customers: np.ndarray) -> Explanation:
    """Explain the model on rows it was not trained on.

    Args:
        scorer: The model and the economics.
        columns: Every input and feature, arrays of shape `(n_rows,)`; the first 2,000 rows are used.
        customers: The customer of each row, shape `(n_rows,)`.
    """
    first = {name: values[:_ROWS] for name, values in columns.items()}
    features: list[Described] = [*scorer.model.schema.inputs, *scorer.model.schema.features]
    contributions = scorer.model.contributions(first)
    scores = scorer.score(first)
    best = np.argsort(-scores["expected_value"].to_numpy(), kind="stable")[:_EXAMPLES]
    examples = tuple(
        CustomerReasons(
            customer=str(customers[row]),
            probability=float(scores["probability"].iloc[row]),
            decision=str(scores["decision"].iloc[row]),
            expected_value=float(scores["expected_value"].iloc[row]),
            reasons=tuple(scores["reasons"].iloc[row]),
            contributions=tuple(zip(values_in_words(first, features, row), contributions[row, :-1], strict=True)),
            base=float(contributions[row, -1]),
        )
        for row in best
    )
    return Explanation(
        rows=len(contributions),
        currency=scorer.settings.money.currency,
        importance=global_importance(contributions, [feature.name for feature in features]),
        descriptions={feature.name: feature.description for feature in features},
        examples=examples,
    )

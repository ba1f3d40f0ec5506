"""Feature importance on the holdout, and the reasons of a few customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.frozen import Frozen
from ..model.frame import Columns, FloatArray
from ..model.model import InputColumn
from ..model.reasons import Described, global_importance, values_in_words
from ..model.scorer import Scorer
from .shapes import RiskGrid, Shape, risk_grid, shapes_of

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
    shapes: tuple[Shape, ...] = ()
    grid: RiskGrid | None = None


def explain_rows(
    scorer: Scorer,
    columns: Columns,
    customers: npt.NDArray[np.object_],
    *,
    seed: int,
    label: npt.NDArray[np.int8] | None = None,
) -> Explanation:
    """Explain the model on rows it was not trained on.

    Every row is scored; the examples are the customers of the greatest expected value, each with the best of their
    rows. Importance is measured on the rows of customers drawn at random, 2,000 rows at the most.

    Args:
        scorer: The model and the economics.
        columns: Every input and feature, arrays of shape `(n_rows,)`.
        customers: The customer of each row, shape `(n_rows,)`.
        seed: Draws the customers for the importance.
        label: 1 churned, 0 stayed, shape `(n_rows,)`; needed for the churn by two inputs.
    """
    features: list[Described] = [*scorer.model.schema.inputs, *scorer.model.schema.features]
    code = pd.factorize(customers)[0]
    scored = scorer.score(columns, explain=False)
    best = _best_rows(scored["expected_value"].to_numpy(), code)
    chosen = {name: values[best] for name, values in columns.items()}
    scores, contributions = scorer.score(chosen), scorer.model.contributions(chosen)
    examples = tuple(
        CustomerReasons(
            customer=str(customers[row]),
            probability=float(scores["probability"].iloc[index]),
            decision=str(scores["decision"].iloc[index]),
            expected_value=float(scores["expected_value"].iloc[index]),
            reasons=tuple(scores["reasons"].iloc[index]),
            contributions=tuple(zip(values_in_words(chosen, features, index), contributions[index, :-1], strict=True)),
            base=float(contributions[index, -1]),
        )
        for index, row in enumerate(best)
    )
    sample = _sampled_rows(code, seed)
    sampled_rows = {name: values[sample] for name, values in columns.items()}
    sampled = scorer.model.contributions(sampled_rows)
    importance = global_importance(sampled, [feature.name for feature in features])
    grid = None
    if label is not None and len(pair := _pair(scorer.model.schema.inputs, importance)) == 2:
        probability = scored["probability"].to_numpy(dtype=np.float64)
        grid = risk_grid({name: columns[name] for name in pair}, label.astype(np.float64), probability)
    return Explanation(
        rows=len(sample),
        currency=scorer.settings.money.currency,
        importance=importance,
        descriptions={feature.name: feature.description for feature in features},
        examples=examples,
        shapes=shapes_of(scorer.model, sampled_rows),
        grid=grid,
    )


def _pair(inputs: Sequence[InputColumn], importance: Mapping[str, float]) -> tuple[str, ...]:
    """Return the strongest number and the strongest category among the inputs, else the two strongest inputs."""
    ranked = sorted(inputs, key=lambda column: -importance[column.name])
    first = {column.kind: column.name for column in reversed(ranked)}
    if len(first) == 2:
        return first["numeric"], first["categorical"]
    return tuple(column.name for column in ranked[:2])


def _best_rows(expected_value: FloatArray, customer: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the best row of each of the customers of the greatest expected value, the greatest first."""
    order = np.argsort(-expected_value, kind="stable")
    first = np.sort(np.unique(customer[order], return_index=True)[1])
    return order[first[:_EXAMPLES]]


def _sampled_rows(customer: npt.NDArray[np.intp], seed: int) -> npt.NDArray[np.intp]:
    """Return all rows of customers drawn at random, as many as make `_ROWS` rows, ascending."""
    drawn = np.random.default_rng(seed).permutation(int(customer.max()) + 1)[customer]
    return np.sort(np.argsort(drawn, kind="stable")[:_ROWS])

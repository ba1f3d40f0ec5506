"""Why the model says what it says, as a section of a page."""

from __future__ import annotations

from churn.core.wording import number, percent
from churn.evaluation.importance import Explanation

from .page import Block, Cell, Figure, Section, Table

__all__ = ["explanation_section"]


def explanation_section(explanation: Explanation) -> Section:
    """Return the importance of the features, and the customers most worth treating with their reasons."""
    from .model_charts import importance, reasons

    words = explanation.descriptions
    blocks: list[Block] = [
        Figure(
            importance([words[name] for name in explanation.importance], list(explanation.importance.values())),
            f"Mean over {explanation.rows:,} rows of the holdout; 0.69 doubles or halves the odds of churn.",
        )
    ]
    rows: list[dict[str, Cell]] = [
        {
            "customer": example.customer,
            "churn probability": percent(example.probability),
            f"expected value, {explanation.currency}": number(example.expected_value, 2),
            "what raises the risk": "; ".join(example.reasons),
        }
        for example in explanation.examples
    ]
    blocks.append(Table.of(rows, "The customers most worth treating.", right=["churn probability"]))
    if explanation.examples:
        first = explanation.examples[0]
        chart = reasons(
            [name for name, _ in first.contributions], [added for _, added in first.contributions], first.base
        )
        blocks.append(Figure(chart, f"How the prediction for customer {first.customer} comes about."))
    return Section("Why", blocks, lead="Exact contributions to the log-odds: they add up to the prediction.")

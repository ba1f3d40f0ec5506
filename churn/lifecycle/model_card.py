"""Writes the model card: purpose, training data, quality, limits.

Its headings are those of Mitchell et al. (2019), Model Cards for Model Reporting, FAT* '19.
"""

from __future__ import annotations

from ..core.wording import percent, spoken
from ..data.contract import DatasetContract
from ..data.snapshot import TableSnapshot
from ..evaluation.evaluate import Evaluation
from ..evaluation.headline import headline
from ..evaluation.importance import Explanation
from ..evaluation.metrics import METRICS
from ..training.train import TrainingReport

__all__ = ["model_card"]

_SHOWN = ("campaign_profit", "roc_auc", "average_precision", "log_loss", "ece", "profit_per_customer")
_TOP = 8


def model_card(
    contract: DatasetContract,
    training: TrainingReport,
    evaluation: Evaluation,
    explanation: Explanation,
    snapshot: TableSnapshot,
) -> str:
    """Return the card as Markdown."""
    label, ref = contract.label, snapshot.ref
    measured = [
        f"- {METRICS[name].label}: {METRICS[name].interval(evaluation.metrics[name], evaluation.currency)}"
        for name in _SHOWN
        if name in evaluation.metrics
    ]
    strongest = [f"- {explanation.descriptions[name]}" for name in list(explanation.importance)[:_TOP]]
    thresholds = [f"- {spoken(name)}: {percent(value)}" for name, value in evaluation.thresholds.items()]
    lines = [
        f"# Churn model of {ref.dataset}",
        "",
        contract.description,
        "",
        "## Intended use",
        "",
        f"The probability that a customer leaves within {label.window_days} days, and whether a retention offer is "
        "worth its cost. It says who is at risk, not who is persuaded by an offer.",
        "",
        "## Training data",
        "",
        f"{training.rows:,} rows of {training.customers:,} customers; {percent(training.churn_rate)} of the rows end "
        f"in churn; table {ref.name}, version {ref.version}, content {ref.content_id[:12]}.{_untreated(training)}",
        "",
        "## Model",
        "",
        f"{' + '.join(training.chosen)}, the mean of their log-odds. What weighs most:",
        "",
        *strongest,
        "",
        "## Evaluation",
        "",
        f"On {evaluation.customers:,} customers that no part of training saw; {percent(evaluation.confidence, 0)} "
        "intervals over customers:",
        "",
        *measured,
        "",
        headline(evaluation),
        "",
        "## Thresholds",
        "",
        "- expected value above 0, which depends on the customer's value",
        *thresholds,
        "",
        "## Limits",
        "",
        "It holds for customers like those it was trained on. A value it never saw counts as missing.",
    ]
    return "\n".join(lines) + "\n"


def _untreated(training: TrainingReport) -> str:
    if training.effective_rows is None:
        return ""
    return (
        " Outcomes of contacted customers are left out, and control groups stand for them: the rows count as much as "
        f"{training.effective_rows:,.0f} of equal weight."
    )

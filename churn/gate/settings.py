"""Settings of the gate: limits and confidence; docs/gate.md gives the reasons for the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from ..core.frozen import Frozen
from ..evaluation.evaluate import EvaluationSettings
from ..model.money import MoneySettings
from ..model.scorer import ReasonSettings

__all__ = ["CodeRule", "GateRules", "GateSettings", "Margins", "Rule"]


Rule = Literal["superiority", "non-inferiority"]
CodeRule = Literal["non-inferiority", "superiority", "refuse"]


class Margins(Frozen):
    """How much worse than the champion a challenger may truly be and still count as no worse."""

    log_loss: float = Field(default=0.005, ge=0, description="In nats.")
    roc_auc: float = Field(default=0.005, ge=0, description="Area under the ROC curve.")
    profit_share: float = Field(default=0.05, ge=0, description="Of the champion's profit per customer and month.")
    slice_log_loss: float = Field(default=0.02, ge=0, description="In nats, in one group of customers.")


class GateSettings(Frozen):
    """How the deployment pipeline judges a challenger."""

    rule: Rule = Field(
        default="superiority", description="What another recipe must prove: that it is better, or that it is no worse."
    )
    alpha: float = Field(default=0.05, gt=0, lt=0.5, description="One-sided significance level of every test.")
    resamples: int = Field(default=2_000, ge=200, le=50_000, description="Paired bootstrap resamples of customers.")
    folds: int = Field(default=5, ge=2, le=20, description="Folds by customer on which both recipes are refitted.")
    repeats: int = Field(default=2, ge=1, le=20, description="How often the folds are drawn anew.")
    max_recipe_rows: int = Field(
        default=50_000, ge=1_000, description="Rows on which recipes are refitted; of more, whole customers are drawn."
    )
    code_change: CodeRule = Field(
        default="non-inferiority",
        description="What a version must prove on the same rows if code or libraries make another model of the "
        "champion's recipe and data; `refuse` lets none through.",
    )
    margins: Margins = Margins()
    max_ece: float = Field(default=0.05, gt=0, le=1, description="Calibration error beyond which a model is refused.")
    min_churners: int = Field(default=30, ge=2, description="Customers who churned, and who stayed, to judge on.")
    min_slice_rows: int = Field(default=100, ge=2, description="A smaller slice is listed and not judged.")
    max_seconds_per_1000: float = Field(
        default=5.0, gt=0, description="CPU seconds to score 1,000 customers with reasons."
    )
    max_single_ms: float = Field(
        default=250.0, gt=0, description="CPU milliseconds to score one customer with reasons."
    )
    max_megabytes: float = Field(default=200.0, gt=0, description="Size of the packaged model.")
    capacity: int | None = Field(
        default=None, ge=1, description="Customers a campaign can contact; null takes `campaign.capacity`."
    )


@dataclass(frozen=True)
class GateRules:
    """Everything that a gate is run with beside the versions and the tables.

    Attributes:
        gate: Bars, margins and resamples.
        money: What a decision is worth.
        evaluation: How each version is evaluated by itself.
        reasons: How many reasons a prediction has.
        split: The tag of the split that parts the holdout from the training side, as versions carry it.
        seed: Seed of everything random.
        threads: Fits side by side; they change no result.
    """

    gate: GateSettings
    money: MoneySettings
    evaluation: EvaluationSettings
    reasons: ReasonSettings
    split: str
    seed: int
    threads: int

"""The registry of metrics: what each is called, its unit, its decimals, and which direction is better.

Terminal, pages, MLflow, tags and dashboard take label, unit and decimals from here, and nowhere else is there a table
of display names. A holdout that pools several dates has several rows of a customer (customer-months), and each of them
counts: profits over it are per customer and month. The `campaign_…` profits are those of one date, each customer once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..core.wording import Named, spoken

__all__ = ["HEADLINE", "METRICS", "Metric", "Metrics"]


@dataclass(frozen=True, kw_only=True)
class Metric(Named):
    """A metric of a model on labelled rows.

    Attributes:
        name: Its key in `Evaluation.metrics`, in MLflow and in tags.
        better: Which direction is better; `one` is best at 1, None is neither.
        meaning: What it says, in half a sentence, with its scale.
    """

    name: str
    better: Literal["higher", "lower", "one"] | None = None
    meaning: str

    @property
    def gain(self) -> Named:
        """How a difference of two models is written, positive where the challenger is better.

        Differences are small: they have one decimal more, but for amounts and for metrics that have four already.
        """
        label = f"{self.label} {'saved' if self.better == 'lower' else 'gained'}"
        more = self.unit != "money" and self.digits < 4
        return Named(label, "pp" if self.unit == "%" else self.unit, self.digits + more)


_BY_RULE = {"profit": "by expected value", "cost_matrix": "by the cost matrix"}


class Metrics(dict[str, Metric]):
    """Metrics by name. `METRIC_at_RULE` is the metric `METRIC` where the decision rule `RULE` is applied.

    The rules are `profit` (expected value above 0), `cost_matrix`, and the names of a model's thresholds.
    """

    def __missing__(self, name: str) -> Metric:
        """Return the metric under a decision rule.

        Raises:
            KeyError: there is no such metric.
        """
        metric, at, rule = name.rpartition("_at_")
        if not at or metric not in self:
            raise KeyError(f"{name!r} is not in the registry of metrics, churn/evaluation/metrics.py: add it there")
        under = _BY_RULE.get(rule, f"at the {spoken(rule)} threshold")
        base = self[metric]
        return replace(base, name=name, label=f"{base.label} {under}")


METRICS = Metrics(
    (metric.name, metric)
    for metric in (
        Metric(
            name="roc_auc",
            label="ROC AUC",
            better="higher",
            meaning="how often a churner ranks above a customer who stays; chance is 0.5",
        ),
        Metric(
            name="average_precision",
            label="average precision",
            better="higher",
            meaning="area under the precision-recall curve; chance is the churn rate",
        ),
        Metric(
            name="log_loss", label="log loss", digits=4, better="lower", meaning="error of the probabilities, in nats"
        ),
        Metric(
            name="brier",
            label="Brier score",
            digits=4,
            better="lower",
            meaning="mean squared error of the probabilities",
        ),
        Metric(
            name="ece",
            label="calibration error (ECE)",
            unit="%",
            digits=1,
            better="lower",
            meaning="average gap between predicted and observed churn over groups of equally many rows",
        ),
        Metric(
            name="calibration_ratio",
            label="observed / predicted churn",
            digits=2,
            better="one",
            meaning="1 is right on average",
        ),
        Metric(
            name="calibration_slope",
            label="calibration slope",
            digits=2,
            better="one",
            meaning="below 1 the probabilities are too extreme, above 1 too close to the average",
        ),
        Metric(
            name="top_decile_lift",
            label="lift in the top decile",
            digits=2,
            better="higher",
            meaning="churn rate of the tenth with the highest risk, in multiples of the average",
        ),
        Metric(name="f1", label="F1", better="higher", meaning="harmonic mean of precision and recall"),
        Metric(
            name="precision",
            label="precision",
            unit="%",
            digits=1,
            better="higher",
            meaning="churners among the treated",
        ),
        Metric(name="recall", label="recall", unit="%", digits=1, better="higher", meaning="churners that are treated"),
        Metric(name="share", label="share treated", unit="%", digits=1, meaning="rows that are treated"),
        Metric(name="churn_share", label="churn rate", unit="%", digits=1, meaning="rows whose customer churned"),
        Metric(
            name="mean_probability",
            label="mean predicted probability",
            unit="%",
            digits=1,
            meaning="to be held against the churn rate",
        ),
        Metric(
            name="campaign_profit",
            label="campaign profit per 1,000 customers",
            unit="money",
            digits=0,
            better="higher",
            meaning="earned by one campaign on the newest date with known outcomes, each customer once",
        ),
        Metric(
            name="campaign_profit_over_all",
            label="campaign profit per 1,000 customers above treating everybody",
            unit="money",
            digits=0,
            better="higher",
            meaning="what choosing whom to treat earns, on that date",
        ),
        Metric(
            name="campaign_profit_if_all",
            label="campaign profit per 1,000 customers of treating everybody",
            unit="money",
            digits=0,
            meaning="needs no model",
        ),
        Metric(
            name="profit_per_customer",
            label="profit per customer and month",
            unit="money",
            digits=2,
            better="higher",
            meaning="earned by treating where the expected value is above 0, over all rows scored",
        ),
        Metric(
            name="profit_at_capacity",
            label="profit per customer and month within capacity",
            unit="money",
            digits=2,
            better="higher",
            meaning="the same where only so many customers can be contacted",
        ),
        Metric(
            name="profit_over_all",
            label="profit per customer and month above treating everybody",
            unit="money",
            digits=2,
            better="higher",
            meaning="what choosing whom to treat earns",
        ),
        Metric(
            name="profit_if_all",
            label="profit per customer and month of treating everybody",
            unit="money",
            digits=2,
            meaning="needs no model",
        ),
        Metric(
            name="profit",
            label="profit per customer and month",
            unit="money",
            digits=2,
            better="higher",
            meaning="earned by treating as the rule says, over all rows scored",
        ),
        Metric(
            name="empc",
            label="EMPC",
            digits=2,
            better="higher",
            meaning="expected maximum profit per customer and month at the economics of Verbraken et al. (2013)",
        ),
        Metric(
            name="cost_matrix_profit",
            label="cost-matrix profit per customer and month",
            unit="money",
            digits=2,
            better="higher",
            meaning="by the fixed cost matrix instead of each customer's value",
        ),
        Metric(
            name="cost_matrix_profit_if_all",
            label="cost-matrix profit per customer and month of treating everybody",
            unit="money",
            digits=2,
            meaning="needs no model",
        ),
        Metric(
            name="cost_matrix_profit_if_none",
            label="cost-matrix profit per customer and month of treating nobody",
            unit="money",
            digits=2,
            meaning="needs no model",
        ),
        Metric(
            name="expected_loss",
            label="expected loss per customer and month",
            unit="money",
            digits=2,
            better="lower",
            meaning="value of churners who were not treated, as a positive amount, over rows with a known outcome",
        ),
        Metric(name="true_positives", label="churners treated", digits=0, meaning="rows"),
        Metric(name="false_positives", label="customers treated who stayed", digits=0, meaning="rows"),
        Metric(name="false_negatives", label="churners not treated", digits=0, meaning="rows"),
        Metric(name="true_negatives", label="customers not treated who stayed", digits=0, meaning="rows"),
        Metric(name="rows", label="predictions", digits=0, meaning="rows scored in the window"),
        Metric(
            name="immature_rows",
            label="outcomes not known yet",
            digits=0,
            meaning="rows that count in no realised metric",
        ),
        Metric(
            name="contacted_rows",
            label="outcomes of contacted customers",
            digits=0,
            meaning="rows that are left out, for the customer was contacted within the outcome window",
        ),
        Metric(
            name="effective_rows",
            label="effective sample size",
            digits=0,
            meaning="rows of equal weight that count as much as the untreated rows with a known outcome",
        ),
        Metric(
            name="unmatched_share",
            label="predictions without features",
            unit="%",
            digits=1,
            meaning="rows whose customer and time are not in churn_features",
        ),
        Metric(name="null_share", label="missing values", unit="%", digits=1, meaning="of the rows with features"),
        Metric(name="distinct", label="distinct values", digits=0, meaning="estimated within a few percent"),
        Metric(name="mean", label="mean", meaning="of the values that are known"),
        Metric(name="std", label="standard deviation", meaning="of the values that are known"),
        Metric(name="min", label="minimum", meaning="of the values that are known"),
        Metric(name="max", label="maximum", meaning="of the values that are known"),
        *(
            Metric(name=f"quantile_{share}", label=f"{share}% quantile", meaning="to the bin of the baseline")
            for share in (5, 25, 50, 75, 95)
        ),
        Metric(name="js_distance", label="Jensen-Shannon distance", meaning="0 is alike, 0.833 has nothing in common"),
        Metric(name="total_variation", label="total variation", meaning="half the sum of the differences of shares"),
        Metric(name="l_infinity", label="L-infinity distance", meaning="the largest difference of shares"),
        Metric(name="psi", label="PSI", meaning="population stability index; from 0.1 shifted, from 0.25 strongly"),
        Metric(name="chi_square", label="chi-square", digits=1, meaning="of the test that both have one distribution"),
        Metric(name="chi_square_p", label="p-value of chi-square", digits=4, meaning="small where both differ"),
        Metric(name="ks", label="Kolmogorov-Smirnov distance", meaning="the largest gap of the cumulated shares"),
        Metric(name="ks_p", label="p-value of Kolmogorov-Smirnov", digits=4, meaning="small where both differ"),
        Metric(name="wasserstein", label="Wasserstein distance", meaning="in the unit of the column"),
        Metric(name="null_share_gain", label="rise of missing values", unit="pp", digits=1, meaning="of their share"),
        Metric(name="null_p", label="p-value of missing values", digits=4, meaning="small where their share rose"),
        Metric(
            name="unseen_share",
            label="values not in the baseline",
            unit="%",
            digits=1,
            meaning="other categories, or numbers outside its range",
        ),
        Metric(name="unseen_p", label="p-value of values not in the baseline", digits=4, meaning="small where new"),
        Metric(name="scale", label="factor", digits=2, meaning="by which all numbers seem to have been multiplied"),
    )
)
"""Every metric that an evaluation, a gate or monitoring computes."""

HEADLINE = (
    "campaign_profit",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "ece",
    "f1_at_f1",
    "f1_at_profit",
    "top_decile_lift",
    "empc",
    "profit_per_customer",
)
"""The metrics that a summary shows, in its order."""

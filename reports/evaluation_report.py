"""An evaluation as sections of a page, and the page of a training run that they open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from churn.core.estimate import Estimate
from churn.core.wording import interval, number, percent
from churn.evaluation.evaluate import Evaluation
from churn.evaluation.headline import headline
from churn.evaluation.oracle import Reachable, Reached
from churn.evaluation.slices import Slice

from . import charts
from .money_report import money_section
from .page import Block, Callout, Card, Cards, Cell, Code, Figure, Section, Table, page

__all__ = ["evaluation_sections", "training_report"]

_SHARE = "share of the reachable gain"
METRICS: Mapping[str, tuple[str, Callable[[float], str], str]] = {
    "roc_auc": ("Area under the ROC curve", number, "how often a churner ranks above one who stays; chance is 0.5"),
    "average_precision": ("Average precision", number, "area under precision and recall; chance is the churn share"),
    "top_decile_lift": ("Lift of the riskiest tenth", number, "churn among them, in times the average"),
    "log_loss": ("Log loss", number, "error of the probabilities, in nats; lower is better"),
    "brier": ("Brier score", number, "squared error of the probabilities; lower is better"),
    "ece": ("Calibration error", percent, "average gap between predicted and observed churn"),
    "calibration_ratio": ("Observed / predicted churn", number, "1 is right on average"),
    "calibration_slope": ("Calibration slope", number, "below 1 too extreme, above 1 too timid"),
    "empc": ("EMPC", number, "best profit per customer at the literature's economics, which compare with papers"),
}


def training_report(
    title: str,
    *,
    evaluation: Evaluation,
    facts: Mapping[str, Cell],
    sections: Sequence[Section],
    next_command: str,
) -> str:
    """Return the one page of a training run.

    Args:
        title: Such as the model's name and version.
        evaluation: The holdout's verdict; it comes first, because it is what the reader has to decide on.
        facts: What ran on which data: data set, table version, rows, window, digests, seed.
        sections: How it came about: model card, importance, reasons, tuning, validation, leakage checks.
        next_command: What to type next.
    """
    everything = [*evaluation_sections(evaluation), *sections, Section("Next", [Code(next_command)])]
    return page(title, everything, lead=headline(evaluation), facts=facts)


def evaluation_sections(evaluation: Evaluation) -> tuple[Section, ...]:
    """Return the verdict of a holdout, for a training report or for a page of its own."""
    sections = [_glance(evaluation), money_section(evaluation), _quality(evaluation)]
    sections += [_slices(evaluation)] if evaluation.slices else []
    sections += [_reachable(evaluation.reachable, evaluation.currency)] if evaluation.reachable else []
    return tuple(sections)


def _glance(evaluation: Evaluation) -> Section:
    metrics = evaluation.metrics
    profit, auc, lift, error = (metrics[name] for name in ("profit_per_customer", "roc_auc", "top_decile_lift", "ece"))
    pays, true = metrics["profit_over_all"].lower > 0, _is_calibrated(evaluation)
    treated, everybody = percent(metrics["share_at_profit"].point, 0), number(metrics["profit_if_all"].point, 2)
    cards = [
        Card(
            f"{evaluation.currency} per customer",
            number(profit.point, 2),
            f"{_range(profit, 2)}; by treating everybody {everybody}",
            "good" if pays else "warn",
        ),
        Card("Churners reached", percent(metrics["recall_at_profit"].point, 0), f"by treating {treated} of customers"),
        Card("Area under the ROC curve", number(auc.point), f"{_range(auc, 3)}; chance is 0.5"),
        Card("Lift of the riskiest tenth", number(lift.point, 2), f"{_range(lift, 2)} times the average churn"),
        Card(
            "Calibration error",
            percent(error.point),
            f"chance alone gives {percent(evaluation.calibration_noise.mean)}",
            "good" if true else "warn",
        ),
    ]
    records = "" if evaluation.rows == evaluation.customers else f" in {evaluation.rows:,} records"
    lead = (
        f"{evaluation.customers:,} customers{records} that no part of training saw; "
        f"{percent(metrics['churn_share'].point)} churned. Brackets and ranges are {percent(evaluation.confidence, 0)} "
        f"intervals from {evaluation.resamples:,} resamples of the customers."
    )
    return Section("At a glance", [Cards(cards)], lead)


def _range(estimate: Estimate, digits: int) -> str:
    return f"{number(estimate.lower, digits)} to {number(estimate.upper, digits)}"


def _is_calibrated(evaluation: Evaluation) -> bool:
    """Whether chance alone would give such a calibration error more than once in twenty times."""
    return evaluation.metrics["ece"].point <= evaluation.calibration_noise.upper


def _quality(evaluation: Evaluation) -> Section:
    metrics = evaluation.metrics
    right = ["value and interval", "standard error"]
    rows = [
        [words, interval(metrics[name], write), write(metrics[name].se), meaning]
        for name, (words, write, meaning) in METRICS.items()
        if name in metrics
    ]
    blocks: list[Block] = [
        Table(["metric", *right, "meaning"], rows, right=right),
        _calibration(evaluation),
        *(Figure(draw(evaluation)) for draw in (charts.reliability, charts.lift, charts.roc, charts.precision_recall)),
    ]
    return Section(
        "Quality", blocks, "How well customers are put in order of risk, and how true the probabilities are."
    )


def _calibration(evaluation: Evaluation) -> Callout:
    metrics, chance = evaluation.metrics, evaluation.calibration_noise
    noise = f"about {percent(chance.mean)}, seldom above {percent(chance.upper)}"
    gap, predicted, observed = (percent(metrics[name].point) for name in ("ece", "mean_probability", "churn_share"))
    found = f"The model predicted that {predicted} would churn, and {observed} did."
    if _is_calibrated(evaluation):
        verdict = f"is no more than chance explains ({noise}): the probabilities can be taken at their word."
        return Callout(f"{found} The average gap of {gap} {verdict}", "good")
    verdict = f"is more than chance explains ({noise}), and expected values are off with it:"
    advice = "calibrate the model on more recent outcomes before acting on them."
    return Callout(f"{found} The average gap of {gap} {verdict} {advice}", "warn")


def _slices(evaluation: Evaluation) -> Section:
    rows = [_slice_row(part, evaluation.currency) for part in evaluation.slices]
    table = Table.of(rows, right=list(rows[0])[2:])
    lead = "Where the model is better or worse than on average; a ratio above 1 means that more churned than predicted."
    return Section("Slices", [table], lead)


def _slice_row(part: Slice, currency: str) -> dict[str, Cell]:
    metrics = part.metrics
    auc, ratio, profit = (metrics.get(name) for name in ("roc_auc", "calibration_ratio", "profit_per_customer"))
    return {
        "column": part.column,
        "value": part.value,
        "rows": part.rows,
        "churn": percent(part.churn_share),
        "area under the ROC curve": part.skipped or (auc and interval(auc)),
        "observed / predicted": ratio and interval(ratio, lambda value: number(value, 2)),
        f"{currency} per customer": profit and interval(profit, lambda value: number(value, 2)),
    }


def _reachable(reached: Reachable, currency: str) -> Section:
    rows = {
        "Area under the ROC curve": reached.roc_auc,
        "Log loss": reached.log_loss,
        f"{currency} per customer": reached.profit_per_customer,
    }
    table = Table.of(
        [{"metric": name, **_reached_row(each)} for name, each in rows.items()],
        right=["model", "true probabilities", _SHARE],
    )
    lead = (
        "The data is simulated, so the true probabilities are known, and with them the best that any model can reach."
    )
    return Section("Against the truth", [table], lead)


def _reached_row(each: Reached) -> dict[str, Cell]:
    share = None if each.share is None else percent(each.share)
    return {"model": number(each.model, 4), "true probabilities": number(each.best, 4), _SHARE: share}

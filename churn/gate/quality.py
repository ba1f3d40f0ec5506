"""The quality checks of the gate: does the challenger predict well enough to replace the champion?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..core.errors import NotEnoughData
from ..core.wording import percent
from ..evaluation.evaluate import Evaluation
from ..evaluation.metrics import METRICS
from .comparison import profit_metric
from .report import (
    Check,
    Comparison,
    PairedMetric,
    RecipeComparison,
    RecipeMetric,
    Relation,
    SliceComparison,
    run_check,
)
from .settings import GateSettings

__all__ = [
    "SAME_MODEL",
    "better_log_loss_check",
    "calibration_check",
    "code_check",
    "judged_on",
    "no_difference",
    "quality_checks",
    "recipe_check",
    "slices_check",
    "version_check",
]

SAME_MODEL = "same model"
"""What the check `code` found where the champion, made again, is the same model."""
_ROWS = {"holdout": "this holdout", "newest": "the newest rows"}


def quality_checks(
    relation: Relation,
    *,
    holdout: Comparison,
    newest: Comparison | None,
    recipes: RecipeComparison | None,
    evaluation: Evaluation,
    settings: GateSettings,
    currency: str,
) -> tuple[Check, ...]:
    """Return every check of a challenger against a champion; an exception in one is a failed check.

    Another recipe must win the recipe question (`recipe_check`) and be no worse as a fitted version (`version_check`).
    A refresh of the champion's recipe is asked about the version alone, on the newest rows where they can tell. Where
    code changed the champion's recipe (`code`), the version alone is asked about, by the rule `settings.code_change`.

    Args:
        relation: What the challenger is to the champion, `recipe`, `refresh` or `code`; the others have checks of
            their own (`first_model_checks`, `no_difference`).
        holdout: Both versions on the rows of the holdout.
        newest: Both versions on the mature rows newer than the champion's training, where there are enough.
        recipes: Both recipes on the same folds; needed for the relation `recipe`.
        evaluation: The challenger on the rows of the holdout.
        settings: Rule, level and margins.
        currency: ISO 4217 code of every amount.
    """
    rows = judged_on(relation, holdout, newest)
    checks: dict[str, Callable[[], Check]] = {
        "log_loss": lambda: version_check("log_loss", rows, "log_loss", settings),
        "roc_auc": lambda: version_check("roc_auc", rows, "roc_auc", settings),
        "profit": lambda: version_check("profit", rows, profit_metric(settings), settings, currency),
        "f1": lambda: version_check("f1", rows, "f1", settings),
        "calibration": lambda: calibration_check(evaluation, settings),
        "slices": lambda: slices_check(rows, currency),
    }
    if relation == "recipe":
        checks = {"recipe": lambda: recipe_check(recipes, settings), **checks}
    if relation == "code" and settings.code_change == "superiority":
        checks = {"better_log_loss": lambda: better_log_loss_check(rows), **checks}
    return tuple(run_check(name, check) for name, check in checks.items())


def no_difference(*, itself: bool) -> Check:
    """Return the refusal of a model that does exactly what the champion does, or of the champion `itself`."""
    reason = "It is the champion already" if itself else "No difference: it does exactly what the champion does"
    remedy = "" if itself else " Train on newer data, or change the recipe."
    return Check(name="difference", verdict="fail", sentence=f"{reason}, so there is nothing to promote.{remedy}")


def judged_on(relation: Relation, holdout: Comparison, newest: Comparison | None) -> Comparison:
    """Return the rows on which the versions are judged.

    A refresh is judged on the newest rows, where the champion is stale, if there are so many that an equal challenger
    would be found no worse four times in five: if what they can detect lies within the margins.
    """
    if relation != "refresh" or newest is None:
        return holdout
    tells = all(metric.margin is None or metric.detectable <= metric.margin for metric in newest.metrics)
    return newest if tells else holdout


def recipe_check(recipes: RecipeComparison | None, settings: GateSettings) -> Check:
    """Hold the challenger's recipe against the champion's, both refitted on the same folds.

    Superiority: log loss is better beyond chance. Non-inferiority: what may truly have been lost of log loss and ROC
    AUC is within the margins. Under either rule neither of the two is worse beyond chance.

    Raises:
        NotEnoughData: the recipes were not compared.
    """
    if recipes is None:
        raise NotEnoughData("The two recipes were not refitted on the same folds: run the gate again.")
    metrics = {metric.name: metric for metric in recipes.metrics}
    loss, auc = metrics["log_loss"], metrics["roc_auc"]
    ask = _superior if settings.rule == "superiority" else _non_inferior
    passed, value, threshold, words = ask(loss, auc, settings)
    if min(loss.p_worse, auc.p_worse) < settings.alpha:
        passed, words = False, "that is worse, and not by chance"
    named = [(metric, METRICS[metric.name]) for metric in (loss, auc)]
    gained = ", ".join(f"{name.gain.label} {name.gain.interval(metric.gain)}" for metric, name in named)
    detectable = " and ".join(name.gain.text(metric.detectable) for metric, name in named)
    return Check(
        name="recipe",
        verdict="pass" if passed else "fail",
        value=value,
        threshold=threshold,
        sentence=f"Made anew {recipes.folds * recipes.repeats} times on the same {recipes.customers:,} customers, "
        f"against the champion's recipe: {gained} ({percent(1 - 2 * settings.alpha, 0)} intervals; positive is better)"
        f"; {words}. Differences under {detectable} may stay unseen on so many.",
    )


class _Result(NamedTuple):
    """A verdict on the recipes, the number it rests on, the bar, and the reason in words."""

    passed: bool
    value: float
    threshold: float
    words: str


def _superior(loss: RecipeMetric, auc: RecipeMetric, settings: GateSettings) -> _Result:
    passed = loss.p_better < settings.alpha
    words = f"between equal recipes chance alone shows such a log loss in {percent(loss.p_better)} of comparisons"
    if loss.gain.se == auc.gain.se == loss.gain.point == auc.gain.point == 0:
        words = "there is no difference at all"
    elif not passed:
        words = f"that is not proven better: {words}"
    return _Result(passed, loss.p_better, settings.alpha, words)


def _non_inferior(loss: RecipeMetric, auc: RecipeMetric, settings: GateSettings) -> _Result:
    allowed = {"log_loss": settings.margins.log_loss, "roc_auc": settings.margins.roc_auc}
    tightest = min((loss, auc), key=lambda metric: metric.gain.lower + allowed[metric.name])
    margin = allowed[tightest.name]
    passed = tightest.gain.lower >= -margin
    within = "within" if passed else "beyond"
    words = f"what may truly be lost of {METRICS[tightest.name].label} is {within} the {margin:g} that may be"
    return _Result(passed, tightest.gain.lower, -margin, words)


def version_check(name: str, rows: Comparison, metric: str, settings: GateSettings, currency: str = "") -> Check:
    """Hold one metric of the registered challenger against the champion's, on the same rows.

    It passes if the metric is not worse beyond chance and, where it has a margin, what may truly have been lost is
    within it.

    Args:
        name: The check's name.
        rows: Both versions on the same rows.
        metric: Name of the metric in `rows`, one that is tested.
        settings: The level.
        currency: ISO 4217 code of the metric's values, where they are amounts.

    Raises:
        NotEnoughData: the metric could not be computed on most resamples.
    """
    named, paired = METRICS[metric], _metric(rows, metric)
    if paired.p_worse is None:
        raise NotEnoughData(f"{named.label} is not among the metrics that are tested: run the gate again.")
    worse = paired.p_worse < settings.alpha
    within = paired.margin is None or paired.gain.lower >= -paired.margin
    challenger, champion = (named.text(value, currency) for value in (paired.challenger, paired.champion))
    values = f"{named.label} is {challenger}, the champion's {champion}"
    detectable = (
        f"Differences under {named.gain.text(paired.detectable, currency)} cannot be told apart on {_ROWS[rows.name]}."
    )
    no = "that is worse, and not by chance" if worse else _loss_at_most(paired, currency)
    return Check.of(
        name,
        within and not worse,
        value=paired.p_worse if paired.margin is None else paired.gain.lower,
        threshold=settings.alpha if paired.margin is None else -paired.margin,
        yes=f"The challenger's {values}; {_loss_at_most(paired, currency)}. {detectable}",
        no=f"The challenger's {values}; {no}. {detectable}",
    )


def _metric(rows: Comparison, name: str) -> PairedMetric:
    paired = next((metric for metric in rows.metrics if metric.name == name), None)
    if paired is None:
        label = METRICS[name].label
        raise NotEnoughData(f"There is no {label} on most resamples of {_ROWS[rows.name]}: bring more rows.")
    return paired


def _loss_at_most(metric: PairedMetric, currency: str) -> str:
    if metric.gain.lower > 0:
        return "that is better, and not by chance"
    gain = METRICS[metric.name].gain
    loss = f"it may truly have lost up to {gain.text(-metric.gain.lower, currency)}"
    return loss if metric.margin is None else f"{loss}, and {gain.text(metric.margin, currency)} is allowed"


def better_log_loss_check(rows: Comparison) -> Check:
    """Ask whether the log loss of the registered challenger is better than the champion's beyond chance.

    Raises:
        NotEnoughData: the log loss could not be computed on most resamples.
    """
    paired, named = _metric(rows, "log_loss"), METRICS["log_loss"].gain
    sentence = f"On {_ROWS[rows.name]} the challenger improves log loss by {named.interval(paired.gain)}"
    return Check.of(
        "better_log_loss",
        paired.gain.lower > 0,
        value=paired.gain.lower,
        threshold=0.0,
        yes=f"{sentence}: that is better, and not by chance.",
        no=f"{sentence}: that is not proven better, which gate.code_change asks for.",
    )


def code_check(reason: str | None, settings: GateSettings) -> Check:
    """Say whether code or libraries that changed since the champion was trained make another model of its recipe.

    Args:
        reason: Why they do, or why nobody can tell; None where the champion, made again, is the same model.
        settings: What a version must then prove.
    """
    changed = "Code or libraries differ between the two versions"
    rule = settings.code_change
    if reason is None:
        sentence = f"{changed}; made again by those of today, the champion is the same model."
        return Check(name="code", verdict="pass", value=SAME_MODEL, threshold=rule, sentence=sentence)
    return Check.of(
        "code",
        rule != "refuse",
        value="another recipe",
        threshold=rule,
        yes=f"{changed}, and that changed the champion's recipe: {reason}. The versions are judged on the same rows "
        f"alone, by {rule} (gate.code_change).",
        no=f"{changed}, and that changed the champion's recipe: {reason}. gate.code_change is `refuse`.",
    )


def calibration_check(evaluation: Evaluation, settings: GateSettings) -> Check:
    """Hold the calibration error against a bar: `max_ece`, or what chance alone gives on so few customers if greater.

    Raises:
        NotEnoughData: the evaluation has no calibration error.
    """
    error, chance = evaluation.metrics.get("ece"), evaluation.calibration_noise
    if error is None:
        raise NotEnoughData("There is no calibration error on most resamples of these rows: bring more rows.")
    bar = max(settings.max_ece, chance.upper)
    reason = (
        "gate.max_ece" if bar == settings.max_ece else f"what chance may give; gate.max_ece is {settings.max_ece:.1%}"
    )
    sentence = (
        f"Predicted and observed churn differ by {percent(error.point)} on average over groups of customers, and "
        f"{percent(bar)} is allowed ({reason}). On so many customers chance alone gives {percent(chance.mean)}, and 19 "
        f"times in 20 at most {percent(chance.upper)}."
    )
    return Check.of(
        "calibration",
        error.point <= bar,
        value=error.point,
        threshold=bar,
        yes=sentence,
        no=f"{sentence} Expected values computed from such probabilities would be wrong.",
    )


def slices_check(rows: Comparison, currency: str) -> Check:
    """Ask whether any group of customers is served worse beyond chance."""
    judged = [part for part in rows.slices if part.skipped is None]
    worse = [part for part in judged if part.worse]
    small = len(rows.slices) - len(judged)
    apart = f" ({small} more are too small to judge)" if small else ""
    return Check.of(
        "slices",
        not worse,
        value=float(len(worse)),
        threshold=0.0,
        yes=f"None of {len(judged)} groups of customers{apart} is served worse beyond chance on {_ROWS[rows.name]}.",
        no=f"Of {len(judged)} groups of customers{apart}, worse beyond chance on {_ROWS[rows.name]}: "
        + "; ".join(_slice(part, currency) for part in worse),
    )


def _slice(part: SliceComparison, currency: str) -> str:
    losses = [
        f"{METRICS[name].label} worse by {METRICS[name].gain.text(-part.gains[name].point, currency)}"
        for name in ("profit_per_customer", "log_loss")
        if name in part.gains and part.gains[name].point < 0
    ]
    return f"{part.column}: {part.value} ({', '.join(losses)})"

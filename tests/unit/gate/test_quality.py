"""The rule: which numbers let a challenger through, at the bounds, and what is said of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from churn.core.estimate import Estimate
from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.evaluation.ranking import CalibrationNoise
from churn.gate.comparison import compare
from churn.gate.quality import (
    calibration_check,
    judged_on,
    no_difference,
    quality_checks,
    recipe_check,
    slices_check,
    version_check,
)
from churn.gate.report import Check, Comparison, PairedMetric, RecipeComparison, RecipeMetric, Relation, SliceComparison
from churn.gate.settings import GateSettings
from churn.model.money import MoneySettings
from tests.fakes.data.paired_predictions import paired_rows
from tests.fakes.data.predictions import predictions

pytestmark = pytest.mark.slow

SETTINGS = GateSettings()
NON_INFERIORITY = GateSettings(rule="non-inferiority")
ALPHA, MARGIN = SETTINGS.alpha, SETTINGS.margins.roc_auc
NAMES = ["log_loss", "roc_auc", "profit", "f1", "calibration", "slices"]


@cache
def evaluation() -> Evaluation:
    sample = predictions(800)
    return evaluate(
        sample.label,
        sample.probability,
        sample.entity,
        thresholds={},
        money=MoneySettings(),
        value=200.0,
        slices={},
        settings=EvaluationSettings(resamples=100),
        seed=1,
    )


@cache
def comparison(name: str = "holdout") -> Comparison:
    """Two models that are almost the same."""
    return compare(
        paired_rows(800, champion=0.02, challenger=0.02),
        MoneySettings(),
        GateSettings(resamples=200),
        name="newest" if name == "newest" else "holdout",
        seed=1,
    )


def with_metric(metric: str, rows: Comparison | None = None, **changes: Any) -> Comparison:
    """The comparison with one metric changed; `lower` is that of its gain."""
    rows = rows or comparison()
    lower = changes.pop("lower", None)

    def change(each: PairedMetric) -> PairedMetric:
        gain = each.gain if lower is None else each.gain.model_copy(update={"lower": lower})
        return each.model_copy(update={"gain": gain} | changes)

    return rows.model_copy(update={"metrics": tuple(change(m) if m.name == metric else m for m in rows.metrics)})


def recipes(**changes: Any) -> RecipeComparison:
    """A recipe that is better; `loss` and `auc` change what was measured of either metric."""

    def measured(name: Any, changed: dict[str, Any]) -> RecipeMetric:
        gain = Estimate(point=0.004, lower=changed.pop("lower", 0.001), upper=0.007, se=changed.pop("se", 0.002))
        if "point" in changed:
            gain = gain.model_copy(update={"point": changed.pop("point")})
        known = {"p_better": 0.01, "p_worse": 0.99, "detectable": 0.0046, "folds": (0.004,)} | changed
        return RecipeMetric(name=name, champion=0.42, challenger=0.416, gain=gain, **known)

    metrics = (measured("log_loss", changes.get("loss", {})), measured("roc_auc", changes.get("auc", {})))
    return RecipeComparison(rows=5610, customers=5610, folds=5, repeats=2, metrics=metrics)


def verdicts(relation: Relation = "recipe", **changes: Any) -> dict[str, Check]:
    options: dict[str, Any] = {
        "holdout": comparison(),
        "newest": None,
        "recipes": recipes(),
        "evaluation": evaluation(),
        "settings": SETTINGS,
        "currency": "EUR",
    }
    return {check.name: check for check in quality_checks(relation, **options | changes)}


def test_a_better_recipe_whose_version_is_no_worse_passes_every_check() -> None:
    found = verdicts()
    assert list(found) == ["recipe", *NAMES]
    assert {check.verdict for check in found.values()} == {"pass"}


def test_a_refresh_is_not_asked_about_its_recipe() -> None:
    assert list(verdicts("refresh", recipes=None)) == NAMES


@pytest.mark.parametrize(("itself", "told"), [(False, "No difference"), (True, "It is the champion already")])
def test_a_model_that_does_what_the_champion_does_has_nothing_to_gain(itself: bool, told: str) -> None:
    check = no_difference(itself=itself)
    assert (check.name, check.verdict) == ("difference", "fail")
    assert check.sentence.startswith(told)


def test_a_question_that_cannot_be_answered_is_an_error_and_the_others_are_still_asked() -> None:
    without = comparison().model_copy(update={"metrics": ()})
    found = verdicts(recipes=None, holdout=without)
    assert [name for name, check in found.items() if check.verdict == "error"] == [
        "recipe",
        "log_loss",
        "roc_auc",
        "profit",
        "f1",
    ]
    assert "not refitted" in found["recipe"].sentence
    assert "There is no ROC AUC on most resamples of this holdout" in found["roc_auc"].sentence


@pytest.mark.parametrize(
    ("loss", "auc", "verdict"),
    [
        ({"p_better": ALPHA - 1e-9}, {}, "pass"),
        ({"p_better": ALPHA}, {}, "fail"),
        ({}, {"p_worse": ALPHA}, "pass"),
        ({}, {"p_worse": ALPHA - 1e-9}, "fail"),
        ({}, {"p_better": 0.4, "p_worse": 0.6}, "pass"),
    ],
)
def test_superiority_asks_for_a_better_log_loss_and_an_auc_that_is_not_worse(
    loss: dict[str, float], auc: dict[str, float], verdict: str
) -> None:
    assert recipe_check(recipes(loss=loss, auc=auc), SETTINGS).verdict == verdict


@pytest.mark.parametrize(
    ("loss", "auc", "verdict"),
    [
        ({"p_better": 0.5, "p_worse": 0.5, "lower": -0.005}, {}, "pass"),
        ({"p_better": 0.5, "p_worse": 0.5, "lower": -0.0051}, {}, "fail"),
        ({}, {"p_worse": 0.5, "lower": -0.005}, "pass"),
        ({}, {"p_worse": 0.5, "lower": -0.0051}, "fail"),
        ({"p_worse": ALPHA - 1e-9, "lower": -0.001}, {}, "fail"),
    ],
)
def test_non_inferiority_asks_that_what_may_be_lost_is_within_the_margins(
    loss: dict[str, float], auc: dict[str, float], verdict: str
) -> None:
    check = recipe_check(recipes(loss=loss, auc=auc), NON_INFERIORITY)
    assert check.verdict == verdict
    assert check.threshold == -MARGIN


def test_the_recipe_sentence_says_what_was_found_and_what_could_not_have_been_seen() -> None:
    better, same, worse = (
        recipe_check(found, SETTINGS).sentence
        for found in (
            recipes(),
            recipes(**{m: {"point": 0.0, "se": 0.0, "p_better": 0.5, "p_worse": 0.5} for m in ("loss", "auc")}),
            recipes(auc={"p_worse": 0.001}),
        )
    )
    assert "10 times on the same 5,610 customers" in better
    assert "Differences under 0.0046 and 0.0046 may stay unseen on so many." in better
    assert "no difference at all" in same
    assert "worse, and not by chance" in worse


@pytest.mark.parametrize(
    ("metric", "changes", "verdict"),
    [
        ("roc_auc", {"margin": MARGIN, "lower": -MARGIN}, "pass"),
        ("roc_auc", {"margin": MARGIN, "lower": -MARGIN - 1e-9}, "fail"),
        ("roc_auc", {"margin": MARGIN, "lower": -1e-4, "p_worse": ALPHA}, "pass"),
        ("roc_auc", {"margin": MARGIN, "lower": -1e-4, "p_worse": ALPHA - 1e-9}, "fail"),
        ("f1", {"lower": -1.0, "p_worse": ALPHA}, "pass"),
        ("f1", {"lower": -1.0, "p_worse": ALPHA - 1e-9}, "fail"),
    ],
)
def test_a_version_is_no_worse_within_its_margin_and_up_to_chance(
    metric: str, changes: dict[str, float], verdict: str
) -> None:
    assert version_check(metric, with_metric(metric, **changes), metric, SETTINGS).verdict == verdict


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lower": 0.001}, "that is better, and not by chance."),
        ({"lower": -0.002, "margin": MARGIN}, "it may truly have lost up to 0.0020, and 0.0050 is allowed."),
        ({"lower": -0.002, "p_worse": 0.01}, "that is worse, and not by chance."),
    ],
)
def test_the_version_sentence_says_what_may_have_been_lost(changes: dict[str, float], words: str) -> None:
    sentence = version_check("roc_auc", with_metric("roc_auc", **changes), "roc_auc", SETTINGS).sentence
    assert sentence.startswith("The challenger's ROC AUC is ")
    assert words in sentence


def test_money_is_written_as_money_with_the_smallest_difference_that_can_be_seen() -> None:
    rows = with_metric("profit_per_customer", detectable=0.312)
    assert (
        "Differences under 0.31 EUR cannot be told apart on this holdout." in verdicts(holdout=rows)["profit"].sentence
    )


def test_where_there_is_a_capacity_the_profit_within_it_counts() -> None:
    settings = SETTINGS.model_copy(update={"capacity": 100})
    assert verdicts(settings=settings)["profit"].verdict == "error"  # it was compared without one
    limited = compare(
        paired_rows(800), MoneySettings(), settings.model_copy(update={"resamples": 200}), name="holdout", seed=1
    )
    assert "within capacity" in verdicts(settings=settings, holdout=limited)["profit"].sentence


@pytest.mark.parametrize(("relation", "judged"), [("refresh", "newest"), ("recipe", "holdout")])
def test_only_a_refresh_is_judged_on_the_newest_rows(relation: Relation, judged: str) -> None:
    newest = comparison("newest")
    for metric in ("log_loss", "roc_auc", "profit_per_customer"):
        newest = with_metric(metric, newest, detectable=0.001)
    assert judged_on(relation, comparison(), newest).name == judged


@pytest.mark.parametrize(("detectable", "judged"), [(MARGIN, "newest"), (MARGIN + 1e-9, "holdout")])
def test_newest_rows_that_could_not_tell_are_passed_over(detectable: float, judged: str) -> None:
    newest = comparison("newest")
    for metric in ("log_loss", "roc_auc", "profit_per_customer"):
        newest = with_metric(metric, newest, detectable=0.001)
    newest = with_metric("roc_auc", newest, detectable=detectable)
    assert judged_on("refresh", comparison(), newest).name == judged
    assert judged_on("refresh", comparison(), None).name == "holdout"


def calibrated(error: float, limit: float) -> Evaluation:
    gap = Estimate(point=error, lower=error - 0.02, upper=error + 0.02, se=0.01)
    metrics = {**evaluation().metrics, "ece": gap}
    chance = CalibrationNoise(limit / 2, limit)
    return evaluation().model_copy(update={"metrics": metrics, "calibration_noise": chance})


@pytest.mark.parametrize(
    ("error", "limit", "verdict"),
    [(0.05, 0.01, "pass"), (0.0501, 0.01, "fail"), (0.09, 0.09, "pass"), (0.09, 0.0899, "fail")],
)
def test_calibration_is_held_against_what_is_allowed_or_what_chance_gives(
    error: float, limit: float, verdict: str
) -> None:
    check = calibration_check(calibrated(error, limit), SETTINGS)
    assert check.verdict == verdict
    assert check.threshold == max(SETTINGS.max_ece, limit), "the bar that is shown is the one that was used"
    assert f"{max(SETTINGS.max_ece, limit):.1%} is allowed" in check.sentence


def test_without_a_calibration_error_the_question_is_open() -> None:
    metrics = {name: found for name, found in evaluation().metrics.items() if name != "ece"}
    found = verdicts(evaluation=evaluation().model_copy(update={"metrics": metrics}))
    assert found["calibration"].verdict == "error"


def test_slices_that_are_worse_are_named_with_what_they_lose() -> None:
    def group(value: str, point: float, **changes: Any) -> SliceComparison:
        gain = Estimate(point=point, lower=point, upper=point, se=0.1)
        gains = {"log_loss": gain, "profit_per_customer": gain.model_copy(update={"point": 0.2})}
        return SliceComparison(column="contract", value=value, rows=100, **{"gains": gains} | changes)

    rows = comparison().model_copy(
        update={
            "slices": (
                group("One year", 0.1),
                group("Two year", -0.25, worse=True, p_worse=0.001),
                group("Other", 0.0, gains={}, skipped="fewer than 100 rows"),
            )
        }
    )
    check = slices_check(rows, "USD")
    assert (check.verdict, check.value, check.threshold) == ("fail", 1.0, 0.0)
    assert "Of 2 groups of customers (1 more are too small to judge)" in check.sentence
    assert "contract: Two year (log loss worse by 0.2500)" in check.sentence


def test_rows_without_slices_have_none_that_is_worse() -> None:
    check = slices_check(comparison().model_copy(update={"slices": ()}), "USD")
    assert check.passed
    assert "None of 0 groups" in check.sentence

"""What a window is taken for, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from churn.core.estimate import Estimate
from churn.monitoring.report import ACTS, KINDS, Diagnosis, Window
from churn.monitoring.settings import MonitoringSettings
from churn.monitoring.triage import Triage, has_loss, silence
from tests.fakes.data.monitored import day

TRIAGE = Triage(MonitoringSettings(), "USD", {"charges": "monthly charges", "contract": "contract"})
CALM: dict[str, dict[str, float]] = {
    "charges": {"psi": 0.01, "chi_square_p": 0.4, "ks": 0.02, "ks_p": 0.5, "null_share_gain": 0.0, "null_p": 1.0},
    "contract": {"psi": 0.01, "chi_square_p": 0.4, "unseen_share": 0.0, "unseen_p": 1.0},
    "probability": {"psi": 0.01, "chi_square_p": 0.4, "ks": 0.02, "ks_p": 0.5},
}
BASELINE = {"roc_auc": 0.85, "profit_per_customer": 10.0, "log_loss": 0.4}


def about(point: float, se: float) -> Estimate:
    return Estimate(point=point, lower=point - 2 * se, upper=point + 2 * se, se=se)


def window(drift: dict[str, dict[str, float]] | None = None, **changes: Any) -> Window:
    """Return a calm window of 4,000 rows, with changes of its measures and of its figures."""
    measures = {name: {**CALM[name], **(drift or {}).get(name, {})} for name in CALM}
    figures: dict[str, Any] = {
        "version": 1,
        "source": "batch",
        "start": day(0),
        "end": day(1),
        "rows": 4000,
        "stayed": 3000,
        "churned": 1000,
        "drift": measures,
        "unmatched": 0.0,
        "estimated": {"roc_auc": about(0.85, 0.006), "profit_per_customer": about(10, 0.2)},
        "backtest": {
            "roc_auc": about(0.85, 0.006),
            "calibration_slope": about(1, 0.04),
            "churn_share": about(0.25, 0.007),
        },
        "realised": {"roc_auc": 0.848, "calibration_slope": 0.98, "churn_share": 0.252, "profit_per_customer": 10.1},
    }
    return Window(**{**figures, **changes})


def kinds(found: tuple[Diagnosis, ...]) -> list[str]:
    return [diagnosis.kind for diagnosis in found]


SHIFT = {"charges": {"psi": 0.3, "chi_square_p": 1e-9}}
DRIFTED_LOSS = {"roc_auc": about(0.8, 0.006), "profit_per_customer": about(10, 0.2)}
CONCEPT = {"roc_auc": 0.81, "calibration_slope": 0.9}

CASES: dict[str, tuple[Window, list[str], str]] = {
    "nothing": (window(), [], ""),
    "another unit": (
        window({"charges": {"scale": 1.1, "chi_square_p": 1e-9}}),
        ["broken_feed"],
        "monthly charges is 1.10 times what it was throughout: another unit, or a price change.",
    ),
    "a smaller unit": (
        window({"charges": {"scale": 0.01, "chi_square_p": 1e-9}}),
        ["broken_feed"],
        "monthly charges is 0.01 times what it was throughout",
    ),
    "a factor that chance explains": (window({"charges": {"scale": 1.1, "chi_square_p": 0.2}}), [], ""),
    "a small factor": (window({"charges": {"scale": 1.04, "chi_square_p": 1e-9}}), [], ""),
    "a burst of missing values": (
        window({"charges": {"null_share_gain": 0.2, "null_p": 1e-9}}),
        ["broken_feed"],
        "monthly charges is missing in 20.0% more of the rows than in the baseline.",
    ),
    "few more missing values": (window({"charges": {"null_share_gain": 0.049, "null_p": 1e-9}}), [], ""),
    "a new category": (
        window({"contract": {"unseen_share": 0.02, "unseen_p": 1e-9}}),
        ["broken_feed"],
        "contract has values that the baseline does not have, in 2.0% of the rows.",
    ),
    "numbers beyond the range": (window({"charges": {"unseen_share": 0.02, "unseen_p": 1e-9}}), [], ""),
    "predictions without features": (
        window(unmatched=0.06),
        ["broken_feed"],
        "6.0% of the predictions have no row in churn_features.",
    ),
    "requests without features": (window(unmatched=1.0, source="endpoint"), [], ""),
    "other customers": (window(SHIFT), ["drift"], "monthly charges has shifted: PSI 0.300."),
    "a shift that chance explains": (window({"charges": {"psi": 0.3, "chi_square_p": 0.001}}), [], ""),
    "other customers, estimated worse": (
        window(SHIFT, estimated=DRIFTED_LOSS, stayed=0, churned=0),
        ["drift_with_loss"],
        "ROC AUC is 0.800 (estimated), and was 0.850 on the holdout.",
    ),
    "other customers, realised worse": (
        window(
            SHIFT,
            realised={"roc_auc": 0.85, "profit_per_customer": 8.0},
            backtest={"profit_per_customer": about(8, 0.2)},
        ),
        ["drift_with_loss"],
        "Profit per customer and month is 8.00 USD (realised), and was 10.00 USD on the holdout.",
    ),
    "a broken feed that costs": (
        window(
            {"charges": {"scale": 100.0, "psi": 2.0, "chi_square_p": 0.0}}, estimated=DRIFTED_LOSS, realised=CONCEPT
        ),
        ["broken_feed"],
        "monthly charges is 100.00 times",
    ),
    "other behaviour": (
        window(realised=CONCEPT),
        ["concept_drift"],
        "ROC AUC of 4,000 known outcomes is 0.810, and 0.850 was estimated from the probabilities.",
    ),
    "other behaviour within the threshold": (window(realised={"roc_auc": 0.831}), [], ""),
    "a loss that chance explains": (
        window(realised={"roc_auc": 0.8}, backtest={"roc_auc": about(0.85, 0.02)}),
        [],
        "",
    ),
    "outcomes better than estimated": (window(realised={"roc_auc": 0.95, "calibration_slope": 1.4}), [], ""),
    "customers who differ less than predicted": (
        window(realised={"roc_auc": 0.835, "calibration_slope": 0.83}),
        ["concept_drift"],
        "Calibration slope of 4,000 known outcomes is 0.83, and 1.00 was estimated from the probabilities.",
    ),
    "a slope that chance explains": (
        window(realised={"calibration_slope": 0.83}, backtest={"calibration_slope": about(1, 0.08)}),
        [],
        "",
    ),
    "a small fall of the slope, of many rows": (
        window(realised={"calibration_slope": 0.91}, backtest={"calibration_slope": about(1, 0.004)}),
        [],
        "",
    ),
    "more of all customers churn": (
        window(realised={"roc_auc": 0.85, "churn_share": 0.29}),
        ["concept_drift"],
        "Churn rate of 4,000 known outcomes is 29.0%, and 25.0% was estimated from the probabilities.",
    ),
    "fewer of all customers churn": (
        window(realised={"roc_auc": 0.85, "churn_share": 0.21}),
        ["concept_drift"],
        "Churn rate of 4,000 known outcomes is 21.0%, and 25.0% was estimated from the probabilities.",
    ),
    "a few fewer churn, of many rows": (
        window(realised={"churn_share": 0.23}, backtest={"churn_share": about(0.25, 0.001)}),
        [],
        "",
    ),
    "few outcomes": (window(realised=CONCEPT, churned=29), [], ""),
    "late labels": (
        window(stayed=1500, churned=500, due=True),
        ["late_labels"],
        "50.0% of 4,000 outcomes are due and not there.",
    ),
    "labels that are not due": (window(stayed=0, churned=0), [], ""),
    "treated labels": (
        window(realised=CONCEPT, unrepresented=0.3),
        ["treated_labels"],
        "30.0% of the known outcomes are left out, because their customers were contacted",
    ),
    "too little data": (window(SHIFT, rows=199), ["too_little_data"], "199 predictions, and a judgement needs 200"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_window_is_taken_for_what_it_is(name: str) -> None:
    given, expected, evidence = CASES[name]
    found = TRIAGE(given, BASELINE)
    assert kinds(found) == expected
    assert evidence in (found[0].evidence[0] if found else "")


def test_the_most_pressing_comes_first_and_each_has_a_remedy() -> None:
    given = window({**SHIFT, "contract": {"unseen_share": 0.1, "unseen_p": 0.0}}, stayed=100, churned=50, due=True)
    found = TRIAGE(given, BASELINE)
    assert kinds(found) == ["broken_feed", "late_labels"]
    assert all(diagnosis.recommendation for diagnosis in found)


@pytest.mark.parametrize(
    ("drift", "column"),
    [
        ({"charges": {"scale": 1.1, "psi": 0.3, "chi_square_p": 1e-9}}, "charges"),
        ({"contract": {"unseen_share": 0.25, "unseen_p": 1e-9}}, "contract"),
        ({"charges": {"null_share_gain": 0.2, "null_p": 1e-9}}, "charges"),
    ],
)
def test_a_change_that_somebody_says_is_real_is_no_broken_feed_from_its_day_on(drift: Any, column: str) -> None:
    (found,) = TRIAGE(window(drift), BASELINE)
    assert (found.kind, found.columns) == ("broken_feed", (column,))
    assert "monitoring.real_changes" in found.recommendation

    def told(**changes: Any) -> list[str]:
        return kinds(Triage(MonitoringSettings(real_changes=changes), "USD", {})(window(drift), BASELINE))

    assert "broken_feed" not in told(**{column: day(0).date()})
    assert told(**{column: day(1).date()}) == told(other=day(0).date()) == ["broken_feed"]


def test_a_change_that_is_real_hides_no_loss_and_no_other_fault() -> None:
    settings = MonitoringSettings(real_changes={"charges": day(0).date()})
    rise = {"charges": {"scale": 1.1, "chi_square_p": 1e-9}}
    assert kinds(Triage(settings, "USD", {})(window(rise, realised=CONCEPT), BASELINE)) == ["concept_drift"]
    both = window({**rise, "contract": {"unseen_share": 0.02, "unseen_p": 1e-9}})
    (found,) = Triage(settings, "USD", {})(both, BASELINE)
    assert (found.kind, found.columns) == ("broken_feed", ("contract",))


def test_someone_should_act_upon_a_broken_feed_a_loss_and_late_labels_alone() -> None:
    assert {*KINDS} - {*ACTS} == {"drift", "treated_labels", "too_little_data"}


def test_more_columns_ask_for_more_significance() -> None:
    shifted = {"psi": 0.3, "chi_square_p": 1e-4}
    few = window({"charges": shifted})
    many = few.model_copy(update={"drift": {**few.drift, **{f"x{number}": CALM["charges"] for number in range(50)}}})
    assert kinds(TRIAGE(few, BASELINE)) == ["drift"]
    assert kinds(TRIAGE(many, BASELINE)) == []


def test_a_loss_is_what_training_may_cure() -> None:
    cures = {name: has_loss(TRIAGE(case, BASELINE)) for name, (case, _, _) in CASES.items()}
    assert {name for name, cured in cures.items() if cured} == {
        "other behaviour",
        "customers who differ less than predicted",
        "more of all customers churn",
        "fewer of all customers churn",
        "other customers, estimated worse",
        "other customers, realised worse",
    }


def test_silence_is_a_broken_feed_once_it_is_longer_than_usual() -> None:
    days = [day(number) for number in (0, 7, 14, 21)]
    assert silence(days, day(36), 1) == ()
    (found,) = silence(days, day(37), 1)
    assert found.kind == "broken_feed"
    assert found.evidence == ("Nothing was scored for 16 days, and usually something is every 7.",)
    assert silence(days[:2], day(400), 1) == ()
    assert silence(days, day(400), None) == ()


def test_a_slope_that_the_holdout_has_already_is_no_drift() -> None:
    told = {"backtest": {"calibration_slope": about(1, 0.03)}, "realised": {"calibration_slope": 0.85}}
    assert kinds(TRIAGE(window(**told), BASELINE)) == ["concept_drift"]  # type: ignore[arg-type]
    assert kinds(TRIAGE(window(**told), {**BASELINE, "calibration_slope": 0.9})) == []  # type: ignore[arg-type]
    assert kinds(TRIAGE(window(**told), {**BASELINE, "calibration_slope": 1.2})) == ["concept_drift"]  # type: ignore[arg-type]

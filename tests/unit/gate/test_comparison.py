"""Champion and challenger on the same rows: which way a gain points, how sure it is, and what is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.core.errors import DataError, NotEnoughData
from churn.core.estimate import Estimate
from churn.evaluation.bootstrap import customer_weights
from churn.evaluation.holdout import Holdout, HoldoutStatistic
from churn.evaluation.significance import p_value_worse
from churn.gate.comparison import BlockMetrics, PairedRows, VersionScores, compare, judged_slices, weight_blocks
from churn.gate.report import Comparison, PairedMetric, SliceComparison
from churn.gate.settings import GateSettings, Margins
from churn.model.money import CustomerValue, MoneySettings, expected_value
from tests.fakes.data.paired_predictions import paired_rows

pytestmark = pytest.mark.slow

MONEY = MoneySettings()
QUICK = GateSettings(resamples=400)
NAMES = ["log_loss", "brier", "profit_per_customer", "cost_matrix_profit", "roc_auc", "average_precision", "f1", "ece"]


def compared(rows: PairedRows, **changes: Any) -> Comparison:
    return compare(rows, MONEY, QUICK.model_copy(update=changes), name="holdout", seed=1)


def metrics(rows: PairedRows, **changes: Any) -> dict[str, PairedMetric]:
    return {metric.name: metric for metric in compared(rows, **changes).metrics}


def changed(rows: PairedRows, **changes: Any) -> PairedRows:
    return PairedRows(**vars(rows) | changes)


@pytest.fixture(scope="module")
def better() -> PairedRows:
    return paired_rows(2000, champion=2.5, challenger=0.1)


def test_a_better_challenger_gains_whatever_the_metric(better: PairedRows) -> None:
    found = metrics(better)
    assert list(found) == NAMES
    assert all(found[name].gain.lower > 0 for name in NAMES if name != "ece")


def test_a_gain_is_the_difference_of_the_two_values(better: PairedRows) -> None:
    found = metrics(better)
    assert list(found) == NAMES
    for name, metric in found.items():
        sign = -1 if name in ("log_loss", "brier", "ece") else 1
        assert metric.gain.point == pytest.approx(sign * (metric.challenger - metric.champion))


def test_with_the_roles_swapped_every_gain_is_a_loss(better: PairedRows) -> None:
    swapped = metrics(changed(better, champion=better.challenger, challenger=better.champion))
    assert list(swapped) == NAMES
    for name, metric in metrics(better).items():
        assert swapped[name].gain.point == pytest.approx(-metric.gain.point)
        assert swapped[name].gain.se == pytest.approx(metric.gain.se)


def test_identical_models_differ_in_nothing(better: PairedRows) -> None:
    found = metrics(changed(better, challenger=better.champion))
    assert list(found) == NAMES
    for metric in found.values():
        assert (metric.gain.point, metric.gain.lower, metric.gain.upper, metric.detectable) == (0, 0, 0, 0)


def test_the_same_seed_gives_the_same_answer_whatever_the_order_of_the_rows(better: PairedRows) -> None:
    mixed = np.random.default_rng(0).permutation(2000)
    shuffled = changed(
        better,
        label=np.asarray(better.label)[mixed],
        entity=np.asarray(better.entity)[mixed],
        event_time=better.event_time.iloc[mixed],
        value=np.asarray(better.value)[mixed],
        slices={},
        **{
            side: type(better.champion)(getattr(better, side).probability[mixed], 0.35)
            for side in ("champion", "challenger")
        },
    )
    first, second = compared(changed(better, slices={})), compared(shuffled)
    assert first.model_dump(exclude={"metrics"}) == second.model_dump(exclude={"metrics"})
    for one, other in zip(first.metrics, second.metrics, strict=True):
        assert one.gain.model_dump() == pytest.approx(other.gain.model_dump(), abs=1e-12)


def test_rows_that_repeat_a_customer_add_no_certainty() -> None:
    once = paired_rows(500, challenger=1.0)
    often = changed(
        once,
        label=np.tile(once.label, 4),
        entity=np.tile(once.entity, 4),
        event_time=pd.concat([once.event_time] * 4),
        value=np.tile(once.value, 4),
        champion=type(once.champion)(np.tile(once.champion.probability, 4), 0.35),
        challenger=type(once.champion)(np.tile(once.challenger.probability, 4), 0.35),
        slices={},
    )
    for one, other in zip(compared(once).metrics, compared(often).metrics, strict=True):
        assert other.gain.se == pytest.approx(one.gain.se)


@pytest.fixture(scope="module")
def equals() -> list[dict[str, PairedMetric]]:
    """Pairs of models that are equally good and differ by chance."""
    return [metrics(changed(paired_rows(600, seed=seed), slices={}), resamples=300) for seed in range(90)]


def test_the_interval_holds_the_truth_about_as_often_as_it_says(equals: list[dict[str, PairedMetric]]) -> None:
    covered = np.mean([each["roc_auc"].gain.lower <= 0 <= each["roc_auc"].gain.upper for each in equals])
    assert covered == pytest.approx(0.9, abs=0.07)


def test_equal_models_are_hardly_ever_found_worse_in_any_metric(equals: list[dict[str, PairedMetric]]) -> None:
    for name in ("log_loss", "roc_auc", "profit_per_customer", "f1"):
        assert np.mean([each[name].p_worse < 0.05 for each in equals]) <= 0.1  # type: ignore[operator]


def test_the_interval_is_as_wide_as_the_level_asks() -> None:
    narrow, wide = (metrics(paired_rows(600), alpha=alpha)["log_loss"] for alpha in (0.2, 0.01))
    assert wide.gain.lower < narrow.gain.lower < narrow.gain.upper < wide.gain.upper
    assert wide.detectable > narrow.detectable


def test_margins_are_the_configured_ones_and_money_is_a_share_of_what_the_champion_earns(better: PairedRows) -> None:
    found = metrics(better, margins=Margins(log_loss=0.02, roc_auc=0.03, profit_share=0.5))
    margins = {name: metric.margin for name, metric in found.items() if metric.margin is not None}
    assert margins == {
        "log_loss": 0.02,
        "roc_auc": 0.03,
        "profit_per_customer": pytest.approx(0.5 * found["profit_per_customer"].champion),
    }


def test_the_tested_metrics_have_p_values_each_by_itself() -> None:
    found = metrics(paired_rows(600, champion=0.3, challenger=0.6))
    tested = [name for name, metric in found.items() if metric.p_worse is not None]
    assert tested == ["log_loss", "profit_per_customer", "roc_auc", "f1"]
    assert [found[name].p_worse for name in tested] == [p_value_worse(found[name].gain) for name in tested]


def test_capacity_is_a_share_of_the_customers_whom_a_campaign_chooses_from() -> None:
    rows = paired_rows(1000, champion=1.5, challenger=0.1, base=5000)
    assert "profit_at_capacity" not in metrics(rows)
    tight = metrics(rows, capacity=250)["profit_at_capacity"]
    same = metrics(changed(rows, base=None), capacity=50)["profit_at_capacity"]
    assert tight == same
    roomy = metrics(rows, capacity=50_000)
    assert roomy["profit_at_capacity"].gain == roomy["profit_per_customer"].gain


def test_where_there_is_a_capacity_the_profit_within_it_is_tested() -> None:
    found = metrics(paired_rows(1000), capacity=100)
    tested, other = found["profit_at_capacity"], found["profit_per_customer"]
    assert tested.margin == pytest.approx(QUICK.margins.profit_share * tested.champion)
    assert tested.p_worse is not None
    assert (other.margin, other.p_worse) == (None, None)


def test_every_metric_is_compared(better: PairedRows) -> None:
    assert list(metrics(better)) == NAMES


def test_what_was_compared_is_told() -> None:
    rows = paired_rows(400, rows_each=2)
    found = compared(rows)
    assert (found.name, found.rows, found.customers, found.resamples) == ("holdout", 400, 200, 400)
    assert found.churners == np.sum(rows.label)
    assert found.since == dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    assert found.until == found.since + dt.timedelta(hours=399)


def outcomes(churners: int) -> PairedRows:
    return changed(paired_rows(400), label=(np.arange(400) < churners).astype(int))


@pytest.mark.parametrize("churners", [30, 370])
def test_the_least_number_of_churners_and_of_others_is_enough(churners: int) -> None:
    assert compared(outcomes(churners)).churners == churners


@pytest.mark.parametrize(
    ("churners", "message"),
    [
        (0, r"0 customers of the holdout rows churned, and 30 are needed"),
        (29, "29 customers of the holdout rows churned"),
        (371, "29 customers of the holdout rows stayed"),
    ],
)
def test_too_few_of_either_outcome_is_refused(churners: int, message: str) -> None:
    with pytest.raises(NotEnoughData, match=message):
        compared(outcomes(churners))


def test_a_row_without_its_time_is_refused() -> None:
    rows = paired_rows(400)
    missing = rows.event_time.copy()
    missing[3] = pd.NaT
    for times in (rows.event_time.iloc[1:], missing):
        with pytest.raises(DataError, match="Every row that is compared needs its event time"):
            compared(changed(rows, event_time=times))


ROWS = paired_rows(700)


def champion_holdout(rows: PairedRows = ROWS, money: MoneySettings = MONEY) -> Holdout:
    return rows.holdout(rows.champion, money)


def test_the_metrics_are_those_of_an_evaluation() -> None:
    weights = np.random.default_rng(0).integers(0, 3, (5, 700)).astype(float)
    found = BlockMetrics(champion_holdout(), None)(weights)
    reference = HoldoutStatistic(champion_holdout(), calibration_bins=10, literature=MONEY)
    assert "f1" in found
    for draw, weight in enumerate(weights):
        expected = reference.metrics(weight)
        expected["f1"] = expected["f1_at_f1"]
        assert {name: values[draw] for name, values in found.items()} == pytest.approx(
            {name: expected[name] for name in found}
        )


def test_blocks_are_the_draws_of_the_bootstrap() -> None:
    entity = np.repeat([f"c{number}" for number in range(20_000)], 2)
    weight = np.random.default_rng(0).choice([1.0, 10.0], 40_000)
    rows = np.zeros(40_000), np.full(40_000, 0.5), entity
    for counted in (None, weight):
        holdout = Holdout.of(*rows, thresholds={}, money=MONEY, value=200.0, weight=counted)
        blocks = list(weight_blocks(holdout, resamples=13, seed=3))
        assert len(blocks) > 1
        drawn = np.array(list(customer_weights(entity, resamples=13, seed=3)))
        np.testing.assert_array_equal(np.concatenate(blocks), drawn if counted is None else drawn * weight)


def brute_force(rows: PairedRows, customers: int) -> float:
    """What the first so many customers by expected value earn, as far as it pays, per customer of all."""
    best = np.argsort(-expected_value(rows.champion.probability, rows.value, MONEY), kind="stable")[:customers]
    pays = best[expected_value(rows.champion.probability, rows.value, MONEY)[best] > 0]
    return float(np.sum(expected_value(rows.label, rows.value, MONEY)[pays]) / len(rows.champion.probability))


@pytest.mark.parametrize("share", [0.02, 0.1, 1.0])
def test_at_capacity_the_best_customers_are_contacted(share: float) -> None:
    found = BlockMetrics(champion_holdout(), share)(np.ones((1, 700)))
    assert found["profit_at_capacity"][0] == pytest.approx(brute_force(ROWS, round(share * 700)))


def test_with_room_for_everybody_capacity_costs_nothing() -> None:
    found = BlockMetrics(champion_holdout(), 1.0)(np.random.default_rng(0).integers(0, 3, (4, 700)).astype(float))
    np.testing.assert_allclose(found["profit_at_capacity"], found["profit_per_customer"])


def test_every_draw_contacts_no_more_than_its_share() -> None:
    value = CustomerValue(amount=10_000)  # everybody pays
    money = MONEY.model_copy(update={"customer_value": value})
    rows = PairedRows(**vars(ROWS) | {"value": np.full(700, 10_000.0), "label": np.ones(700)})
    weights = np.random.default_rng(0).integers(0, 3, (6, 700)).astype(float)
    found = BlockMetrics(champion_holdout(rows, money), 0.1)(weights)
    each = expected_value(1.0, 10_000, money)  # what any contact earns where everybody churns
    np.testing.assert_allclose(found["profit_at_capacity"], 0.1 * each)


def test_f1_is_zero_where_nothing_is_called_and_nobody_churned() -> None:
    rows = PairedRows(**vars(ROWS) | {"label": np.zeros(700), "champion": VersionScores(np.full(700, 0.2), 0.9)})
    found = BlockMetrics(rows.holdout(rows.champion, MONEY), None)(np.ones((1, 700)))
    assert found["f1"][0] == 0.0
    assert np.isnan(found["roc_auc"][0])


def test_a_probability_out_of_range_is_refused() -> None:
    rows = PairedRows(**vars(ROWS) | {"champion": VersionScores(np.full(700, 1.2), 0.5)})
    with pytest.raises(DataError, match="`probability` must be between 0 and 1"):
        champion_holdout(rows)


def slices(rows: PairedRows, settings: GateSettings = QUICK) -> dict[tuple[str, str], SliceComparison]:
    found = compare(rows, MONEY, settings, name="holdout", seed=1).slices
    return {(each.column, each.value): each for each in found}


def spoiled(rows: PairedRows, column: str, value: str) -> PairedRows:
    """The challenger knows nothing of one group."""
    mask = np.asarray(rows.slices[column]) == value
    probability = np.where(mask, 0.27, rows.challenger.probability)
    return PairedRows(**vars(rows) | {"challenger": VersionScores(probability, rows.challenger.f1_threshold)})


def test_a_group_that_is_served_worse_is_found_and_no_other() -> None:
    found = slices(spoiled(paired_rows(2400), "region", "south"))
    worse = {key for key, each in found.items() if each.worse and key[0] == "region"}
    assert worse == {("region", "south")}
    assert found["region", "south"].p_worse == pytest.approx(0, abs=0.01)


def test_groups_of_equal_models_are_hardly_ever_found_worse() -> None:
    rows = (paired_rows(900, champion=0.2, challenger=0.2, seed=seed) for seed in range(60))
    alarms = [any(each.worse for each in slices(pair).values()) for pair in rows]
    assert np.mean(alarms) <= 0.1


def test_the_gain_of_a_group_is_the_difference_of_its_means() -> None:
    rows = paired_rows(1200, champion=1.0, challenger=0.2)
    mask = np.asarray(rows.slices["region"]) == "east"
    losses = [
        -np.mean(np.log(np.where(np.asarray(rows.label)[mask] == 1, p, 1 - p)))
        for p in (rows.champion.probability[mask], rows.challenger.probability[mask])
    ]
    east = slices(rows)["region", "east"]
    assert east.rows == mask.sum()
    assert east.gains["log_loss"].point == pytest.approx(losses[0] - losses[1])
    assert east.gains["profit_per_customer"].lower <= east.gains["profit_per_customer"].point


def test_numbers_are_cut_into_quarters() -> None:
    assert sum(column == "months" for column, _ in slices(paired_rows(1200))) == 4


def test_a_group_is_judged_from_the_least_number_of_rows_on() -> None:
    rows = paired_rows(1200)
    least = int(np.sum(np.asarray(rows.slices["region"]) == "east"))
    for more, reason in ((0, None), (1, f"fewer than {least + 1} rows")):
        settings = QUICK.model_copy(update={"min_slice_rows": least + more})
        east = slices(rows, settings)["region", "east"]
        assert east.skipped == reason
        assert (east.p_worse is None) == (reason is not None) == (not east.gains)


def test_a_group_of_few_customers_is_not_judged_however_many_rows_they_have() -> None:
    rows = paired_rows(3000, rows_each=30)
    assert slices(rows)["region", "east"].skipped == "fewer than 30 customers"


def group(value: str = "a", *, loss: float = 0.0, profit: float = 0.0, se: float = 0.01) -> SliceComparison:
    """A group whose gains have the standard error `se`."""
    gains = {
        name: Estimate(point=point, lower=point, upper=point, se=se)
        for name, point in (("log_loss", loss), ("profit_per_customer", profit))
    }
    return SliceComparison(column="c", value=value, rows=100, gains=gains)


@pytest.mark.parametrize(
    ("part", "worse"),
    [
        (group(loss=-0.021), True),
        (group(loss=-0.02), False),
        (group(loss=-0.0201, se=0.0122), True),
        (group(loss=-0.0201, se=0.0123), False),
        (group(profit=-0.0258), True),
        (group(profit=-0.0257), False),
        (group(loss=0.1, profit=-0.1), True),
        (group(loss=0.1, profit=0.1), False),
    ],
    ids=["lost", "the margin", "sure", "unsure", "poorer", "hardly poorer", "better and poorer", "better"],
)
def test_a_group_is_worse_that_surely_loses_more_than_the_margin_or_money(part: SliceComparison, worse: bool) -> None:
    (found,) = judged_slices([part], QUICK)
    assert found.worse == worse


def test_a_group_does_not_pass_because_more_groups_are_asked_about() -> None:
    lost = group(loss=-0.03, se=0.015)
    alone = judged_slices([lost], QUICK)[0]
    among = judged_slices([lost, *(group(str(number)) for number in range(40))], QUICK)[0]
    assert alone == among
    assert among.worse


def test_a_group_that_is_not_judged_is_not_worse() -> None:
    (found,) = judged_slices([SliceComparison(column="c", value="d", rows=3, skipped="few")], QUICK)
    assert (found.p_worse, found.worse) == (None, False)


def repeated(rows: PairedRows, times: Any) -> PairedRows:
    def often(values: Any) -> Any:
        return np.repeat(np.asarray(values), times)

    return changed(
        rows,
        label=often(rows.label),
        entity=often(rows.entity),
        event_time=rows.event_time.repeat(times).reset_index(drop=True),
        value=often(rows.value),
        slices={name: often(values) for name, values in rows.slices.items()},
        **{
            side: type(rows.champion)(often(getattr(rows, side).probability), 0.35)
            for side in ("champion", "challenger")
        },
    )


def test_rows_that_stand_for_others_are_compared_as_so_many_rows(better: PairedRows) -> None:
    times = np.where(np.random.default_rng(1).random(2000) < 0.2, 7, 1)
    settings: dict[str, Any] = {"capacity": 500}
    # Numbers are cut at other quartiles where rows are repeated.
    texts = {name: values for name, values in better.slices.items() if np.asarray(values).dtype.kind == "U"}
    weighted = compared(changed(better, slices=texts, weight=times.astype(float)), **settings)
    often = compared(repeated(changed(better, slices=texts), times), **settings)
    assert texts
    assert [metric.name for metric in weighted.metrics] == [*NAMES, "profit_at_capacity"]
    for one, other in zip(weighted.metrics, often.metrics, strict=True):
        if one.name not in {"ece", "profit_at_capacity"}:  # of bins of equally many rows, and of a share of the rows
            assert one.gain.model_dump() == pytest.approx(other.gain.model_dump()), one.name
            assert one.p_worse == pytest.approx(other.p_worse)
    for one, other in zip(weighted.slices, often.slices, strict=True):
        assert {n: g.point for n, g in one.gains.items()} == pytest.approx({n: g.point for n, g in other.gains.items()})
    assert compared(changed(better, weight=np.ones(2000))) == compared(better)
    half = changed(better, weight=times.astype(float)).where(np.arange(2000) < 1000)
    assert half.weight is not None
    assert half.weight.tolist() == times[:1000].tolist()

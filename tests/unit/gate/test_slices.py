"""Groups of customers: which are judged, and when one counts as served worse."""

from __future__ import annotations

import numpy as np
import pytest

from churn.core.estimate import Estimate
from churn.gate.comparison import compare
from churn.gate.paired import PairedRows, Predictions
from churn.gate.report import SliceComparison
from churn.gate.settings import GateSettings
from churn.gate.slices import judged
from churn.model.money import MoneySettings
from tests.fakes.data.paired_predictions import paired_rows

pytestmark = pytest.mark.slow

MONEY = MoneySettings()
QUICK = GateSettings(resamples=300)


def slices(rows: PairedRows, settings: GateSettings = QUICK) -> dict[tuple[str, str], SliceComparison]:
    found = compare(rows, MONEY, settings, name="holdout", seed=1).slices
    return {(each.column, each.value): each for each in found}


def spoiled(rows: PairedRows, column: str, value: str) -> PairedRows:
    """The challenger knows nothing of one group."""
    mask = np.asarray(rows.slices[column]) == value
    probability = np.where(mask, 0.27, rows.challenger.probability)
    return PairedRows(**vars(rows) | {"challenger": Predictions(probability, rows.challenger.f1_threshold)})


def test_a_group_that_is_served_worse_is_found_and_no_other() -> None:
    found = slices(spoiled(paired_rows(2400), "region", "south"))
    worse = {key for key, each in found.items() if each.worse and key[0] == "region"}
    assert worse == {("region", "south")}
    assert found["region", "south"].p_worse == pytest.approx(0, abs=0.01)


def test_groups_of_equal_models_are_hardly_ever_found_worse() -> None:
    alarms = [any(each.worse for each in slices(paired_rows(900, seed=seed), QUICK).values()) for seed in range(60)]
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


def test_the_p_values_are_corrected_for_every_group_and_metric() -> None:
    def group(value: str, point: float) -> SliceComparison:
        gain = Estimate(point=point, lower=point, upper=point, se=1.0)
        return SliceComparison(column="c", value=value, rows=100, gains={"log_loss": gain, "profit_per_customer": gain})

    first, second, third = judged(
        [group("a", -2.2), group("b", 1.0), SliceComparison(column="c", value="d", rows=3, skipped="few")], 0.05
    )
    assert first.p_worse == pytest.approx(4 * 0.0139, abs=1e-3)  # two groups, two metrics
    assert not first.worse
    assert second.p_worse == 1.0
    assert (third.p_worse, third.worse) == (None, False)


def test_the_level_is_the_bound() -> None:
    gain = Estimate(point=-3.0, lower=-3.0, upper=-3.0, se=1.0)
    group = SliceComparison(column="c", value="a", rows=100, gains={"log_loss": gain})
    (found,) = judged([group], 0.05)
    assert found.p_worse is not None
    assert found.worse
    assert not judged([group], found.p_worse)[0].worse

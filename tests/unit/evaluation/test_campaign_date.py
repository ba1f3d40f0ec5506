"""One campaign of the holdout: the newest date with known outcomes, each customer once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.evaluation.campaign_date import rows_of_newest_date
from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.evaluation.headline import headline, rows_in_words
from churn.model.money import MoneySettings, expected_value, treatment_pays
from tests.fakes.data.predictions import Predictions, predictions

MONEY = MoneySettings()
MONTHS = pd.Series(pd.date_range("2025-01-01", periods=4, freq="MS", tz="UTC"))


def monthly(customers: int = 300) -> tuple[Predictions, pd.Series]:
    """Customers with a row in each of four months; whoever churns does so in every row."""
    sample = predictions(4 * customers, rows_each=4)
    label = np.repeat(sample.label[::4], 4)
    drawn = Predictions(label, sample.probability, sample.truth, sample.entity)
    return drawn, pd.concat([MONTHS] * customers, ignore_index=True)


def evaluated(sample: Predictions, event_time: pd.Series | None, **changes: Any) -> Evaluation:
    given: dict[str, Any] = {
        "label": sample.label,
        "probability": sample.probability,
        "entity": sample.entity,
        "thresholds": {"f1": 0.35},
        "money": MONEY,
        "value": 200.0,
        "slices": {},
        "settings": EvaluationSettings(resamples=100),
        "seed": 1,
        "event_time": event_time,
    }
    return evaluate(**given | changes)


def test_the_campaign_is_that_of_the_newest_date_per_1000_customers() -> None:
    sample, times = monthly()
    found = evaluated(sample, times)
    newest = (times == MONTHS.iloc[-1]).to_numpy()
    treated = treatment_pays(sample.probability, 200, MONEY)
    earned = expected_value(sample.label, 200, MONEY)
    date = found.campaign_date
    assert date is not None
    assert (date.since, date.until, date.customers) == (MONTHS.iloc[-1], MONTHS.iloc[-1], 300)
    assert (date.churners, date.treated) == (sample.label[newest].sum(), treated[newest].sum())
    assert date.found == sample.label[newest & treated].sum()
    profit = found.metrics["campaign_profit"]
    assert profit.point == pytest.approx(1000 * earned[newest & treated].sum() / 300)
    assert profit.lower < profit.point < profit.upper
    assert found.metrics["campaign_profit_if_all"].point == pytest.approx(1000 * earned[newest].sum() / 300)
    words = headline(found)
    assert words.startswith(f"On 2025-04-01, treating the {date.treated} of 300 customers whose churn probability is")
    assert f"would have earned {profit.point:,.0f} USD per 1,000 customers (" in words


def test_a_newest_date_whose_stayers_are_not_known_yet_is_no_campaign() -> None:
    sample, times = monthly()
    known = ~((times == MONTHS.iloc[-1]).to_numpy() & (sample.label == 0))
    part = Predictions(*(getattr(sample, name)[known] for name in ("label", "probability", "truth", "entity")))
    date = evaluated(part, times[known].reset_index(drop=True)).campaign_date
    assert date is not None
    assert date.since == MONTHS.iloc[-2]


def test_customers_with_dates_of_their_own_are_taken_by_month_each_with_the_newest_row() -> None:
    sample, months = monthly()
    times = months + pd.to_timedelta(np.arange(len(months)) // 4 % 28, unit="D") + pd.to_timedelta(7, unit="h")
    again = pd.Series([*times, times.iloc[-1] + pd.Timedelta(hours=1)])
    entity = np.append(sample.entity, sample.entity[-1])
    label = np.append(sample.label, sample.label[-1]).astype(float)
    rows = rows_of_newest_date(again, entity, label, 10)
    assert rows is not None
    assert len(set(entity[rows])) == len(rows) == 300
    assert set(again.iloc[rows].dt.month) == {4}
    assert len(entity) - 1 in rows


def test_a_table_with_one_row_a_customer_is_one_campaign() -> None:
    sample = predictions(600)
    times = pd.Series(pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(600), unit="D"))
    found = evaluated(sample, times)
    assert found.campaign_date is not None
    assert (found.campaign_date.customers, found.unit) == (600, "customers")
    assert found.metrics["campaign_profit"].point == pytest.approx(1000 * found.metrics["profit_per_customer"].point)
    assert headline(found).startswith("On 2024-01-01 to 2025-08-22, treating the ")


def test_without_a_date_of_its_own_the_money_is_said_to_be_per_customer_and_month() -> None:
    sample, times = monthly()
    found = evaluated(sample, None)
    assert (found.campaign_date, found.unit) == (None, "customer-months")
    assert "campaign_profit" not in found.metrics
    profit = 1000 * found.metrics["profit_per_customer"].point
    assert headline(found).startswith("Over all dates, treating the ")
    assert f"{profit:,.0f} USD per 1,000 customers and month (" in headline(found)
    few = times == MONTHS.iloc[-1]
    assert rows_of_newest_date(times[few], np.repeat(["a", "b"], few.sum() / 2), np.zeros(few.sum()), 10) is None


def test_there_are_never_more_churners_than_customers() -> None:
    sample, times = monthly()
    found = evaluated(sample, times)
    churned = len(set(sample.entity[sample.label == 1]))
    assert (found.churned_customers, found.churners) == (churned, 4 * churned)
    assert rows_in_words(1200, 300, 4 * churned, churned) == (
        f"1,200 customer-months of 300 customers, {churned} of whom churned"
    )
    assert rows_in_words(300, 300, 90, 90) == "300 customers, 90 of whom churned"
    assert "of 300 customers; 360 of these rows ended in churn" in rows_in_words(1200, 300, 360, None)


@pytest.mark.slow
def test_churn_is_counted_by_date_with_what_was_predicted() -> None:
    sample, times = monthly()
    periods = evaluated(sample, times).periods
    assert [period.since for period in periods] == [month.date() for month in MONTHS]
    assert {period.rows for period in periods} == {300}
    assert periods[0].observed == pytest.approx(sample.label[::4].mean())
    assert periods[0].predicted == pytest.approx(sample.probability[::4].mean())
    assert all(period.lower <= period.observed <= period.upper for period in periods)
    daily = MONTHS.repeat(300).reset_index(drop=True) + pd.to_timedelta(np.arange(1200) % 25, unit="D")
    assert len(evaluated(sample, daily).periods) == 4


@pytest.mark.slow
def test_the_same_rows_have_the_same_digest_in_any_order_and_others_have_another() -> None:
    sample, times = monthly()
    order = np.random.default_rng(0).permutation(1200)
    shuffled = Predictions(*(getattr(sample, name)[order] for name in ("label", "probability", "truth", "entity")))
    digest = evaluated(sample, times).data_digest
    assert evaluated(shuffled, times.iloc[order].reset_index(drop=True)).data_digest == digest
    assert evaluated(sample, times.dt.as_unit("s"), value=300.0).data_digest == digest
    assert evaluated(sample, times + pd.Timedelta(days=1)).data_digest != digest
    other = Predictions(1 - sample.label, sample.probability, sample.truth, sample.entity)
    assert evaluated(other, times).data_digest != digest

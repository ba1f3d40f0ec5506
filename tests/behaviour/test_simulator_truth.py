"""The true probabilities are exact, and what they reach is computed rightly."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from churn.evaluation.oracle import reachable
from churn.model.money import MoneySettings
from churn.simulation.engine import live
from churn.simulation.events import ChangedOdds, NewProduct, PriceRise, Seasonality
from churn.simulation.script import Script
from churn.simulation.simulate import SIMULATORS, SimulationSettings, simulate

EVENTS = (
    PriceRise(month=3, share=0.15, only={"internet_service": ("Fiber optic",)}),
    NewProduct(month=4, column="tech_support", value="Yes", share=0.8),
    NewProduct(month=5, column="internet_service", value="5G home", like="DSL", share=0.4),
    ChangedOdds(month=4, odds=2, only={"internet_service": ("DSL",)}),
    Seasonality(month=2, amplitude=0.5, peak=9),
)


@pytest.fixture(scope="module", params=["telco", "telco with events", "saas"])
def rows(request: pytest.FixtureRequest) -> pd.DataFrame:
    name, _, events = request.param.partition(" with ")
    settings = SimulationSettings(customers=20_000, months=8, seed=12, events=EVENTS if events else ())
    frame = simulate(name, settings).to_pandas()
    world = SIMULATORS[name]
    known = frame[frame[world.label].notna()]
    truth = known["true_probability"]
    label = known[world.label] == world.positive
    return pd.DataFrame(
        {"month": known[world.event_time], "truth": truth, "excess": label - truth, "variance": truth * (1 - truth)}
    )


def z_scores(groups: pd.core.groupby.DataFrameGroupBy) -> pd.Series:
    sums = groups[["excess", "variance"]].sum()
    return sums["excess"] / np.sqrt(sums["variance"])


def test_as_many_customers_leave_in_each_month_as_the_truth_says(rows: pd.DataFrame) -> None:
    assert z_scores(rows.groupby("month")).abs().max() < 4


def test_as_many_customers_leave_at_each_level_of_risk_as_the_truth_says(rows: pd.DataFrame) -> None:
    # The windows of one customer overlap: only the rows of one month are independent draws.
    assert rows["month"].nunique() > 1
    for _, month in rows.groupby("month"):
        decile = pd.qcut(month["truth"], 10, labels=False)
        assert z_scores(month.groupby(decile)).abs().max() < 4


def test_the_truth_is_the_sum_over_every_course_the_contract_can_take() -> None:
    telco = SIMULATORS["telco"]
    script = Script(telco, EVENTS, np.datetime64("2025-01"))
    month = live(telco, script, customers=60, months=3, seed=1)[2]
    stays = np.zeros(60)
    for later in itertools.product(range(3), repeat=2):
        state, stays_so, contract = month.state, np.ones(60), month.state["contract"]
        for number, following in zip((3, 4, 5), (*later, None), strict=True):
            leaves = 1 / (1 + np.exp(-telco.log_odds(state) - script.pull(state, number)[:, None]))
            stays_so *= 1 - leaves[np.arange(60), contract]
            if following is not None:
                stays_so *= telco.switches(state)[np.arange(60), contract, following]
                contract = np.full(60, following)
            state = script.change(telco.grow_older(state), number + 1)
        stays += stays_so
    np.testing.assert_allclose(month.truth, 1 - stays, rtol=1e-12)


def test_the_risk_of_the_telco_is_about_as_hard_to_see_as_in_the_sample() -> None:
    truth = np.asarray(simulate("telco", SimulationSettings(customers=20_000, months=4))["true_probability"])
    best = reachable(truth, truth, np.full(len(truth), 200.0), MoneySettings())
    assert 0.85 < best.roc_auc.best < 0.87

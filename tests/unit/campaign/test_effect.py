"""What campaigns changed: the contacted against the control group."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.campaign.effect import CampaignEffect, acceptance_posterior, campaign_effect
from churn.model.money import Acceptance, MoneySettings

NOW = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
MONEY = MoneySettings()


def customers(
    batch: str, contacted: tuple[int, int], control: tuple[int, int], *, first: int = 0, **columns: Any
) -> pd.DataFrame:
    """Return a campaign with (customers, churned) of both groups."""
    parts = []
    for group, (size, churned) in (("treatment", contacted), ("control", control)):
        frame = pd.DataFrame({"customer": [f"{group}{first + number}" for number in range(size)]})
        parts.append(frame.assign(batch_id=batch, group=group, churned=np.arange(size) < churned))
    rows = pd.concat(parts, ignore_index=True).astype({"churned": np.float64})
    return rows.assign(**{"probability": 0.3, "customer_value": 200.0, **columns})


def effect(*campaigns: pd.DataFrame, **options: Any) -> CampaignEffect:
    rows = pd.concat(campaigns, ignore_index=True)
    return campaign_effect(rows, MONEY, salt="s", measured_at=NOW, known_from=NOW, **options)


def test_fewer_lost_customers_are_worth_their_value_less_contacts_and_incentives() -> None:
    found = effect(customers("b", (1000, 150), (500, 150)))
    assert found.drop is not None
    assert found.saved is not None
    assert found.net is not None
    assert found.drop.point == pytest.approx(0.15)
    assert found.saved.point == pytest.approx(0.15 * 1000 * 200)
    assert found.spent == pytest.approx(1000 * 1 + 850 * 10)
    assert found.net.point == pytest.approx(found.saved.point - found.spent)
    assert found.verdict == "earned"


@pytest.mark.slow
def test_contacts_that_change_nothing_are_money_lost_where_the_groups_are_large() -> None:
    assert effect(customers("b", (40_000, 12_000), (40_000, 12_000))).verdict == "lost"
    small = effect(customers("b", (60, 18), (20, 6)))
    assert small.verdict == "unclear"
    assert small.detectable_drop == pytest.approx(2.801585 * np.sqrt(0.3049 * 0.6951 * (1 / 60 + 1 / 20)), rel=1e-3)


def test_customers_who_are_kept_at_a_price_that_may_not_pay_are_said_to_be_kept() -> None:
    found = effect(customers("b", (3000, 750), (3000, 900), customer_value=180.0))
    assert found.verdict == "kept"


@pytest.mark.parametrize(("contacted", "control"), [((100, 0), (20, 0)), ((100, 100), (20, 20))])
def test_groups_in_which_all_are_alike_prove_nothing(contacted: tuple[int, int], control: tuple[int, int]) -> None:
    found = effect(customers("b", contacted, control))
    assert found.drop is not None
    assert found.drop.point == pytest.approx(0)
    assert found.drop.lower < -0.05 < 0.05 < found.drop.upper
    assert found.verdict == "unclear"


def test_without_control_group_or_known_outcomes_nothing_is_compared() -> None:
    alone = effect(customers("b", (100, 10), (0, 0)))
    assert (alone.verdict, alone.drop, alone.net) == ("no control group", None, None)
    early = effect(customers("b", (100, 10), (50, 5), churned=np.nan))
    assert (early.verdict, early.contacted.known, early.contacted.customers) == ("too early", 0, 100)
    assert early.acceptance.mean == pytest.approx(MONEY.acceptance.mean, abs=1e-3)


def test_rows_without_a_known_outcome_count_as_neither() -> None:
    rows = customers("b", (200, 20), (100, 20))
    open_rows = customers("b", (50, 0), (25, 0), first=1000, churned=np.nan)
    found, whole = effect(rows, open_rows), effect(rows)
    assert (found.drop, found.net) == (whole.drop, whole.net)
    assert (found.contacted.customers, found.contacted.known) == (250, 200)


def test_a_campaign_is_compared_within_itself() -> None:
    # The second campaign has riskier customers and a larger control group: pooled without regard to that, the
    # contacted would seem to churn far less.
    found = effect(customers("a", (1000, 100), (100, 10)), customers("b", (100, 50), (1000, 500), first=5000))
    assert found.drop is not None
    assert found.drop.point == pytest.approx(0.0)


def test_a_customer_who_is_in_every_campaign_is_one_customer() -> None:
    once = effect(customers("a", (500, 100), (200, 60)))
    repeated = effect(*(customers(batch, (500, 100), (200, 60)) for batch in "abcd"))
    others = effect(*(customers(batch, (500, 100), (200, 60), first=1000 * n) for n, batch in enumerate("abcd")))
    assert once.drop is not None
    assert repeated.drop is not None
    assert others.drop is not None
    assert repeated.drop.se == pytest.approx(once.drop.se, rel=1e-3)
    assert others.drop.se == pytest.approx(once.drop.se / 2, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("contacted", "control", "churn"), [(100, 15, 0.2), (400, 60, 0.3), (100, 20, 0.05)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(contacted: int, control: int, churn: float) -> None:
    random, held, rounds = np.random.default_rng(3), 0, 60
    drawn = customers("b", (contacted, 0), (control, 0))
    risk = np.where(drawn["group"] == "treatment", 0.7 * churn, churn)
    for _ in range(rounds):
        found = effect(drawn.assign(churned=(random.random(len(drawn)) < risk).astype(float)))
        assert found.drop is not None
        held += found.drop.lower <= 0.3 * churn <= found.drop.upper
    assert held / rounds > 0.88


def test_outcomes_move_the_acceptance_rate_from_the_setting_towards_what_happened() -> None:
    prior = Acceptance()
    nothing = acceptance_posterior([], prior)
    assert (nothing.mean, nothing.fitted.alpha) == (pytest.approx(0.3, abs=1e-4), pytest.approx(6, rel=1e-3))
    many = acceptance_posterior([(100_000, 15_000, 100_000, 30_000)], prior)
    assert many.lower < 0.5 < many.upper
    assert many.upper - many.lower < 0.02
    few = acceptance_posterior([(100, 15, 20, 6)], prior)
    assert 0.3 < few.mean < 0.45
    assert nothing.fitted.alpha < few.fitted.alpha + few.fitted.beta < many.fitted.alpha


def test_the_posterior_is_that_of_a_plain_integral() -> None:
    prior, (n, x, m, y) = Acceptance(), (120, 20, 40, 12)
    gamma, base = np.meshgrid((np.arange(800) + 0.5) / 800, (np.arange(800) + 0.5) / 800, indexing="ij")
    churn = base * (1 - gamma)
    density = (
        gamma ** (prior.alpha - 1) * (1 - gamma) ** (prior.beta - 1)
        * churn**x * (1 - churn) ** (n - x) * base**y * (1 - base) ** (m - y)
    )  # fmt: skip
    expected = float((density * gamma).sum() / density.sum())
    assert acceptance_posterior([(n, x, m, y)], prior).mean == pytest.approx(expected, abs=1e-3)


def test_segments_are_shown_where_both_groups_carry_it_with_intervals_that_hold_together() -> None:
    rows = customers("b", (600, 60), (300, 60))
    rows["plan"] = np.where(np.arange(len(rows)) % 2, "a", "b")
    rows.loc[rows.index[:40], "plan"] = "rare"
    found = effect(rows, segments=["plan"])
    assert {segment.value for segment in found.segments} == {"a", "b"}
    one = effect(rows[rows["plan"] == "a"])
    assert one.drop is not None
    segment = next(segment for segment in found.segments if segment.value == "a")
    assert segment.drop.point == pytest.approx(one.drop.point)
    assert segment.drop.upper - segment.drop.lower > one.drop.upper - one.drop.lower

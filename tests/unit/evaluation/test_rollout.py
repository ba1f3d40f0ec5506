"""Two versions on the customers of a rollout: who counts, with which weight, and what their outcome is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.core.shares import hash_shares
from churn.data.untreated import ContactHistory
from churn.evaluation.rollout import Arms, Compared, compare, score_shift
from churn.model.money import MoneySettings, expected_value

MONEY = MoneySettings()
START = pd.Timestamp("2024-05-01", tz="UTC")
DAY = pd.Timedelta(days=1)
TIME = "datetime64[us, UTC]"
NOBODY = ContactHistory.of(pd.DataFrame({"batch_id": [], "customer": [], "group": []}))


def split(share: float = 0.5, *later: float) -> Arms:
    shares = (share, *later)
    return Arms(1, 2, [START + 10 * DAY * number for number in range(len(shares))], shares, "salt")


SHADOW = split(0.0)


def rows(keys: Any, version: Any, probability: Any, *, at: Any = START + DAY, role: str = "answered") -> pd.DataFrame:
    """Return scores of customers; whoever is above 0.2 is treated, and is worth 200."""
    frame = pd.DataFrame({"customer": keys, "version": version, "probability": probability, "scored_at": at}).astype(
        {"scored_at": TIME}
    )
    treat = frame["probability"] > 0.2
    return frame.assign(event_time=frame["scored_at"], role=role, request_id="r", treat=treat, customer_value=200.0)


def labels(keys: Any, label: Any, *, at: Any = START + DAY) -> pd.DataFrame:
    frame = pd.DataFrame({"customer": keys, "label": label, "event_time": at}).astype({"event_time": TIME})
    return frame.assign(label_ts=frame["event_time"] + 30 * DAY, ingested_at=frame["event_time"] + 31 * DAY)


def compared(scores: pd.DataFrame, outcomes: pd.DataFrame, arms: Arms, contacts: ContactHistory = NOBODY) -> Compared:
    return compare(scores, outcomes, contacts, arms, MONEY, window_days=30, alpha=0.05, planned=100, min_customers=2)


def keys_of(count: int) -> Any:
    return np.array([f"c{number}" for number in range(count)])


def test_in_shadow_the_gain_is_that_of_each_customer_in_brier_score_and_profit() -> None:
    keys = ["a", "b", "c"]
    scores = pd.concat([rows(keys, 1, [0.1, 0.5, 0.1]), rows(keys, 2, [0.6, 0.1, 0.1], role="shadow")])
    found = compared(scores, labels(keys, [1, 0, 0]), SHADOW)
    assert (found.customers, found.fewest, found.contacted) == (3, 3, 0)
    assert found.outcome is not None
    assert found.outcome.point == pytest.approx(((0.81 - 0.16) + (0.25 - 0.01) + 0) / 3)
    assert found.profit is not None
    treated_churner, spared_stayer = expected_value([1, 0], 200.0, MONEY)
    assert found.profit.point == pytest.approx((treated_churner - spared_stayer) / 3)


def test_in_shadow_a_row_that_one_of_them_could_not_score_does_not_count() -> None:
    keys = ["a", "b", "c"]
    scores = pd.concat([rows(keys, 1, [0.1, 0.5, 0.1]), rows(keys, 2, [0.6, 0.1, np.nan], role="shadow")])
    assert compared(scores, labels(keys, [1, 0, 0]), SHADOW).customers == 2


def test_in_a_split_the_means_of_both_arms_are_compared() -> None:
    keys = keys_of(400)
    arm = hash_shares(keys, 0.5, "salt")
    scores = rows(keys, np.where(arm, 2, 1), np.where(arm, 0.9, 0.5))
    found = compared(scores, labels(keys, 1), split())
    assert found.fewest == min(arm.sum(), (~arm).sum())
    assert found.outcome is not None
    assert found.outcome.point == pytest.approx(0.25 - 0.01)


def test_rows_that_were_answered_before_the_endpoint_knew_of_the_share_are_left_out() -> None:
    keys = keys_of(400)
    arm = hash_shares(keys, 0.5, "salt")
    scores = rows(keys, np.where(arm, 2, 1), 0.5)
    late = scores.assign(version=1)[arm].head(50).assign(scored_at=START)
    found = compared(pd.concat([late, scores]), labels(keys, 0, at=START), split())
    assert found.customers == 350  # whom the champion answered first, though they are the challenger's


@pytest.mark.slow
def test_customers_count_by_the_share_that_held_when_they_came() -> None:
    """A worse month, in which more customers came to the challenger, is not held against it."""
    random, keys = np.random.default_rng(0), keys_of(20_000)
    month = np.repeat([0, 1], 10_000)
    share = np.where(month, 0.6, 0.1)
    arm = np.where(month, hash_shares(keys, 0.6, "salt"), hash_shares(keys, 0.1, "salt"))
    at = START + DAY + 10 * DAY * month
    label = random.random(20_000) < np.where(month, 0.5, 0.1)
    found = compared(
        rows(keys, np.where(arm, 2, 1), 0.1, at=at), labels(keys, label.astype(int), at=at), split(0.1, 0.6)
    )
    brier = (0.1 - label) ** 2
    assert np.mean(brier[arm]) - np.mean(brier[~arm]) > 0.1
    assert found.outcome is not None
    assert found.outcome.lower < 0 < found.outcome.upper
    assert share.mean() > 0.3


def test_an_outcome_is_that_of_the_newest_facts_up_to_the_score() -> None:
    keys = ["a", "b"]
    outcomes = pd.concat(
        [labels(keys, 0, at=START - 40 * DAY), labels(keys, 1, at=START), labels(keys, 0, at=START + 5 * DAY)]
    )
    scores = pd.concat([rows(keys, 1, 0.0), rows(keys, 2, 1.0, role="shadow")])
    found = compared(scores, outcomes, SHADOW)
    assert found.outcome is not None
    assert found.outcome.point == 1


@pytest.mark.parametrize(("days", "customers"), [(29, 2), (30, 0), (31, 0)])
def test_an_outcome_that_was_known_before_the_score_does_not_count(days: int, customers: int) -> None:
    keys, at = ["a", "b"], START + days * DAY
    scores = pd.concat([rows(keys, 1, 0.0, at=at), rows(keys, 2, 1.0, role="shadow", at=at)])
    assert compared(scores, labels(keys, 1, at=START), SHADOW).customers == customers


def test_rows_without_a_customer_do_not_count() -> None:
    keys = ["", "", "a"]
    scores = pd.concat([rows(keys, 1, 0.5), rows(keys, 2, 0.5, role="shadow")])
    assert compared(scores, labels(["", "a"], 0), SHADOW).customers == 1


def test_without_rows_outcomes_or_contacts_nothing_is_compared() -> None:
    empty = rows([], [], np.array([], dtype=float), at=pd.DatetimeIndex([], tz="UTC")).astype({"customer": object})
    none = labels([], [], at=pd.DatetimeIndex([], tz="UTC")).astype({"customer": object})
    for arms in (SHADOW, split()):
        assert compared(empty, none, arms) == (0, 0, 0, None, None)


@pytest.mark.slow
@pytest.mark.parametrize("arms", [SHADOW, split()], ids=["shadow", "split"])
def test_the_control_group_stands_for_those_who_were_contacted(arms: Arms) -> None:
    """The challenger is better on those whom the champion treats; contacts must not take them out of the comparison."""
    random, keys = np.random.default_rng(1), keys_of(20_000)
    risky = np.arange(20_000) % 2 == 0
    label = (random.random(20_000) < np.where(risky, 0.4, 0.1)).astype(int)
    new, old = np.where(risky, 0.4, 0.3), np.where(risky, 0.2, 0.1)
    if arms.paired:
        scores = pd.concat([rows(keys, 1, old), rows(keys, 2, new, role="shadow")])
    else:
        arm = hash_shares(keys, 0.5, "salt")
        scores = rows(keys, np.where(arm, 2, 1), np.where(arm, new, old))
    control = hash_shares(keys, 0.1, "campaign")
    group = np.where(control, "control", "treatment")
    listed = pd.DataFrame({"batch_id": "b", "customer": keys, "group": group, "control_share": 0.1})
    contacts = ContactHistory.of(listed.assign(as_of=START + 2 * DAY, planned_at=START + 2 * DAY)[risky])
    all_known = compared(scores, labels(keys, label), arms)
    found = compared(scores, labels(keys, label), arms, contacts)
    assert found.contacted == int((risky & ~control).sum())
    assert found.outcome is not None
    assert all_known.outcome is not None
    assert found.outcome.point == pytest.approx(all_known.outcome.point, abs=3 * found.outcome.se)
    dropped = np.average(((old - label) ** 2 - (new - label) ** 2)[~risky | control])
    assert abs(dropped - all_known.outcome.point) > 3 * found.outcome.se


def test_a_contact_within_the_outcome_window_of_the_facts_counts_though_it_came_before_the_score() -> None:
    keys = ["a", "b", "c"]
    scores = pd.concat([rows(keys, 1, 0.5), rows(keys, 2, 0.4, role="shadow")])
    listed = pd.DataFrame({"batch_id": "b", "customer": ["a"], "group": ["treatment"], "control_share": 0.0})
    contacts = ContactHistory.of(listed.assign(as_of=START, planned_at=START))
    found = compared(scores, labels(keys, 0, at=START), SHADOW, contacts)
    assert (found.customers, found.contacted) == (2, 1)


def test_scores_of_one_distribution_do_not_shift_and_others_do() -> None:
    random = np.random.default_rng(0)
    one, same, other = random.beta(1, 4, 2_000), random.beta(1, 4, 2_000), random.beta(2, 4, 2_000)
    assert score_shift(one, same) < 0.02
    assert score_shift(one, other) > 0.25
    assert score_shift(np.full(100, 0.2), np.full(100, 0.2)) == 0

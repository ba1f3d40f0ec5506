"""The whole answer about one customer: it adds up, and agrees with scoring."""

from __future__ import annotations

import math

import pytest

from churn.model.money import MoneySettings
from churn.model.scorer import ScoringSettings
from churn.scoring.customer import CustomerAnswer, answer
from churn.scoring.facts import alike, facts_of
from tests.fakes.data.explained import CONTRACT, JANUARY, MARCH, explaining_scorer, phone_store


def told(customer: str, settings: ScoringSettings | None = None) -> CustomerAnswer:
    store = phone_store()
    features = store.latest("churn_features")
    facts = facts_of(store, features, CONTRACT, customer, JANUARY)
    others = alike(store, features, CONTRACT, facts, MARCH)
    scorer = explaining_scorer(settings)
    return answer(scorer, facts, others, CONTRACT, model="churn_phones", version=7, as_of=MARCH)


def test_base_and_parts_add_up_to_the_probability() -> None:
    said = told("ann")
    assert said.base + sum(part.added for part in said.parts) == pytest.approx(
        math.log(said.probability / (1 - said.probability))
    )
    assert said.starting_point == pytest.approx(1 / (1 + math.exp(-said.base)))


def test_the_parts_hold_every_feature_the_strongest_first() -> None:
    said = told("ann")
    assert [abs(part.added) for part in said.parts] == sorted((abs(part.added) for part in said.parts), reverse=True)
    assert {part.words for part in said.parts} == {
        "length of the contract: Month-to-month",
        "months as a customer: 10",
        "monthly charges: 50",
        "charges so far: 480",
        "price above the customer's average so far: 2",
    }
    assert {part.words for part in said.parts if not part.actionable} == {
        "months as a customer: 10",
        "charges so far: 480",
    }


def test_the_decision_is_that_of_the_economics_in_the_package() -> None:
    said = told("ann")
    assert (said.decision, said.currency, said.customer_value) == ("treat", "USD", 200)
    assert said.threshold == pytest.approx(11 / (0.3 * 190 + 10))
    dear = told("ann", ScoringSettings(money=MoneySettings(currency="EUR", contact_cost=50)))
    assert (dear.decision, dear.currency) == ("leave", "EUR")
    assert dear.expected_value == pytest.approx(said.expected_value - 49)


def test_it_says_whose_it_is_and_when_its_facts_were_true() -> None:
    said = told("bob")
    assert (said.customer, said.model, said.version, said.window_days) == ("bob", "churn_phones", 7, 90)
    assert (said.true_at, said.known_at, said.as_of) == (JANUARY, JANUARY, MARCH)
    assert "charges so far: not known" in {part.words for part in said.parts}

"""Scoring: probability, decision, expected value, reasons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.core.errors import ConfigError, ContractError, ModelError
from churn.model.features import FeatureSpec
from churn.model.frame import columns_of
from churn.model.model import ChurnModel
from churn.model.money import CustomerValue, MoneySettings
from churn.model.scorer import LEAVE, TREAT, ReasonSettings, Scorer, ScoringSettings
from tests.fakes.data.scorers import CATEGORIES, SCHEMA, customers, small_scorer

SCORER = small_scorer()


def sigmoid(logit: float) -> float:
    return 1 / (1 + float(np.exp(-logit)))


def test_a_customer_is_scored_as_worked_out_by_hand() -> None:
    [row] = SCORER.score(customers(1)).to_dict("records")
    # -1 + 0.9 for the contract + 0.7 - 0.02 · 10 for the tenure + 0.1 · (50 - 480 / 10) for the price rise
    probability = sigmoid(0.6)
    assert row["probability"] == pytest.approx(probability)
    assert row["expected_value"] == pytest.approx(probability * 0.3 * 190 - (1 - probability) * 10 - 1)
    assert row["decision"] == TREAT
    assert row["reasons"] == [
        "length of the contract: Month-to-month (+0.90)",
        "months as a customer: 10 (+0.50)",
        "price above the customer's average so far: 2 (+0.20)",
    ]


def test_who_is_not_worth_it_is_left_alone() -> None:
    loyal = SCORER.score(customers().iloc[[1]])
    assert loyal["decision"].tolist() == [LEAVE]
    assert loyal["expected_value"].item() < 0
    assert loyal["reasons"].tolist() == [[]]


@pytest.mark.parametrize(("contact_cost", "decision"), [(29.99, TREAT), (30.0, LEAVE)])
def test_treating_must_be_worth_more_than_doing_nothing(contact_cost: float, decision: str) -> None:
    # Even odds: 0.5 · 0.3 · 200 = 30 is what reaching the customer may cost.
    money = MoneySettings(incentive_cost=0.0, contact_cost=contact_cost)
    even = Scorer(ChurnModel(schema=SCHEMA, categories=CATEGORIES), ScoringSettings(money=money))
    scored = even.score(customers(1))
    assert scored["probability"].item() == 0.5
    assert scored["decision"].item() == decision


def test_customers_are_worth_what_they_pay() -> None:
    value = CustomerValue(margin=0.5, months=2.0)
    settings = ScoringSettings(
        money=MoneySettings(customer_value=value, incentive_cost=0.0, contact_cost=5.0),
        monthly_revenue="monthly_charges",
    )
    two = customers().iloc[[0, 0]].assign(monthly_charges=[10.0, 60.0], total_charges=[100.0, 600.0])
    scored = small_scorer(settings).score(two)
    assert scored["probability"].nunique() == 1
    assert scored["expected_value"].tolist() == pytest.approx(
        [scored["probability"].iloc[0] * 0.3 * worth - 5.0 for worth in (10.0, 60.0)]
    )
    assert scored["decision"].tolist() == [LEAVE, TREAT]


def test_a_customer_with_a_negative_revenue_is_worth_nothing_and_is_left_alone() -> None:
    value = CustomerValue(margin=0.5, months=2.0)
    settings = ScoringSettings(
        money=MoneySettings(customer_value=value, incentive_cost=0.0, contact_cost=0.01),
        monthly_revenue="monthly_charges",
    )
    found = small_scorer(settings).predict(columns_of(customers(1).assign(monthly_charges=[-36.0]), SCORER.kinds))
    assert found.customer_value.tolist() == [0.0]
    assert found.treat.tolist() == [False]


def test_value_by_revenue_needs_the_column_named() -> None:
    settings = ScoringSettings(money=MoneySettings(customer_value=CustomerValue(margin=0.5, months=2.0)))
    with pytest.raises(ConfigError, match="monthly_revenue"):
        small_scorer(settings).score(customers())


def test_order_and_number_of_columns_do_not_matter() -> None:
    straight = SCORER.score(customers())
    turned = SCORER.score(customers()[["total_charges", "contract", "monthly_charges", "tenure"]].assign(noise=1))
    pd.testing.assert_frame_equal(straight, turned)


def test_the_rows_keep_their_index() -> None:
    indexed = customers().set_index("customer_id").iloc[::-1]
    assert SCORER.score(indexed).index.equals(indexed.index)


def test_no_customers_give_an_empty_table_of_the_same_types() -> None:
    empty, full = SCORER.score(customers().head(0)), SCORER.score(customers())
    assert len(empty) == 0
    assert dict(empty.dtypes) == dict(full.dtypes)
    assert full.dtypes.astype(str).to_dict() == {
        "probability": "float64",
        "decision": "object",
        "expected_value": "float64",
        "reasons": "object",
    }


def test_columns_are_scored_as_the_frame_they_come_from() -> None:
    frame = customers()
    columns = {
        "contract": frame["contract"].to_numpy(dtype=object),
        "tenure": frame["tenure"].to_numpy(dtype=np.float64),
        "monthly_charges": frame["monthly_charges"].to_numpy(),
        "total_charges": frame["total_charges"].to_numpy(dtype=np.float64),
    }
    pd.testing.assert_frame_equal(SCORER.score(columns), SCORER.score(frame))
    del columns["total_charges"]
    pd.testing.assert_frame_equal(SCORER.score(columns), SCORER.score(frame.drop(columns="total_charges")))


def test_a_column_that_may_be_missing_can_be_left_out() -> None:
    without = SCORER.score(customers().drop(columns="total_charges"))
    pd.testing.assert_frame_equal(without, SCORER.score(customers().assign(total_charges=np.nan)))


@pytest.mark.parametrize("given_as", [pd.DataFrame, dict])
def test_a_column_that_is_needed_is_named_with_the_nearest_one(given_as: type) -> None:
    renamed = customers().rename(columns={"tenure": "tenures"})
    rows = renamed if given_as is pd.DataFrame else {name: renamed[name].to_numpy() for name in renamed}
    with pytest.raises(ContractError, match="lack tenure; did you mean 'tenures'"):
        SCORER.score(rows)


def test_every_missing_column_is_named() -> None:
    with pytest.raises(ContractError, match="lack contract, tenure, monthly_charges"):
        SCORER.score(customers()[["customer_id"]])


def test_a_column_that_stands_twice_is_refused() -> None:
    twice = pd.concat([customers(), customers()[["tenure"]]], axis=1)
    with pytest.raises(ContractError, match="have tenure twice"):
        SCORER.score(twice)


@pytest.mark.parametrize("value", [10, 10.0, "10", np.int8(10), True + 9])
def test_a_number_is_the_same_in_every_type(value: object) -> None:
    frame = customers(1).assign(tenure=[value])
    pd.testing.assert_frame_equal(SCORER.score(frame), SCORER.score(customers(1)))


@pytest.mark.parametrize("value", [None, np.nan, np.inf, "ten", pd.NA])
def test_what_is_no_number_is_scored_as_missing(value: object) -> None:
    [row] = SCORER.score(customers(1).assign(tenure=pd.Series([value], dtype=object))).to_dict("records")
    # The tenure's missing value adds 0.2, and without a tenure there is no price rise.
    assert row["probability"] == pytest.approx(sigmoid(-1 + 0.9 + 0.2))
    assert "months as a customer: not known (+0.20)" in row["reasons"]


@pytest.mark.parametrize("value", ["One year", None, "", "month-to-month"])
def test_a_category_never_seen_is_scored_as_missing(value: object) -> None:
    scored = SCORER.score(customers(1).assign(contract=pd.Series([value], dtype=object)))
    assert scored["probability"].item() == pytest.approx(sigmoid(-1 + 0.25 + 0.5 + 0.2))


@pytest.mark.slow
@settings(deadline=None)
@given(st.permutations(range(6)), st.integers(1, 6))
def test_a_row_alone_scores_as_it_does_among_others(order: list[int], size: int) -> None:
    table = customers(6).assign(tenure=[10, 60, 0, 3, 7, 72]).iloc[order[:size]]
    alone = pd.concat([SCORER.score(table.iloc[[index]]) for index in range(size)])
    pd.testing.assert_frame_equal(alone, SCORER.score(table))


def test_reasons_can_be_left_out_limited_and_kept_to_what_can_be_changed() -> None:
    assert SCORER.score(customers(), explain=False)["reasons"].tolist() == [[], [], []]
    two = small_scorer(ScoringSettings(reasons=ReasonSettings(top=2))).score(customers(1))["reasons"].item()
    assert len(two) == 2
    assert small_scorer(ScoringSettings(reasons=ReasonSettings(top=0))).score(customers(1))["reasons"].item() == []
    actionable = (
        small_scorer(ScoringSettings(reasons=ReasonSettings(actionable_only=True)))
        .score(customers(1))["reasons"]
        .item()
    )
    assert [reason.partition(":")[0] for reason in actionable] == [
        "length of the contract",
        "price above the customer's average so far",
    ]


def test_a_saved_scorer_scores_the_same(tmp_path: Path) -> None:
    settings = ScoringSettings(monthly_revenue="monthly_charges", reasons=ReasonSettings(top=1))
    scorer = small_scorer(settings, boosted=True)
    scorer.save(tmp_path / "scorer")
    loaded = Scorer.load(tmp_path / "scorer")
    assert loaded.settings == settings
    pd.testing.assert_frame_equal(loaded.score(customers()), scorer.score(customers()))


@pytest.mark.parametrize("content", ["{", '{"reasons": -1}', '{"reason": 3}', None])
def test_settings_that_cannot_be_read_are_named(tmp_path: Path, content: str | None) -> None:
    SCORER.save(tmp_path)
    (tmp_path / "scoring.json").write_text(content) if content else (tmp_path / "scoring.json").unlink()
    with pytest.raises(ModelError, match=r"scoring\.json cannot be read"):
        Scorer.load(tmp_path)


def test_a_table_in_bulk_has_the_numbers_of_score_whatever_its_text_comes_as() -> None:
    frame = customers(60)
    scorer = small_scorer(boosted=True)
    expected = scorer.score(frame)
    plain = columns_of(frame, scorer.kinds)
    coded = {**plain, "contract": pd.Categorical(plain["contract"])}
    for columns in (plain, coded):
        found = scorer.predict(columns)
        np.testing.assert_array_equal(found.probability, expected["probability"])
        np.testing.assert_array_equal(found.expected_value, expected["expected_value"])
        assert np.where(found.treat, TREAT, LEAVE).tolist() == expected["decision"].tolist()
        given = [[reason for reason in row if reason] for row in zip(*found.reasons, strict=True)]
        assert given == expected["reasons"].tolist()


def test_values_that_training_did_not_know_are_counted_whether_text_comes_coded_or_not() -> None:
    plain = columns_of(customers(6), SCORER.kinds)
    assert SCORER.predict(plain).unseen == {"contract": 2}
    assert SCORER.predict({**plain, "contract": pd.Categorical(plain["contract"])}).unseen == {"contract": 2}


def test_a_users_own_feature_gets_its_text_as_an_array() -> None:
    def shouted(values: np.ndarray) -> np.ndarray:
        return np.array([None if each is None else each.upper() for each in values.tolist()], dtype=object)

    spec = FeatureSpec(name="loud", compute="shouted", inputs=("contract",), kind="categorical", description="loud")
    model = replace(
        SCORER.model,
        schema=SCORER.model.schema.model_copy(update={"features": (*SCORER.model.schema.features, spec)}),
        functions={**SCORER.model.functions, "shouted": shouted},
        categories={**SCORER.model.categories, "loud": ("TWO YEAR",)},
    )
    plain = columns_of(customers(), SCORER.kinds)
    coded = {**plain, "contract": pd.Categorical(plain["contract"])}
    assert model.encode(coded)["loud"].tolist() == model.encode(plain)["loud"].tolist() == [-1, 0, -1]

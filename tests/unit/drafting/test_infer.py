"""Drafts of contracts: what is guessed, what is left out and why, and what is refused."""

from __future__ import annotations

import datetime as dt
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from adapters.local.sources import read_source
from churn.core.errors import ContractError
from churn.data.contract import DatasetContract
from churn.drafting import infer as drafting

infer = partial(drafting.infer, today=dt.date(2026, 3, 15))

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
N = 600


def load(tmp_path: Path, text: str) -> DatasetContract:
    path = tmp_path / "draft.yaml"
    path.write_text(text)
    return DatasetContract.load(path)


def bank() -> pd.DataFrame:
    """A bank's customers as a CSV has them: everything text, one row a customer, no time."""
    rng = np.random.default_rng(7)
    left = rng.random(N) < 0.2
    columns = {
        "RowNumber": range(1, N + 1),
        "CustomerId": rng.permutation(15_600_000 + np.arange(N)),
        "Surname": [f"Surname{i % 250}" for i in range(N)],
        "Geography": rng.choice(["France", "Spain", "Germany"], N),
        "Age": rng.integers(18, 92, N),
        "Balance": rng.normal(9e4, 3e4, N).round(2),
        "HasCrCard": rng.integers(0, 2, N),
        "Complain": left.astype(int),
        "Exited": left.astype(int),
    }
    return pd.DataFrame(columns).astype(str)


def subscriptions() -> pd.DataFrame:
    """A software business, one row per account and month, with what such tables have in them."""
    rng = np.random.default_rng(8)
    rows = pd.DataFrame(
        [
            (f"A-{account:03d}", month)
            for account in range(100)
            for month in pd.date_range("2025-01-01", periods=6, freq="MS")
        ],
        columns=["account_id", "snapshot_date"],
    )
    n = len(rows)
    cancelled = rng.random(n) < 0.1
    return rows.assign(
        signup_date=rng.choice(pd.date_range("2020-01-01", periods=50).strftime("%Y-%m-%d"), n),
        seats=rng.integers(1, 400, n),
        mrr=rng.lognormal(6, 1, n).round(2),
        nps=[
            None if blank else score for blank, score in zip(rng.random(n) < 0.4, rng.integers(-90, 90, n), strict=True)
        ],
        plan=rng.choice(["basic", "pro", "enterprise"], n),
        country=rng.choice([f"country {i}" for i in range(40)], n),
        notes=[f"spoke with person {i}" for i in range(n)],
        last_invoice=[f"${amount:,.2f}" for amount in rng.uniform(1e3, 9e3, n)],
        currency="USD",
        cancel_reason=np.where(cancelled, "price", None),
        health=cancelled * 3 + rng.random(n),
        cancelled=cancelled,
    )


def test_the_telco_file_is_drafted_as_its_shipped_contract(telco_csv: Path, tmp_path: Path) -> None:
    draft = load(tmp_path, infer(read_source(telco_csv).rows.to_pandas(), "telco"))
    shipped = DatasetContract.load(ROOT / "configs" / "datasets" / "telco.yaml")
    assert draft.entity_key == shipped.entity_key
    assert (draft.label.column, draft.label.positive, draft.label.negative) == ("churn", "Yes", "No")
    assert draft.event_time.column is None
    assert draft.monthly_revenue == shipped.monthly_revenue
    assert {name: column.type for name, column in draft.columns.items()} == {
        name: column.type for name, column in shipped.columns.items()
    }
    for name, column in shipped.columns.items():
        assert set(draft.columns[name].allowed or ()) == set(column.allowed or ())
        assert draft.columns[name].nullable == column.nullable


def test_a_table_of_text_is_read_as_what_its_text_says(tmp_path: Path) -> None:
    contract = load(tmp_path, infer(bank(), "bank"))
    assert {name: column.type for name, column in contract.columns.items()} == {
        "geography": "categorical",
        "age": "integer",
        "balance": "number",
        "has_cr_card": "integer",
    }
    assert contract.entity_key == "customer_id"
    assert (contract.label.column, contract.label.positive, contract.label.negative) == ("exited", "1", "0")
    assert contract.monthly_revenue is None


def test_what_is_left_out_is_said_with_its_reason() -> None:
    assert yaml.safe_load(infer(bank(), "bank"))["columns"].keys() == {"geography", "age", "balance", "has_cr_card"}
    text = infer(bank(), "bank")
    assert "#   RowNumber: it numbers the rows\n" in text
    assert "#   Surname: personal data, which says nothing about a group\n" in text
    assert "#   Complain: it alone tells who left (ROC AUC 1.000): probably written afterwards\n" in text


def test_a_panel_has_its_key_time_and_money(tmp_path: Path) -> None:
    contract = load(tmp_path, infer(subscriptions(), "saas"))
    assert (contract.entity_key, contract.event_time.column) == ("account_id", "snapshot_date")
    assert (contract.event_time.as_of, contract.event_time.format) == (None, None)
    assert (contract.label.positive, contract.label.negative) == ("true", "false")
    assert contract.monthly_revenue == "mrr"
    assert set(contract.columns) == {"seats", "mrr", "nps", "plan", "country", "last_invoice"}
    assert contract.columns["nps"].nullable
    assert contract.columns["nps"].min == -200
    assert contract.columns["plan"].allowed == ("basic", "enterprise", "pro")
    assert contract.columns["country"].allowed is None


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("cancel_reason", "called like something that is known only once a customer has left"),
        ("health", "it alone tells who left"),
        ("notes", "names or free text"),
        ("currency", "it never changes"),
        ("signup_date", "a date: give the model a number instead"),
    ],
)
def test_a_column_that_no_model_should_see_is_left_out(column: str, reason: str) -> None:
    assert f"#   {column}: {reason}" in infer(subscriptions(), "saas")


def test_a_simulations_truth_is_no_input() -> None:
    frame = bank().assign(true_probability=np.linspace(0, 1, N))
    assert "#   true_probability: the probability from which a simulation drew the outcome" in infer(frame, "bank")


def test_every_value_of_the_sample_keeps_the_drafted_contract(tmp_path: Path) -> None:
    frame = subscriptions()
    contract = load(tmp_path, infer(frame, "saas"))
    assert len(contract.columns) > 3
    for name, column in contract.columns.items():
        held = frame[name].dropna()
        if column.kind == "numeric":
            numbers = pd.Series(contract.file_format.numbers(held))
            assert numbers.between(column.min, column.max).all()  # type: ignore[arg-type]
        elif column.allowed:
            assert set(held) <= set(column.allowed)
        assert column.nullable == bool(frame[name].isna().any())


@pytest.mark.parametrize(
    ("largest", "roof"), [(0.4, 1), (1, 1), (1.1, 5), (2.5, 5), (2.6, 10), (50, 100), (51, 200), (8684.8, 20000)]
)
def test_a_range_leaves_room_to_grow(tmp_path: Path, largest: float, roof: float) -> None:
    frame = bank().assign(Balance=np.linspace(0.25, largest, N))
    column = load(tmp_path, infer(frame, "bank")).columns["balance"]
    assert (column.min, column.max) == (0, roof)


def test_one_unreadable_value_in_twenty_does_not_make_numbers_text(tmp_path: Path) -> None:
    frame = bank()
    frame.loc[:4, "Age"] = "n/a"
    frame.loc[5:33, "Age"] = "unknown"
    assert load(tmp_path, infer(frame, "bank")).columns["age"].type == "integer"
    frame.loc[5:34, "Age"] = "unknown"
    assert "#   Age: numbers mixed with other values, such as 'unknown' (30 rows)" in infer(frame, "bank")


@pytest.mark.parametrize(
    ("written", "expected", "ambiguous"),
    [
        ("%Y-%m-%d", None, False),
        ("%Y-%m-%dT%H:%M:%SZ", None, False),
        ("%d/%m/%Y", "%d/%m/%Y", True),
        ("%d.%m.%Y", "%d.%m.%Y", False),
    ],
)
def test_times_are_read_as_they_are_written(
    tmp_path: Path, written: str, expected: str | None, ambiguous: bool
) -> None:
    frame = subscriptions()
    frame["snapshot_date"] = frame["snapshot_date"].dt.strftime(written)
    text = infer(frame, "saas")
    assert load(tmp_path, text).event_time.format == expected
    assert ("day and month may be the other way round" in text) == ambiguous


def test_a_day_beyond_the_twelfth_settles_which_is_the_month(tmp_path: Path) -> None:
    frame = subscriptions()
    frame["snapshot_date"] = [day.replace(day=21).strftime("%m/%d/%Y") for day in frame["snapshot_date"]]
    text = infer(frame, "saas")
    assert load(tmp_path, text).event_time.format == "%m/%d/%Y"
    assert "other way round" not in text


def test_a_table_without_time_is_dated_so_that_its_outcomes_are_known() -> None:
    drafted = yaml.safe_load(infer(bank(), "bank", today=dt.date(2026, 3, 15)))
    assert drafted["event_time"]["as_of"] == dt.date(2026, 1, 1)


def test_the_slices_are_the_groups_that_differ_most_in_churn(tmp_path: Path) -> None:
    frame = bank()
    frame["Geography"] = np.where(frame["Exited"] == "1", np.where(np.arange(N) % 3 == 0, "Spain", "France"), "Spain")
    assert load(tmp_path, infer(frame, "bank")).slices == ("geography", "has_cr_card")


@pytest.mark.parametrize(
    ("left", "stayed"),
    [
        ("Attrited Customer", "Existing Customer"),
        ("Cancelled", "Active"),
        ("True.", "False."),
        ("Y", "N"),
        ("churned", "stayed"),
    ],
)
def test_the_value_of_those_who_left_is_known_by_its_meaning(tmp_path: Path, left: str, stayed: str) -> None:
    frame = bank().rename(columns={"Exited": "Attrition_Flag"})
    frame["Attrition_Flag"] = frame["Attrition_Flag"].map({"0": left, "1": stayed})  # the larger group left
    label = load(tmp_path, infer(frame, "bank")).label
    assert (label.positive, label.negative) == (left, stayed)


def test_values_without_a_meaning_are_doubted_and_the_rarer_is_taken(tmp_path: Path) -> None:
    frame = bank().assign(Exited=bank()["Exited"].map({"0": "b", "1": "a"}))
    text = infer(frame, "bank")
    assert "# CHECK: neither 'a' nor 'b' says who left; the rarer one was taken." in text
    assert load(tmp_path, text).label.positive == "a"


def test_the_guesses_can_be_overruled(tmp_path: Path) -> None:
    frame = subscriptions().rename(columns={"cancelled": "flag", "account_id": "who"})
    contract = load(tmp_path, infer(frame, "My 2nd business", key="who", label="flag", time="signup_date"))
    assert (contract.name, contract.entity_key, contract.label.column) == ("my_2nd_business", "who", "flag")
    assert contract.event_time.column == "signup_date"


def test_rows_that_would_be_refused_are_announced() -> None:
    assert "# CHECK: rows that repeat a customer: 500." in infer(subscriptions().drop(columns="snapshot_date"), "saas")


@pytest.mark.parametrize("name", ["2025 customers", "Ünder", "***"])
def test_any_name_becomes_one_that_a_contract_may_have(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, infer(bank(), name)).name


def test_a_small_sample_is_not_judged_by_chance(tmp_path: Path) -> None:
    frame = bank().head(8).assign(Exited=["0", "1"] * 4)
    assert {"age", "complain"} <= set(load(tmp_path, infer(frame, "bank")).columns)


def test_a_table_without_an_outcome_is_refused() -> None:
    with pytest.raises(
        ContractError, match=r"name it with --label COLUMN\. Columns with two values: HasCrCard, Complain\."
    ):
        infer(bank().drop(columns="Exited"), "bank")


def test_an_outcome_of_three_values_is_refused() -> None:
    with pytest.raises(ContractError, match=r"'Geography' must have two values.*it has 3 values: 'Germany'"):
        infer(bank(), "bank", label="Geography")


def test_a_table_without_a_key_is_refused() -> None:
    with pytest.raises(ContractError, match=r"No column identifies a customer.*Name it with --key COLUMN"):
        infer(bank()[["Geography", "HasCrCard", "Exited"]], "bank")


def test_an_unknown_column_is_answered_with_the_nearest() -> None:
    with pytest.raises(ContractError, match=r"no column 'exitd' for the label; did you mean 'exited'\?"):
        infer(bank(), "bank", label="exitd")


@pytest.mark.parametrize("frame", [bank().iloc[:0], pd.DataFrame()])
def test_an_empty_table_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(ContractError, match="The table is empty"):
        infer(frame, "bank")


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(ContractError, match=r"\['CustomerId', 'Customer ID'\] are all \['customer_id'\]"):
        infer(bank().rename(columns={"Age": "Customer ID"}), "bank")


def test_a_table_of_nothing_but_key_and_outcome_is_refused() -> None:
    with pytest.raises(
        ContractError, match=r"No column is left for a model to learn from\. RowNumber: it numbers the rows"
    ):
        infer(bank()[["CustomerId", "RowNumber", "Exited"]], "bank")

"""Deliveries to a data set: what they add, what they replace, and what they never take away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from churn.core.errors import ConfigError, ContractError, DataError, StoreError, ValidationFailed
from churn.data.contract import DatasetContract
from churn.data.delivery import Delivery
from churn.data.ingest import Source
from churn.lifecycle.features import build_features, check_delivery, deliver, describe, ingest
from churn.lifecycle.workspace import Workspace
from churn.settings import Settings
from tests.fakes.data.case import NOW, raw_rows, settings
from tests.fakes.data.customers import CONTRACT
from tests.fakes.data.deliveries import in_parts
from tests.fakes.ports.tables import MemoryFeatureStore

pytestmark = pytest.mark.slow

FILE = Path("members.csv")


def members(number: int) -> pd.DataFrame:
    return raw_rows(2 * number).dropna(subset=["plan"]).head(number)


def workspace(*deliveries: pd.DataFrame, contract: DatasetContract = CONTRACT, part_rows: int = 1000) -> Workspace:
    """A data set that is given these tables, one at each delivery, in parts of so many rows."""
    store, waiting = MemoryFeatureStore(contract.name), list(deliveries)

    def source(data: Path) -> Delivery:
        rows = pa.Table.from_pandas(waiting.pop(0), preserve_index=False)
        return in_parts(Source(str(data), rows), part_rows)

    make: dict[str, Any] = {"tables": lambda: store, "source": source}
    return Workspace(contract=contract, model="churn_toy", threads=1, clock=lambda: NOW, make=make)


def delivered() -> Settings:
    return settings(f"data={FILE}")


def outcomes(at: Workspace) -> dict[str, Any]:
    rows = at.tables.read(at.tables.latest("bronze_customers")).to_pylist()
    return {row["customer_id"]: row["raw_label"] for row in rows}


def test_a_second_delivery_is_added_to_the_first() -> None:
    rows = members(60)
    at = workspace(rows.head(40), rows.tail(30))
    first, _ = ingest(at, delivered())
    second, report = ingest(at, delivered())
    assert (first.ref.rows, second.ref.rows, report.accepted) == (40, 60, 30)


def test_without_a_delivery_the_rows_of_before_are_what_there_is() -> None:
    at = workspace(members(40))
    first, _ = ingest(at, delivered())
    again, report = ingest(at, settings())
    assert again.ref == first.ref
    assert (report.rows, report.accepted, report.quarantined, report.passed) == (40, 40, 0, True)


def test_a_data_set_that_got_nothing_says_how_to_deliver() -> None:
    with pytest.raises(DataError, match="Nothing was delivered to the data set 'toy' yet: give its table with --data"):
        ingest(workspace(), settings())


def test_a_table_cannot_be_delivered_to_a_simulation() -> None:
    simulated = CONTRACT.model_copy(update={"source": "simulation", "simulator": "telco"})
    with pytest.raises(ConfigError, match=r"rows of 'toy' are simulated, so that members.csv cannot be delivered"):
        ingest(workspace(contract=simulated), delivered())


def test_what_speaks_against_a_delivery_is_seen_in_its_first_rows_and_nothing_is_written() -> None:
    simulated = CONTRACT.model_copy(update={"source": "simulation", "simulator": "telco"})
    with pytest.raises(ConfigError, match=r"rows of 'toy' are simulated"):
        check_delivery(workspace(contract=simulated), delivered())
    with pytest.raises(DataError, match="Nothing was delivered to the data set 'toy' yet"):
        check_delivery(workspace(), settings())
    with pytest.raises(ContractError, match=r"lacks 1 column\(s\).*'plan'"):
        check_delivery(workspace(members(40).drop(columns="plan")), delivered())
    at = workspace(members(40))
    check_delivery(at, delivered())
    with pytest.raises(DataError, match="Nothing was delivered"):
        check_delivery(at, settings())


def test_a_description_has_the_columns_of_the_user_and_no_others() -> None:
    rows = members(40)
    at = workspace(rows, rows)
    report, columns = describe(at, delivered())
    assert {column.name for column in columns} == set(rows.columns) - set(report.ignored_columns)
    ingest(at, delivered())
    _, stored = describe(at, settings())
    assert {column.name for column in stored} == {column.name for column in columns}


@pytest.mark.parametrize("part_rows", [1000, 25])
def test_a_delivery_without_outcomes_takes_none_away(part_rows: int) -> None:
    rows = members(40)
    at = workspace(rows, rows.head(30).drop(columns="churn"), part_rows=part_rows)
    ingest(at, delivered())
    before = outcomes(at)
    bronze, report = ingest(at, delivered())
    assert (bronze.ref.rows, report.accepted) == (40, 30)
    assert outcomes(at) == before
    assert set(before.values()) == {"Yes", "No"}


def test_an_outcome_that_is_delivered_replaces_the_one_of_before() -> None:
    rows = members(40)
    corrected = rows.head(1).assign(churn=["Yes" if rows["churn"].iloc[0] == "No" else "No"])
    at = workspace(rows, corrected)
    ingest(at, delivered())
    ingest(at, delivered())
    assert outcomes(at)[corrected["customer_id"].iloc[0]] == corrected["churn"].iloc[0]


@pytest.mark.parametrize("part_rows", [1000, 25])
def test_a_refused_delivery_leaves_its_report_as_evidence_and_no_row(part_rows: int) -> None:
    rows = members(40).assign(customer_id=None)
    at = workspace(rows, part_rows=part_rows)
    with pytest.raises(ValidationFailed, match="None of the batch was used") as refused:
        ingest(at, delivered())
    assert getattr(refused.value.evidence, "quarantined", 0) == 40
    with pytest.raises(DataError, match="Nothing was delivered"):
        ingest(at, settings())


def test_a_delivery_that_breaks_off_while_it_is_written_leaves_its_quarantine_and_no_row() -> None:
    rows = members(40)
    rows.loc[0, "customer_id"] = None
    at = workspace(rows, part_rows=16)
    whole, readings = at.delivered(FILE), count(1)

    def parts() -> Iterator[Source]:
        last = next(readings) == 3
        for number, part in enumerate(whole.parts()):
            if last and number == 2:
                raise StoreError("members.csv is gone.")
            yield part

    with pytest.raises(StoreError, match=r"members\.csv is gone"):
        deliver(at, Delivery("members.csv", parts), settings().validation)
    assert at.tables.latest("quarantine").rows == 1
    with pytest.raises(DataError, match="Nothing was delivered"):
        ingest(at, settings())


def test_features_and_labels_follow_from_the_bronze_rows() -> None:
    at = workspace(members(40))
    bronze, _ = ingest(at, delivered())
    features, labels = build_features(at, settings(), bronze)
    assert (features.ref.rows, labels.ref.rows) == (40, 40)
    assert at.clock() == dt.datetime(2024, 6, 1, tzinfo=dt.UTC)


NUMBERED = CONTRACT.model_copy(update={"entity_key": "row", "numbered_rows": True})


def keyless(number: int, seed: int = 0) -> pd.DataFrame:
    return members(number).drop(columns="customer_id").sample(frac=1, random_state=seed)


@pytest.mark.parametrize("part_rows", [16, 1000])
def test_rows_of_a_table_without_a_key_are_numbered_whatever_its_parts(part_rows: int) -> None:
    at = workspace(rows := keyless(40), contract=NUMBERED, part_rows=part_rows)
    _, report = ingest(at, delivered())
    keys = at.tables.read(at.tables.latest("bronze_customers"))["row"].to_pylist()
    prefixes, numbers = zip(*(key.split("-") for key in keys), strict=True)
    assert (report.accepted, len(set(prefixes))) == (len(rows), 1)
    assert sorted(map(int, numbers)) == list(range(1, 41))


def test_copies_of_a_row_without_a_key_are_customers_of_their_own() -> None:
    at = workspace(pd.concat([keyless(20)] * 2), contract=NUMBERED)
    snapshot, report = ingest(at, delivered())
    assert (snapshot.ref.rows, report.copies) == (40, 0)


def test_the_same_table_without_a_key_again_changes_nothing_and_another_takes_its_place() -> None:
    at = workspace(keyless(40), keyless(40).astype(object), keyless(40, seed=1), contract=NUMBERED)
    first, _ = ingest(at, delivered())
    again, _ = ingest(at, delivered())
    other, _ = ingest(at, delivered())
    assert (again.ref.version, again.ref.rows) == (first.ref.version, 40)
    assert other.ref.rows == 40
    prefixes = {key.split("-")[0] for key in at.tables.read(other.ref)["row"].to_pylist()}
    assert prefixes.isdisjoint(key.split("-")[0] for key in at.tables.read(first.ref)["row"].to_pylist())


def test_numbered_rows_do_not_hide_a_column_of_that_name() -> None:
    at = workspace(keyless(40).assign(Row=1), contract=NUMBERED)
    with pytest.raises(ContractError, match=r"has a column 'Row', and 'toy' numbers the rows in a column of that name"):
        ingest(at, delivered())


def test_that_numbered_customers_cannot_be_followed_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        ingest(workspace(keyless(40), contract=NUMBERED), delivered())
    assert "customers cannot be followed from one delivery to the next" in caplog.text


@pytest.mark.parametrize("part_rows", [1000, 22])
def test_customers_of_a_new_country_are_taken_where_they_are_only_scored(part_rows: int) -> None:
    columns = {
        **CONTRACT.model_dump()["columns"],
        "plan": {"type": "categorical", "allowed": ["basic"], "description": "plan"},
    }
    contract = DatasetContract.model_validate({**CONTRACT.model_dump(), "columns": columns})
    rows = members(40).assign(plan=["basic"] + ["Atlantis"] * 39)
    rows.loc[rows.index[5], "tenure"] = -1
    rows.loc[rows.index[7], "customer_id"] = None
    at = workspace(rows, contract=contract, part_rows=part_rows)
    bronze, report = ingest(at, delivered(), purpose="scoring")
    assert (bronze.ref.rows, report.accepted, report.quarantined) == (39, 39, 1)
    assert {rule.column: (rule.broken, rule.set_aside) for rule in report.broken_rules} == {
        "plan": (39, False),
        "tenure": (1, False),
        "customer_id": (1, True),
    }
    stored = at.tables.read(at.tables.latest("bronze_customers")).to_pylist()
    assert sorted(row["plan"] for row in stored) == ["Atlantis"] * 38 + ["basic"]
    assert sum(row["tenure"] is None for row in stored) == 1
    assert [row["plan"] for row in stored if row["raw_label"]] == ["basic"]
    with pytest.raises(ValidationFailed, match="'Atlantis'"):
        ingest(workspace(rows, contract=contract), delivered())

"""What is known of a customer at a time, and which values others have."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from churn.core.errors import NotFound
from churn.scoring.facts import Alike, alike, facts_of
from tests.fakes.data.explained import CONTRACT, JANUARY, MARCH, phone_store
from tests.fakes.ports.tables import MemoryFeatureStore

STORE = phone_store()
FEATURES = STORE.latest("churn_features")


def test_the_newest_row_that_had_arrived_counts() -> None:
    before = facts_of(STORE, FEATURES, CONTRACT, "ann", MARCH - dt.timedelta(seconds=1))
    after = facts_of(STORE, FEATURES, CONTRACT, "ann", MARCH)
    assert (before.columns["contract"][0], before.true_at, before.known_at) == ("Month-to-month", JANUARY, JANUARY)
    assert (after.columns["contract"][0], after.true_at) == ("Two year", JANUARY + dt.timedelta(days=31))
    assert after.known_at == MARCH
    assert after.columns["tenure"].tolist() == [11.0]


def test_a_row_without_an_arrival_was_known_when_it_was_true() -> None:
    assert facts_of(STORE, FEATURES, CONTRACT, "bob", MARCH).known_at == JANUARY


def test_an_id_is_found_however_it_is_spelt() -> None:
    assert facts_of(STORE, FEATURES, CONTRACT, " bob ", MARCH).customer == "bob"


def test_an_unknown_customer_is_told_who_there_is() -> None:
    with pytest.raises(NotFound, match=r"no customer 'anne' among the 3 of .* The nearest are 'ann', 'anna'"):
        facts_of(STORE, FEATURES, CONTRACT, "anne", MARCH)
    with pytest.raises(NotFound, match=r"no customer 'zzzzzz' among the 3 of the table 'churn_features'\.$"):
        facts_of(STORE, FEATURES, CONTRACT, "zzzzzz", MARCH)


@pytest.mark.slow
def test_of_many_ids_the_nearest_are_found_whether_they_begin_or_end_alike() -> None:
    store = MemoryFeatureStore()
    rows = STORE.read(FEATURES).slice(0, 1)
    ids = [f"{number:05d}-XYZ" for number in range(3000)]
    many = pa.concat_tables([rows.set_column(0, "customer_id", [[each]]) for each in ids])
    ref = store.replace(CONTRACT.table("features"), many)
    for asked in ("02718-XYX", "92718-XYZ"):
        with pytest.raises(NotFound, match="'02718-XYZ'"):
            facts_of(store, ref, CONTRACT, asked, MARCH)


def test_a_time_before_the_first_facts_is_told_when_they_came() -> None:
    with pytest.raises(NotFound, match=r"Nothing was known of customer 'ann' at 2024-12-31 .* at 2025-01-01 00:00 UTC"):
        facts_of(STORE, FEATURES, CONTRACT, "ann", JANUARY - dt.timedelta(hours=1))


def test_a_value_counts_that_occurs_with_what_is_fixed() -> None:
    ann = facts_of(STORE, FEATURES, CONTRACT, "ann", JANUARY)
    anna = facts_of(STORE, FEATURES, CONTRACT, "anna", JANUARY)
    fibre, none = (alike(STORE, FEATURES, CONTRACT, facts, JANUARY) for facts in (ann, anna))
    assert fibre == Alike({"contract": ["Month-to-month", "One year"]}, {"monthly_charges": (20.0, 90.0)})
    assert none.texts == {"contract": ["Two year"]}


def test_values_that_others_had_only_later_do_not_count() -> None:
    """Ann has two years from February on, which arrives in March."""
    bob = facts_of(STORE, FEATURES, CONTRACT, "bob", JANUARY)
    before = alike(STORE, FEATURES, CONTRACT, bob, MARCH - dt.timedelta(seconds=1))
    after = alike(STORE, FEATURES, CONTRACT, bob, MARCH)
    assert before == Alike({"contract": ["Month-to-month", "One year"]}, {"monthly_charges": (20.0, 90.0)})
    assert after.texts == {"contract": ["One year", "Two year"]}

"""Which outcomes tell of untreated churn, and how many rows each stands for."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn.core.shares import hash_share
from churn.data.contract import DatasetContract
from churn.data.ingest import Source, conform, to_bronze
from churn.data.labels import SplitSettings, are_touched, labels_of
from churn.data.training_set import bronze_to_features, drawn_rows, read_side, read_training_set
from churn.data.untreated import ContactHistory, untreated_rows
from tests.fakes.ports.tables import MemoryFeatureStore

WINDOW = 30
START = pd.Timestamp("2025-03-01", tz="UTC")
DAY, TICK = pd.Timedelta(days=1), pd.Timedelta(microseconds=1)
LATER = START + 200 * DAY


def contact(group: str = "treatment", at: pd.Timestamp = START + 5 * DAY, **changes: Any) -> dict[str, Any]:
    row = {"batch_id": "b1", "customer": "c1", "group": group, "as_of": at, "contacted_at": at, "planned_at": at}
    return row | {"salt": "campaign", "control_share": 0.1} | changes


def bystander(group: str = "control", **changes: Any) -> dict[str, Any]:
    """A row of somebody else, so that a campaign has both groups."""
    return contact(group, customer="somebody", **changes)


def weigh(*contacts: dict[str, Any], at: pd.Timestamp = START, ingested: Any = LATER) -> tuple[float, str | None]:
    """Return weight and group of one row of the customer `c1`."""
    rows = pd.DataFrame({"customer": ["c0", "c1"], "transaction_ts": [at, at], "ingested_at": [ingested] * 2})
    history = ContactHistory.of(pd.DataFrame([*contacts, bystander(), bystander("treatment")]))
    weight, group = history.weigh(rows, WINDOW)
    assert (weight[0], group[0]) == (1, None)  # who is on no list stands for themselves
    return weight[1], group[1]


@pytest.mark.parametrize(
    ("time", "counts"),
    [
        (START - TICK, False),
        (START, True),
        (START + WINDOW * DAY - TICK, True),
        (START + WINDOW * DAY, False),
        (LATER + 900 * DAY, False),
    ],
    ids=["before the window", "at its start", "just before its end", "at its end", "in the future"],
)
def test_a_contact_touches_the_rows_whose_outcome_window_it_lies_in(time: pd.Timestamp, counts: bool) -> None:
    assert weigh(contact(at=time)) == ((0, "treatment") if counts else (1, None))
    assert weigh(contact("control", at=time)) == ((10, "control") if counts else (1, None))


def test_a_row_of_the_control_group_before_its_campaign_counts_once() -> None:
    assert weigh(contact("control"), at=START - 60 * DAY) == (1, None)


def test_who_is_contacted_twice_is_left_out_once() -> None:
    again = contact(at=START + 9 * DAY, batch_id="b2")
    assert weigh(contact(), again, bystander(batch_id="b2")) == (0, "treatment")


def test_a_customer_of_one_control_group_who_is_contacted_by_another_campaign_is_left_out() -> None:
    other = contact(batch_id="b2", salt="other", at=START + 9 * DAY)
    assert weigh(contact("control"), other, bystander(batch_id="b2")) == (0, "treatment")


def test_campaigns_of_one_salt_hold_back_the_same_customers_so_that_the_smallest_share_counts() -> None:
    second = contact("control", batch_id="b2", control_share=0.25, at=START + 9 * DAY)
    assert weigh(contact("control"), second) == (10, "control")
    assert weigh(contact("control", control_share=0.5), second) == (4, "control")


def test_campaigns_of_different_salts_draw_independently() -> None:
    second = contact("control", batch_id="b2", control_share=0.25, salt="other", at=START + 9 * DAY)
    assert weigh(contact("control"), second) == (40, "control")


def test_the_time_of_the_data_counts_where_a_contact_has_one() -> None:
    assert weigh(contact(contacted_at=LATER, planned_at=LATER - DAY)) == (0, "treatment")
    assert weigh(contact(as_of=None, contacted_at=LATER)) == (1, None)
    assert weigh(contact(as_of=pd.NaT, contacted_at=START + DAY)) == (0, "treatment")


@pytest.mark.parametrize("group", ["treatment", "control"])
def test_a_contact_that_was_planned_when_the_outcome_had_been_delivered_changed_nothing(group: str) -> None:
    planned = START + 300 * DAY
    assert weigh(contact(group, planned_at=planned), ingested=planned) == (1, None)
    assert weigh(contact(group, planned_at=planned), ingested=planned + TICK)[0] != 1
    assert weigh(contact(group, planned_at=planned), ingested=None)[0] != 1


@pytest.mark.parametrize(
    "lone",
    [contact(batch_id="import-1", salt=None, control_share=None, as_of=None), contact(batch_id="b9", control_share=0)],
    ids=["imported", "control share of 0"],
)
def test_nobody_stands_for_contacts_without_a_control_group(lone: dict[str, Any]) -> None:
    assert weigh(lone) == (0, "uncontrolled")
    assert weigh(contact(), lone) == (0, "uncontrolled")
    assert weigh(contact("control"), lone) == (0, "uncontrolled")


def test_of_a_campaign_that_did_not_keep_its_share_it_is_that_of_the_rows() -> None:
    old = {"control_share": None, "salt": None, "batch_id": "old"}
    others = [contact(customer=f"t{number}", **old) for number in range(3)]
    assert weigh(contact("control", **old), *others) == (4, "control")


def test_without_any_contact_every_row_counts_once() -> None:
    history = ContactHistory.read(MemoryFeatureStore(), CONTRACT)
    rows = pd.DataFrame({"customer": ["c1"], "transaction_ts": [START], "ingested_at": [LATER]})
    assert history.weigh(rows, WINDOW).weight.tolist() == [1]


def test_with_the_weights_the_churn_of_untreated_customers_comes_out_right() -> None:
    """Customers worth contacting churn at 40 %, contacted ones at 10 %, the others at 5 %: untreated it is 22.5 %."""
    random, keys = np.random.default_rng(0), [f"c{number}" for number in range(40_000)]
    worth = np.arange(len(keys)) % 2 == 0
    held = np.array([hash_share(key, 0.2, "campaign") for key in keys])
    contacts = pd.DataFrame(
        [
            contact("control" if held[n] else "treatment", customer=keys[n], control_share=0.2)
            for n in np.flatnonzero(worth)
        ]
    )
    left = random.random(len(keys)) < np.where(worth, np.where(held, 0.4, 0.1), 0.05)
    rows = pd.DataFrame({"customer": keys, "transaction_ts": START, "ingested_at": LATER})
    weight = ContactHistory.of(contacts).weigh(rows, WINDOW).weight
    assert np.average(left, weights=weight) == pytest.approx(0.225, abs=0.01)
    assert left.mean() < 0.12
    assert weight.sum() == pytest.approx(len(keys), rel=0.02)


CONTRACT = DatasetContract.model_validate(
    {
        "name": "gym",
        "description": "Members of a gym.",
        "entity_key": "member_id",
        "event_time": {"column": "month"},
        "label": {"column": "left", "positive": "Yes", "negative": "No", "window_days": WINDOW},
        "columns": {
            "visits": {"type": "integer", "description": "visits a month"},
            "plan": {"type": "categorical", "description": "the plan"},
        },
        "slices": ["plan"],
    }
)
MEMBERS = 60


def tables(*contacts: dict[str, Any]) -> tuple[MemoryFeatureStore, Any]:
    """Return a store with the training table of 60 members, and that table's reference."""
    store = MemoryFeatureStore("gym")
    numbers = range(MEMBERS)
    frame = pd.DataFrame(
        {
            "member_id": [f"c{number}" for number in numbers],
            "month": "2025-03-01",
            "visits": list(numbers),
            "plan": ["gold" if number < 20 else "basic" for number in numbers],
            "left": ["Yes" if number % 3 == 0 else "No" for number in numbers],
        }
    )
    batch = conform(Source("gym", pa.Table.from_pandas(frame, preserve_index=False)), CONTRACT)
    bronze = to_bronze(batch.frame, CONTRACT).append_column(
        "ingested_at", pa.array([LATER] * MEMBERS, pa.timestamp("us", "UTC"))
    )
    history = ContactHistory.of(pd.DataFrame(contacts)) if contacts else None
    assert contacts == () or are_touched(bronze, CONTRACT, history)  # type: ignore[arg-type]
    features = store.replace(CONTRACT.table("features"), bronze_to_features(bronze, CONTRACT))
    labels = store.replace(CONTRACT.table("labels"), labels_of(bronze, CONTRACT, SplitSettings(), history))
    now = dt.datetime(2025, 12, 1, tzinfo=dt.UTC)
    return store, store.point_in_time_join(labels, features, CONTRACT.table("training"), known_by=now)


def campaign(share: float = 0.5, members: range = range(20)) -> list[dict[str, Any]]:
    """Contacts of some members, every other one of whom is held back."""
    groups = ["control" if share and number % 2 else "treatment" for number in members]
    return [
        contact(group, customer=f"c{number}", control_share=share)
        for number, group in zip(members, groups, strict=True)
    ]


def test_a_training_set_holds_untreated_rows_alone_with_what_they_stand_for() -> None:
    store, ref = tables(*campaign())
    rows, available = drawn_rows(store, ref, CONTRACT, pa.compute.scalar(True), limit=1000, seed=0)
    training = read_training_set(rows, CONTRACT)
    assert (len(training.rows), available, ref.rows) == (50, 50, 60)
    weight = dict(zip(training.rows["member_id"], training.data.weight, strict=True))  # type: ignore[arg-type]
    assert (weight["c1"], weight["c19"], weight["c20"]) == (2, 2, 1)
    assert "c0" not in weight
    side, _ = read_side(store, ref, CONTRACT, "train", limit=1000, seed=0)
    assert set(side.rows["member_id"]) < set(weight)


def test_a_table_that_no_campaign_touched_has_no_weights_and_reads_as_before() -> None:
    store, ref = tables()
    assert "untreated_weight" not in store.scan(ref).schema.names
    assert read_training_set(store.read(ref), CONTRACT).data.weight is None
    assert untreated_rows(store, ref, CONTRACT) is None


def test_the_report_says_what_was_left_out_and_what_stands_for_it() -> None:
    store, ref = tables(*campaign())
    found = untreated_rows(store, ref, CONTRACT)
    assert found is not None
    assert (found.rows, found.contacted, found.control, found.kept, found.uncontrolled) == (60, 10, 10, 50, 0)
    assert found.effective == pytest.approx(60**2 / (40 + 10 * 4))
    assert "10 of 60 rows are left out" in found.sentence
    assert "count as much as 45 of equal weight" in found.sentence
    assert found.cost == ""


def test_without_a_control_group_the_report_says_which_rows_are_lost_and_of_whom() -> None:
    store, ref = tables(*campaign(share=0), contact(customer="c21", batch_id="import-x", control_share=None))
    found = untreated_rows(store, ref, CONTRACT)
    assert found is not None
    assert (found.contacted, found.control, found.uncontrolled) == (21, 0, 21)
    assert [(part.value, part.lost, part.rows) for part in found.unseen] == [("gold", 20, 20), ("basic", 1, 40)]
    assert "Nobody stands for 21 of the rows" in found.cost
    assert "the plan gold (100%), the plan basic (2%)" in found.cost
    assert "campaign.control_share above 0" in found.cost
    train = untreated_rows(store, ref, CONTRACT, side="train")
    assert train is not None
    assert train.rows < found.rows

"""A campaign from the store and back to it: the batch's own rows, segments as of then, contacts that rest."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from churn.campaign import lists
from churn.campaign.lists import record_contacts
from churn.campaign.plan import Plan
from churn.campaign.settings import CampaignSettings
from churn.core.errors import ConfigError
from churn.data.tables import EVENT_TIME
from churn.model.money import MoneySettings
from churn.ports.tables import TableSpec
from churn.scoring.batch import BatchSummary
from tests.fakes.data.answered import answered
from tests.fakes.data.campaigns import AS_OF, ENTITY, batch, contacted
from tests.fakes.data.customers import CONTRACT
from tests.fakes.ports.prediction_log import InMemoryPredictionLog
from tests.fakes.ports.tables import MemoryFeatureStore

PREDICTIONS = TableSpec(name="churn_predictions", key=("batch_id", ENTITY))
DAY = dt.timedelta(days=1)
EVERYBODY = CampaignSettings(control_share=0)


@pytest.fixture
def store() -> MemoryFeatureStore:
    """Two batches of the same three customers, a month apart; one of them changed the plan between."""
    store = MemoryFeatureStore()
    for name in ("may", "june"):
        rows = batch([0.9, 0.8, 0.7], batch_id=name, decision=pa.array(["treat"] * 3))
        store.replace_batch(
            PREDICTIONS, "batch_id", name, rows.append_column("reason_3", pa.nulls(3, pa.string())).to_reader()
        )
    times = [AS_OF - dt.timedelta(days=40)] * 3 + [AS_OF - dt.timedelta(days=5)]
    features = pa.table(
        {
            ENTITY: ["c0000", "c0001", "c0002", "c0000"],
            EVENT_TIME: pa.array(times, pa.timestamp("us", tz="UTC")),
            "plan": ["basic", "basic", "pro", "pro"],
        }
    )
    store.replace(CONTRACT.table("features"), features)
    return store


def summary(store: MemoryFeatureStore, batch_id: str, days_ago: int = 0) -> BatchSummary:
    """What scoring says of a batch, as far as a campaign needs it."""
    return BatchSummary.model_construct(
        batch_id=batch_id,
        predictions=store.latest(PREDICTIONS.name),
        features=store.latest("churn_features"),
        as_of=AS_OF - dt.timedelta(days=days_ago),
        model_name="churn_toy",
        model_version=3,
    )


def plan_batch(*arguments: Any, now: dt.datetime = AS_OF) -> Plan:
    return lists.plan_batch(*arguments, now=now)


def test_only_the_rows_of_the_batch_are_planned(store: MemoryFeatureStore) -> None:
    plan = plan_batch(store, summary(store, "june"), CONTRACT, MoneySettings(), EVERYBODY)
    assert (plan.campaign.batch_id, plan.campaign.as_of, plan.campaign.version) == ("june", AS_OF, "3")
    assert contacted(plan) == ["c0000", "c0001", "c0002"]


def test_answers_of_the_endpoint_are_never_planned(store: MemoryFeatureStore) -> None:
    before = plan_batch(store, summary(store, "june"), CONTRACT, MoneySettings(), EVERYBODY)
    log = InMemoryPredictionLog(store, CONTRACT.table("predictions"), ENTITY)
    writer = log.writer(max_bytes=100_000, when_full="drop_new", synced=False)
    writer.append([answered("c0000", expected_value=999.0), answered("c9999"), answered("")])
    log.move()
    after = plan_batch(store, summary(store, "june"), CONTRACT, MoneySettings(), EVERYBODY)
    assert contacted(after) == contacted(before)
    assert after.campaign == before.campaign


def test_who_was_on_the_list_of_another_batch_rests(store: MemoryFeatureStore) -> None:
    one = EVERYBODY.model_copy(update={"capacity": 1})
    before = plan_batch(store, summary(store, "may", 29), CONTRACT, MoneySettings(), one, now=AS_OF - 29 * DAY)
    ref = record_contacts(store, before, CONTRACT)
    assert (ref.name, ref.key, ref.rows) == ("churn_contacts", ("batch_id", ENTITY), 1)
    assert contacted(plan_batch(store, summary(store, "june"), CONTRACT, MoneySettings(), one)) == ["c0001"]


def test_a_batch_that_is_planned_again_replaces_its_contacts(store: MemoryFeatureStore) -> None:
    for capacity in (3, 1, 1):
        settings = EVERYBODY.model_copy(update={"capacity": capacity})
        ref = record_contacts(
            store, plan_batch(store, summary(store, "june"), CONTRACT, MoneySettings(), settings), CONTRACT
        )
    assert (ref.rows, ref.version) == (1, 1)  # the third changed nothing
    assert store.read(ref)[ENTITY].to_pylist() == ["c0000"]


def test_segments_are_those_known_at_the_time_of_the_batch(store: MemoryFeatureStore) -> None:
    settings = CampaignSettings.model_validate({"control_share": 0, "segments": {"plan": {"pro": {"capacity": 0}}}})
    june = plan_batch(store, summary(store, "june"), CONTRACT, MoneySettings(), settings)
    may = plan_batch(store, summary(store, "may", 29), CONTRACT, MoneySettings(), settings)
    assert (contacted(june), contacted(may)) == (["c0001"], ["c0000", "c0001"])


def test_a_segment_of_no_column_of_the_contract_is_refused(store: MemoryFeatureStore) -> None:
    settings = CampaignSettings.model_validate({"segments": {"plam": {"pro": {"capacity": 0}}}})
    with pytest.raises(ConfigError, match=r"limits 'plam', which no column of 'toy' is called; did you mean 'plan'"):
        plan_batch(store, summary(store, "june"), CONTRACT, MoneySettings(), settings)


def test_a_batch_in_which_nobody_could_be_scored_has_a_campaign_of_nobody(store: MemoryFeatureStore) -> None:
    plan = plan_batch(store, summary(store, "empty"), CONTRACT, MoneySettings(), EVERYBODY)
    assert (plan.campaign.batch_id, plan.campaign.model, plan.campaign.customers) == ("empty", "churn_toy", 0)
    assert record_contacts(store, plan, CONTRACT).rows == 0


def test_a_batch_that_is_planned_again_later_keeps_the_day_of_its_first_planning(store: MemoryFeatureStore) -> None:
    for days in (0, 7):
        again = plan_batch(store, summary(store, "june"), CONTRACT, MoneySettings(), EVERYBODY, now=AS_OF + days * DAY)
        ref = record_contacts(store, again, CONTRACT)
    assert again.campaign.planned_at == AS_OF
    assert ref.version == 0, "nothing changed"


def test_on_a_dated_snapshot_everybody_may_be_contacted_again_after_the_rest(store: MemoryFeatureStore) -> None:
    """Both batches are of the same data; the second one is planned 31 days after the first."""
    first = plan_batch(store, summary(store, "may"), CONTRACT, MoneySettings(), EVERYBODY)
    record_contacts(store, first, CONTRACT)
    second = plan_batch(store, summary(store, "june"), CONTRACT, MoneySettings(), EVERYBODY, now=AS_OF + 31 * DAY)
    assert contacted(second) == contacted(first) == ["c0000", "c0001", "c0002"]

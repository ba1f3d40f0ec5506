"""Past campaigns as a use case: their customers are found again, outcomes join as they mature, outside contacts too."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from churn.campaign.effect import CampaignEffect
from churn.core.errors import ContractError, DataError, NotFound
from churn.data.contract import DatasetContract
from churn.data.delivery import Delivery
from churn.data.ingest import Source
from churn.data.tables import EVENT_TIME, LABEL, LABEL_TIME
from churn.lifecycle.campaigns import Imported, import_contacts, measure_campaigns, plan_campaign, read_out
from churn.lifecycle.workspace import Workspace
from churn.ports.tables import TableSpec
from churn.scoring.batch import BatchSummary
from churn.settings import Settings, read_configuration
from reports.effect_report import effect_headline, effect_lines, read_out_headline, read_out_sections
from tests.fakes.data.campaigns import AS_OF, ENTITY, batch
from tests.fakes.data.customers import CONTRACT as TOY
from tests.fakes.ports.files import InMemoryFiles
from tests.fakes.ports.tables import MemoryFeatureStore

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).parents[3] / "configs"
CONTRACT = DatasetContract.model_validate({**TOY.model_dump(), "slices": ["plan"]})
PREDICTIONS = TableSpec(name="churn_predictions", key=("batch_id", ENTITY))
CUSTOMERS = 400
DAY = dt.timedelta(days=1)
TIME = pa.timestamp("us", tz="UTC")


def settings(*overrides: str) -> Settings:
    return read_configuration(CONFIGS, overrides=["campaign.control_share=0.3", *overrides]).settings


class Business:
    """A data set whose batches are planned, and whose outcomes become known 30 days after a batch."""

    def __init__(self) -> None:
        self.store, self.now, self.table = MemoryFeatureStore(), AS_OF, pa.table({})
        self.keys = [f"c{number:04d}" for number in range(CUSTOMERS)]

        def source(path: Path) -> Delivery:
            def parts() -> Iterator[Source]:
                yield Source(str(path), self.table)

            return Delivery(str(path), parts)

        make: dict[str, Any] = {"tables": lambda: self.store, "files": InMemoryFiles, "source": source}
        self.workspace = Workspace(contract=CONTRACT, model="churn_toy", threads=1, clock=lambda: self.now, make=make)

    def campaign(self, name: str, at: dt.datetime, *overrides: str, churned: int = 0) -> None:
        """Score and contact at a time; of both groups one in `churned` leaves, nobody at 0."""
        times = pa.array([at] * CUSTOMERS, TIME)
        rows = batch([0.6] * CUSTOMERS, batch_id=name, decision=pa.array(["treat"] * CUSTOMERS))
        self.store.replace_batch(PREDICTIONS, "batch_id", name, rows.append_column(EVENT_TIME, times).to_reader())
        plans = pa.array(["basic", "pro"] * (CUSTOMERS // 2))
        features = pa.table({ENTITY: self.keys, EVENT_TIME: times, "plan": plans})
        self.store.upsert(CONTRACT.table("features"), features)
        labels = [int(bool(churned) and number % churned == 0) for number in range(CUSTOMERS)]
        known = pa.array([at + 30 * DAY] * CUSTOMERS, TIME)
        outcome = {LABEL: pa.array(labels, pa.int8()), LABEL_TIME: known, "split": ["train"] * CUSTOMERS}
        self.store.upsert(CONTRACT.table("labels"), pa.table({ENTITY: self.keys, EVENT_TIME: times, **outcome}))
        self.now = at
        summary = BatchSummary.model_construct(
            batch_id=name,
            predictions=self.store.latest(PREDICTIONS.name),
            features=self.store.latest("churn_features"),
            as_of=at,
            model_name="churn_toy",
            model_version=3,
        )
        plan_campaign(self.workspace, settings(*overrides), summary)

    def effect(self, *overrides: str, batch_id: str | None = None) -> CampaignEffect:
        return measure_campaigns(self.workspace, settings(*overrides), batch_id)

    def stored(self) -> dict[str, dict[str, Any]]:
        rows = self.store.read(self.store.latest("campaign_effects")).to_pylist()
        return {row["campaign"]: row for row in rows}

    def imports(self, **columns: Any) -> Imported:
        self.table = pa.table(columns)
        return import_contacts(self.workspace, Path("calls.csv"))


@pytest.fixture
def business() -> Business:
    return Business()


def test_outcomes_count_once_they_are_known(business: Business) -> None:
    business.campaign("may", AS_OF, churned=4)
    business.now = AS_OF + 29 * DAY
    early = business.effect()
    assert early.verdict == "too early"
    assert early.known_from == AS_OF + 30 * DAY
    assert "too early to tell" in " ".join(effect_lines(early))
    business.now = AS_OF + 30 * DAY
    found = business.effect()
    assert found.contacted.known + found.control.known == CUSTOMERS
    assert found.contacted.churned + found.control.churned == CUSTOMERS // 4
    assert 0.2 < found.control.known / CUSTOMERS < 0.4
    assert {segment.value for segment in found.segments} == {"basic", "pro"}


def test_what_was_measured_is_kept_for_each_campaign_and_for_all_with_one_salt(business: Business) -> None:
    business.campaign("may", AS_OF, churned=4)
    business.campaign("july", AS_OF + 60 * DAY, churned=5)
    business.campaign("other", AS_OF + 120 * DAY, "campaign.salt=another", churned=5)
    business.now = AS_OF + 200 * DAY
    assert business.effect().campaigns == ("may", "july")
    assert business.effect("campaign.salt=another").campaigns == ("other",)
    assert business.effect(batch_id="other").salt == "another"
    business.effect(batch_id="may")
    rows = business.stored()
    assert set(rows) == {"salt:campaign", "salt:another", "may", "other"}
    assert rows["salt:campaign"]["campaigns"] == 2
    assert rows["may"]["drop_lower"] < rows["may"]["drop"] < rows["may"]["drop_upper"]
    assert rows["may"]["verdict"] in ("unclear", "lost")


def test_a_campaign_that_there_is_not_is_refused_with_the_nearest(business: Business) -> None:
    with pytest.raises(NotFound, match=r"none was planned yet.*--pipeline inference"):
        business.effect()
    business.campaign("august", AS_OF)
    with pytest.raises(NotFound, match=r"no campaign of batch 'augst'; did you mean 'august'\?"):
        business.effect(batch_id="augst")
    with pytest.raises(NotFound, match="no campaign's control group was drawn by the salt 'new'"):
        business.effect("campaign.salt=new")


def test_predictions_that_are_gone_leave_outcomes_unknown(business: Business) -> None:
    business.campaign("may", AS_OF)
    business.store.erase(PREDICTIONS.name, ENTITY, business.keys[:300])
    business.now = AS_OF + 40 * DAY
    found = business.effect()
    assert found.contacted.customers + found.control.customers == CUSTOMERS
    assert found.contacted.known + found.control.known == CUSTOMERS - 300


def test_contacts_from_outside_rest_their_customers_and_are_no_campaign(business: Business) -> None:
    called = business.keys[:100]
    business.now = AS_OF - 10 * DAY
    times = [f"2025-05-{day:02d}" for day in (10, 11)] * 50
    assert business.imports(customer_id=called, contacted_at=times, offer=["call"] * 100).contacts == 100
    assert business.imports(customer_id=called, contacted_at=times, offer=["call"] * 100).contacts == 100
    assert business.store.latest("churn_contacts").rows == 100
    business.campaign("june", AS_OF)
    business.now = AS_OF + 40 * DAY
    found = business.effect()
    assert found.contacted.customers + found.control.customers == CUSTOMERS - 100
    assert found.campaigns == ("june",)
    assert found.control_contacted == 0


def test_a_customer_may_be_called_customer_and_those_whom_nobody_knows_are_counted(business: Business) -> None:
    called = {"customer": [business.keys[0], "nobody", "nobody"], "time": ["2025-05-01"] * 3}
    business.now = AS_OF
    assert business.imports(**called) == (2, 2), "there are no customers yet"
    business.campaign("june", AS_OF)
    assert business.imports(**called) == (2, 1)


def test_a_table_without_rows_has_no_contacts(business: Business) -> None:
    business.now = AS_OF
    assert business.imports(customer_id=[], time=[]) == (0, 0)
    with pytest.raises(NotFound, match="churn_contacts"):
        business.store.latest("churn_contacts")


def test_contacts_of_the_control_group_from_outside_are_said(business: Business) -> None:
    business.campaign("june", AS_OF)
    business.now = AS_OF + 40 * DAY
    business.imports(customer_id=business.keys, date=["2025-06-10T12:00:00+02:00"] * CUSTOMERS)
    found = business.effect()
    assert found.control_contacted == found.control.customers
    assert any("contacted outside the product" in line for line in effect_lines(found))


@pytest.mark.parametrize(
    ("columns", "error", "told"),
    [
        (
            {"kunde": ["c1"], "time": ["2025-05-01"]},
            ContractError,
            "no column 'customer_id': call the customer 'customer_id' or 'customer'. There are: kunde, time",
        ),
        (
            {"customer_id": ["c1"], "when": ["2025-05-01"]},
            ContractError,
            "no column of the time: call it 'contacted_at'",
        ),
        ({"customer_id": ["c1", None], "time": ["2025-05-01"] * 2}, DataError, "Row 2 of the contacts has no customer"),
        ({"customer_id": ["c1"], "time": ["soon"]}, DataError, "no time that can be read.*'soon'"),
        ({"customer_id": ["c1"], "time": ["2031-01-01"]}, DataError, "a time after now.*None was taken"),
    ],
)
def test_a_table_of_contacts_that_cannot_be_read_is_refused_as_a_whole(
    business: Business, columns: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        business.imports(**columns)
    with pytest.raises(NotFound, match="churn_contacts"):
        business.store.latest("churn_contacts")


def test_a_read_out_before_any_campaign_is_a_normal_outcome(business: Business) -> None:
    found = read_out(business.workspace, settings())
    assert found.effect is None
    assert "none was planned yet" in read_out_headline(found)
    assert [section.title for section in read_out_sections(found)] == ["What the campaigns changed"]


def test_a_read_out_takes_all_campaigns_with_one_control_group_and_keeps_what_it_measured(business: Business) -> None:
    business.campaign("may", AS_OF, churned=4)
    business.now = AS_OF + 30 * DAY
    found = read_out(business.workspace, settings())
    assert found.effect == business.effect()
    assert read_out_headline(found) == effect_headline(business.effect())
    assert business.stored().keys() == {"salt:campaign"}
    assert len(read_out_sections(found)) > 1
    (line,) = [line for line in effect_lines(business.effect()) if "acceptance" in line]
    assert "30.0% by the settings, Beta(6, 14); given the outcomes it is" in line

"""From the first campaign on, training and gate learn from untreated customers, whoever planned the contacts."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from churn.core.shares import hash_share
from churn.data.contract import DatasetContract
from churn.data.ingest import Source
from churn.data.snapshot import TableSnapshot
from churn.gate.recipes import predictor_digest, remade_digest
from churn.lifecycle.campaigns import import_contacts
from churn.lifecycle.features import build_features, ingest, refresh_labels
from churn.lifecycle.training import build_training_set, train
from churn.lifecycle.workspace import Workspace
from churn.training.recipe import Recipe
from churn.training.search import TuningResult, TuningSettings
from churn.training.train import ModelSettings
from tests.fakes.data.case import GOOD, raw_rows, settings
from tests.fakes.data.customers import CONTRACT as TOY
from tests.fakes.data.deliveries import in_parts
from tests.fakes.ports.tables import MemoryFeatureStore

pytestmark = pytest.mark.slow

CONTRACT = DatasetContract.model_validate({**TOY.model_dump(), "slices": ["plan"]})
TIME = pa.timestamp("us", tz="UTC")
AS_OF = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
"""The event time of every row."""
NOW = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
ROWS = 600


class Business:
    """A data set whose customers' outcomes are delivered after a campaign."""

    def __init__(self) -> None:
        self.now, self.table = AS_OF, pa.table({})
        self.store = MemoryFeatureStore("toy", clock=lambda: self.now)
        make: dict[str, Any] = {"tables": lambda: self.store, "source": self._source}
        self.workspace = Workspace(contract=CONTRACT, model="churn_toy", threads=1, clock=lambda: self.now, make=make)
        self.rows = raw_rows(ROWS).fillna({"plan": "basic"})

    def _source(self, path: Path) -> Any:
        return in_parts(Source(str(path), self.table), 250)

    def deliver(self, rows: pd.DataFrame, at: dt.datetime) -> tuple[TableSnapshot, TableSnapshot]:
        self.now, self.table = at, pa.Table.from_pandas(rows, preserve_index=False)
        bronze, _ = ingest(self.workspace, settings("data=rows.csv"))
        return build_features(self.workspace, settings(), bronze)

    def contact(self, share: float = 0.2, at: dt.datetime = AS_OF) -> int:
        """Contact who has the plan `basic`, but for the control group, and return how many are contacted."""
        keys = self.rows.loc[self.rows["plan"] == "basic", "customer_id"].tolist()
        held = [hash_share(key, share, "campaign") for key in keys]
        group = ["control" if each else "treatment" for each in held]
        times = dict.fromkeys(("contacted_at", "planned_at", "as_of"), pa.array([at] * len(keys), TIME))
        batch = {"batch_id": ["b1"] * len(keys), "customer_id": keys, "group": group, **times}
        drawn = {"salt": ["campaign"] * len(keys), "control_share": [share] * len(keys)}
        self.store.upsert(CONTRACT.table("contacts"), pa.table({**batch, **drawn}))
        return len(keys) - sum(held)

    def imports(self, *customers: str, at: str = "2024-01-10") -> None:
        self.table = pa.table({"customer_id": list(customers), "contacted_at": [at] * len(customers)})
        import_contacts(self.workspace, Path("calls.csv"))


@pytest.fixture
def business() -> Business:
    """A data set whose rows were delivered without outcomes."""
    made = Business()
    made.deliver(made.rows.assign(churn=None), AS_OF)
    return made


def test_training_leaves_out_who_was_contacted_and_says_so_in_its_leakage_check(business: Business) -> None:
    contacted = business.contact()
    snapshot, report = build_training_set(business.workspace, settings(), *business.deliver(business.rows, NOW))
    assert report.passed
    assert report.untreated is not None
    assert (report.untreated.rows, report.untreated.contacted) == (ROWS, contacted)
    first = report.checks[0]
    assert first.name == "No outcome of a contacted customer"
    assert f"{contacted:,} of {ROWS:,} rows are left out" in first.finding
    tuning = TuningResult(boosting=ModelSettings().boosting, objective="log_loss", reason="")
    _, found = train(business.workspace, snapshot, tuning, model=GOOD, seed=1)
    assert found.rows < ROWS - contacted
    assert found.effective_rows is not None
    assert found.effective_rows < found.rows


def test_without_a_control_group_the_check_says_which_segment_is_not_seen(business: Business) -> None:
    contacted = business.contact(share=0)
    _, report = build_training_set(business.workspace, settings(), *business.deliver(business.rows, NOW))
    finding = report.checks[0].finding
    assert f"Nobody stands for {contacted:,} of the rows" in finding
    assert "plan basic (100%)" in finding


def test_imported_contacts_count_the_same(business: Business) -> None:
    business.deliver(business.rows, NOW)
    business.imports("c000001", "c000002", "c000003")
    _, report = build_training_set(business.workspace, settings(), *business.deliver(business.rows, NOW))
    assert report.untreated is not None
    assert (report.untreated.contacted, report.untreated.uncontrolled) == (3, 3)
    assert report.untreated.effective == ROWS - 3


def test_a_campaign_that_was_planned_from_rows_with_outcomes_changes_no_table(business: Business) -> None:
    before = business.deliver(business.rows, NOW)
    business.contact(at=NOW + dt.timedelta(days=1))
    after = business.deliver(business.rows, NOW + dt.timedelta(days=2))
    assert [table.ref for table in after] == [table.ref for table in before]
    _, report = build_training_set(business.workspace, settings(), *after)
    assert report.untreated is None
    assert "No outcome of a contacted customer" not in [check.name for check in report.checks]


def test_labels_follow_contacts_that_became_known_after_them(business: Business) -> None:
    _, labels = business.deliver(business.rows, NOW)
    refresh_labels(business.workspace, settings())
    assert business.store.latest("churn_labels") == labels.ref
    business.imports("c000001")
    refresh_labels(business.workspace, settings())
    rows = business.store.read(business.store.latest("churn_labels")).to_pylist()
    assert [row["customer_id"] for row in rows if row["untreated_weight"] == 0] == ["c000001"]
    once = business.store.latest("churn_labels")
    refresh_labels(business.workspace, settings())
    assert business.store.latest("churn_labels") == once


def test_without_tables_there_is_nothing_to_follow() -> None:
    refresh_labels(Business().workspace, settings())


def test_a_model_is_made_again_from_its_own_table_version_whatever_was_contacted_since(business: Business) -> None:
    business.contact()
    snapshot, _ = build_training_set(business.workspace, settings(), *business.deliver(business.rows, NOW))
    tuning = TuningResult(boosting=ModelSettings().boosting, objective="log_loss", reason="")
    model, _ = train(business.workspace, snapshot, tuning, model=GOOD, seed=1)
    recipe = Recipe.of(CONTRACT, GOOD, TuningSettings(), GOOD.boosting, seed=1, training_table=snapshot.ref)
    business.imports(*business.rows["customer_id"].head(100))
    later, _ = build_training_set(business.workspace, settings(), *business.deliver(business.rows, NOW))
    assert remade_digest(recipe, business.store, threads=1) == predictor_digest(model)
    assert later.ref.content_id != snapshot.ref.content_id
    changed, _ = train(business.workspace, later, tuning, model=GOOD, seed=1)
    assert predictor_digest(changed) != predictor_digest(model)

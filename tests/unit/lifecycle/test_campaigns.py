"""Planning a campaign as a use case: one plan at a time, lists in the files, contacts in the table."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from churn.data.tables import EVENT_TIME
from churn.lifecycle.campaigns import plan_campaign
from churn.lifecycle.workspace import Workspace
from churn.ports.tables import TableSpec
from churn.scoring.batch import BatchSummary
from churn.settings import read_configuration
from tests.fakes.data.campaigns import AS_OF, ENTITY, batch
from tests.fakes.data.customers import CONTRACT
from tests.fakes.ports.files import InMemoryFiles
from tests.fakes.ports.tables import MemoryFeatureStore

CONFIGS = Path(__file__).parents[3] / "configs"
SETTINGS = read_configuration(CONFIGS, overrides=["campaign.control_share=0"]).settings
PREDICTIONS = TableSpec(name="churn_predictions", key=("batch_id", ENTITY))


@pytest.fixture
def store() -> MemoryFeatureStore:
    """Two batches of the same three customers."""
    store = MemoryFeatureStore()
    for name in ("may", "june"):
        rows = batch([0.9, 0.8, 0.7], batch_id=name, decision=pa.array(["treat"] * 3))
        store.replace_batch(PREDICTIONS, "batch_id", name, rows.to_reader())
    times = pa.array([AS_OF] * 3, pa.timestamp("us", tz="UTC"))
    store.replace(CONTRACT.table("features"), rows.select([ENTITY]).append_column(EVENT_TIME, times))
    return store


def summary(store: MemoryFeatureStore, batch_id: str) -> BatchSummary:
    return BatchSummary.model_construct(
        batch_id=batch_id,
        predictions=store.latest(PREDICTIONS.name),
        features=store.latest("churn_features"),
        as_of=AS_OF,
        model_name="churn_toy",
        model_version=3,
    )


@pytest.mark.parametrize("as_file", [True, False])
def test_a_campaign_knows_how_to_name_its_data_set(
    store: MemoryFeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_file: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gym.yaml").touch()
    named = SETTINGS.model_copy(update={"dataset": "gym.yaml" if as_file else "saas"})
    make = {"tables": lambda: store, "files": InMemoryFiles}
    workspace = Workspace(contract=CONTRACT, model="churn_toy", threads=1, clock=lambda: AS_OF, make=make)
    campaign, _ = plan_campaign(workspace, named, summary(store, "may"))
    assert campaign.dataset == (str(tmp_path / "gym.yaml") if as_file else "saas")


def test_two_plans_at_once_contact_nobody_twice(store: MemoryFeatureStore) -> None:
    files = InMemoryFiles()
    workspace = Workspace(
        contract=CONTRACT,
        model="churn_toy",
        threads=1,
        clock=lambda: AS_OF + dt.timedelta(days=1),
        make={"tables": lambda: store, "files": lambda: files},
    )
    workspace.tables, workspace.files  # noqa: B018  # made before the threads ask

    def plan(name: str) -> int:
        return plan_campaign(workspace, SETTINGS, summary(store, name))[0].plan.contacts

    with ThreadPoolExecutor(2) as pool:
        contacts = sorted(pool.map(plan, ["may", "june"]))
    assert contacts == [0, 3]
    listed = store.read(store.latest("churn_contacts"))[ENTITY].to_pylist()
    assert sorted(listed) == ["c0000", "c0001", "c0002"]
    assert {name.partition(".")[2] for name in files.content} == {"csv", "control.csv"}

"""Everything that was ever stored is read for ever: one file a format and kind under tests/golden, never written anew.

A change that breaks one of these tests needs an upgrade in the reader of that kind (`StoredFormat.upgrades`) or a new
format beside the old ones, and never another file: docs/formats.md.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest

from adapters.local.decision_ledger import LocalDecisionLedger
from adapters.local.prediction_spool import read_segment
from adapters.mlflow.load import load_package
from churn.approval.archive import REPORTS, stored_report
from churn.approval.rollout import rollouts
from churn.approval.state import ModelState
from churn.core.canonical import FORMAT, StoredFormat, canonical, digest
from churn.core.errors import StoreError
from churn.gate.report import GateReport
from churn.gate.settings import GateSettings
from churn.model.scorer import SCORING_FORMAT
from churn.monitoring.alerts import ALERTS_FORMAT
from churn.ports.ledger import RECORD_FORMAT, Decision, DecisionKind, Entry, breaks, first_format
from churn.ports.online import OnlineValue
from churn.scoring.batch import BatchSummary
from churn.scoring.online import score_rows
from churn.training.recipe import read_recipe
from tests.fakes.ports.tables import MemoryFeatureStore

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = {
    "alerts_1.json": "1995e114f781071f",
    "batch_summary_1.json": "298443fd97ce703f",
    "batch_summary_2.json": "4b86462e4f00fba6",
    "gate_report_1.json": "f709aa8b0de263c3",
    "gate_report_2.json": "4c7ca50235906bf8",
    "ledger_1.zip": "75658af74d2fdcf2",
    "ledger_2.zip": "0c75d145ec29fb85",
    "ledger_3.zip": "210b29e06388dbf9",
    "ledger_4.zip": "548622c4e12eaa21",
    "package_1.zip": "e9966e88527c040f",
    "package_2.zip": "ce24d4a5dee1fb7d",
    "prediction_segment_1.sealed": "9cc8723ced6d82e8",
    "recipe_1.json": "79aefe821d0ecc4a",
    "recipe_2.json": "e1a24d48a1df496f",
}
"""Each file with the first digits of its SHA-256."""


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


def test_no_golden_file_was_changed_or_left_out() -> None:
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in GOLDEN.iterdir()}
    assert files == FILES


def test_a_recipe_without_a_format_is_read_with_seed_and_table_of_its_package() -> None:
    recipe = read_recipe(golden("recipe_1.json"))
    assert recipe.boosting.max_depth == 3
    assert recipe.model.candidates == ("additive", "boosting")
    assert (recipe.seed, recipe.code, recipe.libraries) == (42, None, None)
    assert recipe.training_table is not None
    assert recipe.training_table.ref.model_dump(include={"dataset", "name", "version", "content_id", "key"}) == {
        "dataset": "telco_simulated",
        "name": "churn_training",
        "version": 0,
        "content_id": "212539aadde3b5c553718931b6ecff64",
        "key": ("customer_id", "transaction_ts"),
    }


def test_a_recipe_of_format_2_is_read_with_code_and_libraries() -> None:
    recipe = read_recipe(golden("recipe_2.json"))
    assert recipe.boosting.max_depth == 3
    assert recipe.seed == 42
    assert recipe.code is not None
    assert recipe.libraries is not None
    assert "xgboost" in recipe.libraries


@pytest.mark.parametrize("name", ["recipe_1.json", "recipe_2.json"])
def test_the_contract_of_a_stored_recipe_is_one_of_today(name: str, tmp_path: Path) -> None:
    contract = read_recipe(golden(name)).restore_contract(tmp_path)
    assert contract.entity_key == "customer_id"
    assert "monthly_charges" in contract.columns


def test_a_record_of_alerts_is_read_with_what_is_open_and_what_waits() -> None:
    book = ALERTS_FORMAT.read((GOLDEN / "alerts_1.json").read_text())
    assert [(notice.kind, notice.severity) for notice in book.opened.values()] == [("broken_feed", "critical")]
    assert [(waiting.channel, waiting.attempts, waiting.notice.event) for waiting in book.waiting] == [
        ("mail", 1, "opened")
    ]
    assert book.recent == (book.waiting[0].notice,)


def unpacked(name: str, folder: Path) -> Path:
    with zipfile.ZipFile(GOLDEN / name) as files:
        files.extractall(folder)
    return folder


LIFE = ["gate_refused", "rejected", "gate_refused", "rejected", "rejected", "rejected"]
LIFE += ["gate_passed", "approved", "promotion_begun", "promoted", "gate_passed", "pending", "approved"]
LIFE += ["promotion_begun", "promoted", "rollback_begun", "rolled_back", "rejected"]


@pytest.mark.slow
def test_a_ledger_in_columns_is_read_verified_and_goes_on(tmp_path: Path) -> None:
    ledger = LocalDecisionLedger(unpacked("ledger_1.zip", tmp_path / "gym").parent, "gym")
    records = ledger.read()
    assert [record.kind for record in records] == LIFE
    assert list(breaks(records)) == []
    assert {FORMAT} & json.loads(records[-1].text).keys() == set()
    entry = Entry(kind="approved", model="gym", version=3, champion=None, at=records[-1].at, who="ada", why="Good.")
    newest = ledger.append(entry, after=records[-1].hash)
    assert ledger.read() == [*records, newest]
    assert list(breaks(ledger.read())) == []
    assert json.loads(newest.text)[FORMAT] == RECORD_FORMAT.newest


def test_a_changed_column_of_the_oldest_format_shows(tmp_path: Path) -> None:
    [sound, *_] = LocalDecisionLedger(unpacked("ledger_1.zip", tmp_path / "gym").parent, "gym").read()
    columns = sound.model_dump() | {"who": "mallory"}
    [found] = breaks([Decision.read(first_format(columns), sound.hash)])
    assert "was altered" in found


def test_a_ledger_with_texts_beside_its_columns_is_read_and_verified(tmp_path: Path) -> None:
    records = LocalDecisionLedger(unpacked("ledger_2.zip", tmp_path / "gym").parent, "gym").read()
    assert [record.kind for record in records] == [*LIFE, "gate_refused", "approved"]
    assert list(breaks(records)) == []
    assert [json.loads(record.text).get(FORMAT) for record in records] == [None] * len(LIFE) + [2, 2]
    assert (records[-1].who, records[-1].numbers) == ("Zoë", {"gain": 0.1 + 0.2})


def test_a_ledger_with_rollouts_is_read_and_verified(tmp_path: Path) -> None:
    records = LocalDecisionLedger(unpacked("ledger_3.zip", tmp_path / "gym").parent, "gym").read()
    kinds = ["rollout_started", "rollout_advanced", "rollout_aborted", "rollout_started", "rollout_advanced"]
    assert [record.kind for record in records if record.kind.startswith("rollout_")] == kinds
    assert list(breaks(records)) == []
    assert {json.loads(record.text)[FORMAT] for record in records} == {3}
    first, second = rollouts(ModelState("churn_gym", tuple(records), {}))
    assert ([step.share for step in first.steps], first.ended and first.ended.why) == ([0.0, 0.1], "Complaints.")
    assert ([step.share for step in second.steps], second.ended and second.ended.kind) == ([0.05, 0.1], "promoted")


def test_a_ledger_with_releases_is_read_and_verified(tmp_path: Path) -> None:
    records = LocalDecisionLedger(unpacked("ledger_4.zip", tmp_path / "gym").parent, "gym").read()
    assert [record.kind for record in records if record.kind in {"deployed", "withdrawn"}] == ["withdrawn", "deployed"]
    assert list(breaks(records)) == []
    assert {json.loads(record.text)[FORMAT] for record in records} == {4}
    assert ModelState("churn_gym", tuple(records), {}).live == 2


def test_a_kind_of_record_that_is_new_needs_a_new_format() -> None:
    assert (RECORD_FORMAT.newest, len(get_args(DecisionKind))) == (4, 17)


def archived(*rows: dict[str, Any]) -> MemoryFeatureStore:
    """A store with gate reports as they were stored then."""
    store = MemoryFeatureStore("gym")
    store.upsert(REPORTS, pa.Table.from_pylist([{**row, "model": "churn_telco_simulated"} for row in rows]))
    return store


@pytest.mark.parametrize("number", [1, 2])
def test_a_gate_report_of_each_format_is_what_its_digest_stands_for(number: int) -> None:
    row = golden(f"gate_report_{number}.json")
    report = stored_report(archived(row), row["digest"])
    assert report is not None
    assert (report.digest, report.verdict) == (row["digest"], "pass")
    assert report.challenger.version == 2
    assert report.champion is not None
    assert report.champion.evaluation is not None
    assert {"log_loss", "roc_auc", "profit_per_customer"} <= set(report.champion.evaluation.metrics)
    assert report.holdout is not None
    assert report.recipes is not None


def test_a_setting_that_comes_later_does_not_change_a_stored_report() -> None:
    class LaterGate(GateSettings):
        patience: int = 3

    class LaterReport(GateReport):
        settings: LaterGate  # type: ignore[assignment]

    row = golden("gate_report_2.json")
    later = StoredFormat("gate report", LaterReport, newest=2, error=StoreError).read(row["report"])
    assert later.settings.patience == 3
    assert digest(row["report"]) == row["digest"]
    assert digest(canonical(later.model_dump(mode="json"))) != row["digest"]


def test_a_report_of_a_newer_version_is_refused_in_words() -> None:
    text = canonical({**json.loads(golden("gate_report_2.json")["report"]), "format": 3})
    with pytest.raises(StoreError, match=r"gate report has format 3.*upgrade"):
        stored_report(archived({"digest": digest(text), "report": text}), digest(text))


@pytest.mark.parametrize("number", [1, 2])
def test_the_summary_of_a_batch_of_each_format_is_read(number: int) -> None:
    summary = BatchSummary.read((GOLDEN / f"batch_summary_{number}.json").read_text())
    assert (summary.batch_id, summary.scored, summary.model_version) == ("86f0ba4eb27859f7", 995, 2)
    assert summary.features.version >= 0
    assert BatchSummary.read(summary.stored()) == summary


def test_the_summary_of_a_batch_of_a_newer_version_is_refused_in_words() -> None:
    content = {**json.loads((GOLDEN / "batch_summary_2.json").read_text()), "format": 3}
    with pytest.raises(StoreError, match=r"has format 3, and this version of the project reads up to 2"):
        BatchSummary.read(json.dumps(content))


PACKAGES = {
    1: "3f5bff9bbfdc01c875a2e5c4847fca4ed751a5b3e87c35375200f4530d9c92ce",
    2: "d099464aeaf61163e2c860eb152a3c40ca64ea82c94cc27371528f8880f84127",
}
"""The digest under which each was registered."""


@pytest.mark.parametrize(("number", "registered"), PACKAGES.items())
def test_a_package_of_each_format_is_whole_and_loads(number: int, registered: str, tmp_path: Path) -> None:
    package = load_package(unpacked(f"package_{number}.zip", tmp_path) / "package", expected_digest=registered)
    assert package.scoring["money"]["currency"] == "USD"
    assert read_recipe(package.metadata).boosting.max_depth == 3
    settings = tmp_path / "package" / "artifacts" / "scorer" / "scoring.json"
    assert SCORING_FORMAT.read(settings.read_text()).money.currency == "USD"


def test_a_segment_of_the_prediction_log_is_read() -> None:
    name = "prediction_segment_1.sealed"
    found = read_segment((GOLDEN / name).read_bytes(), name)
    assert found.rows["customer"].to_pylist() == ["a", "b", ""]
    assert found.rows["role"].to_pylist() == ["answered", "shadow", "answered"]
    assert found.rows["probability"].to_pylist() == [0.30000000000000004, 0.30000000000000004, None]
    assert found.damaged == 0


def test_a_package_from_before_customers_were_scored_alone_is_served_by_its_own_code(tmp_path: Path) -> None:
    package = load_package(unpacked("package_2.zip", tmp_path) / "package")
    assert package.score_row({}, explain=True) is None
    rows: list[dict[str, OnlineValue]] = [{"tenure": 3.0, "contract": "Two year"}, {}]
    columns = {
        name: np.array([row.get(name) for row in rows], dtype=np.float64 if kind == "numeric" else object)
        for name, kind in package.kinds.items()
    }
    expected = package.predict(columns)
    found = score_rows(package, rows, explain=True).scores
    assert [score.probability for score in found] == expected.probability.tolist()
    assert [score.reasons[0] for score in found] == expected.reasons[0].tolist()

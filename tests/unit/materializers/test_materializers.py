"""How domain types are stored between steps: what is read is what was written, and equal content counts as equal."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from pydantic import BaseModel
from zenml.artifact_stores.local_artifact_store import LocalArtifactStore, LocalArtifactStoreConfig
from zenml.enums import StackComponentType, VisualizationType
from zenml.materializers.materializer_registry import materializer_registry

from churn.campaign.effect import ReadOut
from churn.core.errors import ModelError
from churn.model.frame import columns_of
from churn.model.model import ChurnModel
from materializers import VIEWS, JsonMaterializer, ModelMaterializer, TableMaterializer
from tests.fakes.data.batches import summary_of
from tests.fakes.data.campaigns import campaign
from tests.fakes.data.findings import (
    LEAKAGE,
    REGISTRATION,
    SNAPSHOT,
    TRAINING,
    TUNING,
    VALIDATION,
    evaluation,
    explanation,
)
from tests.fakes.data.gate_reports import DEPLOYMENT, FAILED, RELEASE, VERSION_STATUS, gate_report
from tests.fakes.data.monitored import ALERTED, ATTEMPT, RETRAINING, monitoring_report
from tests.fakes.data.scorers import SCHEMA, customers, small_scorer

pytestmark = pytest.mark.slow

CASES: dict[str, tuple[Callable[[], BaseModel], str]] = {
    "table": (lambda: SNAPSHOT, "churn_training, version 7"),
    "validation": (lambda: VALIDATION, "960 of 1,000 rows accepted"),
    "leakage": (lambda: LEAKAGE, "The training set leaks"),
    "tuning": (lambda: TUNING, "Tuning: 3 trials"),
    "training": (lambda: TRAINING, "Model card: additive + boosting"),
    "evaluation": (evaluation, "Evaluation on 600 customers of the holdout"),
    "explanation": (explanation, "Why customers are at risk"),
    "registration": (lambda: REGISTRATION, "churn_gym_simulated, version 4"),
    "batch": (summary_of, "30 customers scored by churn_toy version 3"),
    "gate": (gate_report, "Version 5 passes the gate: all 4 checks passed."),
    "status": (lambda: VERSION_STATUS, "churn_telco, version 5: pending"),
    "campaign": (campaign, "Retention campaign: 90 contacts among 500 customers"),
    "no effect": (lambda: ReadOut(nothing="None was planned yet."), "Campaign effect: nothing to read out yet"),
    "monitoring": (monitoring_report, "Someone should act"),
    "alerts": (lambda: ALERTED, "Alerts: 1 open"),
    "attempt": (lambda: ATTEMPT, "churn_gym: a challenger"),
    "retraining": (lambda: RETRAINING, "churn_gym: the champion is kept"),
    "deployment": (lambda: DEPLOYMENT, "churn_telco, version 5: promoted"),
    "release": (lambda: RELEASE, "churn_telco, version 5: verified"),
}


def materializer_of(
    data: BaseModel, uri: str = "/nowhere", store: LocalArtifactStore | None = None
) -> JsonMaterializer:
    """Return the materializer that ZenML's registry finds for a value."""
    kind = materializer_registry[type(data)]
    assert issubclass(kind, JsonMaterializer)
    return kind(uri, store)


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifactStore:
    now = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
    return LocalArtifactStore(
        name="files",
        id=uuid4(),
        config=LocalArtifactStoreConfig(path=str(tmp_path)),
        flavor="local",
        type=StackComponentType.ARTIFACT_STORE,
        user=uuid4(),
        created=now,
        updated=now,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "artifact").mkdir()
    return tmp_path / "artifact"


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> tuple[BaseModel, str]:
    make, title = CASES[request.param]
    return make(), title


def test_what_is_read_is_what_was_written(case: tuple[BaseModel, str], store: LocalArtifactStore, folder: Path) -> None:
    data, _ = case
    materializer_of(data, str(folder), store).save(data)
    assert materializer_of(data, str(folder), store).load(type(data)) == data
    assert [path.name for path in folder.iterdir()] == ["data.json"]
    json.loads((folder / "data.json").read_text())


def test_the_dashboard_gets_a_summary_that_it_shows_at_once_then_a_page_that_loads_nothing(
    case: tuple[BaseModel, str], store: LocalArtifactStore, folder: Path
) -> None:
    data, title = case
    shown = materializer_of(data, str(folder), store).save_visualizations(data)
    assert list(shown.items()) == [
        (str(folder / "summary.md"), VisualizationType.MARKDOWN),
        (str(folder / "page.html"), VisualizationType.HTML),
    ]
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert summary.startswith(f"### {title}".replace("_", r"\_"))
    assert summary.count("\n| ") >= 2, "a line of numbers"
    assert str(folder / "page.html").replace("_", r"\_") in summary
    html = (folder / "page.html").read_text(encoding="utf-8")
    assert f"<h1>{title}</h1>" in html
    assert re.findall(r"""\b(?:src|href)=["'](?!#)[^"']*""", html) == []


def test_each_type_has_one_materializer_that_its_source_path_names_and_each_is_tested_here() -> None:
    kinds = (JsonMaterializer, ModelMaterializer, TableMaterializer)
    types = [of for kind in kinds for of in kind.ASSOCIATED_TYPES]
    assert len(set(types)) == len(types)
    assert {type(make()) for make, _ in CASES.values()} == set(VIEWS) == set(types) - {ChurnModel}
    assert [getattr(importlib.import_module(kind.__module__), kind.__name__) for kind in kinds] == list(kinds)


def content(name: str, **changes: Any) -> str | None:
    data = CASES[name][0]().model_copy(update=changes)
    return materializer_of(data).compute_content_hash(data)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("validation", {"accepted": 959}),
        ("leakage", {"feature_auc": {"tenure": 0.62}}),
        ("training", {"thresholds": {"f1": 0.34}}),
        ("evaluation", {"rows": 601}),
        ("explanation", {"rows": 4}),
        ("registration", {"version": 5}),
        ("gate", {"checks": ()}),
        ("status", {"state": "approved"}),
        ("deployment", {"champion": 3}),
        ("campaign", {"batch_id": "b2"}),
        ("table", {"ref": SNAPSHOT.ref.model_copy(update={"content_id": "d2" * 32})}),
        ("tuning", {"boosting": TUNING.boosting.model_copy(update={"max_depth": 4})}),
    ],
)
def test_equal_content_has_one_hash_and_other_content_another(name: str, changes: dict[str, Any]) -> None:
    assert content(name) == content(name)
    assert content(name, **changes) != content(name)


def test_a_table_is_the_same_wherever_and_whenever_it_was_written() -> None:
    elsewhere = SNAPSHOT.ref.model_copy(update={"uri": "/elsewhere", "version": 8})
    assert content("table", ref=elsewhere, columns=()) == content("table")


def test_a_search_is_the_same_that_found_the_same_parameters_in_another_time() -> None:
    assert content("tuning", seconds=99.0, trials=(), reason="resumed") == content("tuning")


def test_a_table_and_a_model_show_what_identifies_them(store: LocalArtifactStore) -> None:
    assert TableMaterializer("/nowhere").extract_metadata(SNAPSHOT) == {
        "rows": 4,
        "version": 7,
        "content_id": "d1" * 32,
    }
    model = replace(small_scorer().model, thresholds={"f1": 0.3})
    shown = ModelMaterializer("/nowhere").extract_metadata(model)
    assert shown == {"digest": model.digest, "thresholds": {"f1": 0.3}}


def test_a_report_of_the_gate_keeps_the_digest_that_an_approval_is_bound_to(
    store: LocalArtifactStore, folder: Path
) -> None:
    report = gate_report()
    materializer = JsonMaterializer(str(folder), store)
    materializer.save(report)
    assert materializer.load(type(report)).digest == report.digest == materializer.compute_content_hash(report)


def test_the_gate_shows_every_verdict_beside_its_report() -> None:
    report = gate_report(checks=(FAILED,))
    assert JsonMaterializer("/nowhere").extract_metadata(report) == {
        "version": 5,
        "verdict": "fail",
        "digest": report.digest,
        "gate.slices": "fail",
    }


def test_a_campaign_shows_its_sums_beside_its_page() -> None:
    made = campaign()
    shown = JsonMaterializer("/nowhere").extract_metadata(made)
    assert (shown["contacts"], shown["control"], shown["currency"]) == (90, 24, "USD")
    assert shown["expected_profit"] == made.plan.profit.point


@pytest.fixture(scope="module")
def model() -> ChurnModel:
    """A model with both parts, and feature functions of the user's own."""
    return replace(
        replace(small_scorer(boosted=True).model, thresholds={"f1": 0.3}), feature_source="def one(x):\n    return x\n"
    )


def test_a_model_predicts_the_same_after_it_was_stored_and_nothing_of_it_is_pickled(
    model: ChurnModel, store: LocalArtifactStore, folder: Path
) -> None:
    materializer = ModelMaterializer(str(folder), store)
    materializer.save(model)
    _, page = materializer.save_visualizations(model)
    assert "length of the contract" in Path(page).read_text(encoding="utf-8")
    assert sorted(path.name for path in (folder / "model").iterdir()) == [
        "booster.ubj",
        "features.py",
        "manifest.json",
        "model.json",
    ]
    again = materializer.load(ChurnModel)
    columns = columns_of(customers(30), {column.name: column.kind for column in SCHEMA.inputs})
    assert np.array_equal(again.logit(columns), model.logit(columns))
    assert (again.digest, again.thresholds) == (model.digest, {"f1": 0.3})


def test_a_model_that_was_tampered_with_is_refused(model: ChurnModel, store: LocalArtifactStore, folder: Path) -> None:
    materializer = ModelMaterializer(str(folder), store)
    materializer.save(model)
    (folder / "model" / "features.py").write_text("import os\n")
    with pytest.raises(ModelError, match=r"features\.py has changed since the model was saved"):
        materializer.load(ChurnModel)


def test_equal_models_have_one_hash_and_others_another(model: ChurnModel) -> None:
    def hashed(each: ChurnModel) -> str | None:
        return ModelMaterializer("/nowhere").compute_content_hash(each)

    assert hashed(replace(model)) == hashed(model)
    assert hashed(replace(model, intercept=0.1)) != hashed(model)
    assert hashed(replace(model, thresholds={"f1": 0.4})) != hashed(model)
    assert hashed(replace(model, feature_source="def one(x):\n    return 2 * x\n")) != hashed(model)

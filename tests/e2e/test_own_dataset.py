"""A user's own table: a contract drafted from it and used as it is, then with features of the user's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from adapters.mlflow.load import PackagedScorer, load_package
from churn.data.tables import LABEL, SPLIT
from churn.ports.registry import CHALLENGER, CHAMPION, MODEL_DIGEST
from churn.settings import load_contract
from tests.e2e.project import ROOT, Project, Ran

pytestmark = pytest.mark.timeout(300)

READERS = 2000
FEATURES_OF_ITS_OWN = '''"""What a publisher knows of its readers."""

import numpy as np


def value_for_money(articles, price):
    return articles / np.maximum(price, 1.0)
'''
THEIR_PLACE = """
feature_module: readers.py
features:
  - name: articles_per_euro
    compute: value_for_money
    inputs: [articles_read, price]
    description: articles read for each euro
"""


@pytest.fixture(scope="module")
def project(new_user: Callable[..., Project]) -> Project:
    return new_user("own")


@pytest.fixture(scope="module")
def table(project: Project) -> Path:
    """Readers of a magazine, in a file as a spreadsheet writes it."""
    rng = np.random.default_rng(3)
    months, articles = rng.integers(1, 60, READERS), rng.poisson(8, READERS)
    price = rng.choice([6.5, 9.9, 14.0], READERS)
    plan = rng.choice(["monthly", "yearly"], READERS)
    score = 0.9 + 0.8 * (plan == "monthly") - 0.04 * months - 0.15 * articles + 0.08 * price
    frame = pd.DataFrame(
        {
            "Reader No": [f"R{number:05}" for number in range(READERS)],
            "Snapshot Date": "2024-03-31",
            "Plan": plan,
            "Months": months,
            "Articles read": np.where(rng.random(READERS) < 0.03, "", articles.astype(str)),
            "Price": price,
            "Cancelled": np.where(rng.random(READERS) < 1 / (1 + np.exp(-score)), "yes", "no"),
        }
    )
    path = project.work / "readers.csv"
    frame.to_csv(path, index=False, sep=";")
    return path


@pytest.fixture(scope="module")
def draft(project: Project, table: Path) -> Path:
    drafted = project.run("dataset", "infer", table).succeeded()
    path = project.work / "readers.yaml"
    path.write_text(drafted.out)
    return path


@pytest.fixture(scope="module")
def first(project: Project, draft: Path, table: Path) -> Ran:
    return project.train(dataset=draft, data=table)


@pytest.fixture(scope="module")
def with_features(project: Project, first: Ran, draft: Path, table: Path) -> Ran:
    contract = draft.with_name("with_features.yaml")
    contract.write_text(draft.read_text().rstrip() + "\n" + THEIR_PLACE)
    contract.with_name("readers.py").write_text(FEATURES_OF_ITS_OWN)
    return project.train(dataset=contract, data=table)


@pytest.fixture(scope="module")
def package(project: Project, with_features: Ran) -> PackagedScorer:
    """The challenger as anybody would load it, after the user's own files are gone."""
    version = project.registry.by_alias("churn_readers", CHALLENGER)
    assert version is not None
    for name in ("readers.py", "with_features.yaml"):
        (project.work / name).unlink()
    folder = project.registry.download("churn_readers", version.version, project.work)
    return load_package(folder, expected_digest=version.tags[MODEL_DIGEST])


@pytest.fixture(scope="module")
def holdout(project: Project, with_features: Ran) -> pd.DataFrame:
    rows = project.store("readers").read(project.tables("readers")["churn_training"]).to_pandas()
    return rows[rows[SPLIT] == "holdout"].reset_index(drop=True)


def test_the_draft_is_a_contract_with_what_to_check(draft: Path) -> None:
    contract = load_contract(ROOT / "configs", str(draft))
    assert (contract.name, contract.entity_key, contract.label.column) == ("readers", "reader_no", "cancelled")
    assert (contract.label.positive, contract.event_time.column) == ("yes", "snapshot_date")
    assert list(contract.columns) == ["plan", "months", "articles_read", "price"]
    assert "#" in draft.read_text()


def test_the_draft_trains_as_it_is(project: Project, first: Ran) -> None:
    assert "churn_readers version 1 is @Challenger (new)" in first.succeeded().out
    assert project.tables("readers")["bronze_customers"].rows == READERS
    assert float(first.metrics["ROC AUC"][0]) > 0.65


def test_features_of_its_own_make_another_model(project: Project, with_features: Ran) -> None:
    assert "churn_readers version 2 is @Challenger (new)" in with_features.succeeded().out
    features = project.store("readers").read(project.tables("readers")["churn_features"])
    assert "articles_per_euro" in features.column_names


def test_the_registered_model_predicts_what_the_run_measured(
    project: Project, package: PackagedScorer, holdout: pd.DataFrame
) -> None:
    predicted = package.score(holdout[["plan", "months", "articles_read", "price"]])["probability"]
    version = project.registry.by_alias("churn_readers", CHALLENGER)
    assert version is not None
    assert version.run_id is not None
    measured = project.mlflow.get_run(version.run_id).data.metrics
    assert log_loss(holdout[LABEL], predicted) == pytest.approx(measured["log_loss"], rel=1e-12)
    assert roc_auc_score(holdout[LABEL], predicted) == pytest.approx(measured["roc_auc"], rel=1e-12)


def test_it_gives_the_customers_of_the_report_the_same_probability_and_reasons(
    project: Project, package: PackagedScorer, holdout: pd.DataFrame
) -> None:
    explanations = sorted(
        (project.state / "artifacts" / "evaluate" / "explanation").glob("*/*/data.json"),
        key=lambda path: path.stat().st_mtime,
    )
    examples = json.loads(explanations[-1].read_text())["examples"]
    assert len(examples) == 8
    rows = holdout.set_index("reader_no").loc[[example["customer"] for example in examples]].reset_index()
    scored = package.score(rows)
    assert scored["probability"].tolist() == [example["probability"] for example in examples]
    assert scored["reasons"].map(list).tolist() == [example["reasons"] for example in examples]


def test_after_training_every_command_acts_on_the_data_set_without_its_table(
    project: Project, first: Ran, draft: Path, table: Path
) -> None:
    """Only what is typed here matters: `use` names the data set, and no command is given the file again."""
    first.succeeded()
    table.rename(table.with_suffix(".away"))
    state = f"--set=profile.state={project.state}"
    chosen = project.run("use", draft, state).succeeded()
    assert "Commands act on the data set readers now." in chosen.out
    deployed = project.run("--pipeline", "deployment", "--version", "1", state, "--set=gate.max_ece=0.2").succeeded()
    assert "churn_readers version 1 is @Champion." in deployed.out
    scored = project.run("--pipeline", "inference", state, "--set=campaign.capacity=0").succeeded()
    assert scored.out.startswith("inference · dataset readers · stack local")
    assert f"{READERS:,} customers scored by churn_readers version 1" in scored.out
    customer = project.store("readers").read(project.tables("readers")["churn_predictions"])["reader_no"][0].as_py()
    explained = project.run("explain", "--customer", customer, state).succeeded()
    assert explained.out.startswith(f"Customer {customer}, by churn_readers version 1 (@Champion)")
    assert "churn_readers" in project.run("models", state).succeeded().out
    assert project.run("audit", state).succeeded().out.startswith("churn_readers: ")
    named = project.run("models", f"--dataset={draft}", state).succeeded().out
    assert named.partition("Next")[0] == project.run("models", state).succeeded().out.partition("Next")[0]
    refused = project.run("rollback", "--reason", "complaints", state)
    assert "churn_readers" in refused.paragraph
    table.with_suffix(".away").rename(table)


def test_the_next_delivery_is_added_to_the_data_set_that_is_in_use(project: Project, draft: Path, table: Path) -> None:
    state = f"--set=profile.state={project.state}"
    project.run("use", draft, state).succeeded()
    rows = pd.read_csv(table, sep=";", dtype=str).head(3)
    rows["Reader No"] = [f"new{number}" for number in range(3)]
    new = project.work / "new_readers.csv"
    rows.to_csv(new, index=False, sep=";")
    before = project.tables("readers")["bronze_customers"].rows
    added = project.run("--pipeline", "features", "--data", new, state).succeeded()
    assert f"3 rows from {new}, added to the {before:,} there: {before + 3:,} in all" in added.out


def test_outcomes_that_are_the_other_way_round_retrain_and_the_gate_lets_the_new_model_live(
    project: Project, draft: Path, table: Path
) -> None:
    rows = pd.read_csv(table, sep=";", dtype=str)
    corrected = project.work / "corrected.csv"
    rows.assign(Cancelled=rows["Cancelled"].map({"yes": "no", "no": "yes"})).to_csv(corrected, index=False, sep=";")
    rules = {"mode": "start", "bad_windows": 1, "of_windows": 1, "cool_down_days": 0, "min_new_outcomes": 0}
    quick = ("gate.resamples=300", "gate.repeats=1", "gate.max_ece=0.2", "tuning.mode=off")
    settings = [*quick, *(f"monitoring.retraining.{name}={value}" for name, value in rules.items())]
    project.run(*project.arguments("features", dataset=draft, data=corrected)).succeeded()
    ran = project.run(*project.arguments("monitoring", *settings, dataset=draft), "--json")
    assert "monitoring.retraining.mode is start: retraining follows." in ran.err
    answer = json.loads(ran.out.splitlines()[-1])
    assert (answer["pipeline"], answer["verdict"], answer["exit"], ran.code) == ("retraining", "promoted", 0, 0)
    assert answer["gains"]["roc_auc"]["lower"] > 0
    version = project.registry.by_alias("churn_readers", CHAMPION)
    assert version is not None
    assert version.version == answer["live"] == answer["version"] > 1
    tables = project.tables("readers")
    (row,) = project.store("readers").read(tables["retrainings"]).to_pylist()
    assert (row["state"], row["before"], row["version"]) == ("promoted", 1, answer["version"])
    told = [json.loads(line) for line in (project.state / "alerts" / "readers.jsonl").read_text().splitlines()]
    assert [(notice["event"], notice["kind"]) for notice in told] == [
        ("opened", "concept_drift"),
        ("opened", "retraining"),
        ("resolved", "retraining"),
    ]
    assert "<h1>Retraining: live</h1>" in Path(answer["report"]).read_text(encoding="utf-8")

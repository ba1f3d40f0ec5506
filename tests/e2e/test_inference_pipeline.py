"""The inference pipeline as a user types it: no champion, a batch, the same batch, an old time, two at once, a kill."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from adapters.mlflow.manifest import package_digest, runtime_name, write_manifest
from churn.ports.registry import MODEL_DIGEST
from tests.e2e.project import DEPLOYABLE, Project, Ran

pytestmark = pytest.mark.timeout(300)

MODEL, DATASET = "churn_telco_simulated", "telco_simulated"
QUICK = (*DEPLOYABLE, "inference.reasons=treated")


@pytest.fixture(scope="module")
def project(new_user: Callable[..., Project]) -> Project:
    return new_user("scoring")


def arguments(project: Project, *options: str, **settings: Any) -> list[str]:
    return [*project.arguments("inference", *QUICK, **settings), *options]


@pytest.fixture(scope="module")
def refused(project: Project) -> Ran:
    project.train(*QUICK).succeeded()
    return project.run(*arguments(project))


@pytest.fixture(scope="module")
def first(project: Project, refused: Ran) -> Ran:
    project.run(*project.arguments("deployment", *QUICK)).succeeded()
    return project.run(*arguments(project)).succeeded()


def batches(project: Project) -> list[dict[str, Any]]:
    ref = project.tables(DATASET)["churn_batches"]
    rows = project.store(DATASET).read(ref).to_pylist()
    return sorted(rows, key=lambda row: row["as_of"])


def test_without_a_champion_the_user_is_told_how_to_get_one(refused: Ran) -> None:
    assert f"{MODEL} has no @Champion to score with" in refused.paragraph
    assert "--pipeline deployment" in refused.paragraph


def test_every_current_customer_has_a_row_and_the_screen_says_what_it_is_worth(project: Project, first: Ran) -> None:
    tables = project.tables(DATASET)
    rows = project.store(DATASET).read(tables["churn_predictions"]).to_pylist()
    features = project.store(DATASET).read(tables["churn_features"], ["customer_id", "transaction_ts"]).to_pylist()
    newest: dict[str, dt.datetime] = {}
    for row in features:
        newest[row["customer_id"]] = max(row["transaction_ts"], newest.get(row["customer_id"], row["transaction_ts"]))
    current = max(newest.values()) - dt.timedelta(days=15)
    expected = {(name, time) for name, time in newest.items() if time >= current}
    assert {(row["customer_id"], row["transaction_ts"]) for row in rows} == expected
    assert len(rows) == len(expected)
    assert {(row["model_name"], row["model_version"], row["model_alias"]) for row in rows} == {(MODEL, 1, "Champion")}
    for row in rows:
        assert 0 <= row["probability"] <= 1
        assert row["decision"] == ("treat" if row["expected_value"] > 0 else "leave")
        assert row["decision"] == "treat" or row["reason_1"] is None
    treated = sum(row["decision"] == "treat" for row in rows)
    assert f"{len(rows):,} customers scored by {MODEL} version 1" in first.out
    assert f"who have left were not scored: {treated:,} are worth treating" in first.out
    assert first.report.is_file()
    assert project.damaged_tables(DATASET) == []


def test_the_run_is_recorded_in_mlflow_with_the_batch(project: Project, first: Ran) -> None:
    (batch,) = batches(project)[-1:]
    experiment = project.mlflow.get_experiment_by_name(MODEL)
    assert experiment is not None
    runs = project.mlflow.search_runs([experiment.experiment_id], f"params.batch_id = '{batch['batch_id']}'")
    assert runs[-1].data.metrics["scored"] == batch["scored"]
    assert runs[-1].data.metrics["value_at_stake"] == pytest.approx(batch["value_at_stake"])
    assert {file.path for file in project.mlflow.list_artifacts(runs[-1].info.run_id)} >= {
        "report.html",
        "campaign.html",
        "batch.json",
    }
    assert "customers scored" in runs[-1].data.tags["mlflow.note.content"]


def test_the_endpoint_says_of_every_customer_what_the_batch_said(project: Project, first: Ran) -> None:
    state = f"--set=profile.state={project.state}"
    project.run("features", "publish", state).succeeded()
    store, ref = project.store(DATASET), project.tables(DATASET)["churn_predictions"]
    where = {"batch_id": batches(project)[-1]["batch_id"]}
    batch = {row["customer_id"]: row for row in store.scan(ref, where=where).read_all().to_pylist()}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serving = project.start("serve", "--no-auth", "--port", str(port), state)
    try:
        answered = _asked(port, [*batch], 25)  # customer by customer
        as_a_table = _asked(port, [*batch][:200], 200)
    finally:
        serving.process.kill()
        serving.finished()
    assert len(answered) == len(batch) > 200
    assert as_a_table == answered[:200]
    for answer in answered:
        row = batch[answer["customer"]]
        assert answer["probability"] == pytest.approx(row["probability"], abs=1e-6)
        assert answer["expected_value"] == pytest.approx(row["expected_value"], abs=1e-4)
        assert answer["decision"] == row["decision"]
        reasons = [row[name] for name in ("reason_1", "reason_2", "reason_3") if row[name] is not None]
        assert answer.get("reasons", []) == reasons or row["decision"] == "leave"  # this batch explains the treated
    assert {row["decision"] for row in batch.values()} == {"treat", "leave"}


def _asked(port: int, customers: list[str], at_a_time: int) -> list[dict[str, Any]]:
    """Return what the endpoint says of customers, once it listens."""
    answered: list[dict[str, Any]] = []
    for start in range(0, len(customers), at_a_time):
        rows = [{"customer_id": customer} for customer in customers[start : start + at_a_time]]
        body = json.dumps({"instances": rows, "params": {"reasons": True}})
        for _ in range(300):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
                answered += json.load(connection.getresponse())["predictions"]
                break
            except ConnectionError:
                time.sleep(0.1)
            finally:
                connection.close()
    return answered


def test_the_same_batch_twice_at_once_and_again_stays_one(project: Project, first: Ran) -> None:
    before = project.tables(DATASET)["churn_predictions"]
    running = [project.start(*arguments(project)) for _ in range(2)]
    ended = [command.finished() for command in running]
    for ran in ended:
        assert ran.code == 0, ran.out + ran.err
        assert "unchanged: the batch was scored before" in ran.out
    waits = "Another `inference` works on telco_simulated: this one waits until it has ended.\n"
    assert "".join(ran.err for ran in ended) in {"", waits}, "one at most has to wait"
    assert project.tables(DATASET)["churn_predictions"] == before


def test_a_killed_run_leaves_no_half_batch_and_an_old_time_is_what_would_have_been_scored(
    project: Project, first: Ran
) -> None:
    newest = batches(project)[-1]["as_of"]
    old = f"{newest - dt.timedelta(days=130):%Y-%m-%d}"
    before = project.tables(DATASET)["churn_predictions"]
    command = project.start(*arguments(project, "--as-of", old))
    command.killed_when(lambda: any((project.state / "scoring" / DATASET).glob("*/parts.json")))
    ref = project.tables(DATASET)["churn_predictions"]
    assert ref == before or project.damaged_tables(DATASET) == []
    project.run(*arguments(project, "--as-of", old)).succeeded()
    then, now = batches(project)
    assert then["as_of"] <= dt.datetime.fromisoformat(f"{old}T00:00+00:00") < now["as_of"]
    store, ref = project.store(DATASET), project.tables(DATASET)["churn_predictions"]
    rows = store.scan(ref, where={"batch_id": then["batch_id"]}).read_all()
    assert max(rows["transaction_ts"].to_pylist()) <= then["as_of"]
    assert (rows.num_rows, ref.rows) == (then["scored"], then["scored"] + now["scored"])
    assert project.damaged_tables(DATASET) == []


def test_an_erased_customer_is_nowhere_in_the_state_folder(project: Project, first: Ran) -> None:
    state = f"--set=profile.state={project.state}"
    store, tables = project.store(DATASET), project.tables(DATASET)
    contacted, learned_from = (
        store.read(tables[table], ["customer_id"])["customer_id"].to_pylist()
        for table in ("churn_contacts", "churn_training")
    )
    customer = next(name for name in contacted if name in set(learned_from))
    project.run("explain", "--customer", customer, state).succeeded()
    forgotten = project.run("data", "forget", "--customer", customer, "--reason", "asked by mail", state).succeeded()
    assert "churn_predictions: " in forgotten.out
    assert f"{MODEL} version 1: a model holds no row" in forgotten.out
    files = [path for path in project.state.rglob("*") if path.is_file()]
    assert [path for path in files if customer in path.name or customer.encode() in path.read_bytes()] == []
    for path in (path for path in files if path.suffix == ".parquet"):
        columns = pyarrow.parquet.read_table(path).to_pydict().values()
        assert not any(customer in str(value) for values in columns for value in values)
    assert project.damaged_tables(DATASET) == []
    assert "The chain of the ledger holds" in project.run("audit", state).succeeded().out
    again = project.run("data", "forget", "--customer", customer, "--reason", "asked by mail", state)
    assert (again.code, f"holds a customer '{customer}'" in again.paragraph) == (2, True)


def test_monitoring_measures_what_was_scored_and_says_whether_to_act(project: Project, first: Ran) -> None:
    ran = project.run(*project.arguments("monitoring", *QUICK), "--json")
    answer = json.loads(ran.out.splitlines()[-1])
    assert answer["exit"] == ran.code == (3 if answer["verdict"] == "act" else 0)
    assert (answer["pipeline"], answer["version"]) == ("monitoring", 1)
    assert answer["campaign_effect"] in {"earned", "lost", "kept", "unclear"}, "the batch of an old time has outcomes"
    title = {"act": "someone should act", "nothing_to_do": "nothing to do"}[answer["verdict"]]
    assert f"<h1>Monitoring: {title}</h1>" in Path(answer["report"]).read_text(encoding="utf-8")
    tables = project.tables(DATASET)
    rows = project.store(DATASET).read(tables["profile_metrics"]).to_pylist()
    assert {row["clock"] for row in rows} == {"event", "scoring"}
    scored = sum(
        row["number"]
        for row in rows
        if (row["metric"], row["clock"], row["length"], row["slice"]) == ("rows", "scoring", "month", "")
    )
    assert 0 < scored <= tables["churn_predictions"].rows
    assert tables["drift_metrics"].rows > 0


def test_a_champion_that_was_moved_by_hand_scores_nothing(project: Project, first: Ran) -> None:
    project.registry.delete_alias(MODEL, "Champion")
    try:
        assert "moved without a decision" in project.run(*arguments(project)).paragraph
    finally:
        project.registry.set_alias(MODEL, "Champion", 1)


def test_another_package_under_the_number_of_the_champion_is_run_by_nobody(
    project: Project, first: Ran, tmp_path: Path
) -> None:
    """Who can write only the registry deletes the model, and registers a package of their own as version 1."""
    registry, proof = project.registry, tmp_path / "ran"
    (version,) = registry.versions(MODEL)
    package = Path(shutil.copytree(registry.download(MODEL, 1, tmp_path / "fetched"), tmp_path / "package"))
    (runtime,) = (package / "code").glob("churn_runtime_*")
    with (runtime / "money.py").open("a") as source:
        source.write(f"\nopen({str(proof)!r}, 'w').close()\n")
    runtime.rename(package / "code" / runtime_name(list(runtime.rglob("*.py"))))
    write_manifest(package)
    project.mlflow.delete_registered_model(MODEL)
    tags = {**version.tags, MODEL_DIGEST: package_digest(package)}
    registry.register(MODEL, package, description=version.description, tags=tags, run_id=version.run_id)
    registry.set_alias(MODEL, "Champion", 1)
    told = "Version 1 of churn_telco_simulated in the registry is another model than the ledger knows"
    refused = [
        arguments(project),
        ["explain", "--customer", "0000-HCAIT", f"--set=profile.state={project.state}"],
        project.arguments("deployment"),
        ["rollback", "--reason", "Bad.", f"--set=profile.state={project.state}"],
    ]
    for command in refused:
        assert told in project.run(*command).paragraph
    assert "lapsed" in project.run("models", f"--set=profile.state={project.state}").succeeded().out
    assert not proof.exists()
    audited = project.run("audit", f"--set=profile.state={project.state}")
    assert (audited.code, "Nothing acts on this registry" in audited.out) == (2, True)
    assert not proof.exists()

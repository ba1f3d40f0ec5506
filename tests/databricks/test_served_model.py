"""A version that looks features up itself answers as a batch scores, loaded by MLflow alone with the code beside it."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import yaml

from adapters.databricks.served_model import SERVED_AS, Dataset, ServedAs, ServedModel, environment_of, wrap
from adapters.local.online_postgresql import PostgresOnlineStore
from adapters.mlflow.manifest import check_package, package_digest, package_in
from adapters.mlflow.package import build_package
from churn.core.errors import ConfigError, DataError, ModelError
from churn.data.tables import EVENT_TIME
from churn.ports.online import OnlineRow
from churn.ports.registry import MODEL_DIGEST, ModelVersion
from churn.scoring.rows import score_batch
from churn.settings import read_configuration
from tests.fakes.data.case import CONFIGS
from tests.fakes.data.endpoint import LoadedScorer
from tests.fakes.data.scorers import customers, small_scorer

DATASET = Dataset(name="gym", key="customer_id", columns=("contract", "tenure", "monthly_charges", "total_charges"))
NOW = dt.datetime.now(dt.UTC)
ASK = """
import json, sys, mlflow
from mlflow.pyfunc import scoring_server
model = mlflow.pyfunc.load_model(sys.argv[1])
import adapters.databricks.served_model as served
inputs = model.metadata.get_input_schema()
assert served.__file__.startswith(sys.argv[1]), served.__file__
for body in json.loads(sys.stdin.read()):
    try:
        answer = scoring_server.invocations(json.dumps(body), "application/json", model, inputs)
        print(json.dumps([answer.status, json.loads(answer.response)]))
    except mlflow.MlflowException as error:  # as the server's own handler answers
        print(json.dumps([error.get_http_status_code(), json.loads(error.serialize_as_json())]))
"""


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    package = build_package(
        small_scorer(boosted=True), folder / "package", example=customers(), metadata={"data_version": 3}
    )
    return wrap(package, folder / "wrapped", DATASET)


def publish(address: str, table: pd.DataFrame) -> None:
    rows = len(table)
    times = pa.array([NOW] * rows, pa.timestamp("us", tz="UTC"))
    columns = {name: pa.array(table[name], pa.float64()) for name in ("tenure", "monthly_charges", "total_charges")}
    arrays = [pa.array(table["customer_id"]), times, times, pa.array(table["contract"]), *columns.values()]
    batch = pa.RecordBatch.from_arrays(arrays, names=["customer", "event_time", "arrived_at", "contract", *columns])
    store = PostgresOnlineStore(address, "gym", lambda: "first")
    kinds: Any = {"contract": "categorical", **dict.fromkeys(columns, "numeric")}
    with store.publishing(kinds, full=True) as writer:
        writer.write(batch, 4)
    store.close()


def asked(folder: Path, address: str, *bodies: dict[str, Any]) -> list[Any]:
    """Return status and answer of each request, as MLflow's scoring server gives them in a process of its own."""
    digest = package_digest(package_in(folder))
    served = ServedAs(
        name="churn_gym", version=7, alias="champion", digest=digest, stale_after_days=40, postgresql=address
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "CHURN_ONLINE_PASSWORD": "first"}
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(folder)],
        input=json.dumps(bodies),
        env={**environment, SERVED_AS: served.model_dump_json()},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_served_version_says_of_each_customer_what_a_batch_says(postgresql_server: str, wrapped: Path) -> None:
    table, scorer = customers(), small_scorer(boosted=True)
    publish(postgresql_server, table)
    keys = [*table["customer_id"], "nobody"]
    whole = json.loads(table.to_json(orient="records"))
    (by_key, by_columns, refused) = asked(
        wrapped,
        postgresql_server,
        {"dataframe_records": [{"customer_id": key, "churn_reasons": True} for key in keys]},
        {"dataframe_records": whole},
        {"dataframe_records": [{"customer_id": ["a"]}]},
    )
    batch = pa.RecordBatch.from_pandas(table.assign(**{EVENT_TIME: NOW}), preserve_index=False)
    scored = score_batch(scorer, batch, entity="customer_id").rows.to_pylist()
    said = by_key[1]["predictions"]
    assert [row["status"] for row in said] == ["ok", "ok", "ok", "unknown"]
    for online, offline in zip(said[:3], scored, strict=True):
        for name in ("probability", "decision", "expected_value", "customer_value"):
            assert online[name] == offline[name], name
        assert online["reasons"] == [offline[f"reason_{n}"] for n in (1, 2, 3) if offline[f"reason_{n}"] is not None]
    assert {row["model_version"] for row in said} == {7}
    assert [row["features_version"] for row in said] == [4, 4, 4, None]
    assert said[3]["probability"] is None
    assert [row["probability"] for row in by_columns[1]["predictions"]] == [row["probability"] for row in scored]
    assert refused[0] == 400
    assert "The customer's key 'customer_id' is a list" in json.dumps(refused[1])


def test_the_package_in_it_is_the_one_of_a_laptop(wrapped: Path) -> None:
    package = package_in(wrapped)
    check_package(package)
    assert package_digest(package) == package_digest(wrapped.parent / "package")
    assert package_in(package) == package


def test_signature_and_resources_stand_in_the_registered_model(tmp_path: Path) -> None:
    from mlflow.models.resources import DatabricksLakebase

    package = build_package(small_scorer(), tmp_path / "package", example=customers(), metadata={})
    folder = wrap(package, tmp_path / "wrapped", DATASET, resources=[DatabricksLakebase("churn-online")])
    described = yaml.safe_load((folder / "MLmodel").read_text())
    assert described["resources"] == {"api_version": "1", "databricks": {"lakebase": [{"name": "churn-online"}]}}
    inputs = json.loads(described["signature"]["inputs"])
    assert [column["name"] for column in inputs] == [
        *("customer_id", "contract", "tenure", "monthly_charges", "total_charges", "churn_reasons", "churn_what_if"),
    ]
    assert not any(column["required"] for column in inputs)
    assert "probability" in described["signature"]["outputs"]
    assert not [path for path in folder.rglob("*") if path.suffix == ".pkl"]


def served(values: dict[str, Any] | None) -> ServedModel:
    rows = [OnlineRow("a", values, NOW, NOW, 4)] if values else []
    as_what = ServedAs(name="churn_gym", version=7, alias="champion", digest="", stale_after_days=1)
    scorer: Any = LoadedScorer(*(getattr(small_scorer(), name) for name in ("model", "settings")))
    return ServedModel(scorer, DATASET, as_what, lambda customers: rows, clock=lambda: NOW)


STORED = {"contract": "Two year", "tenure": 60.0, "monthly_charges": 30.0, "total_charges": 1800.0}


def test_a_null_beside_the_key_is_not_given_and_what_is_given_takes_the_place_of_what_is_stored() -> None:
    (nulls, other, stored) = served(STORED).predict(
        pd.DataFrame([{"customer_id": "a", "tenure": None}, {"customer_id": "a", "tenure": 1}, {"customer_id": "a"}])
    )
    assert nulls["probability"] == stored["probability"] != other["probability"]


def test_a_row_that_gives_all_that_may_not_be_missing_is_scored_as_it_is() -> None:
    row = {"customer_id": "a", **STORED, "total_charges": None}
    (said,) = served({**STORED, "tenure": 1.0}).predict(pd.DataFrame([row]))
    assert (said["features_at"], said["status"]) == (None, "ok")
    alone = {name: value for name, value in row.items() if name != "customer_id"}
    assert served(None).predict(pd.DataFrame([alone]))[0]["probability"] == said["probability"]


def test_a_row_with_neither_key_nor_columns_is_refused() -> None:
    with pytest.raises(DataError, match=r"neither the customer's key 'customer_id'.*'contract'"):
        served(None).predict(pd.DataFrame([{"tenure": 3}]))


def test_without_the_environment_of_an_endpoint_it_says_how_versions_are_served(
    wrapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SERVED_AS, raising=False)
    with pytest.raises(ModelError, match="CHURN_SERVED is not set: serve versions by"):
        ServedModel.load(package_in(wrapped), wrapped / "artifacts/dataset.json")


def test_another_package_than_the_one_on_record_is_not_loaded(wrapped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ServedAs(name="churn_gym", version=7, alias="champion", digest="0" * 64, stale_after_days=1)
    monkeypatch.setenv(SERVED_AS, other.model_dump_json())
    with pytest.raises(ModelError, match=r"the registered one is 000000000000"):
        ServedModel.load(package_in(wrapped), wrapped / "artifacts/dataset.json")


VERSION = ModelVersion(name="main.gym.churn_gym", version=7, run_id=None, description="", tags={MODEL_DIGEST: "0a1b"})
LAKEBASE = "projects/churn/branches/production/endpoints/primary"


def environment(store: str, address: str) -> dict[str, str]:
    overrides = [f"profile.online.store={store}", f"profile.online.address={address}"]
    profile = read_configuration(CONFIGS, "databricks", overrides=overrides).profile
    return environment_of(profile, VERSION, "Challenger", 40, "refuse", logs=False)


def test_a_served_version_finds_the_online_store_of_its_profile() -> None:
    on_lakebase = environment("lakebase", LAKEBASE)
    assert [*on_lakebase] == [SERVED_AS]
    said = ServedAs.model_validate_json(on_lakebase[SERVED_AS])
    assert (said.version, said.alias, said.digest, said.lakebase) == (7, "Challenger", "0a1b", LAKEBASE)
    on_postgresql = environment("postgresql", "postgresql://churn@db:5432/churn")
    assert on_postgresql["CHURN_ONLINE_PASSWORD"] == "{{secrets/churn/CHURN_ONLINE_PASSWORD}}"
    assert ServedAs.model_validate_json(on_postgresql[SERVED_AS]).postgresql == "postgresql://churn@db:5432/churn"


def test_an_online_store_that_is_a_file_is_refused_for_model_serving() -> None:
    profile = read_configuration(
        CONFIGS, "databricks", overrides=["profile.online.store=sqlite", "serving.deploy=never"]
    ).profile
    with pytest.raises(ConfigError, match=r"a file: .* Model Serving cannot reach it\. Set profile\.online\.store to"):
        environment_of(profile, VERSION, "Challenger", 40, "refuse", logs=False)

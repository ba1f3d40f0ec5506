"""What the Databricks profile makes of a release, a rollout, a rollback and a log, through the ports of a pipeline."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest

from churn.approval.promote import rollback
from churn.approval.rollout import abort, advance
from churn.core.errors import StoreError
from churn.data.tables import TABLES
from churn.lifecycle.release import follow_ledger
from churn.lifecycle.rollouts import start_rollout
from tests.databricks.on_spark.connected import CUSTOMERS, ENDPOINT, MODEL, Connected
from tests.databricks.sail import activated
from tests.databricks.workspace import Workspace, as_json
from tests.fakes.data.answered import answered
from tests.fakes.data.batches import CONTRACT
from tests.fakes.ports.prediction_log import InMemoryPredictionLog
from tests.fakes.ports.tables import MemoryFeatureStore

pytestmark = pytest.mark.timeout(300)
API = "/api/2.0/serving-endpoints"
CREATE, CONFIG = f"POST {API}", f"PUT {API}/{ENDPOINT}/config"
RELEASED = ["gate_passed", "approved", "promotion_begun", "promoted", "deployed"]


@pytest.fixture(scope="module")
def case(postgresql_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connected]:
    """Three versions; the first was released by the profile from an empty workspace, the second after it."""
    folder = tmp_path_factory.mktemp("connected")
    with (
        Workspace(folder / "workspace") as running,
        activated(folder / "tables") as spark,
        pytest.MonkeyPatch.context() as patch,
    ):
        spark.sql("CREATE SCHEMA main.toy").toArrow()
        own = {"CHURN_ONLINE_PASSWORD": "first", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
        for name, value in {**running.environment(), **own}.items():
            patch.setenv(name, value)
        made = Connected(running, spark, postgresql_server)
        for _ in range(3):
            made.register()
        for version in (1, 2):
            made.released[version] = made.release(version)
        yield made


@pytest.fixture(autouse=True)
def second_is_live(case: Connected) -> Iterator[None]:
    """Let each test find version 2 live, and leave it so."""
    yield
    case.broken.clear()
    context = case.ports.approval(case.settings.approval)
    if context.read().live != 2:
        rollback(context, to=2, who="ada", why="The test is over.")
    follow_ledger(case.ports, case.settings)


def test_a_release_publishes_compares_serves_and_records(case: Connected) -> None:
    first = case.released[1]
    assert (first.state, first.online, first.compared) == ("verified", CUSTOMERS, CUSTOMERS), first.sentence
    assert first.scored > 0
    assert first.address == f"{case.platform.url}/serving-endpoints/{ENDPOINT}/invocations"
    assert case.kinds[:5] == RELEASED
    (created,) = case.platform.calls(CREATE)
    (entity,) = as_json(created)["config"]["served_entities"]
    assert (entity["name"], entity["entity_name"], entity["entity_version"]) == ("champion", "main.toy.churn_toy", "1")
    served = json.loads(entity["environment_vars"]["CHURN_SERVED"])
    assert (served["name"], served["version"], served["alias"]) == (MODEL, 1, "Champion")
    assert "first" not in json.dumps(entity), "a password stands in no request"
    tags = {tag["key"]: tag["value"] for tag in case.platform.serving.endpoints[ENDPOINT]["tags"]}
    assert (tags["managed_by"], tags["churn_dataset"], tags["churn_log"]) == ("churn", "toy", "telemetry")


def test_the_next_version_changes_the_same_endpoint_in_place(case: Connected) -> None:
    assert case.released[2].state == "verified", case.released[2].sentence
    assert case.kinds[5:10] == RELEASED
    assert len(case.platform.calls(CREATE)) == 1
    assert case.traffic == {"champion": (2, 100)}
    assert list(case.platform.serving.endpoints) == [ENDPOINT]


def test_an_update_that_fails_leaves_the_former_version_serving_and_says_why(case: Connected) -> None:
    case.broken.add(3)
    case.platform.serving.build_logs["champion"] = "ERROR: No matching distribution found for xgboost==9"
    failed = case.release(3)
    assert (failed.state, failed.failed_at, failed.deployment.champion) == ("failed", "update of the endpoint", 2)
    for part in ("The files of version 3 are gone.", "No matching distribution", "version 2 goes on answering"):
        assert part in failed.sentence
    assert case.traffic == {"champion": (2, 100)}
    assert case.ports.registry.by_alias(MODEL, "Champion").version == 2  # type: ignore[union-attr]
    assert case.kinds[-2:] == ["rollback_begun", "rolled_back"]
    assert [version for version, _ in case.ask()] == [2]


def test_a_rollout_moves_traffic_by_updates_of_one_endpoint(case: Connected) -> None:
    case.judge(3)
    context, updates = case.ports.approval(case.settings.approval), len(case.platform.calls(CONFIG))
    start_rollout(case.ports, case.settings, 3, share=None, shadow=True, who="ada", why="In shadow first.")
    assert case.traffic == {"champion": (2, 100), "challenger": (3, 0)}
    advance(context, case.settings.rollout, share=0.25, who="ada", why="No alarm.")
    follow_ledger(case.ports, case.settings)
    assert case.traffic == {"champion": (2, 75), "challenger": (3, 25)}
    assert [version for _ in range(100) for version, _ in case.ask()].count(3) == 25
    case.broken.add(2)  # the version that a change leaves as it is cannot be built again either
    abort(context, who="ada", why="Complaints.")
    with pytest.raises(StoreError, match=r"decision is on record.*files of version 2 are gone.*run\.py serve"):
        follow_ledger(case.ports, case.settings)
    assert case.traffic == {"champion": (2, 75), "challenger": (3, 25)}, "what answered goes on answering"
    case.broken.clear()
    follow_ledger(case.ports, case.settings)
    assert case.traffic == {"champion": (2, 100)}
    assert len(case.platform.calls(CREATE)) == 1
    assert len(case.platform.calls(CONFIG)) == updates + 4


def test_a_rollback_lets_the_former_version_answer(case: Connected) -> None:
    change = rollback(case.ports.approval(case.settings.approval), who="ada", why="Complaints since 22:00.")
    follow_ledger(case.ports, case.settings)
    assert change.version == 1
    assert case.traffic == {"champion": (1, 100)}
    assert [version for version, _ in case.ask()] == [1]


def log_of(case: Connected) -> Any:
    """Return the prediction log as whoever comes next has it."""
    return case.ports.made("prediction_log")


def logged(case: Connected) -> list[dict[str, Any]]:
    ref = case.ports.tables.latest(TABLES["predictions"].name)
    return list(case.ports.tables.read(ref).to_pylist())


def columns_of_a_laptop() -> set[str]:
    tables = MemoryFeatureStore("toy")
    log = InMemoryPredictionLog(tables, CONTRACT.table("predictions"), CONTRACT.entity_key)
    log.writer(max_bytes=1_000_000, when_full="refuse", synced=False).append([answered()])
    log.move()
    return set(tables.read(tables.latest(TABLES["predictions"].name)).column_names)


GATEWAY = """
    request_date DATE, databricks_request_id STRING, client_request_id STRING, request_time TIMESTAMP, status_code INT,
    sampling_fraction DOUBLE, execution_duration_ms BIGINT, request STRING, response STRING, served_entity_id STRING,
    logging_error_codes ARRAY<STRING>, requester STRING
"""
"""The columns of an inference table, as Databricks documents them."""


@pytest.mark.parametrize("kind", ["telemetry", "ai_gateway", "own"])
def test_requests_end_in_the_table_of_predictions_whoever_logs_them(case: Connected, kind: str) -> None:
    case.change(f"profile.databricks.serving.log={kind}")
    follow_ledger(case.ports, case.settings)
    before = len(logged(case)) if kind != "telemetry" else 0
    assert (log_of(case).move(), log_of(case).counts().waiting) == (0, 0), "before the platform has made its table"
    ((_, said),) = case.ask("c001")
    if kind != "own":
        case.platform_logs(GATEWAY, {"customer_id": "c001"}, said)
    assert log_of(case).counts().waiting == 1
    assert [log_of(case).move(), log_of(case).move()] == [1, 0]
    rows = logged(case)
    assert len(rows) == before + 1
    newest = max(rows, key=lambda row: row["scored_at"])
    assert {name: newest[name] for name in ("customer_id", "source", "role", "status", "model_version")} == {
        "customer_id": "c001",
        "source": "endpoint",
        "role": "answered",
        "status": "ok",
        "model_version": 2,
    }
    assert newest["probability"] == said["probability"]
    assert abs(newest["scored_at"] - dt.datetime.now(dt.UTC)) < dt.timedelta(hours=1)
    case.platform_forgets()
    assert set(newest) == columns_of_a_laptop(), "the columns of a laptop's log"

"""The platform's own monitor is made once on our predictions, changed, refreshed; another's is left alone."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from databricks.sdk.service.dataquality import DataProfilingConfig, Monitor

from adapters.databricks.monitor import PlatformMonitor
from churn.core.errors import NotFound, StoreError
from churn.data.tables import TABLES
from churn.profile import DatabricksSettings

from .workspace import Workspace, as_json

CREATE = "POST /api/data-quality/v1/monitors"
TABLE = "main.gym.churn_predictions"


@pytest.fixture
def scored(workspace: Workspace) -> Workspace:
    """A workspace with a table of predictions."""
    workspace.catalog.add_schema("main.gym")
    workspace.catalog.tables[TABLE] = {"name": "churn_predictions", "full_name": TABLE, "table_id": str(uuid.uuid4())}
    return workspace


def monitor(workspace: Workspace, **changed: Any) -> PlatformMonitor:
    settings = DatabricksSettings.model_validate({"monitor": {"notify": ["ada@example.com"], **changed}})
    return PlatformMonitor(workspace.client(), settings, "gym", "main.gym")


def id_of(workspace: Workspace) -> str:
    return str(workspace.catalog.tables[TABLE]["table_id"])


def test_the_monitor_has_baseline_slices_metrics_and_schedule_by_uuids(scored: Workspace) -> None:
    assert monitor(scored, slices=["source", "role = 'answered'"]).place() == "created"
    (call,) = scored.calls(CREATE)
    asked = as_json(call)
    assert (asked["object_type"], asked["object_id"]) == ("table", id_of(scored))
    config = asked["data_profiling_config"]
    assert config["output_schema_id"] == scored.catalog.schemas["main.gym"]["schema_id"]
    assert config["baseline_table_name"] == "main.gym.churn_baseline"
    assert config["slicing_exprs"] == ["source", "role = 'answered'"]
    assert config["schedule"]["quartz_cron_expression"] == "0 0 6 * * ?"
    assert [metric["name"] for metric in config["custom_metrics"]] == [
        *("mean_probability", "positive_value_share", "expected_profit")
    ]
    columns = {column.name for column in TABLES["predictions"].columns}
    log = config["inference_log"]
    assert {log[name] for name in ("timestamp_column", "prediction_column", "model_id_column")} <= columns
    assert config["notification_settings"] == {"on_failure": {"email_addresses": ["ada@example.com"]}}


def test_it_is_made_once_and_changed_where_the_settings_are_others(scored: Workspace) -> None:
    assert [monitor(scored).place() for _ in range(2)] == ["created", "unchanged"]
    assert monitor(scored, schedule="0 7 * * 1").place() == "updated"
    assert monitor(scored, schedule="0 7 * * 1").place() == "unchanged"
    assert len(scored.calls(CREATE)) == 1


@pytest.mark.parametrize("fault", ["lose", "drop"])
def test_an_answer_that_is_lost_makes_one_monitor(scored: Workspace, fault: str) -> None:
    getattr(scored.faults, fault)(CREATE)
    assert monitor(scored).place() == "created"
    assert len(scored.monitors.monitors) == 1


def test_a_monitor_that_is_there_already_is_left_alone(scored: Workspace) -> None:
    schema = scored.catalog.schemas["main.gym"]["schema_id"]
    config = DataProfilingConfig(output_schema_id=schema)
    theirs = Monitor(object_type="table", object_id=id_of(scored), data_profiling_config=config)
    scored.client().data_quality.create_monitor(theirs)
    for act in (monitor(scored).place, monitor(scored).refresh):
        with pytest.raises(StoreError, match=r"has a monitor that this project did not make: .*churn_monitor = churn"):
            act()
    assert len(scored.calls("PATCH /api/data-quality/v1/monitors")) == 0


def test_without_predictions_it_says_what_to_run_first(workspace: Workspace) -> None:
    workspace.catalog.add_schema("main.gym")
    with pytest.raises(NotFound, match=r"no table main\.gym\.churn_predictions yet: score customers"):
        monitor(workspace).place()


def test_a_refresh_is_begun_once_while_it_runs(scored: Workspace) -> None:
    with pytest.raises(NotFound, match=r"no monitor of main\.gym\.churn_predictions: make it by"):
        monitor(scored).refresh()
    monitor(scored).place()
    first, second = (monitor(scored).refresh() for _ in range(2))
    assert (first.was_running, second.was_running, second.refresh_id) == (False, True, first.refresh_id)
    scored.monitors.refreshes[0]["state"] = "MONITOR_REFRESH_STATE_SUCCESS"
    assert monitor(scored).refresh().refresh_id != first.refresh_id


def test_the_alert_asks_our_own_drift_figures(scored: Workspace) -> None:
    assert monitor(scored).place_alert() is None
    assert [monitor(scored, warehouse_id="0a1b").place_alert() for _ in range(2)] == ["created", "unchanged"]
    (alert,) = scored.monitors.alerts.values()
    assert alert["display_name"] == "churn-drift-gym"
    assert "FROM `main`.`gym`.`drift_metrics` WHERE against = 'baseline' AND metric = 'psi'" in alert["query_text"]
    columns = {column.name for column in TABLES["drift_metrics"].columns}
    assert {"number", "against", "metric", "slice", "window_start"} <= columns
    assert alert["evaluation"]["threshold"] == {"value": {"double_value": 0.2}}
    assert alert["evaluation"]["notification"]["subscriptions"] == [{"user_email": "ada@example.com"}]
    assert monitor(scored, warehouse_id="0a1b", psi=0.3).place_alert() == "updated"
    assert len(scored.monitors.alerts) == 1


def test_an_alert_of_that_name_that_somebody_else_made_is_left_alone(scored: Workspace) -> None:
    monitor(scored, warehouse_id="0a1b").place_alert()
    (ours,) = scored.monitors.alerts.values()
    theirs = {**ours, "id": "theirs", "custom_summary": "My own.", "query_text": "SELECT 1"}
    scored.monitors.alerts = {"theirs": theirs}
    assert monitor(scored, warehouse_id="0a1b").place_alert() == "created"
    assert scored.monitors.alerts["theirs"] == theirs
    assert len(scored.monitors.alerts) == 2


def test_an_alert_whose_answer_was_lost_is_not_there_twice(scored: Workspace) -> None:
    scored.faults.lose("POST /api/2.0/alerts")
    assert monitor(scored, warehouse_id="0a1b").place_alert() == "created"
    assert len(scored.monitors.alerts) == 1

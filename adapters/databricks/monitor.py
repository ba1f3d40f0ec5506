"""The platform's own monitor of predictions and its SQL alerts, beside our metric tables, which are the truth.

The platform looks back 30 days; outcomes that become known later are in our tables alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from churn.core.errors import NotFound, StoreError
from churn.data.tables import TABLES
from churn.profile import DatabricksSettings, MonitorSettings

from ..spark.sql import qualified
from .jobs import quartz
from .payloads import differences
from .workspace import explained, mark_of, tags_of

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.dataquality import Monitor, Refresh
    from databricks.sdk.service.sql import AlertV2

__all__ = ["Change", "PlatformMonitor", "Refreshed"]

Change = Literal["created", "updated", "unchanged"]
_TABLE, _TAG = "table", "churn_monitor"
_RUNNING = ("MONITOR_REFRESH_STATE_PENDING", "MONITOR_REFRESH_STATE_RUNNING")
_METRICS = {
    "mean_probability": "avg(probability)",
    "positive_value_share": "avg(CASE WHEN expected_value > 0 THEN 1.0 ELSE 0.0 END)",
    "expected_profit": "sum(CASE WHEN expected_value > 0 THEN expected_value ELSE 0.0 END)",
}
"""Figures of our own in the platform's tables, over columns that the baseline has too."""


class Refreshed(NamedTuple):
    """A refresh of the monitor: its id, its state in the platform's words, and whether it ran already."""

    refresh_id: int | None
    state: str
    was_running: bool


class PlatformMonitor:
    """The monitor of `churn_predictions` of one data set, and the alerts on its drift.

    Args:
        client: The client.
        settings: The workspace, with `monitor`.
        dataset: The data set.
        schema: Its `catalog.schema`.
    """

    def __init__(self, client: WorkspaceClient, settings: DatabricksSettings, dataset: str, schema: str) -> None:
        self._client, self._settings, self._dataset, self._schema = client, settings, dataset, schema
        self._monitor = settings.monitor or MonitorSettings()
        self._alert_name = f"{settings.project}-drift-{dataset}"
        self.table = f"{schema}.{TABLES['predictions'].name}"

    def place(self) -> Change:
        """See to it that the monitor is there as the settings say: looked up, made if it is missing, and looked up.

        Raises:
            StoreError: there is no table of predictions yet, somebody else made a monitor on it, or the workspace
                refuses.
        """
        from databricks.sdk.errors import AlreadyExists, ResourceAlreadyExists, ResourceConflict

        table, monitor = self._id(), self._found()
        wanted = self._wanted(table)
        if monitor is None:
            self._mark()  # before the monitor: one that is made and not marked would be somebody else's
            try:
                with explained(f"make a monitor of {self.table}"):
                    self._client.data_quality.create_monitor(wanted)
            except StoreError as error:
                # The answer to a first request was lost, and the SDK asked again.
                if not isinstance(error.__cause__, AlreadyExists | ResourceAlreadyExists | ResourceConflict):
                    raise
            self._check(self._found())
            return "created"
        self._check(monitor)
        if not differences(monitor.as_dict(), wanted.as_dict()):
            return "unchanged"
        with explained(f"change the monitor of {self.table}"):
            self._client.data_quality.update_monitor(_TABLE, table, wanted, "data_profiling_config")
        return "updated"

    def refresh(self) -> Refreshed:
        """Let the platform compute its figures now; one that runs is not started twice.

        Raises:
            NotFound: there is no monitor.
        """
        from databricks.sdk.service.dataquality import Refresh

        table, monitor = self._id(), self._found()
        if monitor is None:
            raise NotFound(f"There is no monitor of {self.table}: make it by `python run.py stack monitor`.")
        self._check(monitor)
        with explained(f"look at the refreshes of {self.table}"):
            running = [
                refresh
                for refresh in self._client.data_quality.list_refresh(_TABLE, table)
                if _state(refresh) in _RUNNING
            ]
        if running:
            return Refreshed(running[0].refresh_id, _state(running[0]), was_running=True)
        with explained(f"refresh the monitor of {self.table}"):
            made = self._client.data_quality.create_refresh(_TABLE, table, Refresh(object_type=_TABLE, object_id=table))
        return Refreshed(made.refresh_id, _state(made), was_running=False)

    def place_alert(self) -> Change | None:
        """See to it that the SQL alert on our drift figures is there; None where no SQL warehouse is named."""
        if self._monitor.warehouse_id is None:
            return None
        wanted = self._alert(self._monitor.warehouse_id)
        name, alerts = wanted.display_name, self._alerts()
        change: Change = "unchanged"
        if not alerts:
            with explained(f"make the SQL alert {name}"):
                self._client.alerts_v2.create_alert(wanted)
            alerts, change = self._alerts(), "created"
        elif differences(alerts[0].as_dict(), wanted.as_dict()):
            mask, change = "query_text,warehouse_id,evaluation,schedule,custom_summary", "updated"
            with explained(f"change the SQL alert {name}"):
                self._client.alerts_v2.update_alert(str(alerts[0].id), wanted, mask)
        for twin in alerts[1:]:  # an answer that was lost after its effect
            with explained(f"remove the second SQL alert {name}"):
                self._client.alerts_v2.trash_alert(str(twin.id))
        return change

    def _alerts(self) -> list[AlertV2]:
        """Return our alerts of this data set: one that somebody else called so is none of them."""
        mark = mark_of(tags_of(self._settings))
        with explained("list SQL alerts"):
            return [
                alert
                for alert in self._client.alerts_v2.list_alerts()
                if alert.display_name == self._alert_name and mark in (alert.custom_summary or "")
            ]

    def _id(self) -> str:
        """Return the table's UUID, by which the platform names what it monitors."""
        try:
            with explained(f"look at the table {self.table}"):
                described = self._client.tables.get(self.table)
        except NotFound as error:
            raise NotFound(
                f"There is no table {self.table} yet: score customers by `python run.py --pipeline inference` first."
            ) from error
        return str(described.table_id)

    def _found(self) -> Monitor | None:
        try:
            with explained(f"look at the monitor of {self.table}"):
                return self._client.data_quality.get_monitor(_TABLE, self._id())
        except NotFound:
            return None

    def _check(self, monitor: Monitor | None) -> None:
        """Refuse a monitor that the tag on its table does not say is ours: a monitor itself has no tags."""
        if monitor is None:
            raise StoreError(f"The monitor of {self.table} is gone again: type the command again.")
        with explained(f"look at the tags of {self.table}"):
            tags = {
                tag.tag_key: tag.tag_value for tag in self._client.entity_tag_assignments.list("tables", self.table)
            }
        if tags.get(_TAG) != self._settings.project:
            raise StoreError(
                f"{self.table} has a monitor that this project did not make: delete it in the workspace (Quality, on "
                f"the page of the table), or let it be ours by the tag {_TAG} = {self._settings.project} on the table."
            )

    def _mark(self) -> None:
        from databricks.sdk.errors import AlreadyExists, ResourceAlreadyExists
        from databricks.sdk.service.catalog import EntityTagAssignment

        tag = EntityTagAssignment(
            entity_type="tables", entity_name=self.table, tag_key=_TAG, tag_value=self._settings.project
        )
        try:
            with explained(f"tag {self.table}"):
                self._client.entity_tag_assignments.create(tag)
        except StoreError as error:
            if not isinstance(error.__cause__, AlreadyExists | ResourceAlreadyExists):
                raise

    def _wanted(self, table: str) -> Monitor:
        from databricks.sdk.service import dataquality as dq

        with explained(f"look at the schema {self._schema}"):
            schema = str(self._client.schemas.get(self._schema).schema_id)
        cron = quartz(self._monitor.schedule)
        email = dq.NotificationDestination(email_addresses=list(self._monitor.notify))
        return dq.Monitor(
            object_type=_TABLE,
            object_id=table,
            data_profiling_config=dq.DataProfilingConfig(
                output_schema_id=schema,
                baseline_table_name=f"{self._schema}.{TABLES['baseline'].name}",
                inference_log=dq.InferenceLogConfig(
                    problem_type=dq.InferenceProblemType.INFERENCE_PROBLEM_TYPE_REGRESSION,
                    timestamp_column="scored_at",
                    granularities=[
                        dq.AggregationGranularity.AGGREGATION_GRANULARITY_1_DAY,
                        dq.AggregationGranularity.AGGREGATION_GRANULARITY_1_WEEK,
                    ],
                    prediction_column="probability",
                    model_id_column="model_version",
                ),
                slicing_exprs=list(self._monitor.slices),
                custom_metrics=[
                    dq.DataProfilingCustomMetric(
                        name=name,
                        definition=sql,
                        input_columns=[":table"],
                        output_data_type='{"type": "double"}',
                        type=dq.DataProfilingCustomMetricType.DATA_PROFILING_CUSTOM_METRIC_TYPE_AGGREGATE,
                    )
                    for name, sql in _METRICS.items()
                ],
                schedule=dq.CronSchedule(
                    quartz_cron_expression=cron["quartz_cron_expression"],
                    timezone_id=cron["timezone_id"],
                    pause_status=dq.CronSchedulePauseStatus.CRON_SCHEDULE_PAUSE_STATUS_UNPAUSED,
                ),
                notification_settings=dq.NotificationSettings(on_failure=email) if self._monitor.notify else None,
                warehouse_id=self._monitor.warehouse_id,
            ),
        )

    def _alert(self, warehouse: str) -> AlertV2:
        from databricks.sdk.service import sql

        figures, cron = qualified(f"{self._schema}.{TABLES['drift_metrics'].name}"), quartz(self._monitor.schedule)
        mark = mark_of(tags_of(self._settings))
        people = [sql.AlertV2Subscription(user_email=email) for email in self._monitor.notify]
        return sql.AlertV2(
            display_name=self._alert_name,
            custom_summary=f"Predictions of {self._dataset} differ from the baseline. {mark}",
            query_text=(
                f"SELECT max(number) AS drift FROM {figures} WHERE against = 'baseline' AND metric = 'psi' "
                f"AND slice = '' AND window_start = (SELECT max(window_start) FROM {figures})"
            ),
            warehouse_id=warehouse,
            evaluation=sql.AlertV2Evaluation(
                source=sql.AlertV2OperandColumn(name="drift"),
                comparison_operator=sql.ComparisonOperator.GREATER_THAN,
                threshold=sql.AlertV2Operand(value=sql.AlertV2OperandValue(double_value=self._monitor.psi)),
                empty_result_state=sql.AlertEvaluationState.OK,
                notification=sql.AlertV2Notification(notify_on_ok=True, subscriptions=people),
            ),
            schedule=sql.CronSchedule(
                quartz_cron_schedule=cron["quartz_cron_expression"], timezone_id=cron["timezone_id"]
            ),
        )


def _state(refresh: Refresh) -> str:
    return refresh.state.value if refresh.state else "MONITOR_REFRESH_STATE_UNKNOWN"

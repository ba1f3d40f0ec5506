"""The prediction log on Databricks: the platform logs requests, or what serves a version does; both are moved alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pyarrow.compute as pc

from churn.core.errors import NotFound, StoreError
from churn.core.progress import note
from churn.ports.prediction_log import LogCounts, LoggedRow, PredictionLog, PredictionWriter, WhenFull
from churn.ports.tables import FeatureStore, TableSpec
from churn.scoring.batch import BATCH_ID
from churn.scoring.logged import ENDPOINT, prediction_rows

from .inference_rows import read_requests
from .workspace import explained

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.serving import ServingEndpointDetailed

__all__ = ["LOG_TAG", "InferenceLog", "LogKind", "Requests", "arrange_log", "log_of", "logged_endpoint", "table_of"]

LogKind = Literal["telemetry", "ai_gateway", "own"]
LOG_TAG = "churn_log"
"""The tag of an endpoint that says who logs its requests."""
_LATE = dt.timedelta(hours=48)
"""How late a request may come into an inference table; older hours are not looked at again."""


class Requests(Protocol):
    """Logged requests of one endpoint."""

    def hours(self, since: dt.datetime | None) -> Sequence[dt.datetime]:
        """Return the hours (UTC) that have requests, in their order, from one on; None: all."""

    def of(self, hour: dt.datetime) -> Iterable[Mapping[str, Any]]:
        """Return the requests of an hour, as `read_requests` takes them."""

    def close(self) -> None:
        """Let go of what was opened to read them; they may be read again."""


class InferenceLog(PredictionLog):
    """Moves the requests of an hour as one batch, which takes its own place where some came late.

    Nothing is taken out of an inference table: whoever removes customers removes them there too.

    Args:
        requests: What was logged; None where no endpoint runs.
        store: The tables.
        predictions: The table that takes the rows.
        entity: The column of the customer's key.
        kind: Who logged it: an hour in which that changed has a batch of each.
    """

    def __init__(
        self,
        requests: Requests | None,
        store: FeatureStore,
        predictions: TableSpec,
        entity: str,
        kind: LogKind | None = None,
    ) -> None:
        self._requests, self._store = requests, store
        self._predictions, self._entity = predictions, entity
        self._prefix = f"{ENDPOINT}-{kind or 'requests'}-"

    def writer(self, *, max_bytes: int, when_full: WhenFull, synced: bool) -> PredictionWriter:
        """Return what has nothing to do: requests are logged where they are answered."""
        return _Nothing()

    def move(self) -> int:
        """Move the requests of every hour that has other ones than the table, of the last 48 hours that were moved."""
        if self._requests is None:
            return 0
        moved = refused = unreadable = 0
        with closing(self._requests), self._store.exclusive("predictions"):
            moved_rows = self._counted()
            since = max(map(self._hour_of, moved_rows), default=None)
            for hour in self._requests.hours(None if since is None else since - _LATE):
                batch, logged = f"{self._prefix}{hour:%Y-%m-%dT%H}", read_requests(self._requests.of(hour))
                refused, unreadable = refused + logged.refused, unreadable + logged.unreadable
                new = logged.rows.num_rows - moved_rows.get(batch, 0)
                if new <= 0:
                    continue
                arriving = prediction_rows(logged.rows, batch, self._entity).to_reader()
                self._store.replace_batch(self._predictions, BATCH_ID, batch, arriving)
                moved += new
        if unreadable:
            note("predictions", f"{unreadable:,} logged requests cannot be read: their answers are cut off or not ours")
        return moved

    def counts(self) -> LogCounts:
        """Return the rows of hours that the table lacks; how many bytes they take the platform does not say."""
        waiting = 0
        if self._requests is not None:
            moved_rows = self._counted()
            since = max(map(self._hour_of, moved_rows), default=None)
            with closing(self._requests) as requests:
                for hour in requests.hours(None if since is None else since - _LATE):
                    rows = read_requests(requests.of(hour)).rows.num_rows
                    waiting += max(rows - moved_rows.get(f"{self._prefix}{hour:%Y-%m-%dT%H}", 0), 0)
        return LogCounts(waiting, 0, 0)

    def _counted(self) -> dict[str, int]:
        """Return how many rows of each hour the table has."""
        counts: dict[str, int] = {}
        try:
            table = self._store.latest(self._predictions.name)
        except NotFound:
            return counts
        for rows in self._store.scan(table, [BATCH_ID]):
            for count in pc.value_counts(rows.column(BATCH_ID)).to_pylist():
                if str(count["values"]).startswith(self._prefix):
                    counts[count["values"]] = counts.get(count["values"], 0) + count["counts"]
        return counts

    def _hour_of(self, batch: str) -> dt.datetime:
        return dt.datetime.strptime(batch.removeprefix(self._prefix), "%Y-%m-%dT%H").replace(tzinfo=dt.UTC)


class _Nothing(PredictionWriter):
    """Logs nothing: the platform, or the served version itself, logs what is answered."""

    logged = 0
    dropped = 0
    trouble = None
    is_due = False

    def append(self, rows: Sequence[LoggedRow]) -> bool:
        """Take the rows as logged."""
        return True

    def sync(self) -> None:
        """Do nothing: nothing waits."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


def log_of(endpoint: ServingEndpointDetailed | None, wanted: LogKind | Literal["auto"]) -> LogKind | None:
    """Return who logs the requests of an endpoint, as its tag says; None where that is to be arranged still."""
    tags = {tag.key: tag.value for tag in (endpoint.tags if endpoint else None) or ()}
    kind = next((kind for kind in _NAMES if kind == tags.get(LOG_TAG)), None)
    return kind if wanted in ("auto", kind) else None


def logged_endpoint(client: WorkspaceClient, name: str) -> ServingEndpointDetailed | None:
    """Return an endpoint; None where there is none."""
    try:
        with explained(f"look at the endpoint {name}"):
            return client.serving_endpoints.get(name)
    except NotFound:
        return None


def table_of(endpoint: ServingEndpointDetailed) -> str | None:
    """Return the full name of the table that the platform logs the requests of an endpoint to; None where it has none.

    Raises:
        StoreError: the platform logs them, and does not say where.
    """
    kind, telemetry, gateway = log_of(endpoint, "auto"), endpoint.telemetry_config, endpoint.ai_gateway
    if kind not in ("telemetry", "ai_gateway"):
        return None
    if kind == "telemetry":
        table = telemetry.inference_table_config if telemetry else None
        name = table.name if table else None
    else:
        asked = gateway.inference_table_config if gateway else None
        on = asked is not None and asked.enabled
        name = f"{asked.catalog_name}.{asked.schema_name}.{asked.table_name_prefix}_payload" if asked and on else None
    if name is None:
        raise StoreError(
            f"The requests of the endpoint {endpoint.name} are to be logged by {_NAMES[kind]}, and the workspace names "
            "no table of them: look at its page whether that was turned off, and let `python run.py serve` arrange it "
            "again with another `profile.databricks.serving.log`."
        )
    return name


def arrange_log(client: WorkspaceClient, endpoint: str, schema: str, wanted: LogKind | Literal["auto"]) -> LogKind:
    """Let the platform log the requests of an endpoint, as far as the workspace can, and say who does.

    Telemetry tables are tried first, then inference tables of the AI gateway; else what serves a version logs itself.

    Args:
        client: The client.
        endpoint: The endpoint's name.
        schema: `catalog.schema` of the tables.
        wanted: What to use; `auto` takes the first that the workspace has.

    Raises:
        StoreError: the workspace has not what is wanted, with its reason.
    """
    kinds: tuple[LogKind, ...] = ("telemetry", "ai_gateway", "own") if wanted == "auto" else (wanted,)
    reasons: list[str] = []
    for kind in kinds:
        try:
            with explained(f"let {_NAMES[kind]} take the requests of {endpoint}"):
                _arrange(client, endpoint, schema, kind)
        except StoreError as error:
            if not _cannot(error):
                raise
            reasons.append(str(error))
            continue
        note("serve", f"requests of {endpoint} are logged by {_NAMES[kind]}" + "".join(f"; {r}" for r in reasons))
        return kind
    raise StoreError(f"{' '.join(reasons)} Let `profile.databricks.serving.log` be auto, or another.")


_NAMES: Mapping[LogKind, str] = {
    "telemetry": "telemetry tables",
    "ai_gateway": "an inference table of the AI gateway",
    "own": "what serves a version",
}


def _arrange(client: WorkspaceClient, endpoint: str, schema: str, kind: LogKind) -> None:
    from databricks.sdk.service import serving

    catalog, _, name = schema.partition(".")
    prefix = endpoint.replace("-", "_")
    if kind == "telemetry":
        client.serving_endpoints.patch_telemetry_config(
            endpoint,
            telemetry_config=serving.TelemetryConfig(
                enabled_telemetry_features=[serving.TelemetryFeature.TELEMETRY_FEATURE_INFERENCE_TABLE],
                inference_table_config=serving.TelemetryInferenceTableConfig(sampling_fraction=1.0),
                table_names=serving.UnityCatalogTableNames(logs_table=f"{schema}.{prefix}_logs"),
            ),
        )
    elif kind == "ai_gateway":
        client.serving_endpoints.put_ai_gateway(
            endpoint,
            inference_table_config=serving.AiGatewayInferenceTableConfig(
                catalog_name=catalog, schema_name=name, table_name_prefix=prefix, enabled=True
            ),
        )


def _cannot(error: StoreError) -> bool:
    """Return whether the workspace lacks a feature; a privilege that is missing, or a lost connection, is no lack."""
    from databricks.sdk import errors

    lacks = (errors.NotFound, errors.BadRequest, errors.NotImplemented)
    return isinstance(error.__cause__, lacks)

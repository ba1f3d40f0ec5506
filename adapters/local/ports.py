"""Makes the ports of the laptop; each adapter is imported only when its port is asked for."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from churn.core.errors import ConfigError
from churn.data.contract import DatasetContract
from churn.data.delivery import Delivery
from churn.lifecycle.serve_options import ServeOptions
from churn.profile import Profile, Resources
from churn.scoring.settings import Engine

from ..session import activate, now


def tables(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return the Delta tables of a data set."""
    from .feature_store import LocalFeatureStore

    limits = profile.resources
    return LocalFeatureStore(profile.tables, contract.name, memory_limit=limits.memory_limit, threads=limits.threads)


def windows(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return what reads predictions by window, in DuckDB."""
    from .windows import LocalPredictionWindows

    limits = profile.resources
    return LocalPredictionWindows(
        profile.tables, contract.name, memory_limit=limits.memory_limit, threads=limits.threads
    )


def ledger(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return the ledger of decisions, a Delta table."""
    from .decision_ledger import LocalDecisionLedger

    return LocalDecisionLedger(profile.tables, contract.name)


def stages(*_: Any) -> Any:
    """Return what shows a version's stage in ZenML."""
    from .zenml import ZenmlStageMirror

    return ZenmlStageMirror()


def files(profile: Profile, *_: Any) -> Any:
    """Return the state folder."""
    from .files import LocalFiles

    return LocalFiles(profile.state)


def alerts(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return the file, and every channel that the profile names."""
    from .alerts import FileAlerts

    return [FileAlerts(profile.state / "alerts" / f"{contract.name}.jsonl"), *channels(profile)]


def channels(profile: Profile) -> list[Any]:
    """Return the channels of alerts that the profile names."""
    from .alerts import MailAlerts, StackAlerts, WebhookAlerts
    from .zenml import stack_alerter

    settings = profile.alerts
    named: list[Any] = [WebhookAlerts(settings)] if settings.webhook_variable else []
    named += [MailAlerts(settings)] if settings.mail_to else []
    named += [StackAlerts(stack_alerter)] if "alerter" in profile.stack else []
    return named


def studies(profile: Profile, *_: Any) -> Any:
    """Return the database of Optuna studies."""
    from .studies import DatabaseStudies, sqlite_url

    place = profile.studies
    if place.address is None:
        return DatabaseStudies(sqlite_url(profile.studies_file))
    return DatabaseStudies(place.address, lambda: os.environ.get(place.password_variable))


def in_sqlite(profile: Profile, contract: DatasetContract) -> Any:
    """Return the online store in a file."""
    from .online_sqlite import SqliteOnlineStore

    return SqliteOnlineStore(Path(profile.online.address), contract.name)


def in_postgresql(profile: Profile, contract: DatasetContract) -> Any:
    """Return the online store that several machines share."""
    from .online_postgresql import PostgresOnlineStore

    online = profile.online
    return PostgresOnlineStore(online.address, contract.name, lambda: os.environ.get(online.password_variable))


def prediction_log(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return the spool of answers, and the table they are moved to."""
    from .prediction_spool import LocalPredictionLog

    folder = profile.state / "predictions" / contract.name
    return LocalPredictionLog(folder, tables(profile, contract), contract.table("predictions"), contract.entity_key)


def endpoint(profile: Profile, contract: DatasetContract, model: str, options: ServeOptions) -> Any:
    """Return this project's server as the endpoint."""
    from .endpoint_process import LocalEndpoint

    return LocalEndpoint(
        profile.state / "endpoint",
        profile.state / "logs",
        contract.name,
        model,
        tokens=token_file(profile, contract),
        start=partial(start_endpoint, profile, options),
        clock=now,
        refresh_seconds=options.settings.serving.refresh_seconds,
    )


def endpoint_log(profile: Profile, contract: DatasetContract) -> Path:
    """Return the log of an endpoint that is started now; its folder is there."""
    from .endpoint_process import log_of

    logs = profile.state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return log_of(logs.resolve(), contract.name, now())


def token_file(profile: Profile, contract: DatasetContract) -> Any:
    """Return the tokens of a data set's endpoint."""
    from .tokens import TokenFile

    return TokenFile(profile.state / "endpoint" / f"{contract.name}.tokens.json")


def start_endpoint(profile: Profile, options: ServeOptions) -> Any:
    """Start the server of this project in the background."""
    from .servers import spawn

    activate(profile)
    log = endpoint_log(profile, options.contract)
    written = options.model_copy(update={"log": log}).model_dump_json()
    variables = {"CHURN_SERVE": written, "PYTHONPATH": str(Path(__file__).parents[2])}
    return spawn("The endpoint", options.port, ["serving"], {**os.environ, **variables}, log)


def source(profile: Profile, contract: DatasetContract, model: str, data: Path) -> Delivery:
    """Return what delivers the rows of a file."""
    from .sources import open_source

    return open_source(data, file_format=contract.file_format)


def engine(profile: Profile, contract: DatasetContract, _: str, wanted: Engine, scorer: Any, *, rows: int) -> Any:
    """Return what scores batches of Delta tables on this machine; see `batch_engine`."""
    from .spark_frames import delta_frame

    folder = profile.state / "scoring" / contract.name
    store, limits = tables(profile, contract), profile.resources
    return batch_engine(wanted, scorer, rows, limits, store=store, folder=folder, frames=delta_frame)


def batch_engine(
    wanted: Engine, scorer: Any, rows: int, limits: Resources, *, store: Any, folder: Path, frames: Any
) -> Any:
    """Return what scores batches, and set the scorer up for it; `auto` chooses by what is there and by `rows`.

    Args:
        wanted: What the user asks for.
        scorer: The model.
        rows: Of the batch.
        limits: How many threads and how much memory there are, and from how many rows on Spark is chosen.
        store: The tables.
        folder: Where parts of a batch are kept while it is scored.
        frames: Returns the Spark DataFrame of a table.

    Raises:
        ConfigError: Spark is asked for and cannot run here.
    """
    from ..spark.availability import chosen_engine
    from .batch_engine import LocalBatchEngine

    scorer.use_threads(1)  # parts are scored side by side
    if chosen_engine(wanted, rows, limits.spark_from) == "local":
        return LocalBatchEngine(store, folder, scorer, limits.threads)
    from ..spark.engine import SparkBatchEngine
    from ..spark.shipping import ShippedPackage

    package = ShippedPackage.of(scorer.folder, scorer.digest)
    return SparkBatchEngine(store, folder, package, frames, limits.threads, limits.memory_limit)


def identity(*_: Any) -> str:
    """Return who runs this: `CHURN_USER`, or the user of the operating system."""
    import getpass

    try:
        return os.environ.get("CHURN_USER", "").strip() or getpass.getuser()
    except (OSError, KeyError) as error:
        raise ConfigError("The operating system does not know who you are: set CHURN_USER to your name.") from error


def code_version(*_: Any) -> str:
    """Return the commit of the code."""
    from .git import commit_of

    return commit_of(Path(__file__).parents[2])

"""The one place that turns a profile into adapters; each is imported only when it is asked for."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.core.errors import ConfigError, ModelError
from churn.data.contract import DatasetContract
from churn.data.delivery import Delivery
from churn.data.file_format import FileFormat
from churn.data.ingest import Source
from churn.lifecycle.serve_options import ServeOptions
from churn.lifecycle.workspace import Workspace
from churn.lifecycle.year import Stores
from churn.lifecycle.year_steps import Connect, YearSteps
from churn.ports.online import Publication
from churn.ports.registry import MODEL_DIGEST, ModelVersion
from churn.scoring.settings import Engine
from churn.settings import Profile, Settings, registered_name

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "activate",
    "active_profile",
    "await_version",
    "bundle",
    "check_orchestrator",
    "clear_killed",
    "clock_at",
    "connect",
    "deployment_job",
    "destroy_stack",
    "diagnose",
    "endpoint_log",
    "ensure_stack",
    "feature_functions",
    "fetch",
    "handed_over",
    "job_session",
    "job_workspace",
    "known_as",
    "noted_endpoint",
    "now",
    "platform_monitor",
    "read_table",
    "replaced_packages",
    "run_task",
    "running_dashboards",
    "setup_stack",
    "stack_owned",
    "stack_pieces",
    "start_dashboards",
    "start_run",
    "tokens_of",
    "year_stores",
]

_PROFILE = "CHURN_PROFILE"
_CLOCK = "CHURN_CLOCK"


def activate(profile: Profile) -> None:
    """Let `connect` use this profile, in this process and those it starts."""
    os.environ[_PROFILE] = profile.model_dump_json()


def active_profile() -> Profile:
    """Return the profile that is in use.

    Raises:
        ConfigError: none was activated.
    """
    if _PROFILE not in os.environ:
        raise ConfigError("No profile is active: run pipelines with `python run.py`, or call `wiring.activate` first.")
    return Profile.model_validate_json(os.environ[_PROFILE])


def connect(contract: DatasetContract, model: str, profile: Profile | None = None) -> Workspace:
    """Return the ports of one data set.

    Args:
        contract: The data set.
        model: The name of its registered model; `{dataset}` stands for the data set's name.
        profile: The machine or cloud; None takes the one that is active.
    """
    place = active_profile() if profile is None else profile
    adapters, name = _ADAPTERS[place.adapters], registered_name(model, contract)
    _reach(place)
    if contract.feature_module is not None and place.adapters == "databricks":
        from .databricks.code import fetched

        contract = contract.model_copy(update={"feature_module": fetched(place, contract.feature_module)})
    return Workspace(
        contract=contract,
        model=name,
        threads=place.resources.threads,
        clock=now,
        make={port: partial(make, place, contract, name) for port, make in adapters.items()},
    )


def year_stores(
    contract: DatasetContract,
    settings: Settings,
    profile: Profile,
    folder: Path,
    runs: Callable[[Connect, Profile], YearSteps],
) -> Stores:
    """Return where the states of a simulated year are: folders below `folder`, each with stores of its own.

    `runs` returns what runs the use cases, given the ports of a state and its profile.
    """
    import pyarrow.parquet

    from .local.no_stages import NoStages

    def steps(name: str) -> YearSteps:
        place = profile.moved(folder / name)

        def ports(clock: Callable[[], dt.datetime]) -> Workspace:
            made = connect(contract, settings.model_name, place)
            return replace(
                made, clock=clock, make={**made.make, "stages": NoStages, "identity": lambda: "the simulated year"}
            )

        place.state.mkdir(parents=True, exist_ok=True)
        return runs(ports, place)

    def fork(name: str, into: str) -> None:
        shutil.copytree(folder / name, folder / into)

    def written(name: str, rows: pa.Table) -> Path:
        path = folder / "incoming" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(rows, path)
        return path

    return Stores(steps, fork, written)


def _reach(profile: Profile) -> None:
    """Let the clients of this process find the workspace of a profile that has one."""
    if profile.databricks is not None:
        from .databricks.workspace import export

        export(profile.databricks, profile.mlflow.tracking_uri)


def _experiment(profile: Profile, model: str) -> str:
    """Return the name of a model's MLflow experiment; on Databricks it is a path in the workspace."""
    return model if profile.databricks is None else f"{profile.databricks.folder}/{model}"


def now() -> dt.datetime:
    """Return the time (UTC), or the one that `clock_at` set; nothing else in the project asks for it."""
    wound = os.environ.get(_CLOCK)
    return dt.datetime.fromisoformat(wound) if wound else dt.datetime.now(dt.UTC)


@contextmanager
def clock_at(time: dt.datetime) -> Iterator[None]:
    """Let it be this time for a while, in this process and those it starts: for the simulated year alone."""
    os.environ[_CLOCK] = time.isoformat()
    try:
        yield
    finally:
        del os.environ[_CLOCK]


def read_table(path: Path, file_format: FileFormat | None = None) -> Source:
    """Return the rows of a user's table, in a file written as `file_format` says."""
    from .local.sources import read_source

    return read_source(path, file_format)


def fetch(name: str, profile: Profile) -> Path:
    """Download a public data set into the profile's state folder, verify it, and return its path."""
    from .local.public_data import fetch as download

    return download(name, profile.state / "data")


def diagnose(project: Path | None, profile: Profile, contract: DatasetContract) -> list[Any]:
    """Return what `run.py doctor` finds of everything that a pipeline needs."""
    from .local.doctor import diagnose as look
    from .local.zenml import stack_name

    there: list[Any] = []
    if profile.databricks is not None:
        from .databricks.doctor import diagnose_workspace

        there = diagnose_workspace(profile, profile.databricks.schema_of(contract), now())
    return there + look(
        project,
        profile.state,
        profile.tables,
        profile.mlflow.tracking_uri,
        stack_name(profile),
        shared=profile.shared,
    )


def stack_pieces(profile: Profile, contract: DatasetContract) -> list[Any]:
    """Return what a data set needs in the workspace, compared with what is there; see `adapters.databricks.stack`."""
    from .databricks.stack import plan

    schema, is_there = profile.workspace.schema_of(contract), profile.adapters == "databricks"
    lakebase = profile.online.address if profile.online.store == "lakebase" else None
    return plan(profile.workspace, schema, files=is_there, lakebase=lakebase)


def setup_stack(profile: Profile, contract: DatasetContract) -> list[Any]:
    """Make what a data set needs in the workspace, and return what was done."""
    from .databricks.stack import setup

    schema, is_there = profile.workspace.schema_of(contract), profile.adapters == "databricks"
    lakebase = profile.online.address if profile.online.store == "lakebase" else None
    return setup(profile.workspace, schema, files=is_there, lakebase=lakebase)


def stack_owned(profile: Profile) -> list[Any]:
    """Return what carries the project's mark in the workspace."""
    from .databricks.stack import owned

    return owned(profile.workspace)


def destroy_stack(profile: Profile) -> list[Any]:
    """Remove what carries the project's mark in the workspace, and return it."""
    from .databricks.stack import destroy

    return destroy(profile.workspace)


def replaced_packages(profile: Profile) -> list[Any]:
    """Return the packages that a job replaces in the runtime of the workspace; none where no job runs."""
    from .databricks.code import differences

    return differences(profile.workspace.jobs) if profile.workspace.jobs is not None else []


def check_orchestrator(profile: Profile, contract: DatasetContract) -> None:
    """Look, without importing it, whether the orchestrator can be used and a workspace is there; raises StoreError."""
    from .local.zenml import check_client

    check_client()
    if profile.databricks is not None:
        from .databricks.workspace import check_schema

        check_schema(profile.databricks, profile.databricks.schema_of(contract), profile.name)


def ensure_stack(profile: Profile, model: str) -> str:
    """Return the id of the profile's ZenML stack, and see to it that the model's MLflow experiment is there."""
    from .local.zenml import ensure_stack as register
    from .mlflow.client import ensure_experiment

    _reach(profile)
    if profile.databricks is not None:
        from .databricks.workspace import make_folder

        make_folder(profile.databricks)
    ensure_experiment(profile.mlflow.tracking_uri, _experiment(profile, model), profile.mlflow.artifacts)
    return register(profile)


def handed_over(
    profile: Profile, pipeline: str, settings: Settings, contract: DatasetContract
) -> tuple[Settings, DatasetContract, dict[str, Any]]:
    """Return what the steps of a pipeline receive, and the settings of the stack's components.

    Where steps run elsewhere nothing of it names this machine: the code, a delivered table and a module of features
    are stored where they run.

    Raises:
        ConfigError: something of this machine cannot be handed over.
        StoreError: the place where the steps run does not take it.
    """
    experiment = {"experiment_name": _experiment(profile, settings.registered_name(contract))}
    components = {"experiment_tracker": experiment} if "experiment_tracker" in profile.stack else {}
    if profile.stack["orchestrator"].flavor != "churn_databricks":
        return settings, contract, components
    from .databricks.code import hand_over

    settings, contract, job = hand_over(profile, pipeline, settings, contract)
    return settings, contract, {**components, **job}


def run_task(**asked: str) -> None:
    """Run one step of a pipeline as the task of a job; see `adapters.databricks.zenml_task.run_task`."""
    from .databricks.zenml_task import run_task as run

    run(activate, **asked)


def deployment_job(contract: DatasetContract, settings: Settings, profile: Profile) -> Any:
    """Return the deployment job of a data set's model; raises ConfigError where the stack has no workspace."""
    from .databricks.deployment_job import DeploymentJob

    return DeploymentJob(profile, contract, settings.registered_name(contract))


def bundle(
    targets: Mapping[str, tuple[Settings, Profile]], contract: DatasetContract, production: frozenset[str]
) -> dict[str, str]:
    """Return the files of a Databricks bundle by path; see `adapters.databricks.bundle.bundle_files`."""
    from .databricks.bundle import bundle_files

    return bundle_files(targets, contract, production)


def job_session(path: str) -> tuple[Settings, Profile, DatasetContract]:
    """Return what a deployment job was made with, from a file of a volume."""
    from .databricks.deployment_job import read_job

    return read_job(path)


def known_as(contract: DatasetContract, settings: Settings, profile: Profile) -> str:
    """Return how the registry of a profile calls the data set's model; in Unity Catalog with catalog and schema."""
    model = settings.registered_name(contract)
    if not profile.mlflow.registry_uri.startswith("databricks-uc"):
        return model
    from .databricks.deployment_job import full_name

    return full_name(profile.workspace, contract, model)


def await_version(contract: DatasetContract, settings: Settings, profile: Profile, version: int) -> None:
    """Wait until a version that the registry has is complete; raises StoreError where that takes long."""
    if profile.mlflow.registry_uri.startswith("databricks-uc"):
        from .databricks.deployment_job import await_ready

        await_ready(profile, known_as(contract, settings, profile), version)


def job_workspace(contract: DatasetContract, settings: Settings, profile: Profile) -> Workspace:
    """Return the ports of a data set for the task of a job that knows no ZenML."""
    from .local.no_stages import NoStages

    made = connect(contract, settings.model_name, profile)
    return replace(made, make={**made.make, "stages": NoStages})


def start_run(profile: Profile) -> None:
    """Note that a pipeline runs, and clear what killed ones left where no other one does."""
    from .local.killed_runs import start

    start(profile.state, lambda: _end_killed_runs(profile))


def clear_killed(profile: Profile) -> int | None:
    """Clear what killed runs left; return how many records were ended, None where a pipeline runs."""
    from .local.killed_runs import clear

    return clear(profile.state, lambda: _end_killed_runs(profile))


def _end_killed_runs(profile: Profile) -> int:
    from .local.zenml import fail_killed_runs, stack_name
    from .mlflow.killed_runs import end_killed_runs

    if profile.stack["orchestrator"].flavor != "local":
        return 0  # runs go on elsewhere while nothing runs here
    return fail_killed_runs(stack_name(profile), now()) + end_killed_runs(profile.mlflow.tracking_uri)


def start_dashboards(profile: Profile, *, detach: bool, zenml_port: int, mlflow_port: int) -> Any:
    """Start the ZenML dashboard and the MLflow UI; see `adapters.local.zenml_ui.start`."""
    from .local.zenml_ui import start

    ports = {"zenml_port": zenml_port, "mlflow_port": mlflow_port}
    return start(profile.mlflow.tracking_uri, profile.state, detach=detach, **ports)


def running_dashboards(profile: Profile) -> Any:
    """Return the dashboards that run in the background, or None."""
    from .local.zenml_ui import running

    return running(profile.state)


def feature_functions(profile: Profile, contract: DatasetContract, *, create: bool) -> dict[str, str]:
    """Return the statement of each feature on demand by its function's name; with `create`, run them.

    Raises:
        ConfigError: the profile has no workspace, or the data set no feature that can be a function.
        StoreError: the workspace refuses; the functions before stay.
    """
    from .spark.features import feature_statements

    functions = feature_statements(contract, profile.workspace.schema_of(contract))
    if create:
        catalog = _unity_catalog(profile, contract)
        for name, _, sql in functions:
            catalog.run(name.rpartition(".")[2], sql)
    return {function.name: function.sql for function in functions}


def tokens_of(contract: DatasetContract) -> Any:
    """Return the tokens of a data set's endpoint, on the active profile."""
    return _token_file(active_profile(), contract)


def _token_file(profile: Profile, contract: DatasetContract) -> Any:
    from .local.tokens import TokenFile

    return TokenFile(profile.state / "endpoint" / f"{contract.name}.tokens.json")


def endpoint_log(contract: DatasetContract) -> Path:
    """Return the log of the endpoint that this process is to be, on the active profile; its folder is there."""
    from .local.endpoint_process import log_of

    logs = active_profile().state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return log_of(logs.resolve(), contract.name, now())


def noted_endpoint(options: ServeOptions, address: str, log: Path) -> AbstractContextManager[None]:
    """Let this process be the endpoint of a data set for a while; raises ConfigError where another process is."""
    from .local.endpoint_process import EndpointProcess, noted

    process = EndpointProcess(
        pid=os.getpid(),
        address=address,
        workers=options.workers,
        started_at=now(),
        authenticated=options.authenticated,
        certificate=options.certificate and options.certificate.resolve(),
        log=log,
    )
    return noted(active_profile().state / "endpoint", options.contract.name, process)


def _tables(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    from .local.feature_store import LocalFeatureStore

    limits = profile.resources
    return LocalFeatureStore(profile.tables, contract.name, memory_limit=limits.memory_limit, threads=limits.threads)


def _tables_of(profile: Profile, contract: DatasetContract) -> Any:
    """Return the tables of the profile's own adapters."""
    return _ADAPTERS[profile.adapters]["tables"](profile, contract)


def _windows(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    from .local.windows import LocalPredictionWindows

    limits = profile.resources
    return LocalPredictionWindows(
        profile.tables, contract.name, memory_limit=limits.memory_limit, threads=limits.threads
    )


def _registry(profile: Profile, *_: Any) -> Any:
    from .mlflow.registry import MlflowModelRegistry

    return MlflowModelRegistry(profile.mlflow.tracking_uri, profile.mlflow.registry_uri)


def _unity_registry(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    from .mlflow.unity_catalog import UnityCatalogRegistry

    schema, places = profile.workspace.schema_of(contract), profile.mlflow
    return UnityCatalogRegistry(schema, places.tracking_uri, places.registry_uri)


def _ledger(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    from .local.decision_ledger import LocalDecisionLedger

    return LocalDecisionLedger(profile.tables, contract.name)


def _stages(*_: Any) -> Any:
    from .local.zenml import ZenmlStageMirror

    return ZenmlStageMirror()


def _tracker(profile: Profile, contract: DatasetContract, model: str, run_id: str | None = None) -> Any:
    """Return the record of a run; without an id, of the one that the stack's tracker has opened for this step."""
    from .mlflow.tracker import MlflowTracker, active_run_id

    places, experiment = profile.mlflow, _experiment(profile, model)
    return MlflowTracker(places.tracking_uri, experiment, places.artifacts, run_id=run_id or active_run_id())


def _files(profile: Profile, *_: Any) -> Any:
    from .local.files import LocalFiles

    return LocalFiles(profile.state)


def _alerts(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return the file, and every channel that the profile names."""
    from .local.alerts import FileAlerts, MailAlerts, StackAlerts, WebhookAlerts
    from .local.zenml import stack_alerter

    settings = profile.alerts
    channels: list[Any] = [FileAlerts(profile.state / "alerts" / f"{contract.name}.jsonl")]
    channels += [WebhookAlerts(settings)] if settings.webhook_variable else []
    channels += [MailAlerts(settings)] if settings.mail_to else []
    channels += [StackAlerts(stack_alerter)] if "alerter" in profile.stack else []
    return channels


def _volume_files(profile: Profile, *_: Any) -> Any:
    from .databricks.files import VolumeFiles
    from .databricks.volumes import Volumes
    from .databricks.workspace import client_of

    return VolumeFiles(Volumes(lambda: client_of(profile.workspace).files), profile.workspace.volume_path)


def _studies(profile: Profile, *_: Any) -> Any:
    from .local.studies import DatabaseStudies, sqlite_url

    studies = profile.studies
    if studies.address is None:
        return DatabaseStudies(sqlite_url(profile.studies_file))
    return DatabaseStudies(studies.address, lambda: os.environ.get(studies.password_variable))


def _online(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    return _ONLINE[profile.online.store](profile, contract)


def _in_sqlite(profile: Profile, contract: DatasetContract) -> Any:
    from .local.online_sqlite import SqliteOnlineStore

    return SqliteOnlineStore(Path(profile.online.address), contract.name)


def _in_postgresql(profile: Profile, contract: DatasetContract) -> Any:
    from .local.online_postgresql import PostgresOnlineStore

    online = profile.online
    return PostgresOnlineStore(online.address, contract.name, lambda: os.environ.get(online.password_variable))


def _in_lakebase(profile: Profile, contract: DatasetContract) -> Any:
    """Return our rows on Lakebase; where the settings say so, Databricks publishes the feature table beside them."""
    from .databricks.lakebase import LakebaseLogin
    from .databricks.published import PublishedOnlineStore, publish_table, tell_lag
    from .databricks.workspace import client_of

    settings, address = profile.workspace, profile.online.address

    def also(published: Publication) -> None:
        if settings.publish_table is not None:
            client, features = client_of(settings), published.features
            online = publish_table(client, settings, settings.schema_of(contract), features.name)
            tell_lag(client, online, features.version)

    login = LakebaseLogin(partial(client_of, settings), address)
    return PublishedOnlineStore(address, contract.name, also=also, options=login.options)


def _prediction_log(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    from .local.prediction_spool import LocalPredictionLog

    folder = profile.state / "predictions" / contract.name
    return LocalPredictionLog(folder, _tables_of(profile, contract), contract.table("predictions"), contract.entity_key)


def _endpoint(profile: Profile, contract: DatasetContract, model: str, options: ServeOptions) -> Any:
    from .local.endpoint_process import LocalEndpoint

    return LocalEndpoint(
        profile.state / "endpoint",
        profile.state / "logs",
        contract.name,
        model,
        tokens=_token_file(profile, contract),
        start=partial(_start_endpoint, profile, options),
        clock=now,
        refresh_seconds=options.settings.serving.refresh_seconds,
    )


def _inference_log(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return what moves the requests that are logged of the data set's endpoint, by whoever logs them."""
    from .databricks.catalog import UnityCatalog
    from .databricks.endpoint import endpoint_name
    from .databricks.lakebase import LakebaseLogin
    from .databricks.prediction_log import InferenceLog, log_of, logged_endpoint, table_of
    from .databricks.request_log import PostgresRequests, UnityRequests
    from .databricks.workspace import client_of

    settings, online = profile.workspace, profile.online
    found = logged_endpoint(client_of(settings), endpoint_name(settings, contract.name))
    requests: Any = None
    kind = log_of(found, "auto")
    if found is not None and (table := table_of(found)):
        schema, _, name = table.rpartition(".")
        requests = UnityRequests(UnityCatalog(_unity_catalog(profile, contract).session, schema), name)
    elif kind == "own" and online.store == "lakebase":
        requests = PostgresRequests(LakebaseLogin(partial(client_of, settings), online.address).options, contract.name)
    elif kind == "own":
        password = os.environ.get(online.password_variable)
        options = {"conninfo": online.address, **({"password": password} if password else {})}
        requests = PostgresRequests(lambda: options, contract.name)
    predictions, tables = contract.table("predictions"), _unity_tables(profile, contract)
    return InferenceLog(requests, tables, predictions, contract.entity_key, kind)


def platform_monitor(contract: DatasetContract, profile: Profile) -> Any:
    """Return the platform's own monitor of a data set; raises ConfigError where the stack has no workspace."""
    from .databricks.monitor import PlatformMonitor
    from .databricks.workspace import client_of

    settings = profile.workspace
    return PlatformMonitor(client_of(settings), settings, contract.name, settings.schema_of(contract))


def _model_serving(profile: Profile, contract: DatasetContract, model: str, options: ServeOptions) -> Any:
    """Return the endpoint on Model Serving, whose versions find the profile's online store from there."""
    from churn.approval.rollout import running

    from .databricks.endpoint import ModelServingEndpoint, OnTrial
    from .databricks.served_model import environment_of
    from .databricks.workspace import client_of

    settings = options.settings
    approval = connect(contract, model, profile).approval(settings.approval)
    full = model if model.count(".") == 2 else f"{profile.workspace.schema_of(contract)}.{model}"

    def on_trial() -> OnTrial | None:
        rollout = running(approval.read())
        return None if rollout is None else OnTrial(rollout.version, 0 if rollout.shadow else rollout.share)

    def environment(version: int, alias: str, logs: bool) -> Mapping[str, str]:
        stale = settings.serving.stale_after_days
        return environment_of(
            profile,
            approval.read().version(version),
            alias,
            stale or settings.inference.max_age(contract.label.window_days).total_seconds() / 86_400,
            settings.serving.unknown_columns,
            logs=logs,
        )

    return ModelServingEndpoint(
        partial(client_of, profile.workspace),
        profile.workspace,
        contract.name,
        full,
        schema=profile.workspace.schema_of(contract),
        environment=environment,
        on_trial=on_trial,
    )


def _start_endpoint(profile: Profile, options: ServeOptions) -> Any:
    """Start the server of this project in the background."""
    from .local.servers import spawn

    activate(profile)
    log = endpoint_log(options.contract)
    given = options.model_copy(update={"log": log}).model_dump_json()
    own = {"CHURN_SERVE": given, "PYTHONPATH": str(Path(__file__).parents[1])}
    return spawn("The endpoint", options.port, ["serving"], {**os.environ, **own}, log)


def _source(profile: Profile, contract: DatasetContract, model: str, data: Path) -> Delivery:
    from .local.sources import open_source

    return open_source(data, file_format=contract.file_format)


def _volume_source(profile: Profile, contract: DatasetContract, model: str, data: Path) -> Delivery:
    from .databricks.code import fetched

    return _source(profile, contract, model, fetched(profile, data))._replace(name=str(data))


def _package(profile: Profile, contract: DatasetContract, model: str, *scored: Any, **described: Any) -> Any:
    from .mlflow.manifest import package_digest
    from .mlflow.package import build_package

    package = build_package(*scored, **described)
    return package, package_digest(package)


def _served_package(
    profile: Profile, contract: DatasetContract, model: str, scorer: Any, into: Path, **described: Any
) -> Any:
    """Return a package that looks features up by itself where it is served, and the digest of the package in it."""
    from .databricks.served_model import Dataset, wrap

    plain = into.with_name(f"{into.name}.plain")
    package, digest = _package(profile, contract, model, scorer, plain, **described)
    columns = (*contract.kinds, *(spec.name for spec in contract.features))
    dataset = Dataset(name=contract.name, key=contract.entity_key, columns=columns)
    resources = []
    if profile.online.store == "lakebase":
        from mlflow.models.resources import DatabricksLakebase

        resources.append(DatabricksLakebase(profile.online.address.split("/")[1]))
    return wrap(package, into, dataset, resources=resources), digest


def _load(profile: Profile, contract: DatasetContract, model: str, version: ModelVersion, into: Path) -> Any:
    from .mlflow.load import load_package

    folder, digest = _fetched(profile, contract, version, into)
    return load_package(folder, expected_digest=digest)


def _verify(profile: Profile, contract: DatasetContract, model: str, version: ModelVersion, into: Path) -> None:
    from .mlflow.manifest import check_package

    check_package(*_fetched(profile, contract, version, into))


def _fetched(profile: Profile, contract: DatasetContract, version: ModelVersion, into: Path) -> tuple[Path, str]:
    """Return the package of a version, and the digest that it is to have."""
    digest = version.tags.get(MODEL_DIGEST)
    if not digest:
        raise ModelError(
            f"Version {version.version} of {version.name!r} carries no digest, so nobody can tell what it is: register "
            "models with `python run.py --pipeline training`."
        )
    from .mlflow.manifest import package_in

    registry = _ADAPTERS[profile.adapters]["registry"](profile, contract)
    return package_in(registry.download(version.name, version.version, into)), digest


def _engine(profile: Profile, contract: DatasetContract, _: str, engine: Engine, scorer: Any, *, rows: int) -> Any:
    """Return what scores batches, and set the scorer up for it; `auto` chooses by what is there and by `rows`.

    Raises:
        ConfigError: Spark is asked for and cannot run here.
    """
    from .local.batch_engine import LocalBatchEngine
    from .spark.availability import chosen_engine

    store, limits = _tables_of(profile, contract), profile.resources
    folder = profile.state / "scoring" / contract.name
    scorer.use_threads(1)  # parts are scored side by side
    if chosen_engine(engine, rows, limits.spark_from) == "local":
        return LocalBatchEngine(store, folder, scorer, limits.threads)
    from .spark.engine import SparkBatchEngine
    from .spark.shipping import ShippedPackage

    package = ShippedPackage.of(scorer.folder, scorer.digest)
    if profile.adapters == "databricks":
        from .databricks.catalog import frame_at

        frames, folder = frame_at, Path(profile.workspace.volume_path) / "scoring" / contract.name
    else:
        from .local.spark_frames import delta_frame as frames
    return SparkBatchEngine(store, folder, package, frames, limits.threads, limits.memory_limit)


def _identity(*_: Any) -> str:
    """Return who runs this: `CHURN_USER`, or the user of the operating system."""
    import getpass

    try:
        return os.environ.get("CHURN_USER", "").strip() or getpass.getuser()
    except (OSError, KeyError) as error:
        raise ConfigError("The operating system does not know who you are: set CHURN_USER to your name.") from error


def _workspace_identity(profile: Profile, *_: Any) -> str:
    from .databricks.identity import acting_user
    from .databricks.workspace import client_of

    return acting_user(client_of(profile.workspace))


def _unity_catalog(profile: Profile, contract: DatasetContract) -> Any:
    from .databricks.catalog import UnityCatalog
    from .spark.connect import workspace_session

    settings = profile.workspace
    session = workspace_session(settings.host, settings.config_profile)
    return UnityCatalog(session, settings.schema_of(contract))


def _unity_texts(profile: Profile, contract: DatasetContract) -> Any:
    from .databricks.texts import texts_of
    from .databricks.workspace import tags_of

    return texts_of(contract, tags_of(profile.workspace))


def _unity_tables(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    from .databricks.tables import UnityTables

    texts = _unity_texts(profile, contract)
    return UnityTables(_unity_catalog(profile, contract), contract.name, texts=texts, clock=now)


def _unity_ledger(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    from .databricks.ledger import UnityLedger

    text = _unity_texts(profile, contract)[contract.table("decisions").name]
    return UnityLedger(_unity_catalog(profile, contract), text)


def _unity_windows(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    from .databricks.windows import CopiedPredictionWindows

    tables, limits = _unity_tables(profile, contract), profile.resources
    folder = profile.state / "windows"
    return CopiedPredictionWindows(
        tables, folder, contract.name, memory_limit=limits.memory_limit, threads=limits.threads
    )


def _code_version(*_: Any) -> str:
    from .local.git import commit_of

    return commit_of(Path(__file__).parents[1])


_LOCAL: Mapping[str, Callable[..., Any]] = {
    "tables": _tables,
    "windows": _windows,
    "registry": _registry,
    "ledger": _ledger,
    "stages": _stages,
    "tracker": _tracker,
    "files": _files,
    "studies": _studies,
    "alerts": _alerts,
    "online": _online,
    "prediction_log": _prediction_log,
    "source": _source,
    "package": _package,
    "load": _load,
    "verify": _verify,
    "endpoint": _endpoint,
    "engine": _engine,
    "identity": _identity,
    "code_version": _code_version,
}
_ONLINE = {"sqlite": _in_sqlite, "postgresql": _in_postgresql, "lakebase": _in_lakebase}
_HYBRID = {**_LOCAL, "identity": _workspace_identity, "registry": _unity_registry}
_DATABRICKS = {
    **_HYBRID,
    "tables": _unity_tables,
    "windows": _unity_windows,
    "ledger": _unity_ledger,
    "files": _volume_files,
    "source": _volume_source,
    "package": _served_package,
    "endpoint": _model_serving,
    "prediction_log": _inference_log,
}
_ADAPTERS = {"local": _LOCAL, "hybrid": _HYBRID, "databricks": _DATABRICKS}
"""What makes each port of a `Workspace`, by the profile's `adapters`."""

"""Makes the ports of a Databricks workspace; each adapter is imported only when its port is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from churn.approval.context import ApprovalContext
from churn.data.contract import DatasetContract
from churn.data.delivery import Delivery
from churn.lifecycle.serve_options import ServeOptions
from churn.ports.online import Publication
from churn.profile import Profile
from churn.scoring.settings import Engine

from ..local import ports as local
from ..mlflow import ports as mlflow
from ..session import now


def identity(profile: Profile, *_: Any) -> str:
    """Return who acts, as the workspace knows them."""
    from .identity import acting_user
    from .workspace import client_of

    return acting_user(client_of(profile.workspace))


def unity_catalog(profile: Profile, contract: DatasetContract) -> Any:
    """Return the data set's schema in Unity Catalog, over Spark."""
    from ..spark.connect import workspace_session
    from .catalog import UnityCatalog

    settings = profile.workspace
    session = workspace_session(settings.host, settings.config_profile)
    return UnityCatalog(session, settings.schema_of(contract))


def _texts(profile: Profile, contract: DatasetContract) -> Any:
    from .texts import texts_of
    from .workspace import tags_of

    return texts_of(contract, tags_of(profile.workspace))


def tables(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return the Delta tables of a data set in Unity Catalog."""
    from .tables import UnityTables

    texts = _texts(profile, contract)
    return UnityTables(unity_catalog(profile, contract), contract.name, texts=texts, clock=now)


def ledger(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return the ledger of decisions, a table that several machines append to."""
    from .ledger import UnityLedger

    text = _texts(profile, contract)[contract.table("decisions").name]
    return UnityLedger(unity_catalog(profile, contract), text)


def windows(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return what reads predictions by window, of a copy on this machine."""
    from .windows import CopiedPredictionWindows

    limits, folder = profile.resources, profile.state / "windows"
    return CopiedPredictionWindows(
        tables(profile, contract), folder, contract.name, memory_limit=limits.memory_limit, threads=limits.threads
    )


def files(profile: Profile, *_: Any) -> Any:
    """Return the volume."""
    from .files import VolumeFiles
    from .volumes import Volumes
    from .workspace import client_of

    return VolumeFiles(Volumes(lambda: client_of(profile.workspace).files), profile.workspace.volume_path)


def alerts(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return the folder of the volume, and every channel that the profile names."""
    from .alerts import VolumeAlerts

    return [VolumeAlerts(files(profile), f"alerts/{contract.name}"), *local.channels(profile)]


def source(profile: Profile, contract: DatasetContract, model: str, data: Path) -> Delivery:
    """Return what delivers the rows of a file on the volume."""
    from .code import fetched

    return local.source(profile, contract, model, fetched(profile, data))._replace(name=str(data))


def in_lakebase(profile: Profile, contract: DatasetContract) -> Any:
    """Return our rows on Lakebase; where the settings say so, Databricks publishes the feature table beside them."""
    from .lakebase import LakebaseLogin
    from .published import PublishedOnlineStore, publish_table, tell_lag
    from .workspace import client_of

    settings, address = profile.workspace, profile.online.address

    def also(published: Publication) -> None:
        if settings.publish_table is not None:
            client, features = client_of(settings), published.features
            online = publish_table(client, settings, settings.schema_of(contract), features.name)
            tell_lag(client, online, features.version)

    login = LakebaseLogin(partial(client_of, settings), address)
    return PublishedOnlineStore(address, contract.name, also=also, options=login.options)


def package(profile: Profile, contract: DatasetContract, model: str, scorer: Any, into: Path, **described: Any) -> Any:
    """Return a package that looks features up by itself where it is served, and the digest of the package in it."""
    from .served_model import Dataset, wrap

    plain = into.with_name(f"{into.name}.plain")
    built, digest = mlflow.package(profile, contract, model, scorer, plain, **described)
    columns = (*contract.kinds, *(spec.name for spec in contract.features))
    dataset = Dataset(name=contract.name, key=contract.entity_key, columns=columns)
    resources = []
    if profile.online.store == "lakebase":
        from mlflow.models.resources import DatabricksLakebase

        resources.append(DatabricksLakebase(profile.online.address.split("/")[1]))
    return wrap(built, into, dataset, resources=resources), digest


def engine(profile: Profile, contract: DatasetContract, _: str, wanted: Engine, scorer: Any, *, rows: int) -> Any:
    """Return what scores batches of Unity Catalog's tables; see `adapters.local.ports.batch_engine`."""
    from .catalog import frame_at

    folder = Path(profile.workspace.volume_path) / "scoring" / contract.name
    store, limits = tables(profile, contract), profile.resources
    return local.batch_engine(wanted, scorer, rows, limits, store=store, folder=folder, frames=frame_at)


def prediction_log(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return what moves the requests that are logged of the data set's endpoint, by whoever logs them."""
    from .catalog import UnityCatalog
    from .endpoint import endpoint_name
    from .lakebase import LakebaseLogin
    from .prediction_log import InferenceLog, log_of, logged_endpoint, table_of
    from .request_log import PostgresRequests, UnityRequests
    from .workspace import client_of

    settings, online = profile.workspace, profile.online
    endpoint = logged_endpoint(client_of(settings), endpoint_name(settings, contract.name))
    requests: Any = None
    kind = log_of(endpoint, "auto")
    if endpoint is not None and (table := table_of(endpoint)):
        schema, name = table.rsplit(".", 1)
        requests = UnityRequests(UnityCatalog(unity_catalog(profile, contract).session, schema), name)
    elif kind == "own" and online.store == "lakebase":
        requests = PostgresRequests(LakebaseLogin(partial(client_of, settings), online.address).options, contract.name)
    elif kind == "own":
        password = os.environ.get(online.password_variable)
        options = {"conninfo": online.address, **({"password": password} if password else {})}
        requests = PostgresRequests(lambda: options, contract.name)
    predictions = contract.table("predictions")
    return InferenceLog(requests, tables(profile, contract), predictions, contract.entity_key, kind)


def endpoint(
    profile: Profile, contract: DatasetContract, model: str, options: ServeOptions, approval: ApprovalContext
) -> Any:
    """Return the endpoint on Model Serving, whose versions find the profile's online store from there."""
    from churn.approval.rollout import running

    from .endpoint import ModelServingEndpoint, OnTrial
    from .served_model import environment_of
    from .workspace import client_of

    settings = options.settings
    full = model if model.count(".") == 2 else f"{profile.workspace.schema_of(contract)}.{model}"

    def on_trial() -> OnTrial | None:
        rollout = running(approval.read())
        return None if rollout is None else OnTrial(rollout.version, 0 if rollout.shadow else rollout.share)

    def environment(version: int, alias: str, logs: bool) -> Mapping[str, str]:
        return environment_of(
            profile,
            approval.read().version(version),
            alias,
            settings.serving.stale_after(contract).days,
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

"""The model registry in MLflow: SQLite or a server; `unity_catalog` has what is particular to Unity Catalog."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlparse
from urllib.request import url2pathname

from churn.core.errors import NotFound, StoreError
from churn.ports.registry import ModelRegistry, ModelVersion

from .client import all_pages, ask, connect, is_conflict, may_hold

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.store.entities import PagedList

__all__ = ["MlflowModelRegistry"]

T = TypeVar("T")


class MlflowModelRegistry(ModelRegistry):
    """Registered models of one MLflow registry, whose files lie with the runs of one MLflow tracking store.

    Args:
        tracking_uri: Where the runs are, such as `sqlite:////folder/mlflow.db`, `http://host:5000`, `databricks`.
        registry_uri: Where the registered models are; the same place unless it is Unity Catalog.
    """

    def __init__(self, tracking_uri: str, registry_uri: str | None = None) -> None:
        self._tracking_uri = tracking_uri
        self._registry_uri = registry_uri or tracking_uri

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self._tracking_uri, self._registry_uri)

    def _full(self, name: str) -> str:
        """Return what the registry calls a model."""
        return name

    def register(
        self, name: str, package: Path, *, description: str, tags: Mapping[str, str], run_id: str
    ) -> ModelVersion:
        """Store the package as a logged model of the run, then create the version, complete, in one call."""
        _check_name(name)
        if not (package / "MLmodel").is_file():
            raise StoreError(f"{package} holds no packaged model (no MLmodel file): build the package first.")
        logged = self._log(name, package, run_id)
        self._create_model(name)
        version = self._ask(
            f"register a version of {name!r}",
            lambda: self._client.create_model_version(
                self._full(name),
                # The plain location: MLflow would look `models:/…` up in its global tracking store.
                source=_plain(logged.artifact_location),
                run_id=run_id,
                tags=dict(tags),
                description=description,
                model_id=logged.model_id,
            ),
        )
        version = self._complete(name, version)
        self._link(logged, self._full(name), version.version)
        return _version(name, version, ())

    def _complete(self, name: str, version: MlflowVersion) -> MlflowVersion:
        """Return a version that was just created, once it can be used."""
        return version

    def versions(self, name: str) -> list[ModelVersion]:
        """Return every version, from one search; where a local store has none, MLflow is not even asked."""
        _check_name(name)
        if not may_hold(self._registry_uri, self._full(name)):
            return []
        stored = self._found(name)
        if not stored:
            return []
        aliases = self._aliases(name)
        versions = [_version(name, version, aliases.get(int(version.version), ())) for version in stored]
        return sorted(versions, key=lambda version: version.version)

    def _found(self, name: str) -> list[MlflowVersion]:
        def page(token: str | None) -> PagedList[MlflowVersion]:
            return self._client.search_model_versions(f"name='{self._full(name)}'", page_token=token)

        return self._ask(f"list the versions of {name!r}", lambda: list(all_pages(page)))

    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """Return the version that `alias` names, or None."""
        try:
            aliases = self._aliases(name)
        except NotFound:
            return None
        version = next((version for version, names in aliases.items() if alias in names), None)
        return None if version is None else _version(name, self._get(name, version), aliases[version])

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let `alias` name `version`."""
        what = f"let @{alias} name version {version} of {name!r}"
        self._ask(what, lambda: self._client.set_registered_model_alias(self._full(name), alias, str(version)))

    def delete_alias(self, name: str, alias: str) -> None:
        """Let `alias` name nothing."""
        what = f"remove @{alias} of {name!r}"
        self._ask(what, lambda: self._client.delete_registered_model_alias(self._full(name), alias))

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Set one tag after the other: MLflow has no call for several."""
        self._get(name, version)
        for tag, value in tags.items():
            tagging = partial(self._client.set_model_version_tag, self._full(name), str(version), tag, value)
            self._ask(f"tag version {version} of {name!r} with {tag!r}", tagging)

    def describe(self, name: str, text: str, version: int | None = None) -> None:
        """Set the description of a version or, without one, of the model."""
        if version is None:
            what = f"describe the model {name!r}"
            self._ask(what, lambda: self._client.update_registered_model(self._full(name), text))
        else:
            what = f"describe version {version} of {name!r}"
            self._ask(what, lambda: self._client.update_model_version(self._full(name), str(version), text))

    def delete_version(self, name: str, version: int) -> None:
        """Remove a version; the files stay with the run that trained it."""
        self._get(name, version)
        if aliases := self._aliases(name).get(version):
            raise StoreError(
                f"Version {version} of {name!r} is @{', @'.join(aliases)}: let the alias name another version first."
            )
        what = f"delete version {version} of {name!r}"
        self._ask(what, lambda: self._client.delete_model_version(self._full(name), str(version)))

    def download(self, name: str, version: int, into: Path) -> Path:
        """Copy the files of a version to `into/<name>-v<version>`, in place of what is there."""
        self._get(name, version)
        folder = into / f"{name}-v{version}"
        shutil.rmtree(folder, ignore_errors=True)
        what = f"read the files of version {version} of {name!r}"
        return self._ask(what, lambda: self._copy(name, version, folder))

    def _ask(self, what: str, call: Callable[[], T]) -> T:
        return ask(self._registry_uri, what, call)

    def _copy(self, name: str, version: int, folder: Path) -> Path:
        from mlflow.artifacts import download_artifacts

        source = self._client.get_model_version_download_uri(self._full(name), str(version))
        location = urlparse(source)
        if location.scheme not in {"", "file"}:
            folder.mkdir(parents=True)
            return Path(download_artifacts(source, None, None, str(folder), self._tracking_uri, self._registry_uri))
        try:
            return shutil.copytree(url2pathname(location.path), folder)
        except FileNotFoundError as error:
            raise NotFound(
                f"The files of version {version} of {name!r} are gone from {source}: train it again."
            ) from error

    def _create_model(self, name: str) -> None:
        try:
            self._ask(f"create the model {name!r}", lambda: self._client.create_registered_model(self._full(name)))
        except StoreError as error:
            if not is_conflict(error):
                raise

    def _log(self, name: str, package: Path, run_id: str) -> LoggedModel:
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        def log() -> LoggedModel:
            run = self._client.get_run(run_id)
            logged = self._client.create_logged_model(
                run.info.experiment_id, name=name.rpartition(".")[2], source_run_id=run_id
            )
            self._client.log_model_artifacts(logged.model_id, str(package))
            self._client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
            return self._client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)

        return ask(self._tracking_uri, f"store the package of {name!r} with run {run_id}", log)

    def _link(self, logged: LoggedModel, name: str, version: int | str) -> None:
        """Let MLflow's pages lead from the run's model to the registered version."""
        from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

        link = {MLFLOW_MODEL_VERSIONS: json.dumps([{"name": name, "version": int(version)}])}
        linking = partial(self._client.set_logged_model_tags, logged.model_id, link)
        ask(self._tracking_uri, f"link the logged model to {name!r}", linking)

    def _get(self, name: str, version: int) -> MlflowVersion:
        what = f"find version {version} of {name!r}"
        return self._ask(what, lambda: self._client.get_model_version(self._full(name), str(version)))

    def _aliases(self, name: str) -> dict[int, tuple[str, ...]]:
        model = self._ask(f"find {name!r}", lambda: self._client.get_registered_model(self._full(name)))
        by_version: dict[int, tuple[str, ...]] = {}
        for alias, version in sorted(model.aliases.items()):
            by_version[int(version)] = (*by_version.get(int(version), ()), alias)
        return by_version


def _plain(location: str) -> str:
    """Return a `file://` location as a plain path: MLflow 3.17 deletes the files behind one in Unity Catalog."""
    address = urlparse(location)
    return url2pathname(address.path) if address.scheme == "file" else location


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[\w. -]+", name):
        raise StoreError(
            f"{name!r} is no name for a registered model: use letters, digits, spaces, `_`, `-` and `.` alone."
        )


def _version(name: str, version: MlflowVersion, aliases: tuple[str, ...]) -> ModelVersion:
    """Return a version of the model that this project calls `name`."""
    return ModelVersion(
        name=name,
        version=int(version.version),
        run_id=version.run_id or None,
        description=version.description or "",
        tags=dict(version.tags),
        aliases=aliases,
        created_at=dt.datetime.fromtimestamp(version.creation_timestamp / 1000, tz=dt.UTC),
    )

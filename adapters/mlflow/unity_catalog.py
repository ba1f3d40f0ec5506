"""The model registry in Unity Catalog, through MLflow's own client: `databricks-uc`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from churn.core.errors import NotFound, StoreError
from churn.ports.registry import ModelVersion

from .registry import MlflowModelRegistry

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

__all__ = ["UnityCatalogRegistry"]

_RESERVED = ".,-=/:"
_LONGEST = 1000
_PATIENCE_SECONDS = 300.0
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)


class UnityCatalogRegistry(MlflowModelRegistry):
    """Registered models of one schema: `churn_telco` is `main.telco.churn_telco` in Unity Catalog.

    A version is there once it is READY: it can be loaded, and takes aliases and tags. Versions whose files were never
    uploaded are not shown, and those that an answer that was lost left behind are removed.

    Args:
        schema: `catalog.schema`.
        tracking_uri: Where the runs are: `databricks`. MLflow's global address must be the same.
        registry_uri: `databricks-uc`.
    """

    def __init__(self, schema: str, tracking_uri: str = "databricks", registry_uri: str = "databricks-uc") -> None:
        super().__init__(tracking_uri, registry_uri)
        self._schema = schema

    def register(
        self, name: str, package: Path, *, description: str, tags: Mapping[str, str], run_id: str
    ) -> ModelVersion:
        """Register as MLflow does; the files go up through the Files API."""
        _check_tags(tags)
        return super().register(name, package, description=description, tags=tags, run_id=run_id)

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Set one tag after the other."""
        _check_tags(tags)
        super().set_tags(name, version, tags)

    def delete_alias(self, name: str, alias: str) -> None:
        """Look first: Unity Catalog refuses an alias that names nothing."""
        if any(alias in names for names in self._aliases(name).values()):
            super().delete_alias(name, alias)

    def _full(self, name: str) -> str:
        return f"{self._schema}.{name}"

    def _found(self, name: str) -> list[MlflowVersion]:
        """Look each version up: a search leaves tags out, and refuses a model that there is not."""
        try:
            versions = super()._found(name)
        except NotFound:
            return []
        return [self._get(name, int(version.version)) for version in versions if version.status == "READY"]

    def _complete(self, name: str, version: MlflowVersion) -> MlflowVersion:
        """Wait until the version is READY, then remove those that a lost answer left without files."""
        until, pauses = time.monotonic() + _PATIENCE_SECONDS, iter(_PAUSES)
        while version.status != "READY":
            if version.status == "FAILED_REGISTRATION" or time.monotonic() > until:
                raise StoreError(
                    f"Unity Catalog did not register version {version.version} of {name!r}: it is {version.status} "
                    f"({version.status_message or 'no reason is given'}). Delete that version and train again."
                )
            time.sleep(next(pauses, _PAUSES[-1]))
            version = self._get(name, int(version.version))
        for other in super()._found(name):
            if (other.run_id, other.status) == (version.run_id, "PENDING_REGISTRATION"):
                self._ask(
                    f"remove version {other.version} of {name!r}, which has no files",
                    partial(self._client.delete_model_version, self._full(name), str(other.version)),
                )
        return version

    def _copy(self, name: str, version: int, folder: Path) -> Path:
        from mlflow.artifacts import download_artifacts

        source = f"models:/{self._full(name)}/{version}"
        folder.mkdir(parents=True)
        return Path(download_artifacts(source, None, None, str(folder), self._tracking_uri, self._registry_uri))


def _check_tags(tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        if not key or set(key) & set(_RESERVED):
            raise StoreError(f"{key!r} is no key of a tag in Unity Catalog: use letters, digits and `_` alone.")
        if len(value) > _LONGEST:
            raise StoreError(
                f"The tag {key!r} has {len(value):,} characters, and Unity Catalog keeps {_LONGEST:,}: shorten it."
            )

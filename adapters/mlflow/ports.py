"""Makes the ports that MLflow carries, on the laptop and on Databricks alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from churn.core.errors import ModelError
from churn.data.contract import DatasetContract
from churn.ports.registry import MODEL_DIGEST, ModelRegistry, ModelVersion
from churn.profile import Profile

Registry = Callable[[Profile, DatasetContract], Any]
"""Makes the registry that the versions are in."""


def experiment(profile: Profile, model: str) -> str:
    """Return the name of a model's MLflow experiment; on Databricks it is a path in the workspace."""
    return model if profile.databricks is None else f"{profile.databricks.folder}/{model}"


def registry(profile: Profile, *_: Any) -> Any:
    """Return the registry of the profile."""
    from .registry import MlflowModelRegistry

    return MlflowModelRegistry(profile.mlflow.tracking_uri, profile.mlflow.registry_uri)


def unity_registry(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    """Return Unity Catalog's registry, in which models have names of three levels."""
    from .unity_catalog import UnityCatalogRegistry

    schema, places = profile.workspace.schema_of(contract), profile.mlflow
    return UnityCatalogRegistry(schema, places.tracking_uri, places.registry_uri)


def tracker(profile: Profile, contract: DatasetContract, model: str, run_id: str | None = None) -> Any:
    """Return the record of a run; without an id, of the one that the stack's tracker has opened for this step."""
    from .tracker import MlflowTracker, active_run_id

    places = profile.mlflow
    return MlflowTracker(
        places.tracking_uri, experiment(profile, model), places.artifacts, run_id=run_id or active_run_id()
    )


def package(profile: Profile, contract: DatasetContract, model: str, *scored: Any, **described: Any) -> Any:
    """Build the package of a scorer, and return it with its digest."""
    from .manifest import package_digest
    from .package import build_package

    built = build_package(*scored, **described)
    return built, package_digest(built)


def models_in(registry: Registry) -> dict[str, Callable[..., Any]]:
    """Return the ports of the models that are in a registry: the registry, and what loads and verifies a version."""

    def load(profile: Profile, contract: DatasetContract, model: str, version: ModelVersion, into: Path) -> Any:
        from .load import load_package

        folder, digest = _fetched(registry(profile, contract), version, into)
        return load_package(folder, expected_digest=digest)

    def verify(profile: Profile, contract: DatasetContract, model: str, version: ModelVersion, into: Path) -> None:
        from .manifest import check_package

        check_package(*_fetched(registry(profile, contract), version, into))

    return {"registry": registry, "load": load, "verify": verify}


def _fetched(registry: ModelRegistry, version: ModelVersion, into: Path) -> tuple[Path, str]:
    """Return the package of a version, and the digest that it is to have."""
    digest = version.tags.get(MODEL_DIGEST)
    if not digest:
        raise ModelError(
            f"Version {version.version} of {version.name!r} carries no digest, so nobody can tell what it is: register "
            "models with `python run.py --pipeline training`."
        )
    from .manifest import package_in

    return package_in(registry.download(version.name, version.version, into)), digest

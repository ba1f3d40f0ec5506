"""Registering a trained model as the challenger, once: the same model again is not a second version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from ..core.frozen import Frozen
from ..ports.registry import CHALLENGER, MODEL_DIGEST, ModelRegistry, ModelVersion

__all__ = ["Registration", "register_challenger"]


class Registration(Frozen):
    """Which version of which registered model a training run ended in."""

    name: str
    version: int
    run_id: str | None
    digest: str
    unchanged: bool = Field(description="Whether the version was there before, because the model is the same.")
    description: str
    tags: dict[str, str]


def register_challenger(
    registry: ModelRegistry,
    name: str,
    package: Path,
    *,
    digest: str,
    description: str,
    tags: Mapping[str, str],
    run_id: str,
) -> Registration:
    """Register the packaged model and let `@Challenger` name it; a version with the same digest is taken instead.

    The alias moves last, so that whoever follows it finds a version that is complete. Of two runs that register the
    same model at the same time the earlier version stays.

    Raises:
        StoreError: the registry does not answer; a version that was created then is taken up by the next run.
    """
    version = _earliest(registry, name, digest)
    if version is None:
        created = registry.register(
            name, package, description=description, tags={**tags, MODEL_DIGEST: digest}, run_id=run_id
        )
        version = _earliest(registry, name, digest) or created
        if created.version != version.version:
            registry.delete_version(name, created.version)
    registry.set_alias(name, CHALLENGER, version.version)
    return Registration(
        name=name,
        version=version.version,
        run_id=version.run_id,
        digest=digest,
        unchanged=version.run_id != run_id,
        description=version.description,
        tags=dict(version.tags),
    )


def _earliest(registry: ModelRegistry, name: str, digest: str) -> ModelVersion | None:
    same = (version for version in registry.versions(name) if version.tags.get(MODEL_DIGEST) == digest)
    return min(same, key=lambda version: version.version, default=None)

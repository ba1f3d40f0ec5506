"""The cache policy of a step: inputs, parameters, code of every imported module, libraries."""

from __future__ import annotations

from pathlib import Path

from zenml.config.cache_policy import CachePolicy

from churn.core.codebase import closure

__all__ = ["cached_on"]

_ROOT = Path(__file__).resolve().parents[1]


def cached_on(*modules: str) -> CachePolicy:
    """Return the policy of a step without effects: any change in `modules`, or in a module they import, runs it."""
    files = [str(path.relative_to(_ROOT)) for path in closure(*modules)]
    return CachePolicy(file_dependencies=files, cache_func="churn.core.codebase.library_versions")

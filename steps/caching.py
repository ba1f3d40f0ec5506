"""When a step may be skipped: the same inputs, parameters, code of every module it needs, and libraries."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from zenml.config.cache_policy import CachePolicy

from churn.codebase import closure

__all__ = ["cached_on", "library_versions"]

_ROOT = Path(__file__).resolve().parents[1]
_LIBRARIES = ("numpy", "optuna", "pandas", "scikit-learn", "scipy", "xgboost")


def cached_on(*modules: str) -> CachePolicy:
    """Return the policy of a step without effects: any change in `modules`, or in a module they import, runs it."""
    files = [str(path.relative_to(_ROOT)) for path in closure(*modules)]
    return CachePolicy(file_dependencies=files, cache_func=library_versions)


def library_versions() -> str:
    """Return the versions that a result depends on; another version may give another model."""
    return " ".join(f"{library}={version(library)}" for library in _LIBRARIES)

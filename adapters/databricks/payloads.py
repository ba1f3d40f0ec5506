"""How what the workspace has differs from what is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["differences"]

_EMPTY: tuple[Any, ...] = (0, False, "", [], {})


def differences(existing: Any, wanted: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Return each setting that differs by its path, such as `tasks.train.max_retries`: as it is, and as it is wanted.

    What the service adds by itself does not count; one more element of a list does.
    """
    if isinstance(wanted, Sequence) and isinstance(existing, Sequence) and not isinstance(wanted, str):
        if not all(isinstance(element, Mapping) for element in (*wanted, *existing)):
            return {} if list(existing) == list(wanted) else {path: (existing, wanted)}
        present, asked = _keyed(existing), _keyed(wanted)
        extra = {f"{path}.{key}": (present[key], None) for key in present.keys() - asked.keys()}
        return differences(present, asked, path) | extra
    if isinstance(wanted, Mapping) and isinstance(existing, Mapping):
        differing: dict[str, tuple[Any, Any]] = {}
        for key, value in wanted.items():
            differing |= differences(existing.get(key), value, f"{path}.{key}".lstrip("."))
        return differing
    same = existing == wanted or (existing is None and wanted in _EMPTY)
    return {} if same else {path: (existing, wanted)}


def _keyed(elements: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return elements by what they are called, else by their place."""
    keys = ("task_key", "environment_key", "job_cluster_key", "name")
    named = [
        next((str(element[key]) for key in keys if key in element), str(place))
        for place, element in enumerate(elements)
    ]
    return dict(zip(named, elements, strict=True))

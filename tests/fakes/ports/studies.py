"""Studies in the memory of one process."""

from __future__ import annotations

from typing import Any

from churn.ports.studies import Studies

__all__ = ["InMemoryStudies"]


class InMemoryStudies(Studies):
    """Studies that end with the process."""

    def __init__(self) -> None:
        self._storage: Any = None

    def storage(self) -> Any:
        import optuna

        self._storage = self._storage or optuna.storages.InMemoryStorage()
        return self._storage

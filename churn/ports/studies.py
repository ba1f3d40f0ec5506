"""The port of the studies of a search: trials that outlive a process and are shared by several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ..core.frozen import Frozen

__all__ = ["Studies", "Trial"]


class Trial(Frozen):
    """One finished trial of a study.

    Attributes:
        number: Position in the study; 0 is usually the fixed configuration.
        state: `COMPLETE`, `PRUNED` (given up because it was behind) or `FAIL` (its process died).
        value: Mean out-of-fold objective, None where it was not finished.
        params: The parameters of the trees that the trial tried.
        seconds: Wall time.
    """

    number: int
    state: str
    value: float | None
    params: dict[str, float | int]
    seconds: float


class Studies(ABC):
    """Where Optuna keeps studies, by name."""

    @abstractmethod
    def storage(self) -> Any:
        """Return an `optuna.storages.BaseStorage` that holds every study there is.

        A trial that was told is there when the storage is opened again. Several threads may use one storage, and where
        the place is shared several processes may open it at once. A running trial gives a sign of life from time to
        time where its process may die alone; one without counts as failed when the study goes on.

        Raises:
            StoreError: the place does not answer, or holds something else.
        """

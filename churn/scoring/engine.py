"""What scores a batch into the table of predictions, and what it is given to score with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from ..data.contract import DatasetContract
from ..ports.tables import TableRef
from .predictions import Batch
from .rows import BatchScorer
from .summary import Tally

__all__ = ["BatchEngine", "PackagedModel", "Tell", "Work"]

Tell = Callable[[int, int, str], None]
"""Hears rows done, rows in all, and how it goes."""


class PackagedModel(BatchScorer, Protocol):
    """A registered version, checked and loaded."""

    @property
    def digest(self) -> str:
        """The digest of what it does."""

    @property
    def scoring(self) -> Mapping[str, Any]:
        """The economics and the reasons in its package, as JSON values."""


@dataclass(frozen=True)
class Work:
    """What an engine did for a batch.

    Attributes:
        table: The predictions, with the batch.
        tally: Its counts.
        resumed: Rows that an earlier run had scored.
    """

    table: TableRef
    tally: Tally
    resumed: int = 0


class BatchEngine(ABC):
    """Scores a batch into the table of predictions: on this machine, or distributed."""

    name: ClassVar[Literal["local", "spark"]]

    @abstractmethod
    def exclusive(self, batch_id: str) -> AbstractContextManager[None]:
        """Let one run at a time work at a batch; others wait, and a killed one lets go."""

    @abstractmethod
    def score(self, scorer: BatchScorer, batch: Batch, contract: DatasetContract, tell: Tell) -> Work:
        """Score the newest rows of the batch's features, in bounded memory, and replace the batch as a whole.

        Rows that cannot be scored go to the quarantine. What a killed run had finished is not done again.

        Raises:
            StoreError: a table or the disk refuses; nothing of the batch is visible.
        """

    @abstractmethod
    def forget(self, batch_id: str) -> None:
        """Remove what was kept for a run that would go on with the batch."""

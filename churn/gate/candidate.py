"""A registered version as the gate examines it: loaded, with what its package says of itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import ModelError
from ..model.frame import FloatArray
from ..ports.registry import MODEL_DIGEST, ModelVersion
from ..training.recipe import Recipe, read_recipe
from .report import Contestant

__all__ = ["TRAINED_UNTIL", "Candidate", "Load", "contestant"]

TRAINED_UNTIL = "trained_until"
"""The tag with the newest event time of the rows that a version was trained on (ISO 8601, UTC)."""


@dataclass(frozen=True)
class Candidate:
    """A version whose package was checked and loaded.

    Attributes:
        version: What the registry says of it.
        metadata: What the package says of itself.
        inputs: The columns of its signature; empty where it has none.
        card: Its model card, Markdown; empty where it has none.
        size: Bytes of the package.
        score: Raw contract columns in, probability, decision, expected value and reasons out; see `Scorer.score`.
        thresholds: Probabilities from which a customer counts as a churner, by rule.
    """

    version: ModelVersion
    metadata: Mapping[str, Any]
    inputs: tuple[str, ...]
    card: str
    size: int
    score: Callable[..., pd.DataFrame]
    thresholds: Mapping[str, float]

    def probability(self, customers: pd.DataFrame) -> FloatArray:
        """Return the churn probability of each customer, shape `(n_rows,)`."""
        return self.score(customers, explain=False)["probability"].to_numpy(dtype=np.float64)

    @property
    def recipe(self) -> Recipe:
        """How the version was made.

        Raises:
            ModelError: the package does not say it, or in a format that is not known.
        """
        try:
            return read_recipe(self.metadata)
        except ModelError as error:
            raise ModelError(f"Version {self.version.version} of {self.version.name!r}: {error}") from error


Load = Callable[[ModelVersion], Candidate]
"""Fetches and loads a version by its registered digest; raises StoreError or ModelError."""


def contestant(version: ModelVersion) -> Contestant:
    """Return a version as the report names it."""
    until = version.tags.get(TRAINED_UNTIL)
    return Contestant(
        version=version.version,
        digest=version.tags.get(MODEL_DIGEST, ""),
        description=version.description,
        recipe_digest=version.tags.get("recipe_digest"),
        data_digest=version.tags.get("data_digest"),
        trained_until=dt.datetime.fromisoformat(until) if until else None,
        registered_at=version.created_at,
    )

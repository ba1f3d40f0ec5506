"""The port of the model registry: registered models, their versions, aliases and tags."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CHALLENGER", "CHAMPION", "HOLDOUT", "MODEL_DIGEST", "PREVIOUS_CHAMPION", "ModelRegistry", "ModelVersion"]


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model, as a registry knows it. `description` and `tags` are never half there."""

    name: str
    version: int
    run_id: str | None
    description: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    created_at: dt.datetime | None = None


class ModelRegistry(ABC):
    """Registered models with versions 1, 2, 3, …; an alias names exactly one version."""

    @abstractmethod
    def register(
        self, name: str, package: Path, *, description: str, tags: Mapping[str, str], run_id: str
    ) -> ModelVersion:
        """Store the packaged model in the folder `package` with the run that trained it, and register it as a version.

        A reader never sees a version without its files, description and tags. No alias is set, and the number of a
        version that was deleted is not used again.

        Raises:
            NotFound: there is no such run.
            StoreError: the registry does not answer, the name is not valid, or the folder holds no packaged model.
        """

    @abstractmethod
    def versions(self, name: str) -> list[ModelVersion]:
        """Return every version, oldest first; empty for a model that is not there."""

    @abstractmethod
    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """Return the version that `alias` names, or None."""

    @abstractmethod
    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let `alias` name `version`, whatever it named before.

        Raises:
            NotFound: there is no such version.
        """

    @abstractmethod
    def delete_alias(self, name: str, alias: str) -> None:
        """Let `alias` name nothing; where it names nothing, that is all right.

        Raises:
            NotFound: there is no such model.
        """

    @abstractmethod
    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Give a version these tags, in place of those of the same names; its other tags stay.

        Raises:
            NotFound: there is no such version.
        """

    @abstractmethod
    def describe(self, name: str, text: str, version: int | None = None) -> None:
        """Say in Markdown what a version is, or without one the model, in place of what was said before.

        Raises:
            NotFound: there is no such model or version.
        """

    @abstractmethod
    def delete_version(self, name: str, version: int) -> None:
        """Remove a version that has no alias.

        Raises:
            NotFound: there is no such version.
            StoreError: the version has an alias.
        """

    @abstractmethod
    def download(self, name: str, version: int, into: Path) -> Path:
        """Copy the packaged model of a version below `into` and return its folder.

        Raises:
            NotFound: there is no such version, or its files are gone.
        """


CHALLENGER = "Challenger"
"""The alias of the candidate for promotion."""


MODEL_DIGEST = "model_digest"
"""The tag that holds the digest of what the version does: model, scoring code, economics."""


HOLDOUT = "holdout"
"""The tag that says of which rows the metrics of a version are: digits that differ between other rows, then words."""


CHAMPION = "Champion"
"""The alias of the version that consumers load."""


PREVIOUS_CHAMPION = "PreviousChampion"
"""The alias of the version that a rollback goes to."""

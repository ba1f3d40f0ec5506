"""The port of the stages of model versions in a model control plane."""

from __future__ import annotations

from abc import ABC, abstractmethod

__all__ = ["StageMirror"]


class StageMirror(ABC):
    """What a model control plane shows of the versions of a registered model."""

    @abstractmethod
    def show_candidate(self, model: str, version: int, description: str) -> None:
        """Make a version known, in staging; the one that was there goes to the archive. The champion stays where it is.

        Raises:
            StoreError: the control plane does not answer.
        """

    @abstractmethod
    def show_champion(self, model: str, version: int) -> None:
        """Show a version in production, and make it known where it is not; the one that was there goes to the archive.

        Raises:
            StoreError: the control plane does not answer.
        """

    @abstractmethod
    def show_withdrawn(self, model: str, version: int) -> None:
        """Show a version that is live no more, and none in its place: it goes to the archive.

        Raises:
            StoreError: the control plane does not answer.
        """

    @abstractmethod
    def show_endpoint(self, model: str, version: int, address: str) -> None:
        """Show where a version answers, as a link.

        Raises:
            StoreError: the control plane does not answer.
        """

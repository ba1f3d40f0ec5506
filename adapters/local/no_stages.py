"""A stage mirror that shows nothing, for a simulated year."""

from __future__ import annotations

from churn.ports.stages import StageMirror

__all__ = ["NoStages"]


class NoStages(StageMirror):
    """Shows nothing."""

    def show_candidate(self, model: str, version: int, description: str) -> None:
        """Do nothing."""

    def show_champion(self, model: str, version: int) -> None:
        """Do nothing."""

    def show_withdrawn(self, model: str, version: int) -> None:
        """Do nothing."""

    def show_endpoint(self, model: str, version: int, address: str) -> None:
        """Do nothing."""

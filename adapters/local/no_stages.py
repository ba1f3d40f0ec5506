"""A stage mirror that shows nothing, for a simulated year."""

from __future__ import annotations

from typing import Any

from churn.ports.stages import StageMirror

__all__ = ["NoStages"]


class NoStages(StageMirror):
    """Shows nothing."""

    def show_candidate(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    show_champion = show_withdrawn = show_endpoint = show_candidate

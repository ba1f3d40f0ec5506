"""A model control plane in memory."""

from __future__ import annotations

from churn.core.errors import StoreError
from churn.ports.stages import StageMirror


class InMemoryStages(StageMirror):
    """The stage of each version lies open; `down` is whether it does not answer."""

    def __init__(self) -> None:
        self.stages: dict[tuple[str, int], str] = {}
        self.addresses: dict[tuple[str, int], str] = {}
        self.down = False

    def show_candidate(self, model: str, version: int, description: str) -> None:
        if self.stages.get((model, version)) != "production":
            self._show(model, version, "staging")

    def show_champion(self, model: str, version: int) -> None:
        self._show(model, version, "production")

    def show_withdrawn(self, model: str, version: int) -> None:
        self._show(model, version, "archived")

    def show_endpoint(self, model: str, version: int, address: str) -> None:
        if self.down:
            raise StoreError("The model control plane does not answer: start it.")
        self.addresses[model, version] = address

    def _show(self, model: str, version: int, stage: str) -> None:
        if self.down:
            raise StoreError("The model control plane does not answer: start it.")
        for (name, number), held in list(self.stages.items()):
            if name == model and held == stage:
                self.stages[name, number] = "archived"
        self.stages[model, version] = stage

"""A model control plane in memory."""

from __future__ import annotations

from churn.errors import StoreError
from churn.ports import Stage, StageMirror


class InMemoryStages(StageMirror):
    """The stage of each version lies open; `down` is whether it does not answer."""

    def __init__(self) -> None:
        self.stages: dict[tuple[str, int], Stage] = {}
        self.down = False

    def set_stage(self, model: str, version: int, stage: Stage) -> None:
        if self.down:
            raise StoreError("The model control plane does not answer: start it.")
        if stage in {"staging", "production"}:
            for (name, number), held in list(self.stages.items()):
                if name == model and held == stage:
                    self.stages[name, number] = "archived"
        self.stages[model, version] = stage

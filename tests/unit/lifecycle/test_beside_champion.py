"""A first look at a new version beside the champion; that it cannot be had stops no training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from churn.core.errors import DecisionRefused, StoreError
from churn.lifecycle.beside_champion import beside_champion
from churn.ports.registry import MODEL_DIGEST, ModelVersion
from churn.settings import read_configuration
from tests.fakes.data.findings import REGISTRATION, SNAPSHOT
from tests.fakes.data.scorers import small_scorer

SETTINGS = read_configuration(Path(__file__).parents[3] / "configs").settings


class Workspace:
    """As much of a workspace as is asked before any row is read."""

    def __init__(self, champion: ModelVersion | None = None, error: Exception | None = None) -> None:
        self.champion, self.error = champion, error

    def approval(self, _: object) -> Any:
        if self.error is not None:
            raise self.error
        return SimpleNamespace(read=lambda: SimpleNamespace(champion=self.champion))

    def candidate(self, version: ModelVersion, into: object) -> Any:
        raise StoreError(f"The files of version {version.version} are gone.")


def compared(workspace: Workspace) -> object:
    given: Any = workspace
    return beside_champion(given, SETTINGS, SNAPSHOT, small_scorer().model, REGISTRATION)


def version(**tags: str) -> ModelVersion:
    return ModelVersion("churn_gym_simulated", 3, "run", "A model.", tags)


def test_without_another_live_version_there_is_nothing_to_compare_with() -> None:
    assert compared(Workspace()) is None
    assert compared(Workspace(version(**{MODEL_DIGEST: REGISTRATION.digest}))) is None


@pytest.mark.parametrize(
    ("workspace", "words"),
    [
        (Workspace(error=DecisionRefused("@Champion was moved.")), "could not be compared with: @Champion was moved."),
        (Workspace(version(split=SETTINGS.split.tag)), "could not be compared with: The files of version 3 are gone."),
        (Workspace(version(split="0.5 by other")), "version 3 was trained under another split: it saw part of this"),
    ],
)
def test_what_keeps_from_comparing_is_said_and_stops_nothing(workspace: Workspace, words: str) -> None:
    assert words in str(compared(workspace))

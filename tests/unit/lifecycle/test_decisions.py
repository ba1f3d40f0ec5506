"""The audit of a workspace, and versions whose model is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from churn.core.errors import DecisionRefused, ModelError, NotFound
from churn.lifecycle.decisions import audit_model, retire_version
from churn.lifecycle.workspace import Workspace
from churn.ports.registry import ModelVersion
from tests.fakes.data.case import CONTRACT, settings
from tests.fakes.data.deciding import MODEL, Office, office
from tests.fakes.ports.tables import MemoryFeatureStore


def workspace(place: Office, damaged: tuple[int, ...] = ()) -> Workspace:
    def verify(version: ModelVersion, into: Path) -> None:
        if version.version in damaged:
            raise ModelError(f"The packaged model in {into} is not loaded: model.ubj changed.")

    make: dict[str, Any] = {
        "registry": lambda: place.registry,
        "ledger": lambda: place.ledger,
        "stages": lambda: place.stages,
        "tables": lambda: MemoryFeatureStore("toy"),
        "verify": verify,
    }
    return Workspace(contract=CONTRACT, model=MODEL, threads=1, clock=place.clock, make=make)


def test_an_audit_names_damaged_packages_and_reports_that_are_gone() -> None:
    done = audit_model(workspace(office(2, 1), damaged=(2,)), settings())
    assert [finding.subject for finding in done.findings] == ["version 2", "record 1"]
    assert "model.ubj changed" in done.findings[0].problem
    assert "is not in `gate_reports`" in done.findings[1].problem


def test_a_version_that_is_there_and_whole_is_not_retired() -> None:
    place = office(2, 1)
    with pytest.raises(DecisionRefused, match="is in the registry, whole and as the ledger knows it"):
        retire_version(workspace(place), settings(), 1, who="bob", why="Bad.")
    assert "retired" not in place.kinds


@pytest.mark.parametrize("gone", ["deleted", "damaged", "another"])
def test_a_version_whose_model_is_gone_is_retired(gone: str) -> None:
    place = office(2, 1)
    if gone == "deleted":
        place.delete(1)
    if gone == "another":
        place.make_anew(1)
    found = workspace(place, damaged=(1,) if gone == "damaged" else ())
    assert retire_version(found, settings(), 1, who="bob", why="Lost.").kind == "retired"
    assert (place.champion, place.context.read().live) == (None, None)


def test_a_version_that_nobody_knows_is_not_retired() -> None:
    with pytest.raises(NotFound, match="The ledger knows no model as version 7"):
        retire_version(workspace(office(1, 1)), settings(), 7, who="bob", why="Lost.")

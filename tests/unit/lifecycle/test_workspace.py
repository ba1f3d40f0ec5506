"""Whose models a data set's decisions are about."""

from __future__ import annotations

from pathlib import Path

import pytest

from churn.approval.settings import ApprovalSettings
from churn.core.errors import ConfigError
from churn.lifecycle.workspace import Workspace
from tests.fakes.data.case import NOW
from tests.fakes.data.customers import CONTRACT
from tests.fakes.ports.ledger import InMemoryLedger
from tests.fakes.ports.registry import InMemoryModelRegistry
from tests.fakes.ports.stages import InMemoryStages


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A data set with a model under another name, beside a model of another data set."""
    registry = InMemoryModelRegistry({"run"})
    (tmp_path / "MLmodel").touch()
    for name, dataset in (("pilot", CONTRACT.name), ("churn_other", "other")):
        registry.register(name, tmp_path, description="", tags={"dataset": dataset}, run_id="run")
    make = {"registry": lambda: registry, "ledger": InMemoryLedger, "stages": InMemoryStages}
    return Workspace(contract=CONTRACT, model="churn_toy", threads=1, clock=lambda: NOW, make=make)


def test_decisions_are_about_the_data_sets_own_model_or_one_that_is_named(workspace: Workspace) -> None:
    assert workspace.approval(ApprovalSettings()).model == "churn_toy"
    assert workspace.approval(ApprovalSettings(), "pilot").model == "pilot"


def test_a_model_of_another_data_set_is_refused_because_its_ledger_is_not_here(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"'churn_other' belongs to the data set 'other', .* acts on 'toy': name its"):
        workspace.approval(ApprovalSettings(), "churn_other")


def test_a_port_that_the_profile_has_no_adapter_for_is_named(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="This workspace has no studies: connect it with a profile"):
        _ = workspace.studies

"""Who acts on Databricks is whom the workspace knows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.databricks.identity import acting_user
from adapters.wiring import connect
from churn.core.errors import StoreError
from churn.settings import read_configuration
from tests.fakes.data.case import CONFIGS
from tests.fakes.data.customers import CONTRACT

from .workspace import Workspace


@pytest.mark.parametrize("stack", ["hybrid", "databricks"])
def test_no_variable_and_no_login_of_the_machine_names_who_acts(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, stack: str
) -> None:
    for name, value in {"CHURN_USER": "mallory", "LOGNAME": "mallory", **workspace.environment()}.items():
        monkeypatch.setenv(name, value)
    profile = read_configuration(CONFIGS, stack).profile
    who = connect(CONTRACT, "churn_{dataset}", profile).identity
    assert who == acting_user(workspace.client()) != "mallory"


class Nameless:
    """A client of a workspace that gives no name."""

    user_name = None

    def __init__(self) -> None:
        self.current_user = self
        self.me: Callable[[], Nameless] = lambda: self


def test_a_workspace_that_gives_no_name_is_refused() -> None:
    with pytest.raises(StoreError, match="knows you by no name"):
        acting_user(Nameless())  # type: ignore[arg-type]

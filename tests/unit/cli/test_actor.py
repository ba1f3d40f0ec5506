"""Who a command records as acting."""

from __future__ import annotations

from argparse import Namespace

import pytest

from churn.core.errors import ConfigError
from churn.settings import read_configuration
from cli.context import Session, actor_of
from tests.fakes.data.case import CONFIGS
from tests.fakes.data.customers import CONTRACT


def session(stack: str) -> Session:
    settings, profile = read_configuration(CONFIGS, stack)
    return Session(settings, profile, CONTRACT)


def test_on_this_machine_somebody_else_may_be_named() -> None:
    assert actor_of(Namespace(name="ada"), session("local")) == "ada"


@pytest.mark.parametrize("stack", ["hybrid", "databricks"])
def test_where_the_workspace_knows_who_acts_nobody_else_is_named(stack: str) -> None:
    with pytest.raises(ConfigError, match=f"--as ada is refused with --stack {stack}"):
        actor_of(Namespace(name="ada"), session(stack))

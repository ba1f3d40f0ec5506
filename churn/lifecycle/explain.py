"""What the champion says of one customer, why, and what would change it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..scoring.customer import CustomerAnswer, answer
from ..scoring.facts import alike, facts_of
from ..settings import Settings
from .inference import champion_of
from .workspace import Workspace

__all__ = ["explain_customer"]


def explain_customer(workspace: Workspace, settings: Settings, customer: str) -> CustomerAnswer:
    """Return the prediction for a customer with its reasons, by what was known at `inference.as_of`, or is known now.

    Raises:
        NotFound: no version is live, or no row of the customer was known then.
    """
    contract, store = workspace.contract, workspace.tables
    as_of = settings.inference.as_of or workspace.clock()
    champion = workspace.approval(settings.approval).read().champion
    version = champion_of(champion, workspace.model)
    features = store.latest(contract.table("features").name)
    facts = facts_of(store, features, contract, customer, as_of)
    with tempfile.TemporaryDirectory() as folder:
        scorer = workspace.load(version, Path(folder))
        others = alike(store, features, contract, facts, as_of)
        return answer(scorer, facts, others, contract, model=workspace.model, version=version.version, as_of=as_of)

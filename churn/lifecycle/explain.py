"""Explains the champion's prediction for one customer, and what would change it."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

from ..core.errors import NotFound
from ..core.wording import moment, percent
from ..model.frame import canonical_text
from ..scoring.batch import BATCH_ID, BatchSummary
from ..scoring.customer import CustomerAnswer, answer
from ..scoring.facts import alike, facts_of
from ..scoring.logged import ENDPOINT
from ..settings import Settings
from .inference import champion_of
from .workspace import Workspace

__all__ = ["explain_customer"]


def explain_customer(workspace: Workspace, settings: Settings, customer: str) -> CustomerAnswer:
    """Return the prediction for a customer with its reasons, by what was known at `inference.as_of`, or is known now.

    A customer who is in the feature table no more, but in a batch that was scored by then, is explained by the table
    that the newest such batch was scored from.

    Raises:
        NotFound: no version is live, or no row of the customer was known then.
    """
    contract, store = workspace.contract, workspace.tables
    as_of = settings.inference.as_of or workspace.clock()
    champion = workspace.approval(settings.approval).read().champion
    version = champion_of(champion, workspace.model)
    features, batch_id = store.latest(contract.table("features").name), None
    try:
        facts = facts_of(store, features, contract, customer, as_of)
    except NotFound:
        scored = _newest_prediction(workspace, customer, as_of)
        if scored is None:
            raise
        batch_id = str(scored[BATCH_ID])
        try:
            features = _summary(workspace, batch_id).features
            facts = facts_of(store, features, contract, customer, as_of)
        except NotFound as gone:
            raise NotFound(_as_stored(customer, scored)) from gone
    with tempfile.TemporaryDirectory() as folder:
        scorer = workspace.load(version, Path(folder))
        others = alike(store, features, contract, facts, as_of)
        result = answer(scorer, facts, others, contract, model=workspace.model, version=version.version, as_of=as_of)
    return result.model_copy(update={"batch_id": batch_id})


def _newest_prediction(workspace: Workspace, customer: str, as_of: dt.datetime) -> dict[str, Any] | None:
    """Return the row of a customer in the newest batch that was scored by then, if there is one."""
    contract, store = workspace.contract, workspace.tables
    try:
        predictions = store.latest(contract.table("predictions").name)
    except NotFound:
        return None
    rows = store.scan(predictions, where={contract.entity_key: canonical_text(customer)}).read_all().to_pylist()
    of_batches = (row for row in rows if row.get("source") != ENDPOINT and row["scored_at"] <= as_of)
    return max(of_batches, key=lambda row: row["scored_at"], default=None)


def _summary(workspace: Workspace, batch_id: str) -> BatchSummary:
    store = workspace.tables
    batches = store.latest(workspace.contract.table("batches").name)
    summaries = store.scan(batches, ["summary"], where={BATCH_ID: batch_id}).read_all()["summary"].to_pylist()
    if not summaries:
        raise NotFound(f"There is no summary of the batch {batch_id}.")
    return BatchSummary.read(summaries[0])


def _as_stored(customer: str, scored: dict[str, Any]) -> str:
    """Return what the batch said of a customer whose facts are gone."""
    reasons = [str(value) for name, value in scored.items() if name.startswith("reason") and value]
    because = f", because of {'; '.join(reasons)}" if reasons else ""
    return (
        f"Customer {customer!r} is in no table any more from which a reason could be computed anew. The batch "
        f"{scored[BATCH_ID]}, scored at {moment(scored['scored_at'])} by version {scored['model_version']}, said: "
        f"{percent(scored['probability'])}, {scored['decision']}{because}."
    )

"""Campaigns: from a scored batch to the list of whom to contact, and later to what the contacts changed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ..campaign.campaign import Campaign
from ..campaign.effect import CampaignEffect, ReadOut, campaign_effect
from ..campaign.imported import imported_contacts
from ..campaign.lists import plan_batch, put_lists, record_contacts
from ..campaign.outcomes import follow
from ..core.errors import DataError, NotFound
from ..data.tables import TABLES
from ..scoring.batch import BatchSummary
from ..settings import Settings
from .workspace import Workspace

__all__ = ["Imported", "import_contacts", "measure_campaigns", "plan_campaign", "read_out"]


def plan_campaign(workspace: Workspace, settings: Settings, summary: BatchSummary) -> tuple[Campaign, str]:
    """Choose whom to contact within the limits, store the lists, and let the chosen rest from now on.

    One plan at a time: the next one sees the contacts of this one.

    Returns:
        What the campaign comes to, and where the list of contacts is.
    """
    store, contract = workspace.tables, workspace.contract
    with store.exclusive("campaign"):
        plan = plan_batch(
            store,
            summary,
            contract,
            settings.money,
            settings.campaign,
            now=workspace.clock(),
            confidence=settings.evaluation.confidence,
        )
        location = put_lists(plan, workspace.files)
        record_contacts(store, plan, contract)
    path = Path(settings.dataset)
    dataset = str(path.resolve()) if path.is_file() else settings.dataset
    return plan.campaign.model_copy(update={"dataset": dataset}), location


def measure_campaigns(workspace: Workspace, settings: Settings, batch_id: str | None = None) -> CampaignEffect:
    """Hold the contacted against the control group by the outcomes that are known by now, and store what comes out.

    Args:
        workspace: The data set.
        settings: Economics, the salt of the control group, confidence.
        batch_id: The campaign; None takes all whose control group was drawn by the salt of the settings.

    Raises:
        NotFound: there is no such campaign.
    """
    contract, now = workspace.contract, workspace.clock()
    followed = follow(workspace.tables, contract, now=now, salt=settings.campaign.salt, batch_id=batch_id)
    effect = campaign_effect(
        followed.rows,
        settings.money,
        salt=followed.salt,
        measured_at=now,
        known_from=followed.known_from,
        confidence=settings.evaluation.confidence,
        segments=[name for name in contract.slices if name in followed.rows],
        control_contacted=followed.control_contacted,
    )
    workspace.tables.upsert(contract.table("campaign_effects"), _row(effect, batch_id))
    return effect


def read_out(workspace: Workspace, settings: Settings) -> ReadOut:
    """Measure all campaigns with the present control group; where there is none, say so: that is a normal outcome."""
    try:
        return ReadOut(effect=measure_campaigns(workspace, settings))
    except NotFound as error:
        return ReadOut(nothing=str(error))


class Imported(NamedTuple):
    """Contacts of a file: how many there are, and how many of them are of customers whom the data set does not have."""

    contacts: int
    unknown: int


def import_contacts(workspace: Workspace, file: Path) -> Imported:
    """Add contacts that were made outside the product to `churn_contacts`.

    They count for the rest days. The same file twice adds nothing. Contacts of customers whom the data set does not
    have are taken as well, for rows of them may come.

    Raises:
        ContractError: the table lacks the customer or the time.
        DataError: a row has no customer or no time that has been; nothing is taken then.
    """
    parts = list(workspace.delivered(file).parts())
    if broken := [line for source in parts for line in source.broken_lines]:
        raise DataError(f"{file} has {len(broken):,} lines that are no row, such as {broken[0]!r:.80}: correct them.")
    rows = pa.concat_tables([source.rows for source in parts], promote_options="permissive")
    contacts = imported_contacts(rows, workspace.contract, now=workspace.clock())
    if not contacts.num_rows:
        return Imported(0, 0)
    with workspace.tables.exclusive("campaign"):
        workspace.tables.upsert(workspace.contract.table("contacts"), contacts)
    key = workspace.contract.entity_key
    return Imported(contacts.num_rows, _unknown(workspace, contacts[key]))


def _unknown(workspace: Workspace, customers: pa.ChunkedArray) -> int:
    """Return how many of the customers have no row of features."""
    key, has_features = workspace.contract.entity_key, pa.repeat(False, len(customers))
    try:
        features = workspace.tables.latest(workspace.contract.table("features").name)
    except NotFound:
        return len(customers)
    for batch in workspace.tables.scan(features, [key]):
        has_features = pc.or_(has_features, pc.is_in(customers, batch.column(0)))
    return len(customers) - int(pc.sum(has_features).as_py() or 0)


def _row(effect: CampaignEffect, batch_id: str | None) -> pa.Table:
    schema, acceptance = TABLES["campaign_effects"].arrow_schema(), effect.acceptance
    row = {
        **effect.model_dump(),
        "campaign": batch_id if batch_id is not None else f"salt:{effect.salt}",
        "campaigns": len(effect.campaigns),
        "acceptance": acceptance.mean,
        "acceptance_alpha": acceptance.fitted.alpha,
        "acceptance_beta": acceptance.fitted.beta,
    }
    for name, group in (("contacted", effect.contacted), ("control", effect.control)):
        row |= {name: group.customers, f"{name}_known": group.known, f"{name}_churned": group.churned}
    for name, estimate in (("drop", effect.drop), ("saved", effect.saved), ("net", effect.net)):
        bounds = (None, None, None) if estimate is None else (estimate.point, estimate.lower, estimate.upper)
        row |= dict(zip((name, f"{name}_lower", f"{name}_upper"), bounds, strict=True))
    return pa.Table.from_pylist([{name: row[name] for name in schema.names}], schema=schema)

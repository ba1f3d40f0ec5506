"""The campaign of one scored batch: predictions, segments and earlier contacts from the store, its own back to it."""

from __future__ import annotations

import pyarrow as pa

from ..core.errors import ConfigError, NotFound, nearest
from ..data.contract import DatasetContract
from ..model.money import MoneySettings
from ..ports.tables import FeatureStore, TableRef
from ..scoring.batch import BATCH_ID, BatchSummary
from .candidates import CONTACTED_AT
from .plan import Plan, plan_campaign
from .settings import CampaignSettings

__all__ = ["plan_batch", "record_contacts"]


def plan_batch(
    store: FeatureStore,
    summary: BatchSummary,
    contract: DatasetContract,
    money: MoneySettings,
    settings: CampaignSettings,
    *,
    confidence: float = 0.95,
) -> Plan:
    """Plan the campaign of a batch; the same batch, settings and earlier contacts give the same plan.

    Raises:
        ConfigError: a segment limits a column that the customers do not have.
        NotFound: the predictions or features of the batch are gone.
        DataError: the predictions are not what a campaign can be planned from; see `plan_campaign`.
    """
    entity = contract.entity_key
    names = [BATCH_ID, entity, "probability", "customer_value", "decision", "model_name", "model_version"]
    present = store.scan(summary.predictions).schema.names
    names += [name for name in present if name.startswith("reason_")]
    rows = store.scan(summary.predictions, names, where={BATCH_ID: summary.batch_id}).read_all()
    plan = plan_campaign(
        rows,
        money,
        settings,
        entity=entity,
        as_of=summary.as_of,
        segments=_segments(store, summary, contract, settings),
        contacted=_contacted(store, contract),
        confidence=confidence,
    )
    # A batch without any customer does not say whose it is.
    named = {"batch_id": summary.batch_id, "model": summary.model_name, "version": str(summary.model_version)}
    return plan._replace(campaign=plan.campaign.model_copy(update=named))


def record_contacts(store: FeatureStore, plan: Plan, contract: DatasetContract) -> TableRef:
    """Write who is contacted and who is the control group to `churn_contacts`, so that they rest; again replaces."""
    table, batch = contract.table("contacts"), plan.campaign.batch_id
    return store.replace_batch(table, BATCH_ID, batch, plan.contacts.to_reader())


def _segments(
    store: FeatureStore, summary: BatchSummary, contract: DatasetContract, settings: CampaignSettings
) -> pa.Table | None:
    if not settings.segments:
        return None
    known = [*contract.columns, *(spec.name for spec in contract.stored_features)]
    for column in settings.segments:
        if column not in known:
            raise ConfigError(
                f"`campaign.segments` limits {column!r}, which no column of {contract.name!r} is called"
                f"{nearest(column, known) or '.'} Correct the setting."
            )
    return store.latest_rows(summary.features, summary.as_of, [contract.entity_key, *settings.segments]).read_all()


def _contacted(store: FeatureStore, contract: DatasetContract) -> pa.Table | None:
    try:
        ref = store.latest(contract.table("contacts").name)
    except NotFound:
        return None
    return store.scan(ref, [BATCH_ID, contract.entity_key, CONTACTED_AT]).read_all()

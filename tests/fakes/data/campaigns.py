"""Batches of predictions to plan campaigns from, and a campaign."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa

from churn.campaign.campaign import Campaign
from churn.campaign.candidates import Candidates
from churn.campaign.plan import Plan, ScoredBatch, build_plan
from churn.campaign.settings import CampaignSettings
from churn.model.money import MoneySettings
from tests.fakes.data.batches import CONTRACT

AS_OF = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
ENTITY = "customer_id"


def batch(
    probability: Any, value: Any = 200.0, *, ids: list[str] | None = None, batch_id: str = "b1", **columns: Any
) -> pa.Table:
    """Return predictions of customers `c0000`, `c0001`, … with these probabilities and values."""
    risk = np.asarray(probability, dtype=np.float64)
    rows = len(risk)
    return pa.table(
        {
            "batch_id": pa.array([batch_id] * rows, pa.string()),
            ENTITY: pa.array(ids or [f"c{number:04d}" for number in range(rows)], pa.string()),
            "probability": risk,
            "customer_value": np.broadcast_to(np.asarray(value, dtype=np.float64), rows).copy(),
            "reason_1": pa.array([f"months as a customer: {number} (+0.92)" for number in range(rows)], pa.string()),
            "reason_2": pa.nulls(rows, pa.string()),
            "model_name": pa.array(["churn_telco"] * rows, pa.string()),
            "model_version": pa.array([3] * rows, pa.int64()),
            **columns,
        }
    )


def many(rows: int = 500, seed: int = 0, **columns: Any) -> pa.Table:
    """Return predictions of customers who differ in risk and value."""
    random = np.random.default_rng(seed)
    return batch(random.beta(1, 3, rows), random.uniform(20, 600, rows), **columns)


def regions_of(regions: list[str | None]) -> pa.Table:
    """Return the region of each customer of a `batch`."""
    return pa.table({ENTITY: [f"c{number:04d}" for number in range(len(regions))], "region": regions})


def facts_of_many(rows: int = 500) -> pa.Table:
    """Return what is known of the customers of `many`: the shorter the contract and the tenure, the higher the risk."""
    risk = many(rows)["probability"].to_numpy()
    contract = np.where(risk > 0.35, "Month-to-month", np.where(risk > 0.15, "One year", "Two year"))
    numbers = np.arange(rows)
    return pa.table(
        {
            ENTITY: [f"c{number:04d}" for number in numbers],
            "contract": contract,
            "tenure": (70 * (1 - risk) ** 2).round(),
            "monthly_charges": 20.0 + numbers % 50,
        }
    )


def predictions_of(table: pa.Table, as_of: dt.datetime = AS_OF) -> ScoredBatch:
    """Return a table of one batch as the plan reads it."""
    batch_id = str(table["batch_id"][0].as_py()) if table.num_rows else "b1"
    return ScoredBatch(
        batch_id=batch_id,
        model="churn_telco",
        version="3",
        as_of=as_of,
        names=table.column_names,
        scan=lambda columns: table.select(list(columns)).to_reader(),
    )


def planned(predictions: pa.Table, *, money: MoneySettings | None = None, **options: Any) -> Plan:
    """Plan a campaign, without control group unless asked.

    `options` are settings, and `regions`, `contacted` and `facts` (tables), `columns`, `as_of` and `planned_at`.
    """
    as_of = options.pop("as_of", AS_OF)
    columns, facts = options.pop("columns", {}), options.pop("facts", None)
    regions, planned_at = options.pop("regions", None), options.pop("planned_at", as_of)
    before = options.pop("contacted", None)
    settings = CampaignSettings(**{"control_share": 0.0, **options})
    return build_plan(
        predictions_of(predictions, as_of),
        money or MoneySettings(),
        settings,
        entity=ENTITY,
        planned_at=planned_at,
        window_days=90,
        columns=columns,
        facts=None if facts is None else facts.to_reader(),
        segments=None if regions is None else regions.to_reader(),
        contacted=None if before is None else before.to_reader(),
    )


def candidates_of(probability: Any, value: Any, money: MoneySettings | None = None) -> Candidates:
    """Return customers with these probabilities and values, as a plan chooses from them."""
    return Candidates.read(batch(probability, value).to_reader(), ENTITY, money or MoneySettings())


def listed(plan: Plan) -> pa.Table:
    """Return the list of a campaign, both groups."""
    return plan.contacts.read().read_all()


def contacted(plan: Plan, group: str = "treatment") -> list[str]:
    """Return the customers of a group, in the order of the list."""
    return [row[ENTITY] for row in listed(plan).to_pylist() if row["group"] == group]


def campaign(**options: Any) -> Campaign:
    """Return a campaign with limits, segments and a control group."""
    regions = regions_of(["north", "south"] * 250)
    known = {"columns": CONTRACT.columns, "facts": facts_of_many()}
    wanted = {
        "capacity": 120,
        "budget": 700.0,
        "control_share": 0.2,
        "segments": {"region": {"north": {"budget": 300}}},
    }
    return planned(many(), regions=regions, **{**known, **wanted, **options}).campaign

"""The gate itself: every question put to a challenger, in order, each answered or refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from ..data.contract import DatasetContract
from ..ports.registry import ModelVersion
from ..ports.tables import FeatureStore
from .candidate import Load, contestant
from .checks import Check
from .evidence import Case, Evidence, alone, mature_rows, side_by_side
from .inquiry import Inquiry
from .quality import no_difference
from .report import Contestant, GateReport, Relation
from .rows import JudgedRows
from .settings import GateRules
from .soundness import soundness_checks

__all__ = ["judge", "relation_of"]

_SAMPLE = 1_000
"""Customers on whom answers and latency are tried."""


def judge(
    challenger: ModelVersion,
    champion: ModelVersion | None,
    *,
    store: FeatureStore,
    load: Load,
    contract: DatasetContract,
    rules: GateRules,
    tell: Callable[[int, int, str], None],
    now: dt.datetime,
) -> GateReport:
    """Ask everything that can be asked about a challenger; whatever cannot be answered refuses it.

    Both versions are fetched by their registered digests and score the same rows: mature at `now`, and known to the
    training of neither. Nothing is read from what a training run measured.

    Args:
        challenger: The version that wants to go live.
        champion: The version that is live; None where none is.
        store: The dataset's tables.
        load: Fetches and loads a version.
        contract: The dataset's contract as it is now.
        rules: What it is judged by.
        tell: Hears which of how many parts begins.
        now: The time until which outcomes may be known (UTC).
    """
    inquiry = Inquiry(tell)
    subject, holder = contestant(challenger), None if champion is None else contestant(champion)
    case = Case(contract, rules, relation_of(subject, holder), subject, holder)
    new = inquiry.part("loads", lambda: load(challenger))
    old = None if champion is None else inquiry.part("champion_loads", lambda: load(champion))
    rows = inquiry.part("rows", lambda: mature_rows(store, case, (challenger, champion), now))
    found = Evidence()
    if new is not None and rows is not None:
        inquiry.checks.append(_enough(rows.unseen))
        sample = rows.unseen.customers.head(_SAMPLE)
        inquiry.checks += soundness_checks(new, contract, sample, rules.gate, rules.reasons)
        if case.relation == "identical":
            itself = champion is not None and champion.version == challenger.version
            inquiry.checks.append(no_difference(itself=itself))
        elif champion is None:
            found = alone(inquiry, case, rows, new)
        elif old is not None:
            found = side_by_side(inquiry, case, rows, new, old)
    return GateReport(
        model=challenger.name,
        at=now,
        settings=rules.gate,
        currency=rules.money.currency,
        relation=case.relation,
        challenger=subject.model_copy(update={"evaluation": found.challenger}),
        champion=None if holder is None else holder.model_copy(update={"evaluation": found.champion}),
        checks=tuple(inquiry.checks),
        holdout=found.holdout,
        newest=found.newest,
        recipes=found.recipes,
        evaluated_on={} if rows is None else {rows.ref.name: f"version {rows.ref.version}, {rows.ref.digest[:12]}"},
        seconds=inquiry.seconds,
    )


def relation_of(challenger: Contestant, champion: Contestant | None) -> Relation:
    """Return what the challenger is to the champion."""
    if champion is None:
        return "first"
    if challenger.digest == champion.digest:
        return "identical"
    same = challenger.recipe_digest is not None and challenger.recipe_digest == champion.recipe_digest
    until, before = challenger.trained_until, champion.trained_until
    newer = until is not None and before is not None and until >= before
    return "refresh" if same and newer and challenger.data_digest != champion.data_digest else "recipe"


def _enough(rows: JudgedRows) -> Check:
    customers = rows.training.rows[rows.training.entity].nunique()
    return Check(
        name="rows",
        verdict="pass",
        value=f"{len(rows.value):,}",
        sentence=f"Judged on {len(rows.value):,} rows of {customers:,} customers, {int(rows.label.sum()):,} of which "
        "churned; no model was trained on them.",
    )

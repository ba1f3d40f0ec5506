"""Promotion: moving @Champion to a version that is approved, and to no other."""

from __future__ import annotations

import datetime as dt
from typing import Literal, Self

from pydantic import Field

from ..core.errors import DecisionRefused
from ..core.frozen import Frozen
from ..ports.ledger import Decision
from ..ports.registry import CHAMPION
from .change import begin, carry_out, settle, show
from .governance import Governance, person
from .situation import Situation
from .standing import Standing, standing_of

__all__ = ["Promotion", "complete_unfinished", "promote"]


class Promotion(Frozen):
    """A change of the champion."""

    model: str
    version: int = Field(description="The version that is live.")
    previous: int | None = Field(description="The version that was live before; None where none was.")
    kind: Literal["promotion", "rollback"]
    unchanged: bool = Field(default=False, description="Whether it was the champion already, and nothing was done.")
    who: str
    why: str
    at: dt.datetime = Field(description="Since when it is live (UTC).")
    notes: tuple[str, ...] = Field(default=(), description="What is not right yet, such as the model control plane.")

    @classmethod
    def recorded(cls, record: Decision, notes: tuple[str, ...] = (), *, unchanged: bool = False) -> Self:
        """Return the change that a record of the ledger ended."""
        return cls(
            model=record.model,
            version=record.version,
            previous=record.champion,
            kind="rollback" if record.kind == "rolled_back" else "promotion",
            unchanged=unchanged,
            who=record.who,
            why=record.why,
            at=record.at,
            notes=notes,
        )


def promote(governance: Governance, version: int, *, who: str) -> Promotion:
    """Let @Champion name an approved version, and @PreviousChampion the one that was live.

    What a killed run began is completed first. The change is recorded before the first alias moves and after the last,
    so that a crash between leaves @Champion on one of two versions that were approved, and the next run completes it.
    @Challenger stays: it names the newest candidate, live or not.

    Args:
        governance: Whose champion changes.
        version: The version to promote; the champion itself changes nothing.
        who: Who promotes.

    Raises:
        NotFound: the registry has no such version.
        DecisionRefused: it is not approved, or no longer, or @Champion was moved without a decision.
        WriteConflict: another machine decided at the same time; nothing was changed.
        StoreError: the registry or the ledger does not answer; the next run completes what was begun.
    """
    who = person(who)
    with governance.ledger.exclusive():
        situation, _ = settle(governance)
        situation.version(version)
        champion = situation.champion
        if champion is not None and champion.version == version:
            return Promotion.recorded(_last_change(situation), show(governance, version), unchanged=True)
        standing = standing_of(situation, version, governance.settings, governance.clock())
        if standing.state != "approved":
            raise _refusal(standing, champion.version if champion else None)
        left = champion.version if champion else None
        situation = begin(governance, situation, version, back=False, left=left, who=who, why=standing.why)
        situation, notes = carry_out(governance, situation, situation.ledger[-1])
    return Promotion.recorded(situation.ledger[-1], notes)


def complete_unfinished(governance: Governance, *, who: str) -> Decision | None:
    """Complete the change that a killed run began, and repair what the model control plane shows.

    Returns:
        The record that ends the change (`promoted`, `rolled_back`, or `undone` where the version is gone); None where
        none was begun.

    Raises:
        StoreError: the registry or the ledger does not answer, or the ledger's chain does not hold.
    """
    person(who)
    with governance.ledger.exclusive():
        situation, ended = settle(governance)
        show(governance, situation.live)
    return ended


def _last_change(situation: Situation) -> Decision:
    return next(each for each in reversed(situation.records) if each.kind in {"promoted", "rolled_back"})


def _refusal(standing: Standing, champion: int | None) -> DecisionRefused:
    remedy = {
        "pending": f'`python run.py approve --version {standing.version} --reason "…"` approves it.',
        "rejected": "Only a new verdict of the gate can reopen it: `python run.py --pipeline deployment`.",
    }.get(standing.state, "Let the gate judge it: `python run.py --pipeline deployment`.")
    live = f"version {champion} stays @{CHAMPION}" if champion else f"there is still no @{CHAMPION}"
    return DecisionRefused(
        f"Version {standing.version} of {standing.model} is not approved, and {live}: {standing.why} {remedy}"
    )

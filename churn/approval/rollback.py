"""Rollback: letting a version be live again that was live before, without training and without the gate."""

from __future__ import annotations

from ..core.errors import DecisionRefused
from ..ports.registry import CHAMPION
from .change import begin, carry_out, settle
from .governance import Governance, person, reason
from .promotion import Promotion
from .situation import Situation
from .tags import settled_by

__all__ = ["rollback"]


def rollback(governance: Governance, *, to: int | None = None, who: str, why: str) -> Promotion:
    """Let @Champion name a version that was live before; its package brings its thresholds with it.

    Without `to` it is the version that the one which is live took over from: after 1, 2, 3 the first rollback goes to
    2 and the next one to 1. Where @Champion was moved without a decision, it is the version that is live by the ledger.
    Versions that the registry no longer has are passed over. The version that is left counts as rejected.

    Args:
        governance: Whose champion changes.
        to: A version that was live at some time.
        who: The person who decides.
        why: Their reason.

    Raises:
        ConfigError: no name or no reason is given.
        NotFound: the registry has no version `to`.
        DecisionRefused: `to` was never live or is, there is nothing to go back to, or a person rejected it since.
        StoreError: the registry or the ledger does not answer; the next run completes what was begun.
    """
    who, why = person(who), reason(why)
    with governance.ledger.exclusive():
        situation, _ = settle(governance)
        named = situation.named(CHAMPION)
        at = named.version if named else None
        target = _predecessor(situation, at) if to is None else _chosen(situation, to, at)
        left = at if at is not None or not situation.lineage else situation.lineage[-1]
        situation = begin(
            governance, situation, target, back=True, left=None if left == target else left, who=who, why=why
        )
        situation, notes = carry_out(governance, situation, situation.ledger[-1])
    return Promotion.recorded(situation.ledger[-1], notes)


def _predecessor(situation: Situation, at: int | None) -> int:
    if situation.live is not None and at != situation.live:
        return situation.live
    target = situation.predecessor(situation.lineage)
    if target is not None:
        return _unless_rejected(situation, target)
    if not situation.lineage:
        raise DecisionRefused(
            f"No version of {situation.model} was ever live by a decision, so that there is nothing to go back to: "
            "`python run.py --pipeline deployment` judges the challenger."
        )
    raise DecisionRefused(
        f"Before version {situation.lineage[-1]} no version of {situation.model} was live that the registry still has: "
        "there is nothing to go back to. `python run.py models` lists what was live when."
    )


def _unless_rejected(situation: Situation, target: int) -> int:
    """Return the version unless a person rejected it since it was live; who wants it all the same must name it."""
    decision = settled_by(situation, target)
    if decision is not None and decision.kind == "rejected" and not decision.by_policy:
        raise DecisionRefused(
            f"A rollback goes to version {target} of {situation.model}, which {decision.who} rejected on "
            f"{decision.at:%Y-%m-%d} ({decision.why}): name it with --to {target}, or another version that was live."
        )
    return target


def _chosen(situation: Situation, to: int, at: int | None) -> int:
    situation.version(to)
    lived = {live.version for live in situation.history}
    if to not in lived:
        known = f"these were: {', '.join(map(str, sorted(lived)))}" if lived else "none was"
        raise DecisionRefused(
            f"Version {to} of {situation.model} was never live by a decision, and a rollback goes to one that was; "
            f"{known}. `python run.py --pipeline deployment` judges a version that is new."
        )
    if to == situation.live == at:
        raise DecisionRefused(f"Version {to} of {situation.model} is live already: there is nothing to go back to.")
    return to

"""Changing the champion so that a crash at any point leaves one that was approved: announced first, recorded after."""

from __future__ import annotations

from collections.abc import Callable

from ..core.errors import StoreError
from ..ports.ledger import Decision, Kind
from ..ports.registry import CHAMPION, PREVIOUS_CHAMPION
from .governance import Governance
from .history import succeeded
from .situation import Situation
from .tags import is_behind

__all__ = ["begin", "carry_out", "settle", "show"]


def begin(
    governance: Governance, situation: Situation, version: int, *, back: bool, left: int | None, who: str, why: str
) -> Situation:
    """Announce in the ledger that `version` becomes the champion, before anything is touched.

    Args:
        governance: Whose champion changes.
        situation: What was looked at to decide so.
        version: The version to be live.
        back: Whether this is a rollback.
        left: The version that is live until then; None where none is.
        who: The person who decides.
        why: Their reason.

    Raises:
        WriteConflict: the ledger has gone on since; nothing was changed.
    """
    kind: Kind = "rollback_begun" if back else "promotion_begun"
    digests = {"model": situation.digest(version), "champion": situation.digest(left)}
    return governance.write(situation, kind, version, champion=left, who=who, why=why, digests=digests)


def carry_out(governance: Governance, situation: Situation, begun: Decision) -> tuple[Situation, tuple[str, ...]]:
    """Do what was begun, or what is left of it, and return the situation after it with notes on what is not right yet.

    Every step may be repeated, so that whoever comes after a crash goes through all of them. A change to a version that
    the registry no longer has is undone. Tags and the model control plane only show what is decided: they come last,
    and where they cannot be written the change still stands.

    Raises:
        StoreError: the registry or the ledger refuses; what was begun stays begun, and the next run completes it.
    """
    back = begun.kind == "rollback_begun"
    there = begun.version in situation.versions
    line = succeeded(situation.lineage, begun.version, back=back) if there else situation.lineage
    live = begun.version if there else situation.live
    try:
        # In this order a rollback has somewhere to go at every moment.
        _move(governance, situation, PREVIOUS_CHAMPION, situation.predecessor(line))
        _move(governance, situation, CHAMPION, live)
        situation = governance.write(
            situation,
            ("rolled_back" if back else "promoted") if there else "undone",
            begun.version,
            champion=begun.champion,
            who=begun.who,
            why=begun.why if there else f"Version {begun.version} is no longer in the registry.",
            digests={**begun.digests, "begun": begun.hash},
        )
    except StoreError as error:
        what = "rollback" if back else "promotion"
        raise StoreError(
            f"{error} The {what} to version {begun.version} is begun; the next deployment, approval or rollback "
            "completes it."
        ) from error
    tagged = _tried(
        lambda: governance.tag(situation, begun.version, begun.champion), "The next decision sets the tags."
    )
    return situation, (*tagged, *show(governance, live))


def settle(governance: Governance) -> tuple[Situation, Decision | None]:
    """Complete what a killed run left, and return the situation then, with the record that ends it; None if none was.

    Whoever writes does this first, and alone (`DecisionLedger.exclusive`).

    Raises:
        StoreError: the registry or the ledger does not answer, or the ledger's chain does not hold.
    """
    situation = governance.look()
    if begun := situation.unfinished:
        completed, _ = carry_out(governance, situation, begun)
        return governance.look(), completed.ledger[-1]
    if situation.records:
        last = situation.records[-1]
        governance.tag(situation, *(each for each in (last.version, last.champion) if is_behind(situation, each)))
    return situation, None


def show(governance: Governance, live: int | None) -> tuple[str, ...]:
    """Show the champion as such in the model control plane; a note says so where that did not work."""
    if live is None:
        return ()
    remedy = f"The next deployment shows version {live} in production there."
    return _tried(lambda: governance.stages.show_champion(governance.model, live), remedy)


def _tried(act: Callable[[], None], remedy: str) -> tuple[str, ...]:
    """Do what may fail, and return a note if it does."""
    try:
        act()
    except StoreError as error:
        return (f"{error} {remedy}",)
    return ()


def _move(governance: Governance, situation: Situation, alias: str, version: int | None) -> None:
    """Let an alias name a version, or nothing, unless it does."""
    named = situation.named(alias)
    if version == (named.version if named else None):
        return
    if version is None:
        governance.registry.delete_alias(governance.model, alias)
    else:
        governance.registry.set_alias(governance.model, alias, version)

"""Promotion and rollback: changes the champion in two phases, so that a crash leaves an approved version live."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, Self

from pydantic import Field

from ..core.errors import DecisionRefused, NotFound, StoreError
from ..core.frozen import Frozen
from ..ports.ledger import Decision, DecisionKind
from ..ports.registry import CHAMPION, PREVIOUS_CHAMPION, ModelVersion
from .context import ApprovalContext, is_behind, person, reason
from .state import ModelState, VersionStatus, settled_by, succeeded

__all__ = [
    "Promotion",
    "complete_begun",
    "exclusive_state",
    "not_approved",
    "promote",
    "record_deployed",
    "retire",
    "rollback",
    "take_back",
]

_DEPLOYMENT = "policy:deployment"


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


def complete_begun(context: ApprovalContext) -> Decision | None:
    """Complete the change that a killed run began, and repair what the model control plane shows.

    Returns:
        The record that ends the change (`promoted`, `rolled_back`, or `undone` where the version is gone); None where
        none was begun.

    Raises:
        StoreError: the registry or the ledger does not answer, or the ledger's chain does not hold.
    """
    with context.ledger.exclusive():
        state, ended = _completed(context)
        _show(context, state.live)
    return ended


@contextmanager
def exclusive_state(context: ApprovalContext) -> Iterator[ModelState]:
    """Complete what a killed run began, and yield the state after it; nobody else writes to the ledger meanwhile.

    Raises:
        DecisionRefused: the registry has other models than those that the ledger is about.
        StoreError: the registry or the ledger does not answer, or the ledger's chain does not hold.
    """
    with context.ledger.exclusive():
        state, _ = _completed(context)
        state.require_recorded_models()
        yield state


def promote(context: ApprovalContext, version: int, *, who: str) -> Promotion:
    """Let @Champion name an approved version, and @PreviousChampion the one that was live.

    What a killed run began is completed first. The change is recorded before the first alias moves and after the last,
    so that a crash between leaves @Champion on one of two versions that were approved, and the next run completes it.
    @Challenger stays: it names the newest candidate, live or not.

    Args:
        context: Whose champion changes.
        version: The version to promote; the champion itself changes nothing.
        who: Who promotes.

    Raises:
        NotFound: the registry has no such version.
        DecisionRefused: it is not approved, or no longer, its files are damaged or gone, or @Champion was moved without
            a decision.
        WriteConflict: another machine decided at the same time; nothing was changed.
        StoreError: the registry or the ledger does not answer; the next run completes what was begun.
    """
    who = person(who)
    with exclusive_state(context) as state:
        state.version(version)
        live = state.champion.version if state.champion else None
        if live == version:
            change = next(record for record in reversed(state.records) if record.kind in {"promoted", "rolled_back"})
            return Promotion.recorded(change, _show(context, version), unchanged=True)
        status = context.status(version, state)
        if status.state != "approved":
            raise not_approved(status, live)
        _require_whole(context, state.version(version), "Nothing was changed.")
        return _change(context, state, "promotion_begun", version, left=live, who=who, why=status.why)


def not_approved(status: VersionStatus, champion: int | None) -> DecisionRefused:
    """Return the error that refuses a version which is not approved, with what helps."""
    remedy = {
        "pending": f'`python run.py approve --version {status.version} --reason "…"` approves it.',
        "rejected": "Only a new verdict of the gate can reopen it: `python run.py --pipeline deployment`.",
    }.get(status.state, "Let the gate judge it: `python run.py --pipeline deployment`.")
    live = f"version {champion} stays @{CHAMPION}" if champion else f"there is still no @{CHAMPION}"
    return DecisionRefused(
        f"Version {status.version} of {status.model} is not approved, and {live}: {status.why} {remedy}"
    )


def rollback(context: ApprovalContext, *, to: int | None = None, who: str, why: str) -> Promotion:
    """Let @Champion name a version that was live before; its package brings its thresholds with it.

    Without `to` it is the version that the one which is live took over from: after 1, 2, 3 the first rollback goes to
    2 and the next one to 1. Where @Champion was moved without a decision, it is the version that is live by the ledger.
    Versions that the registry no longer has are passed over. The version that is left counts as rejected. Where a
    killed run had begun a rollback to that version, completing it is all that happens.

    Args:
        context: Whose champion changes.
        to: A version that was live at some time.
        who: The person who decides.
        why: Their reason.

    Raises:
        ConfigError: no name or no reason is given.
        NotFound: the registry has no version `to`.
        DecisionRefused: `to` was never live or is, there is nothing to go back to, a person rejected it since, its
            files are damaged or gone, or the registry has other models than those that the ledger is about.
        StoreError: the registry or the ledger does not answer; the next run completes what was begun.
    """
    who, why = person(who), reason(why)
    with context.ledger.exclusive():
        unshown = _unshown(context.read())
        state, ended = _completed(context)
        ended = ended or unshown
        if ended is not None and ended.kind == "rolled_back" and to in {None, ended.version}:
            completed = "A run that was killed had begun this rollback; it is completed now."
            return Promotion.recorded(ended, (completed, *_show(context, state.live)))
        state.require_recorded_models()
        target = _predecessor(state) if to is None else _former_champion(state, to)
        remedy = "Restore its files from a backup, or name another version that was live with --to."
        _require_whole(context, state.version(target), remedy)
        left = state.live if state.named_champion is None else state.named_champion
        left = None if left == target else left
        return _change(context, state, "rollback_begun", target, left=left, who=who, why=why)


def take_back(context: ApprovalContext, version: int, *, why: str) -> int | None:
    """Undo the promotion of a version that failed where it was put, and return the version that is live then.

    It is the one that was live before, or none where none was; the ledger says why, signed by `policy:deployment`. The
    gate has to judge the version anew. Where another version is live by now, nothing changes.

    Args:
        context: Whose champion changes.
        version: The version that was promoted.
        why: What failed.

    Raises:
        DecisionRefused: the registry has other models than those that the ledger is about.
        StoreError: the registry or the ledger does not answer; the next run completes what was begun.
    """
    why = reason(why)
    with exclusive_state(context) as state:
        if state.live != version:
            return state.live
        if (target := state.previous) is not None:
            _change(context, state, "rollback_begun", target, left=version, who=_DEPLOYMENT, why=why)
            return target
        _move(context, state, CHAMPION, None)  # before the record, as `retire` does
        digests = {"model": state.digest(version)}
        after = context.write(state, "withdrawn", version, champion=None, who=_DEPLOYMENT, why=why, digests=digests)
        _tried(lambda: context.stages.show_withdrawn(context.model, version), "")
        context.tag(after, version)
        return None


def record_deployed(
    context: ApprovalContext, version: int, *, who: str, why: str, numbers: Mapping[str, float]
) -> Decision | None:
    """Record that what serves customers was brought up to date with the champion and verified.

    Returns:
        The record; None where another version is live by now.

    Raises:
        StoreError: the registry or the ledger does not answer.
    """
    with exclusive_state(context) as state:
        if state.live != version:
            return None
        digests = {"model": state.digest(version)}
        written = context.write(
            state, "deployed", version, champion=version, who=person(who), why=why, digests=digests, numbers=numbers
        )
        return written.ledger[-1]


def retire(context: ApprovalContext, version: int, *, who: str, why: str) -> Decision:
    """Record that the model of a version is gone, so that what was decided about it holds for no other model.

    Aliases that name the version are removed. If it was live, no version is live until one is promoted, or a rollback
    goes to one that was; the next gate without a champion judges a first model. Whoever calls this has made sure that
    the model is gone: see `churn.lifecycle.decisions.retire_version`.

    Args:
        context: Whose version it is.
        version: The version.
        who: The person who decides.
        why: Their reason.

    Raises:
        ConfigError: no name or no reason is given.
        NotFound: the ledger knows nothing of such a version.
        StoreError: the registry or the ledger does not answer; the same command again completes it.
    """
    who, why = person(who), reason(why)
    with context.ledger.exclusive():
        state, _ = _completed(context)
        digest = state.recorded_digest(version)
        if not digest:
            raise NotFound(
                f"The ledger knows no model as version {version} of {state.model}: there is nothing to retire."
            )
        # Before the record: whoever is killed between finds aliases gone, not one that names a retired version.
        for alias in (CHAMPION, PREVIOUS_CHAMPION):
            named = state.by_alias(alias)
            if named is not None and named.version == version:
                context.registry.delete_alias(context.model, alias)
        state = context.write(
            state, "retired", version, champion=state.live, who=who, why=why, digests={"model": digest}
        )
        context.tag(state, version)
        return state.ledger[-1]


def _require_whole(context: ApprovalContext, version: ModelVersion, remedy: str) -> None:
    """Refuse a version whose files are damaged or gone."""
    if fault := context.package_fault(version):
        raise DecisionRefused(f"Version {version.version} of {context.model} cannot be live: {fault} {remedy}")


def _unshown(state: ModelState) -> Decision | None:
    """Return the change of the champion that was recorded by a run that was killed before the tags showed it."""
    last = state.records[-1] if state.records else None
    return last if last is not None and "begun" in last.digests and is_behind(state, last.version) else None


def _predecessor(state: ModelState) -> int:
    """Return the version that a rollback without a named version goes to."""
    if state.live is not None and state.live in state.versions and state.named_champion != state.live:
        return state.live
    target = state.previous
    if target is not None:
        return _not_rejected(state, target)
    if not state.lineage:
        raise DecisionRefused(
            f"No version of {state.model} was ever live by a decision, so that there is nothing to go back to: "
            "`python run.py --pipeline deployment` judges the challenger."
        )
    raise DecisionRefused(
        f"Before version {state.lineage[-1]} no version of {state.model} was live that the registry still has: "
        "there is nothing to go back to. `python run.py models` lists what was live when."
    )


def _not_rejected(state: ModelState, target: int) -> int:
    """Return the version unless a person rejected it since it was live; who wants it all the same must name it."""
    decision = settled_by(state, target)
    if decision is not None and decision.kind == "rejected" and not decision.by_policy:
        raise DecisionRefused(
            f"A rollback goes to version {target} of {state.model}, which {decision.who} rejected on "
            f"{decision.at:%Y-%m-%d} ({decision.why}): name it with --to {target}, or another version that was live."
        )
    return target


def _former_champion(state: ModelState, to: int) -> int:
    """Return the version that a rollback names, if it was live at some time and is not now."""
    state.version(to)
    champions = state.former_champions
    if to not in champions:
        once_live = f"these were: {', '.join(map(str, champions))}" if champions else "none was"
        raise DecisionRefused(
            f"Version {to} of {state.model} was never live by a decision, and a rollback goes to one that was; "
            f"{once_live}. `python run.py --pipeline deployment` judges a version that is new."
        )
    if to == state.live == state.named_champion:
        raise DecisionRefused(f"Version {to} of {state.model} is live already: there is nothing to go back to.")
    return to


def _change(
    context: ApprovalContext,
    state: ModelState,
    kind: DecisionKind,
    version: int,
    *,
    left: int | None,
    who: str,
    why: str,
) -> Promotion:
    """Announce in the ledger that `version` becomes the champion in place of `left`, then carry it out.

    Raises:
        WriteConflict: the ledger has gone on since; nothing was changed.
        StoreError: as of `_carry_out`.
    """
    digests = {"model": state.digest(version), "champion": state.digest(left)}
    state = context.write(state, kind, version, champion=left, who=who, why=why, digests=digests)
    state, notes = _carry_out(context, state, state.ledger[-1])
    return Promotion.recorded(state.ledger[-1], notes)


def _carry_out(context: ApprovalContext, state: ModelState, begun: Decision) -> tuple[ModelState, tuple[str, ...]]:
    """Do what was begun, or what is left of it, and return the state after it with notes on what is not right yet.

    Every step may be repeated, so that whoever comes after a crash goes through all of them. A change to a version that
    the registry no longer has is undone. Tags and the model control plane only show what is decided: they come last,
    and where they cannot be written the change still stands.

    Raises:
        StoreError: the registry or the ledger refuses; what was begun stays begun, and the next run completes it.
    """
    back = begun.kind == "rollback_begun"
    registered = begun.version in state.versions and state.contradiction(begun.version) is None
    line = succeeded(state.lineage, begun.version, back=back) if registered else state.lineage
    live = begun.version if registered else state.live if state.live in state.versions else None
    try:
        # In this order a rollback has somewhere to go at every moment.
        _move(context, state, PREVIOUS_CHAMPION, state.predecessor(line))
        _move(context, state, CHAMPION, live)
        state = context.write(
            state,
            ("rolled_back" if back else "promoted") if registered else "undone",
            begun.version,
            champion=begun.champion,
            who=begun.who,
            why=begun.why if registered else f"The registry no longer has version {begun.version} as it was judged.",
            digests={**begun.digests, "begun": begun.hash},
        )
    except StoreError as error:
        what = "rollback" if back else "promotion"
        raise StoreError(
            f"{error} The {what} to version {begun.version} is begun; the next deployment, approval or rollback "
            "completes it."
        ) from error
    shown = _show(context, live)
    # Last, and of the version that is live last of all: by its tags the next run sees whether this one got to its end.
    tagged = _tried(lambda: context.tag(state, begun.champion, begun.version), "The next decision sets the tags.")
    return state, (*shown, *tagged)


def _completed(context: ApprovalContext) -> tuple[ModelState, Decision | None]:
    """Complete what a killed run left, and return the state then, with the record that ends it; None if none was."""
    state = context.read()
    state.require_whole_ledger()  # before tags are brought up to date, which would hide what is missing
    if begun := state.unfinished:
        completed, _ = _carry_out(context, state, begun)
        return context.read(), completed.ledger[-1]
    if state.records:
        last = state.records[-1]
        context.tag(state, *(version for version in (last.version, last.champion) if is_behind(state, version)))
    return state, None


def _show(context: ApprovalContext, live: int | None) -> tuple[str, ...]:
    """Show the champion as such in the model control plane; a note says so where that did not work."""
    if live is None:
        return ()
    remedy = f"The next deployment shows version {live} in production there."
    return _tried(lambda: context.stages.show_champion(context.model, live), remedy)


def _tried(act: Callable[[], None], remedy: str) -> tuple[str, ...]:
    """Do what may fail, and return a note if it does."""
    try:
        act()
    except StoreError as error:
        return (f"{error} {remedy}",)
    return ()


def _move(context: ApprovalContext, state: ModelState, alias: str, version: int | None) -> None:
    """Let an alias name a version, or nothing, unless it does."""
    present = state.by_alias(alias)
    if version is None and present is not None:
        context.registry.delete_alias(context.model, alias)
    elif version is not None and present != state.versions.get(version):
        context.registry.set_alias(context.model, alias, version)

"""The rollout of a version beside the champion: its steps in the ledger, and the decisions that make them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

from ..core.errors import ConfigError, DecisionRefused, WriteConflict
from ..core.frozen import Frozen
from ..ports.ledger import Decision, DecisionKind
from .context import ApprovalContext, person, reason
from .promote import exclusive_state, not_approved
from .settings import RolloutSettings
from .state import ModelState

__all__ = ["Rollout", "Step", "abort", "advance", "next_share", "rollouts", "running", "start"]

_BY_POLICY = "policy:rollout"


class Step(NamedTuple):
    """From when on which share of the customers goes to the challenger; 0 in shadow, where it answers nobody."""

    at: dt.datetime
    share: float


class Rollout(Frozen):
    """A rollout, as the ledger has it.

    Attributes:
        version: The challenger.
        champion: The version that was live when it began, and is while it runs.
        identity: Of the record that started it; it draws the customers, other ones in every rollout.
        who: Who started it.
        why: Their reason.
        steps: What was decided when, oldest first.
        ended: The record that ended it: an abort, a change of the champion, or another verdict; None while it runs.
    """

    version: int
    champion: int
    identity: str
    who: str
    why: str
    steps: tuple[Step, ...]
    ended: Decision | None = None

    @property
    def share(self) -> float:
        """The share of the customers whom the challenger answers now, 0 to 1."""
        return self.steps[-1].share

    @property
    def shadow(self) -> bool:
        """Whether the challenger scores every row and answers none."""
        return self.share == 0

    @property
    def since(self) -> dt.datetime:
        """When it began (UTC)."""
        return self.steps[0].at


def rollouts(state: ModelState) -> tuple[Rollout, ...]:
    """Return every rollout of a model, oldest first; at most the last one runs.

    One ends when it is aborted; when the champion changes, to whatever version; when its version is rejected or refused
    by a new gate; and when either version is retired.
    """
    history: list[Rollout] = []
    for record in state.records:
        step = Step(record.at, record.numbers.get("share", 0.0))
        last = history[-1] if history and history[-1].ended is None else None
        if record.kind == "rollout_started":
            history.append(
                Rollout(
                    version=record.version,
                    champion=record.champion or 0,
                    identity=record.decision_id,
                    who=record.who,
                    why=record.why,
                    steps=(step,),
                )
            )
        elif last is not None and record.kind == "rollout_advanced":
            history[-1] = last.model_copy(update={"steps": (*last.steps, step)})
        elif last is not None and _ends(last, record):
            history[-1] = last.model_copy(update={"ended": record})
    return tuple(history)


def running(state: ModelState) -> Rollout | None:
    """Return the rollout that runs; None where none does."""
    last = next(reversed(rollouts(state)), None)
    return last if last is not None and last.ended is None else None


def next_share(rollout: Rollout, shares: Sequence[float]) -> float | None:
    """Return the share of the next step; None after the last."""
    return min((share for share in shares if share > rollout.share), default=None)


def start(context: ApprovalContext, version: int, *, share: float, shadow: bool = False, who: str, why: str) -> Rollout:
    """Let an approved version answer a share of the customers beside the champion, or score in shadow.

    Args:
        context: Whose version it is.
        version: A version that passed the gate, and is approved where the policy asks for it.
        share: Of the customers, between 0 and 1.
        shadow: Whether it scores every row and answers none, whatever `share` says.
        who: The person who decides.
        why: Their reason.

    Raises:
        ConfigError: no name or no reason is given, or the share is not between 0 and 1.
        NotFound: the registry has no such version.
        DecisionRefused: it is live, or not approved; there is no champion; a rollout runs; or the registry has other
            models than the ledger.
        StoreError: the registry or the ledger does not answer.
    """
    who, why, share = person(who), reason(why), 0.0 if shadow else _share(share)
    with exclusive_state(context) as state:
        state.version(version)
        if state.champion is None:
            raise DecisionRefused(
                f"{state.model} has no champion to roll version {version} out beside: "
                "`python run.py --pipeline deployment` promotes a first version."
            )
        if state.live == version:
            raise DecisionRefused(f"Version {version} of {state.model} is live: it answers every customer already.")
        if present := running(state):
            raise DecisionRefused(
                f"A rollout of version {present.version} of {state.model} runs since {present.since:%Y-%m-%d %H:%M} "
                'UTC: `python run.py rollout abort --reason "…"` ends it first.'
            )
        status = context.status(version, state)
        if status.state != "approved":
            raise not_approved(status, state.live)
        return _written(context, state, "rollout_started", version, share, who=who, why=why)


def advance(
    context: ApprovalContext,
    settings: RolloutSettings,
    *,
    share: float | None = None,
    who: str,
    why: str | None = None,
    seen: Rollout | None = None,
) -> Rollout:
    """Let the challenger answer a larger share of the customers; those who had it keep it.

    Args:
        context: Whose rollout it is.
        settings: They have the shares of the steps.
        share: A share of its own; by default that of the next step.
        who: The person who decides; not asked where the settings do.
        why: Their reason; by default that it is the next step.
        seen: The rollout on which the settings decided; None where a person decides.

    Raises:
        ConfigError: no name is given, or the share is not between 0 and 1.
        DecisionRefused: no rollout runs, the share is not larger than it is, or there is no further step.
        WriteConflict: the rollout is not the one that was seen.
        StoreError: the registry or the ledger does not answer.
    """
    who = person(who) if seen is None else _BY_POLICY
    requested = None if share is None else _share(share)
    with exclusive_state(context) as state:
        present = _present(state, seen)
        target = next_share(present, settings.shares) if requested is None else requested
        if target is None:
            raise DecisionRefused(
                f"Version {present.version} of {state.model} answers {present.share:.0%} of the customers, which is "
                "the last of `rollout.shares`: `python run.py rollout check` promotes it when it wins, and --share N "
                "goes further."
            )
        if target <= present.share:
            raise DecisionRefused(
                f"Version {present.version} of {state.model} answers {present.share:.0%} of the customers already, and "
                f"a step goes up: give a --share above {present.share:g}, or end the rollout by "
                '`python run.py rollout abort --reason "…"`.'
            )
        why = reason(why) if why is not None else f"The next step, to {target:.0%} of the customers."
        return _written(context, state, "rollout_advanced", present.version, target, who=who, why=why)


def abort(context: ApprovalContext, *, who: str, why: str, seen: Rollout | None = None) -> Rollout:
    """End the rollout that runs: the champion answers everybody, and the challenger counts as rejected.

    Only a new verdict of the gate and a person can let it go live after that.

    Args:
        context: Whose rollout it is.
        who: The person who decides; not asked where the settings do.
        why: The reason.
        seen: The rollout on which the settings decided; None where a person decides.

    Raises:
        ConfigError: no name or no reason is given.
        DecisionRefused: no rollout runs.
        WriteConflict: the rollout is not the one that was seen.
        StoreError: the registry or the ledger does not answer.
    """
    who, why = (person(who) if seen is None else _BY_POLICY), reason(why)
    with exclusive_state(context) as state:
        present = _present(state, seen)
        return _written(context, state, "rollout_aborted", present.version, present.share, who=who, why=why)


def _written(
    context: ApprovalContext, state: ModelState, kind: DecisionKind, version: int, share: float, *, who: str, why: str
) -> Rollout:
    digests = {"model": state.digest(version), "champion": state.digest(state.live)}
    numbers = {"share": share}
    state = context.write(state, kind, version, champion=state.live, digests=digests, numbers=numbers, who=who, why=why)
    context.tag(state, version)
    return rollouts(state)[-1]


def _present(state: ModelState, seen: Rollout | None) -> Rollout:
    present = running(state)
    if seen is not None and present != seen:
        raise WriteConflict(
            f"While the rollout of version {seen.version} of {state.model} was looked at, somebody changed or ended "
            "it: nothing was decided. `python run.py rollout status` shows what there is."
        )
    if present is None:
        raise DecisionRefused(
            f'No rollout of {state.model} runs: `python run.py rollout start --version N --reason "…"` starts one.'
        )
    return present


def _ends(rollout: Rollout, record: Decision) -> bool:
    if record.kind in {"rollout_aborted", "promoted", "rolled_back"}:
        return True
    if record.kind == "retired":
        return record.version in {rollout.version, rollout.champion}
    return record.kind in {"rejected", "gate_refused"} and record.version == rollout.version


def _share(share: float) -> float:
    if not 0 < share < 1:
        raise ConfigError(
            f"--share {share:g} is no share of the customers: give a number between 0 and 1, such as 0.1; in shadow, "
            "which answers nobody, leave it out."
        )
    return share

"""Whether a version may become the champion, by what the ledger says now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ..core.frozen import Frozen
from ..ports.ledger import Decision
from .settings import ApprovalSettings
from .situation import Situation
from .tags import settled_by

__all__ = ["Standing", "State", "standing_of"]

State = Literal["none", "pending", "approved", "rejected", "lapsed"]


class Standing(Frozen):
    """What the ledger says of a version at one moment."""

    model: str
    version: int
    state: State
    why: str = Field(description="A sentence for who reads the state.")
    gate: Decision | None = Field(default=None, description="The newest verdict of the gate on it.")
    decision: Decision | None = Field(default=None, description="The record that the state rests on.")


def standing_of(situation: Situation, version: int, settings: ApprovalSettings, now: dt.datetime) -> Standing:
    """Return the standing of a version.

    An approval is bound to one report of the gate, to the model that was judged and to the champion it was held
    against. It lapses when the champion changes, when either model is another than the digests say, and after
    `expires_after_days`; the gate must then run again. The version that is live is approved.

    Raises:
        NotFound: the registry has no such version.
    """
    situation.version(version)
    gate, decision = situation.gate(version), settled_by(situation, version)
    lapsed = next(_lapses(situation, gate, decision, settings, now), None) if gate and decision else None
    state, why = _state(situation, version, gate, decision, lapsed)
    return Standing(model=situation.model, version=version, state=state, why=why, gate=gate, decision=decision)


def _state(
    situation: Situation, version: int, gate: Decision | None, decision: Decision | None, lapsed: str | None
) -> tuple[State, str]:
    if situation.live == version:
        return "approved", f"Live since {_day(situation.history[-1].since)}."
    answered = decision is not None and (gate is None or gate.sequence < decision.sequence)
    if decision is not None and answered and (decision.kind == "rejected" or decision.version != version):
        verb = "Taken back" if decision.kind == "rolled_back" else "Rejected"
        return "rejected", f"{verb} by {decision.who} on {_day(decision.at)}: {decision.why}"
    if gate is None or decision is None or not answered:
        return "none", _unanswered(gate)
    if lapsed:
        return "lapsed", lapsed
    if decision.kind == "pending":
        return "pending", f"It passed the gate on {_day(gate.at)} and waits for a person. {decision.why}"
    return "approved", f"Approved by {decision.who} on {_day(decision.at)}: {decision.why}"


def _unanswered(gate: Decision | None) -> str:
    if gate is None:
        return "The gate has not judged it."
    return f"The gate judged it on {_day(gate.at)}, and the run ended before the policy answered."


def _lapses(
    situation: Situation, gate: Decision, decision: Decision, settings: ApprovalSettings, now: dt.datetime
) -> Iterator[str]:
    """Yield why what was decided no longer holds."""
    judged, live = f"The gate of {_day(gate.at)}", _named(situation.live)
    since = (each for each in situation.records if each.sequence > gate.sequence)
    if gate.champion != situation.live or any(each.kind in {"promoted", "rolled_back"} for each in since):
        yield f"{judged} held it against {_named(gate.champion)}, and the champion changed since: it is {live}."
    if situation.digest(gate.champion) != gate.digests["champion"]:
        yield f"{judged} compared it with another model than {live} is now: the digest changed."
    if situation.digest(gate.version) != gate.digests["model"]:
        yield f"{judged} judged another model than it is now: the digest changed."
    if decision.digests.get("gate_report") != gate.digests["gate_report"]:
        yield "What was decided is about another report of the gate."
    if settings.expires_after_days is not None:
        until = decision.at + dt.timedelta(days=settings.expires_after_days)
        if now > until:
            yield f"What was decided on {_day(decision.at)} held until {_day(until)}."


def _named(version: int | None) -> str:
    return "no champion" if version is None else f"version {version}"


def _day(time: dt.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"

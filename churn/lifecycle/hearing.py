"""A deployment run's question: which version is to go live, in place of which, and whether it was judged already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..approval.approval import standing
from ..approval.archive import keep_report, stored_report
from ..approval.governance import Governance
from ..approval.standing import Standing
from ..core.errors import DecisionRefused, NotFound
from ..gate.report import GateReport
from ..ports.registry import CHALLENGER, ModelVersion
from ..ports.tables import FeatureStore

__all__ = ["Hearing", "hear", "hearing_of"]


@dataclass(frozen=True)
class Hearing:
    """The version that wants to go live, the one that is live, and what the ledger says so far."""

    challenger: ModelVersion
    champion: ModelVersion | None
    found: Standing

    @property
    def live(self) -> bool:
        """Whether the version is the champion already."""
        return self.champion is not None and self.champion.version == self.challenger.version

    @property
    def settled(self) -> bool:
        """Whether there is nothing to judge: it is live, or its gate still holds."""
        return self.live or self.found.state in {"pending", "approved"}


def hearing_of(governance: Governance, version: int | None) -> Hearing:
    """Return what is to be decided about `version`, or about the version that `@Challenger` names.

    Raises:
        NotFound: there is no such version, or no challenger.
        DecisionRefused: `@Champion` was moved without a decision.
    """
    situation = governance.look()
    challenger = situation.challenger if version is None else situation.version(version)
    if challenger is None:
        raise NotFound(
            f"{governance.model} has no @{CHALLENGER}: run `python run.py --pipeline training` first, or name a "
            "version with --version N."
        )
    return Hearing(challenger, situation.champion, standing(governance, challenger.version))


def hear(
    hearing: Hearing, store: FeatureStore, judge: Callable[[ModelVersion, ModelVersion | None], GateReport]
) -> tuple[GateReport, bool]:
    """Return the report that a decision rests on, and whether it is new: a gate that still holds is not run again.

    Raises:
        DecisionRefused: nothing failed, but the machine was too busy to measure everything; nothing is recorded.
    """
    gate = hearing.found.gate
    if hearing.settled and gate is not None:
        kept = stored_report(store, gate.digests["gate_report"])
        if kept is not None:
            return kept, False
    report = judge(hearing.challenger, hearing.champion)
    if report.verdict == "unmeasured":
        raise DecisionRefused(
            f"{report.model} {report.summary}. Nothing was recorded: run `python run.py --pipeline deployment` again "
            "when less runs on this machine."
        )
    keep_report(store, report)
    return report, True

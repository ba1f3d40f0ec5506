"""The way of a version to production: judged, approved by policy or a person, promoted."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from ..approval.approval import decide, record_gate
from ..approval.promotion import complete_unfinished
from ..approval.standing import Standing
from ..core.progress import advance, note
from ..gate.judge import judge
from ..gate.recipes import remade_digest
from ..gate.report import GateReport
from ..settings import Settings
from .hearing import hear, hearing_of
from .outcome import Deployment, deploy
from .workspace import Workspace

__all__ = ["check_approval", "evaluate_challenger", "promote_version"]


def evaluate_challenger(workspace: Workspace, settings: Settings, version: int | None) -> GateReport:
    """Hold the challenger against the champion on the same rows, and record the verdict; a gate that holds is kept.

    A change of the champion that a killed run began is completed first.

    Args:
        workspace: The data set's ports.
        settings: The run's settings.
        version: The version to judge; None is the one that @Challenger names.

    Raises:
        NotFound: there is no such version, or no challenger.
        DecisionRefused: @Champion was moved without a decision.
    """
    governance, who = workspace.governance(settings.approval), workspace.identity
    complete_unfinished(governance, who=who)
    with tempfile.TemporaryDirectory() as folder:
        ask = partial(
            judge,
            store=workspace.tables,
            load=partial(workspace.candidate, into=Path(folder)),
            contract=workspace.contract,
            rules=settings.gate_rules(workspace.threads),
            remake=partial(remade_digest, store=workspace.tables, threads=workspace.threads),
            progress=partial(advance, "evaluation"),
            now=workspace.clock(),
        )
        hearing = hearing_of(governance, version)
        report, new = hear(hearing, workspace.tables, ask)
    if new and not hearing.live:
        record_gate(governance, report, who=who)
    note("evaluation", report.summary if new else f"{report.summary} (judged on {report.at:%Y-%m-%d %H:%M} UTC)")
    return report


def check_approval(workspace: Workspace, settings: Settings, report: GateReport) -> Standing:
    """Let the policy answer to the gate's verdict: approved, rejected, or waiting for a person."""
    status = decide(workspace.governance(settings.approval), report.challenger.version, who=workspace.identity)
    note("approval_check", status.why)
    return status


def promote_version(workspace: Workspace, settings: Settings, status: Standing) -> Deployment:
    """Let @Champion name the version if it is approved; otherwise nothing moves.

    Raises:
        DecisionRefused: the ledger no longer says what `status` says.
    """
    outcome = deploy(workspace.governance(settings.approval), status, who=workspace.identity)
    note("promotion", outcome.sentence)
    return outcome

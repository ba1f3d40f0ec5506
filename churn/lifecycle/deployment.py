"""Deployment of a version: gate, approval by policy or a person, promotion."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from ..approval.archive import keep_report, stored_report
from ..approval.context import ApprovalContext, person
from ..approval.decide import decide, record_gate
from ..approval.promote import complete_begun, promote
from ..approval.rollout import running
from ..approval.state import VersionStatus
from ..core.errors import DecisionRefused, NotFound, StoreError
from ..core.frozen import Frozen
from ..core.progress import advance, conclude, note
from ..gate.judge import judge
from ..gate.recipes import remade_digest
from ..gate.report import GateReport
from ..ports.registry import ModelVersion
from ..ports.tables import FeatureStore
from ..settings import Settings
from .features import refresh_labels
from .registration import describe_model
from .workspace import Workspace

__all__ = [
    "GATE_PAGE",
    "Deployment",
    "DeploymentRequest",
    "check_approval",
    "deploy",
    "evaluate_challenger",
    "keep_gate_page",
    "kept_report",
    "promote_version",
    "report_on",
    "request_of",
]


GATE_PAGE = "gate.html"
"""The file of a training run that holds the page of its version's gate."""
_VERDICT = "\n\n**Gate of "


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
    context, who = workspace.approval(settings.approval), person(workspace.identity)
    complete_begun(context)
    refresh_labels(workspace, settings)
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
        request = request_of(context, version)
        report, new = report_on(request, workspace.tables, ask)
    if new and not request.live:
        record_gate(context, report, who=who)
        _describe_verdict(workspace, request.challenger, report)
    judged = "" if new else f", judged on {report.at:%Y-%m-%d %H:%M} UTC"
    advance("evaluation", 0, 0, f"{len(report.checks)} checks{judged}")
    conclude("evaluation", report.summary)
    return report


def check_approval(workspace: Workspace, settings: Settings, report: GateReport) -> VersionStatus:
    """Let the policy answer to the gate's verdict: approved, rejected, or waiting for a person."""
    status = decide(workspace.approval(settings.approval), report.challenger.version, who=workspace.identity)
    note("approval_check", status.why)
    return status


def kept_report(workspace: Workspace, status: VersionStatus) -> GateReport | None:
    """Return the report that a version was judged by, or None where it was not judged or the report was not kept."""
    return None if status.gate is None else stored_report(workspace.tables, status.gate.digests["gate_report"])


def promote_version(workspace: Workspace, settings: Settings, status: VersionStatus) -> Deployment:
    """Let @Champion name the version if it is approved; otherwise nothing moves.

    Raises:
        DecisionRefused: the ledger no longer says what `status` says.
    """
    context = workspace.approval(settings.approval)
    outcome = (settings.rollout.before_promotion and _awaiting_rollout(context, status)) or deploy(
        context, status, who=workspace.identity
    )
    conclude("promotion", outcome.sentence)
    describe_model(workspace, outcome.sentence)
    return outcome


def keep_gate_page(workspace: Workspace, report: GateReport, page: str) -> None:
    """Leave the page of a gate as `gate.html` with the training run of the version that was judged.

    Where that run is gone from the tracker, a note says so: the page is kept in the files.
    """
    try:
        versions = workspace.registry.versions(report.model)
        judged = next((version for version in versions if version.version == report.challenger.version), None)
        if judged is not None and judged.run_id is not None:
            workspace.record(judged.run_id).log_file(GATE_PAGE, page)
    except (NotFound, StoreError) as error:
        note("evaluation", f"The page of the gate is not kept with the training run: {error}")


def _describe_verdict(workspace: Workspace, version: ModelVersion, report: GateReport) -> None:
    """Let the registry say on the page of the version what its newest gate found, in place of an earlier one."""
    about = version.description.partition(_VERDICT)[0]
    run = f" Its page is `{GATE_PAGE}` of [the training run](#/runs/{version.run_id})." if version.run_id else ""
    text = f"{about}{_VERDICT}{report.at:%Y-%m-%d}: {report.summary}.**{run}"
    workspace.registry.describe(version.name, text, version.version)


@dataclass(frozen=True)
class DeploymentRequest:
    """The version that wants to go live, the one that is live, and what the ledger says so far."""

    challenger: ModelVersion
    champion: ModelVersion | None
    status: VersionStatus

    @property
    def live(self) -> bool:
        """Whether the version is the champion already."""
        return self.champion is not None and self.champion.version == self.challenger.version

    @property
    def settled(self) -> bool:
        """Whether there is nothing to judge: it is live, or its gate still holds."""
        return self.live or self.status.state in {"pending", "approved"}


def request_of(context: ApprovalContext, version: int | None) -> DeploymentRequest:
    """Return what is to be decided about `version`, or about the version that `@Challenger` names.

    Raises:
        NotFound: there is no such version, or no challenger.
        DecisionRefused: `@Champion` was moved without a decision, or the registry has other models than the ledger.
    """
    state = context.read()
    champion = state.champion
    challenger = state.candidate(version)
    return DeploymentRequest(challenger, champion, context.status(challenger.version, state))


def report_on(
    request: DeploymentRequest, store: FeatureStore, judge: Callable[[ModelVersion, ModelVersion | None], GateReport]
) -> tuple[GateReport, bool]:
    """Return the report that a decision rests on, and whether it is new: a gate that still holds is not run again.

    Raises:
        DecisionRefused: nothing failed, but the machine was too busy to measure everything; nothing is recorded.
    """
    gate = request.status.gate
    if request.settled and gate is not None:
        stored = stored_report(store, gate.digests["gate_report"])
        if stored is not None:
            return stored, False
    report = judge(request.challenger, request.champion)
    if report.verdict == "unmeasured":
        raise DecisionRefused(
            f"{report.model} {report.summary}. Nothing was recorded: run `python run.py --pipeline deployment` again "
            "when less runs on this machine."
        )
    keep_report(store, report)
    return report, True


class Deployment(Frozen):
    """What a deployment run came to."""

    model: str
    version: int = Field(description="The version that was to go live.")
    champion: int | None = Field(description="The version that is live now.")
    previous: int | None = Field(default=None, description="The version that was live before this run changed it.")
    state: Literal["promoted", "unchanged", "waiting", "rollout", "refused", "taken_back"]
    sentence: str
    notes: tuple[str, ...] = ()


def deploy(context: ApprovalContext, status: VersionStatus, *, who: str) -> Deployment:
    """Promote the version if it is approved, and say what happened otherwise.

    Args:
        context: Where and how decisions about the model are made.
        status: What `decide` or `ApprovalContext.status` said about the version.
        who: In whose name.

    Raises:
        DecisionRefused: the ledger no longer says what `status` says.
        StoreError: the registry or the ledger does not answer; the next run ends what was begun.
    """
    name = f"{status.model} version {status.version}"
    ended = partial(Deployment, model=status.model, version=status.version)
    if status.state != "approved":
        champion = context.read().champion
        state: Literal["waiting", "refused"] = "waiting" if status.state == "pending" else "refused"
        live = None if champion is None else champion.version
        return ended(champion=live, state=state, sentence=f"{name} is not promoted. {status.why}")
    change = promote(context, status.version, who=who)
    before = "" if change.previous is None else f", version {change.previous} is @PreviousChampion"
    return ended(
        champion=change.version,
        previous=None if change.unchanged else change.previous,
        state="unchanged" if change.unchanged else "promoted",
        sentence=f"{name} is @Champion already: nothing to do."
        if change.unchanged
        else f"{name} is @Champion{before}.",
        notes=change.notes,
    )


def _awaiting_rollout(context: ApprovalContext, status: VersionStatus) -> Deployment | None:
    """Return what a deployment comes to where an approved version is first rolled out beside the champion."""
    state = context.read()
    if status.state != "approved" or state.live in {None, status.version}:
        return None
    present = running(state)
    is_rolled_out = present is not None and present.version == status.version
    how = "`python run.py rollout check` promotes it when it wins"
    start = f'`python run.py rollout start --version {status.version} --reason "…"` rolls it out beside the champion'
    return Deployment(
        model=status.model,
        version=status.version,
        champion=state.live,
        state="rollout",
        sentence=f"{status.model} version {status.version} is approved, and is not promoted before a rollout "
        f"(`rollout.before_promotion`): {how if is_rolled_out else start}.",
    )

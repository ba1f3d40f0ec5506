"""The way of a challenger to production: judged, approved by policy or person, promoted; none of it is cached."""

from __future__ import annotations

import datetime as dt
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from adapters import wiring
from churn.approval.approval import decide, record_gate
from churn.approval.governance import Governance
from churn.approval.promotion import complete_unfinished
from churn.approval.standing import Standing
from churn.core.progress import advance, note, stage
from churn.data.contract import DatasetContract
from churn.gate.judge import judge
from churn.gate.report import GateReport
from churn.lifecycle.hearing import hear, hearing_of
from churn.lifecycle.outcome import Deployment, deploy
from churn.settings import Settings
from reports.gate_report import gate_page

from .pages import write_page

__all__ = ["approval_check", "evaluation", "promotion"]


@step(enable_cache=False)
def evaluation(
    settings: Settings, contract: DatasetContract, version: int | None
) -> Annotated[GateReport, "gate_report"]:
    """Hold the challenger against the champion on the same rows, and record the verdict; a gate that holds is kept."""
    with stage("evaluation"), tempfile.TemporaryDirectory() as folder:
        store = wiring.feature_store(settings.profile, settings.namespace(contract))
        governance = _governance(settings, contract)
        complete_unfinished(governance, who=wiring.identity())
        load = partial(wiring.candidate, settings.profile, into=Path(folder))
        tell = partial(advance, "evaluation")
        now = dt.datetime.now(dt.UTC)
        ask = partial(judge, store=store, load=load, contract=contract, rules=settings.gate_rules, tell=tell, now=now)
        hearing = hearing_of(governance, version)
        report, new = hear(hearing, store, ask)
        if new and not hearing.live:
            record_gate(governance, report, who=wiring.identity())
        write_page(settings.profile, gate_page(report, next_command="python run.py ui"))
        log_metadata({"version": report.challenger.version, "verdict": report.verdict, "gate_report": report.digest})
        note("evaluation", report.summary if new else f"{report.summary} (judged on {report.at:%Y-%m-%d %H:%M} UTC)")
        return report


@step(enable_cache=False)
def approval_check(
    report: GateReport, settings: Settings, contract: DatasetContract
) -> Annotated[Standing, "approval"]:
    """Let the policy answer to the gate's verdict: approved, rejected, or waiting for a person."""
    with stage("approval_check"):
        found = decide(_governance(settings, contract), report.challenger.version, who=wiring.identity())
        log_metadata({"version": found.version, "Approval_Check": found.state})
        note("approval_check", found.why)
        return found


@step(enable_cache=False)
def promotion(found: Standing, settings: Settings, contract: DatasetContract) -> Annotated[Deployment, "deployment"]:
    """Let @Champion name the version if it is approved; whatever else is true, nothing moves."""
    with stage("promotion"):
        outcome = deploy(_governance(settings, contract), found, who=wiring.identity())
        log_metadata({"champion": outcome.champion or "none", "state": outcome.state})
        note("promotion", outcome.sentence)
        return outcome


def _governance(settings: Settings, contract: DatasetContract) -> Governance:
    return wiring.governance(settings, settings.namespace(contract), settings.registered_name(contract))

"""Decisions that need more than ledger and registry: the audit, and retirement of a lost model."""

from __future__ import annotations

from ..approval.archive import stored_report
from ..approval.audit import Audit, audit
from ..approval.promote import retire
from ..core.errors import ChurnError, DecisionRefused
from ..ports.ledger import Decision
from ..settings import Settings
from .workspace import Workspace

__all__ = ["audit_model", "retire_version"]


def audit_model(
    workspace: Workspace, settings: Settings, *, model: str | None = None, expect: str | None = None
) -> Audit:
    """Hold ledger, registry, packages and gate reports of a model against each other; see `approval.audit.audit`."""

    def report_fault(digest: str) -> str | None:
        try:
            report = stored_report(workspace.tables, digest)
        except ChurnError as error:
            return str(error)
        return None if report else f"The report of the gate {digest[:12]}… that it rests on is not in `gate_reports`."

    return audit(
        workspace.approval(settings.approval, model),
        report_fault=report_fault,
        expect=expect,
    )


def retire_version(
    workspace: Workspace, settings: Settings, version: int, *, who: str, why: str, model: str | None = None
) -> Decision:
    """Record that the model of a version is gone: deleted, damaged, or another one under the same number.

    Raises:
        DecisionRefused: the registry has it whole, as the ledger knows it.
        NotFound: the ledger knows nothing of such a version.
        ConfigError: no name or no reason is given.
        StoreError: the registry or the ledger does not answer.
    """
    context = workspace.approval(settings.approval, model)
    state = context.read()
    registered = state.versions.get(version) if state.contradiction(version) is None else None
    if registered is not None and state.recorded_digest(version) and context.package_fault(registered) is None:
        raise DecisionRefused(
            f"Version {version} of {context.model} is in the registry, whole and as the ledger knows it: retiring is "
            'for a model that is gone. `python run.py rollback --reason "…"` takes a live version back, '
            f'`python run.py reject --version {version} --reason "…"` keeps another one from going live.'
        )
    return retire(context, version, who=who, why=why)

"""Tags of runs: the result in two or three words, for lists of runs."""

from __future__ import annotations

from churn.gate.report import GateReport
from churn.lifecycle.deployment import Deployment
from churn.lifecycle.registration import Registration
from churn.lifecycle.release import Release
from churn.scoring.batch import BatchSummary

__all__ = ["batch_tags", "deployment_tags", "gate_tag", "release_tags", "training_tag"]

_NAMED = 2
_SHIFTS = {"alike": "customers alike", "shifted": "customers shifted", "strong": "customers shifted strongly"}


def training_tag(registration: Registration) -> str:
    """Return such as `challenger v3` or `challenger v3 unchanged`."""
    return f"challenger v{registration.version}{' unchanged' if registration.unchanged else ''}"


def gate_tag(report: GateReport) -> str:
    """Return such as `passed: v3` or `refused: latency`, with two of the checks at most."""
    failed = [check.name for check in report.checks if not check.passed]
    if not failed:
        return f"passed: v{report.challenger.version}"
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    return f"refused: {', '.join(failed[:_NAMED])}{more}"


def deployment_tags(outcome: Deployment) -> list[str]:
    """Return which version is live, and whether the one that was judged waits for a person."""
    live = [] if outcome.champion is None else [f"champion v{outcome.champion}"]
    return [*live, *[f"waits: v{outcome.version}"] * (outcome.state == "waiting")]


def release_tags(release: Release) -> list[str]:
    """Return that the version answers at an endpoint, or which part of its release failed; else nothing."""
    if release.failed_at is not None:
        return [f"failed: {release.failed_at}"]
    return [f"endpoint v{release.deployment.version}"] * (release.address is not None)


def batch_tags(summary: BatchSummary) -> list[str]:
    """Return which version scored, and whether the customers are those that it was judged on."""
    shift = None if summary.shift is None else _SHIFTS.get(summary.shift.verdict)
    return [f"scored by v{summary.model_version}", *[shift] * (shift is not None)]  # type: ignore[list-item]

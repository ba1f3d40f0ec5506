"""The summary at the end of a run: results, paths, durations, the next command."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from churn.campaign.campaign import Campaign
from churn.campaign.effect import ReadOut
from churn.core.wording import percent
from churn.data.snapshot import TableSnapshot
from churn.data.validation import ValidationReport
from churn.evaluation.evaluate import Evaluation
from churn.evaluation.headline import headline, rows_in_words
from churn.evaluation.metrics import HEADLINE, METRICS
from churn.gate.checks import CHECKS, VERDICTS, failures_first, headline_checks
from churn.gate.report import GateReport
from churn.lifecycle.alerts import Alerted
from churn.lifecycle.deployment import Deployment
from churn.lifecycle.registration import Registration
from churn.lifecycle.release import Release
from churn.lifecycle.retraining_result import Retraining
from churn.monitoring.report import MonitoringReport
from churn.ports.registry import CHALLENGER
from churn.profile import Profile
from churn.scoring.batch import BatchSummary
from churn.settings import Settings
from reports.batch_report import batch_headline, what_did_not_fit
from reports.campaign_report import campaign_headline
from reports.effect_report import read_out_headline
from reports.gate_report import gate_badge, gate_rule, gate_verdict

from .alerts import print_alerts
from .console import Screen, table

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

__all__ = ["summarise"]

_MARKS = {"pass": ("✓", "green"), "fail": ("✗", "red"), "error": ("!", "red"), "unmeasured": ("?", "yellow")}


def summarise(
    console: Screen,
    pipeline: str,
    run: PipelineRunResponse,
    settings: Settings,
    profile: Profile,
    *,
    options: str = "",
    verbose: bool = False,
) -> dict[str, Any]:
    """Print the summary of a finished run, and return what came out of it.

    Args:
        console: Where to print.
        pipeline: Its name.
        run: The run, finished.
        settings: Its settings.
        profile: Where its files lie.
        options: What the next command needs to be about the same model, such as ` --data customers.csv`.
        verbose: Whether every check of the gate is shown, not the main ones alone.

    Returns:
        `version` of the model and `report`, either of which may be None, `verdict` in a word, `message` in a sentence,
        and `exit`, one of `cli.parser.EXIT_CODES`.
    """
    console.print()
    summaries: dict[str, Callable[..., dict[str, Any]]] = {
        **_SUMMARIES,
        "deployment": partial(_deployment, verbose=verbose),
    }
    return summaries[pipeline](console, run, settings, profile, options)


def _training(
    console: Screen, run: PipelineRunResponse, settings: Settings, profile: Profile, options: str
) -> dict[str, Any]:
    evaluation: Evaluation = _output(run, "evaluate", "evaluation")
    version: Registration = _output(run, "register", "registration")
    console.print(_metrics(evaluation))
    message = headline(evaluation)
    console.print(message)
    state = "unchanged: the same data, settings and code gave the same model" if version.unchanged else "new"
    named = (f"\n{version.name} version {version.version}", "bold")
    console.print(Text.assemble(named, f" is @{CHALLENGER} ({state})"))
    report = profile.report_of(run.name)
    console.print(f"Report  {report}")
    _next(console, f"--pipeline deployment{options}", "the gate: may it replace the champion?")
    _next(console, "ui", "the run in the ZenML dashboard, the trials in MLflow")
    verdict = "unchanged" if version.unchanged else "registered"
    return _result(0, verdict, message, version=version.version, report=report)


def _deployment(
    console: Screen,
    run: PipelineRunResponse,
    settings: Settings,
    profile: Profile,
    options: str,
    *,
    verbose: bool,
) -> dict[str, Any]:
    report: GateReport = _output(run, "evaluation", "gate_report")
    outcome: Deployment = _output(run, "promotion", "deployment")
    release: Release = _output(run, "release", "release")
    _checks(console, report, verbose=verbose)
    console.print(Text.assemble((f"\n{outcome.sentence}", "bold")))
    for remark in outcome.notes:
        console.print(remark)
    console.print(f"Live    {'no version' if outcome.champion is None else f'version {outcome.champion}'}")
    if release.sentence:
        console.print(f"Serves  {release.sentence}")
    page = profile.report_of(run.name)
    console.print(f"Report  {page}")
    if outcome.state == "waiting":
        _next(console, f'approve --version {outcome.version} --reason "…"{options}', "or reject")
    if outcome.state == "rollout":
        _next(console, f"rollout status{options}", "start, or check")
    if release.state == "verified" and release.address is None:
        _next(console, f"serve{options}", "answers requests with it")
    _next(console, f"models{options}", "what is live, and what was")
    code = {"refused": 3, "waiting": 4, "rollout": 4}.get(outcome.state, 0)
    return _result(code, outcome.state, outcome.sentence, version=outcome.version, report=page)


def _inference(
    console: Screen, run: PipelineRunResponse, settings: Settings, profile: Profile, options: str
) -> dict[str, Any]:
    summary: BatchSummary = _output(run, "score", "batch")
    message = f"{batch_headline(summary)}."
    console.print(Text.assemble((message, "bold")))
    for sentence in what_did_not_fit(summary):
        console.print(f"  {sentence}")
    limit = settings.validation.max_quarantine_share
    too_many = summary.set_aside_share > limit
    if too_many:
        shares = f"{percent(summary.set_aside_share)} of the rows were set aside, and"
        allowed = f"validation.max_quarantine_share allows {percent(limit)}"
        console.print(Text(f"Warning: {shares} {allowed}: correct the source, or the contract.", "yellow"))
    campaign: Campaign = _output(run, "plan", "campaign")
    console.print(campaign_headline(campaign))
    ref, page = summary.predictions, profile.report_of(run.name)
    contacts = profile.campaigns / f"{summary.batch_id}.{settings.campaign.format}"
    console.print(f"List    {contacts}   (the page beside it says who, why, and what it earns)")
    console.print(f"Table   {ref.uri}, version {ref.version}, batch_id {summary.batch_id}")
    console.print(f"Report  {page}")
    _next(console, f"explain --customer ID{options}", "why a customer is at risk")
    _next(console, "ui", "the batch in the ZenML dashboard and in MLflow")
    verdict = "unchanged" if summary.unchanged else "scored"
    result = _result(5 if too_many else 0, verdict, message, version=summary.model_version, report=page)
    return {**result, "batch_id": summary.batch_id, "list": contacts}


def _monitoring(
    console: Screen, run: PipelineRunResponse, settings: Settings, profile: Profile, options: str
) -> dict[str, Any]:
    report: MonitoringReport = _output(run, "monitor", "monitoring")
    console.print(report.headline, style="bold yellow" if report.acts else "bold")
    for diagnosis in report.diagnoses:
        for sentence in (diagnosis.sentence, *diagnosis.evidence[1:]):
            if sentence != report.headline:
                console.print(f"  {sentence}")
        console.print_indented(f"→ {diagnosis.recommendation}")
    if report.advice.sentence not in report.headline:
        console.print(report.advice.sentence)
    for note in report.remarks:
        console.print(f"Note    {note}")
    alerted: Alerted = _output(run, "monitor", "alerts")
    print_alerts(console, alerted)
    campaigns: ReadOut = _output(run, "campaign_effect", "campaign_effect")
    console.print(f"Campaigns {read_out_headline(campaigns)}")
    console.print(f"Windows {report.measured:,} measured, {report.unchanged:,} as they were")
    page = profile.report_of(run.name)
    console.print(f"Report  {page}")
    if report.advice.state == "retrain":
        _next(console, f"--pipeline retraining{options}", "a model from the newer outcomes; the gate judges it")
    verdict = "act" if report.acts else "nothing_to_do"
    result = _result(3 if report.acts else 0, verdict, report.headline, version=report.live, report=page)
    diagnoses = [diagnosis.model_dump() for diagnosis in report.diagnoses]
    alerts = {"alerts": [alert.model_dump(mode="json") for alert in alerted.opened]}
    effect = {"campaign_effect": None if campaigns.effect is None else campaigns.effect.verdict}
    return {**result, **alerts, **effect, "diagnoses": diagnoses, "retrain": report.advice.state == "retrain"}


def _retraining(
    console: Screen, run: PipelineRunResponse, settings: Settings, profile: Profile, options: str
) -> dict[str, Any]:
    report: MonitoringReport = _output(run, "monitor", "monitoring")
    retraining: Retraining = _output(run, "judge_challenger", "retraining")
    acts = retraining.acts or (retraining.version is None and report.acts)
    console.print(retraining.sentence, style="bold yellow" if acts else "bold")
    if acts and retraining.version is None:
        console.print(report.headline)
    if retraining.recommendation:
        console.print_indented(f"→ {retraining.recommendation}")
    page = profile.report_of(run.name)
    console.print(f"Report  {page}")
    code = 4 if retraining.state in {"waiting", "rollout"} else 3 if acts else 0
    result = _result(code, retraining.state, retraining.sentence, version=retraining.version, report=page)
    gains = {name: gain.model_dump() for name, gain in retraining.gains.items()}
    return {**result, "live": retraining.live, "gains": gains}


def _checks(console: Screen, report: GateReport, *, verbose: bool) -> None:
    """Print the verdict, the rule, and what the checks found with what it means: all of them, or the main ones."""
    style = "bold green" if report.passed else "bold red"
    console.print(Text.assemble((gate_badge(report), style), f"  {gate_verdict(report)}"))
    console.print(f"Rule    {gate_rule(report)}")
    shown = failures_first(report.checks) if verbose else headline_checks(report.checks)
    for check in shown:
        named, mark = CHECKS[check.name], _MARKS[check.verdict]
        phrases = (named.measured(check, report.currency), named.allowed(check, report.currency))
        compared = " | ".join(phrase for phrase in phrases if phrase)
        console.print(Text.assemble(mark, f" {named.label}: ", (compared or VERDICTS[check.verdict], "bold")))
        console.print_indented(check.sentence, "dim")
    if hidden := len(report.checks) - len(shown):
        console.print(f"  and {hidden} more that passed: on the page, or here with --verbose")


def _next(console: Screen, command: str, why: str) -> None:
    console.print(f"Next    python run.py {command}   ({why})", soft_wrap=True)


def _metrics(evaluation: Evaluation) -> Group:
    share = percent(evaluation.confidence, 0)
    scored = rows_in_words(evaluation.rows, evaluation.customers, evaluation.churners, evaluation.churned_customers)
    shown = table("", "estimate", f"{share} interval")
    for name in HEADLINE:
        if name in evaluation.metrics:
            metric, estimate = METRICS[name], evaluation.metrics[name]
            shown.add_row(metric.label, metric.text(estimate.point, evaluation.currency), metric.span(estimate))
    return Group(f"Holdout: {scored}", shown)


def _features(
    console: Screen, run: PipelineRunResponse, settings: Settings, profile: Profile, options: str
) -> dict[str, Any]:
    report: ValidationReport = _output(run, "ingest", "validation")
    features: TableSnapshot = _output(run, "build_features", "features")
    message = f"{report.accepted:,} of {report.rows:,} rows accepted, {report.quarantined:,} in quarantine."
    console.print(message)
    console.print(f"Table   {features.ref.uri}, version {features.ref.version}, {features.ref.rows:,} rows")
    _next(console, f"--pipeline training{options}", "a model from them")
    return _result(0, "accepted", message)


def _result(
    code: int, verdict: str, message: str, *, version: int | None = None, report: Path | None = None
) -> dict[str, Any]:
    return {"version": version, "verdict": verdict, "exit": code, "report": report, "message": message}


def _output(run: PipelineRunResponse, step: str, name: str) -> Any:
    return run.steps[step].outputs[name][0].load()


_SUMMARIES = {
    "features": _features,
    "training": _training,
    "inference": _inference,
    "monitoring": _monitoring,
    "retraining": _retraining,
}

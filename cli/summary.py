"""The end of a run: what came out, where it lies, where the time went, what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from churn.campaign.campaign import Campaign
from churn.core.wording import percent
from churn.data.snapshot import TableSnapshot
from churn.data.validation import ValidationReport
from churn.evaluation.evaluate import Evaluation
from churn.evaluation.headline import headline, rows_in_words
from churn.evaluation.metrics import HEADLINE, METRICS
from churn.gate.checks import CHECKS, VERDICTS
from churn.gate.report import GateReport
from churn.lifecycle.deployment import Deployment
from churn.lifecycle.registration import Registration
from churn.ports.registry import CHALLENGER
from churn.scoring.batch import BatchSummary
from churn.settings import Profile, Settings
from reports.batch_report import batch_headline
from reports.campaign_report import campaign_headline
from reports.gate_report import gate_verdict

from .console import Screen, table
from .display import Board

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

__all__ = ["summarise"]


def summarise(
    console: Screen,
    pipeline: str,
    run: PipelineRunResponse,
    settings: Settings,
    profile: Profile,
    *,
    board: Board,
    prepared: float,
    options: str = "",
) -> int:
    """Print the summary of a finished run and return the exit code; see `cli.parser.EXIT_CODES`.

    Args:
        console: Where to print.
        pipeline: Its name.
        run: The run, finished.
        settings: Its settings.
        profile: Where its files lie.
        board: The steps with their times.
        prepared: Seconds before the first step: imports, stores, stack.
        options: What the next command needs to be about the same model, such as ` --data customers.csv`.
    """
    console.print()
    code = _SUMMARIES[pipeline](console, run, settings, profile, options)
    _times(console, board, prepared)
    return code


def _training(console: Screen, run: PipelineRunResponse, settings: Settings, profile: Profile, options: str) -> int:
    evaluation: Evaluation = _output(run, "evaluate", "evaluation")
    version: Registration = _output(run, "register", "registration")
    console.print(_metrics(evaluation))
    console.print(headline(evaluation))
    state = "unchanged: the same data, settings and code gave the same model" if version.unchanged else "new"
    named = (f"\n{version.name} version {version.version}", "bold")
    console.print(Text.assemble(named, f" is @{CHALLENGER} ({state})"))
    console.print(f"Report  {profile.report_of(run.name)}")
    _next(console, f"--pipeline deployment{options}", "the gate: may it replace the champion?")
    _next(console, "ui", "the run in the ZenML dashboard, the trials in MLflow")
    return 0


def _deployment(console: Screen, run: PipelineRunResponse, settings: Settings, profile: Profile, options: str) -> int:
    report: GateReport = _output(run, "evaluation", "gate_report")
    outcome: Deployment = _output(run, "promotion", "deployment")
    console.print(_checks(report))
    console.print(gate_verdict(report))
    for check in report.checks:
        if not check.passed:
            console.print(f"  {CHECKS[check.name].label}: {check.sentence}")
    console.print(Text.assemble((f"\n{outcome.sentence}", "bold")))
    for each in outcome.notes:
        console.print(each)
    console.print(f"Report  {profile.report_of(run.name)}")
    if outcome.state == "waiting":
        _next(console, f'approve --version {outcome.version} --reason "…"{options}', "or reject")
    _next(console, f"models{options}", "what is live, and what was")
    return {"refused": 3, "waiting": 4}.get(outcome.state, 0)


def _inference(console: Screen, run: PipelineRunResponse, settings: Settings, profile: Profile, options: str) -> int:
    summary: BatchSummary = _output(run, "score", "batch")
    console.print(Text.assemble((f"{batch_headline(summary)}.", "bold")))
    for rule, rows in sorted(summary.rejected.items()):
        console.print(f"  {rows:,} in quarantine: {rule} (they do not)")
    for column, rows in sorted(summary.unseen.items()):
        console.print(f"  {column}: {rows:,} customers have a value that training did not know")
    campaign: Campaign = _output(run, "plan", "campaign")
    console.print(campaign_headline(campaign))
    ref, lists = summary.predictions, profile.campaigns / summary.batch_id
    console.print(
        f"List    {lists}.{settings.campaign.format}   (the page beside it says who, why, and what it earns)",
    )
    console.print(f"Table   {ref.uri}, version {ref.version}, batch_id {summary.batch_id}")
    console.print(f"Report  {profile.report_of(run.name)}")
    _next(console, f"explain --customer ID{options}", "why a customer is at risk")
    _next(console, "ui", "the batch in the ZenML dashboard and in MLflow")
    return 0


def _checks(report: GateReport) -> Table:
    shown = table("check", "", "found", "allowed", title=f"{len(report.checks)} checks")
    for check in report.checks:
        named = CHECKS[check.name]
        measured, allowed = named.measured(check, report.currency), named.allowed(check, report.currency)
        shown.add_row(named.label, VERDICTS[check.verdict], measured, allowed)
    return shown


def _next(console: Screen, command: str, why: str) -> None:
    console.print(f"Next    python run.py {command}   ({why})", soft_wrap=True)


def _metrics(evaluation: Evaluation) -> Table:
    share = percent(evaluation.confidence, 0)
    scored = rows_in_words(evaluation.rows, evaluation.customers, evaluation.churners, evaluation.churned_customers)
    title = f"Holdout: {scored}"
    shown = table("", "estimate", f"{share} interval", title=title)
    for name in HEADLINE:
        if name in evaluation.metrics:
            metric, estimate = METRICS[name], evaluation.metrics[name]
            shown.add_row(metric.label, metric.text(estimate.point, evaluation.currency), metric.span(estimate))
    return shown


def _features(console: Screen, run: PipelineRunResponse, settings: Settings, profile: Profile, options: str) -> int:
    report: ValidationReport = _output(run, "ingest", "validation")
    features: TableSnapshot = _output(run, "build_features", "features")
    console.print(f"{report.accepted:,} of {report.rows:,} rows accepted, {report.quarantined:,} in quarantine.")
    console.print(
        f"Table   {features.ref.uri}, version {features.ref.version}, {features.ref.rows:,} rows", soft_wrap=True
    )
    _next(console, f"--pipeline training{options}", "a model from them")
    return 0


def _times(console: Screen, board: Board, prepared: float) -> None:
    steps = {name: line.seconds for name, line in board.lines.items()}
    total = prepared + sum(steps.values())
    parts = {"start": prepared} | {name: seconds for name, seconds in steps.items() if seconds >= 0.05}
    listed = ", ".join(f"{name} {seconds:.1f}" for name, seconds in parts.items())
    console.print(f"Time    {total:.0f} s: {listed}", style="dim")


def _output(run: PipelineRunResponse, step: str, name: str) -> Any:
    return run.steps[step].outputs[name][0].load()


_SUMMARIES = {"features": _features, "training": _training, "deployment": _deployment, "inference": _inference}

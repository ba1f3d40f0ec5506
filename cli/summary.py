"""The end of a run: what came out, where it lies, where the time went, what to type next."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from zenml.models import PipelineRunResponse

from churn.evaluation import Evaluation
from churn.profile import TableSnapshot
from churn.registration import CHALLENGER, Registration
from churn.reporting.money_report import headline
from churn.reporting.wording import number, percent
from churn.settings import Settings
from churn.validation import ValidationReport

from .display import Board

__all__ = ["summarise"]

_SHOWN = {
    "roc_auc": ("ROC AUC", 3),
    "pr_auc": ("average precision", 3),
    "log_loss": ("log loss", 3),
    "brier": ("Brier score", 3),
    "ece": ("calibration error", 3),
    "f1_at_f1": ("F1 at its own threshold", 3),
    "f1_at_profit": ("F1 at the profit threshold", 3),
    "top_decile_lift": ("lift of the riskiest tenth", 2),
    "empc": ("EMPC", 2),
    "profit_per_customer": ("profit per customer", 2),
}


def summarise(console: Console, run: PipelineRunResponse, settings: Settings, *, board: Board, prepared: float) -> None:
    """Print the summary of a finished run.

    Args:
        console: Where to print.
        run: The run, finished.
        settings: Its settings.
        board: The steps with their times.
        prepared: Seconds before the first step: imports, stores, stack.
    """
    console.print()
    if "register" in board.lines:
        _training(console, run, settings)
    else:
        _features(console, run, settings)
    _times(console, board, prepared)


def _training(console: Console, run: PipelineRunResponse, settings: Settings) -> None:
    evaluation: Evaluation = _output(run, "evaluate", "evaluation")
    version: Registration = _output(run, "register", "registration")
    console.print(_metrics(evaluation))
    console.print(headline(evaluation), soft_wrap=True)
    state = "unchanged: the same data, settings and code gave the same model" if version.unchanged else "new"
    named = (f"\n{version.name} version {version.version}", "bold")
    console.print(Text.assemble(named, f" is @{CHALLENGER} ({state})"), soft_wrap=True)
    console.print(f"Report  {settings.profile.reports / run.name}.html", soft_wrap=True)
    console.print("Next    python run.py ui   (the run in the ZenML dashboard, the trials in MLflow)", soft_wrap=True)


def _metrics(evaluation: Evaluation) -> Table:
    share = percent(evaluation.confidence, 0)
    title = f"On {evaluation.customers:,} customers of the holdout ({evaluation.rows:,} rows)"
    table = Table("", "estimate", f"{share} interval", title=title, title_justify="left", title_style="")
    for name, (words, digits) in _SHOWN.items():
        if name in evaluation.metrics:
            found = evaluation.metrics[name]
            unit = f" {evaluation.currency}" if name == "profit_per_customer" else ""
            interval = f"{number(found.lower, digits)} to {number(found.upper, digits)}"
            table.add_row(words, number(found.point, digits) + unit, interval)
    return table


def _features(console: Console, run: PipelineRunResponse, settings: Settings) -> None:
    report: ValidationReport = _output(run, "ingest", "validation")
    features: TableSnapshot = _output(run, "build_features", "features")
    console.print(f"{report.accepted:,} of {report.rows:,} rows accepted, {report.quarantined:,} in quarantine.")
    console.print(
        f"Table   {features.ref.uri}, version {features.ref.version}, {features.ref.rows:,} rows", soft_wrap=True
    )
    console.print("Next    python run.py --pipeline training", soft_wrap=True)


def _times(console: Console, board: Board, prepared: float) -> None:
    steps = {name: line.seconds for name, line in board.lines.items()}
    total = prepared + sum(steps.values())
    parts = {"start": prepared} | {name: seconds for name, seconds in steps.items() if seconds >= 0.05}
    listed = ", ".join(f"{name} {seconds:.1f}" for name, seconds in parts.items())
    console.print(f"Time    {total:.0f} s: {listed}", style="dim", soft_wrap=True)


def _output(run: PipelineRunResponse, step: str, name: str) -> Any:
    return run.steps[step].outputs[name][0].load()

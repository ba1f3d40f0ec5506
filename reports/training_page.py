"""The one page of a training run."""

from __future__ import annotations

from churn.data.leakage import LeakageReport
from churn.data.validation import ValidationReport
from churn.lifecycle.recording import Findings
from churn.lifecycle.registration import Registration
from churn.settings import Settings

from .data_report import leakage_section, table_section, validation_section
from .evaluation_report import training_report
from .explanation_report import explanation_section
from .model_report import registration_section, training_section, tuning_section
from .page import Cell

__all__ = ["report_page", "training_charts"]


def report_page(
    findings: Findings,
    registration: Registration,
    *,
    validation: ValidationReport,
    leakage: LeakageReport,
    settings: Settings,
) -> str:
    """Return the self-contained page of a training run."""
    ref = findings.training_set.ref
    facts: dict[str, Cell] = {
        "data": validation.source,
        "dataset": ref.dataset,
        "training set": f"version {ref.version}, {ref.rows:,} rows",
        "seed": settings.seed,
        "model": f"version {registration.version}" + (", unchanged" if registration.unchanged else ""),
    }
    sections = [
        explanation_section(findings.explanation),
        training_section(findings.training),
        tuning_section(findings.tuning),
        leakage_section(leakage),
        validation_section(validation),
        table_section(findings.training_set),
        registration_section(registration),
    ]
    title = f"{registration.name}, version {registration.version}"
    return training_report(
        title, evaluation=findings.evaluation, facts=facts, sections=sections, next_command="python run.py ui"
    )


def training_charts(findings: Findings) -> dict[str, str]:
    """Return the charts of a training run as SVG, by name."""
    from .charts import HOLDOUT_CHARTS
    from .model_charts import importance
    from .model_report import tuning_chart

    drawn = {name: draw(findings.evaluation) for name, draw in HOLDOUT_CHARTS.items()}
    ranked, words = findings.explanation.importance, findings.explanation.descriptions
    drawn["importance"] = importance([words[name] for name in ranked], list(ranked.values()))
    if findings.tuning.best is not None:
        drawn["tuning"] = tuning_chart(findings.tuning)
    return drawn

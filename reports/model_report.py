"""How a model came about, as sections of a page: tuning, the model card, the registered version."""

from __future__ import annotations

from churn.core.wording import number
from churn.lifecycle.registration import Registration
from churn.model.model import ChurnModel
from churn.ports.registry import CHALLENGER
from churn.training.calibration import CalibrationScore
from churn.training.train import TrainingReport
from churn.training.trials import TuningResult

from .page import Block, Callout, Cell, Definitions, Figure, Section, Table

__all__ = ["model_section", "registration_section", "training_section", "tuning_chart", "tuning_section"]


def tuning_section(result: TuningResult) -> Section:
    """Return what tuning tried, and what it bought."""
    blocks: list[Block] = [Callout(result.reason)]
    if result.best is not None:
        blocks.append(Figure(tuning_chart(result), "Trial 0 is the fixed configuration that has to be beaten."))
        rows: list[dict[str, Cell]] = [
            {
                "trial": trial.number,
                "": "best" if trial.number == result.best.number else trial.state.lower(),
                result.objective.replace("_", " "): None if trial.value is None else number(trial.value, 4),
                **trial.params,
                "seconds": round(trial.seconds, 1),
            }
            for trial in result.trials
        ]
        blocks.append(Table.of(rows, f"All {len(rows)} trials", folded=True))
    return Section("Tuning", blocks, lead="What a search for better parameters bought, beside its noise.")


def tuning_chart(result: TuningResult) -> str:
    """Draw the trials of a search; profit is drawn as a loss, so that lower is better whatever was searched for."""
    from .model_charts import tuning_history

    sign = 1 if result.objective == "log_loss" else -1
    values = [None if trial.value is None else sign * trial.value for trial in result.trials]
    unit = "log loss, out of fold" if sign == 1 else "loss of money per row, out of fold"
    return tuning_history(values, unit)


def training_section(report: TrainingReport) -> Section:
    """Return the model card: what it learned from, which candidates there were, how calibrated it is."""
    facts: dict[str, Cell] = {
        "learned from": f"{report.rows:,} rows of {report.customers:,} customers, churn share {report.churn_rate:.1%}",
        "made of": " + ".join(report.chosen) + (" (mean of their log-odds)" if len(report.chosen) > 1 else ""),
        "calibration": _calibration_in_words(report),
        "threshold for F1": report.thresholds["f1"],
        **{name.replace("_", " "): value for name, value in report.fitted.items()},
        "CPU seconds": round(sum(report.cpu_seconds.values()), 2),
    }
    candidates: list[dict[str, Cell]] = [
        {
            "candidate": " + ".join(blend.members),
            "log loss": number(blend.log_loss, 4),
            "behind the default": f"{number(blend.behind_default, 4)} ± {number(blend.behind_default_se, 4)}",
            "": "chosen" if blend.chosen else "default" if blend.default else "",
        }
        for blend in report.blends
    ]
    before, after = report.calibration.before, report.calibration.after
    calibration: list[dict[str, Cell]] = [_calibration_row("as fitted", before), _calibration_row("as used", after)]
    blocks = [
        Definitions(facts),
        Table.of(candidates, "Candidates and their blends, out of fold", right=["log loss", "behind the default"]),
        Table.of(calibration, "Calibration, out of fold"),
    ]
    return Section("Model card", blocks, lead="Everything here was measured on training customers, out of fold.")


def _calibration_in_words(report: TrainingReport) -> str:
    line = report.calibration
    gain = f"a line through the log-odds saves {number(line.gain, 5)} ± {number(line.gain_se, 5)} of log loss"
    return f"mended: {gain}" if line.applied else f"left as it is: {gain}, which does not pay"


def _calibration_row(name: str, score: CalibrationScore) -> dict[str, Cell]:
    return {
        "probabilities": name,
        "Brier": number(score.brier, 4),
        "calibration error": number(score.ece, 4),
        "by chance alone": number(score.ece_by_chance, 4),
        "slope": number(score.slope, 3),
        "intercept": number(score.intercept, 3),
    }


def model_section(model: ChurnModel) -> Section:
    """Return what a model reads and is made of."""
    trees = model.booster.num_boosted_rounds() if model.booster is not None else 0
    facts: dict[str, Cell] = {
        "digest": model.digest,
        "additive terms": 0 if model.additive is None else len(model.schema.kinds),
        "trees": trees,
        **{f"threshold for {name}": value for name, value in model.thresholds.items()},
    }
    reads: list[dict[str, Cell]] = [
        {
            "column": column.name,
            "kind": column.kind,
            "may be missing": column.nullable,
            "can be changed": column.actionable,
            "meaning": column.description,
            "values": ", ".join(model.categories.get(column.name, ())),
        }
        for column in model.schema.inputs
    ]
    computed: list[dict[str, Cell]] = [
        {"feature": spec.name, "from": ", ".join(spec.inputs), "by": spec.compute, "meaning": spec.description}
        for spec in model.schema.features
    ]
    blocks = [Definitions(facts), Table.of(reads, "What it reads")]
    return Section("Model", [*blocks, Table.of(computed, "What it computes")] if computed else blocks)


def registration_section(registration: Registration) -> Section:
    """Return the registered version with its tags."""
    state = "unchanged: the same model was there before" if registration.unchanged else "new"
    facts: dict[str, Cell] = {
        "model": registration.name,
        "version": f"{registration.version} ({state})",
        "alias": f"@{CHALLENGER}",
        "MLflow run": registration.run_id,
        **registration.tags,
    }
    return Section("Registered version", [Definitions(facts)], lead=registration.description)

"""The page of a training run: quality, explanation, history."""

from __future__ import annotations

from churn.core.program import about
from churn.core.wording import moment, number, percent, spoken
from churn.data.leakage import LeakageReport
from churn.data.validation import ValidationReport
from churn.evaluation.headline import headline
from churn.evaluation.importance import Explanation
from churn.evaluation.metrics import METRICS
from churn.gate.report import Comparison
from churn.lifecycle.registration import Findings, Registration
from churn.model.model import ChurnModel
from churn.ports.registry import CHALLENGER
from churn.settings import Settings
from churn.training.calibration import CalibrationScore
from churn.training.search import TuningResult
from churn.training.train import TrainingReport

from . import charts, model_charts
from .data_report import leakage_section, table_section, untreated_section, validation_section
from .evaluation_report import evaluation_sections
from .gate_evidence import gains_table
from .markdown import in_markdown
from .page import Block, Callout, Cell, Code, Definitions, Figure, Section, Table, page

__all__ = [
    "champion_section",
    "explanation_section",
    "model_section",
    "registration_section",
    "training_charts",
    "training_page",
    "training_section",
    "training_summary",
    "tuning_section",
]


def training_page(
    findings: Findings,
    registration: Registration,
    settings: Settings,
    *,
    validation: ValidationReport,
    leakage: LeakageReport,
    against: Comparison | str | None = None,
) -> str:
    """Return the self-contained page of a training run: what the model is good for first, then how it came about.

    Args:
        findings: What the run found.
        registration: Which version it ended in.
        settings: The run's settings.
        validation: What became of the source's rows.
        leakage: The checks of the training set.
        against: The champion on the same holdout; a text says why it could not be compared, None that there is none.
    """
    ref, tags = findings.training_set.ref, registration.tags
    commit = tags.get("git_commit", "")
    facts: dict[str, Cell] = {
        "registered": None if registration.registered_at is None else moment(registration.registered_at),
        "commit": commit if commit.startswith("wheel ") else commit[:12] or None,
        "data": f"{validation.source} ({ref.dataset})",
        "training set": f"version {ref.version}, {ref.rows:,} rows, digest {ref.content_id[:12]}",
        "holdout": f"digest {findings.evaluation.data_digest}",
        "seed": settings.seed,
        "model": f"version {registration.version}" + (", unchanged" if registration.unchanged else ""),
    }
    sections = [
        *evaluation_sections(findings.evaluation),
        *([untreated_section(leakage.untreated)] if leakage.untreated is not None else []),
        *([champion_section(against, settings)] if against is not None else []),
        explanation_section(findings.explanation),
        training_section(findings.training),
        tuning_section(findings.tuning),
        leakage_section(leakage),
        validation_section(validation),
        table_section(findings.training_set),
        registration_section(registration),
        Section("Next", [Code(about(settings.dataset, "python run.py --pipeline deployment"))]),
    ]
    title = f"{registration.name}, version {registration.version}"
    return page(title, sections, lead=headline(findings.evaluation), facts=facts)


def training_summary(findings: Findings, registration: Registration) -> str:
    """Return the run in a few lines of Markdown: what the model earns, five numbers, where the pages are."""
    pages = (
        "report.html: the page of the run",
        f"gate.html: the page of the gate, once it has judged version {registration.version}",
        "metrics.json: every metric with its interval",
    )
    title = f"{registration.name}, version {registration.version}"
    return in_markdown(title, evaluation_sections(findings.evaluation), lead=headline(findings.evaluation), pages=pages)


def training_charts(findings: Findings) -> dict[str, str]:
    """Return the charts of a training run as SVG, by name."""
    drawn = {name: draw(findings.evaluation) for name, draw in charts.HOLDOUT_CHARTS.items()}
    ranked, words = findings.explanation.importance, findings.explanation.descriptions
    drawn["importance"] = charts.importance([words[name] for name in ranked], list(ranked.values()))
    if findings.tuning.best is not None:
        drawn["tuning"] = _tuning_chart(findings.tuning)
    return drawn


def explanation_section(explanation: Explanation) -> Section:
    """Return the importance of the features, and the customers most worth treating with their reasons."""
    words = explanation.descriptions
    blocks: list[Block] = [
        Figure(
            charts.importance([words[name] for name in explanation.importance], list(explanation.importance.values())),
            f"Mean over {explanation.rows:,} rows of the holdout; 0.69 doubles or halves the odds of churn.",
        )
    ]
    if explanation.shapes:
        blocks.append(
            Figure(
                model_charts.shape_functions(explanation.shapes, words),
                "Above 0 a value raises the risk, below it lowers it; 0.69 doubles the odds. Marks and widths show "
                "where customers are. The trees of the model add what these curves leave out.",
            )
        )
    if explanation.grid is not None:
        blocks.append(
            Figure(
                model_charts.risk_map(explanation.grid, words),
                "Observed churn of the holdout in bold, by two of the strongest features; below it "
                "what the model predicts, and the rows.",
            )
        )
    value_head = f"expected value, {explanation.currency}"
    rows: list[dict[str, Cell]] = [
        {
            "customer": example.customer,
            "churn probability": percent(example.probability),
            value_head: number(example.expected_value, 2),
            "what raises the risk": "; ".join(example.reasons),
        }
        for example in explanation.examples
    ]
    blocks.append(Table.of(rows, "The customers most worth treating.", right=["churn probability", value_head]))
    if explanation.examples:
        first = explanation.examples[0]
        chart = charts.reasons(
            [name for name, _ in first.contributions], [added for _, added in first.contributions], first.base
        )
        blocks.append(Figure(chart, f"How the prediction for customer {first.customer} comes about."))
    lead = "Each value multiplies the odds of churn by its factor; all of them together lead exactly to the prediction."
    return Section("Why", blocks, lead=lead)


def champion_section(against: Comparison | str, settings: Settings) -> Section:
    """Return how the new version does beside the one that is live, on the same holdout; the gate decides, not this."""
    if isinstance(against, str):
        return Section("Beside the champion", [Callout(against, "warn")])
    lead = "Before the gate, on the holdout of this run. The gate asks more, and decides."
    table = gains_table(against, settings.money, settings.money.currency, level=percent(1 - 2 * settings.gate.alpha, 0))
    return Section("Beside the champion", [table], lead)


def tuning_section(result: TuningResult) -> Section:
    """Return what tuning tried, and what it bought."""
    metric, blocks = METRICS[result.objective], list[Block]([Callout(result.reason)])
    if result.best is not None:
        blocks.append(
            Figure(
                _tuning_chart(result),
                "Trial 0 is the fixed configuration that has to be "
                "beaten; a trial within the grey band is no different from it.",
            )
        )
        rows: list[dict[str, Cell]] = [
            {
                "trial": trial.number,
                "state": "best" if trial.number == result.best.number else trial.state.lower(),
                metric.label: None if trial.value is None else metric.number(trial.value),
                **trial.params,
                "seconds": round(trial.seconds, 1),
            }
            for trial in result.trials
        ]
        blocks.append(Table.of(rows, f"All {len(rows)} trials", folded=True))
    return Section("Tuning", blocks, lead="What a search for better parameters bought, beside its noise.")


def _tuning_chart(result: TuningResult) -> str:
    """Draw the trials of a search; profit is drawn as a loss, so that lower is better whatever was searched for."""
    sign = 1 if result.objective == "log_loss" else -1
    values = [None if trial.value is None else sign * trial.value for trial in result.trials]
    label = METRICS[result.objective].label
    pruned = [number for number, trial in enumerate(result.trials) if trial.state == "PRUNED"]
    objective = f"{label if sign == 1 else f'negative {label}'}, out of fold"
    return charts.tuning_history(values, objective, pruned=pruned, se=result.gain_se)


def _drawn(report: TrainingReport) -> dict[str, Cell]:
    if report.doubling is None:
        return {}
    bought = f"{report.doubling.gain:.4f} ± {report.doubling.gain_se:.4f} log loss a row"
    drawn = f"{report.rows:,} of {report.available:,} rows, all those of customers drawn at random (model.max_rows)"
    return {"drawn": drawn, "the last doubling of the rows saved": f"{bought}, out of fold"}


def training_section(report: TrainingReport) -> Section:
    """Return the model card: what it learned from, which candidates there were, how calibrated it is."""
    rows = f"{report.rows:,} rows of {report.customers:,} customers"
    facts: dict[str, Cell] = {
        "trained on": f"{rows}, churn rate {percent(report.churn_rate)}",
        **_drawn(report),
        **({} if report.effective_rows is None else {"effective sample size": round(report.effective_rows)}),
        "made of": spoken(" + ".join(report.chosen)) + (" (mean of their log-odds)" if len(report.chosen) > 1 else ""),
        "calibration": _calibration_in_words(report),
        "threshold for F1": report.thresholds["f1"],
        **{_fitted_name(name): value for name, value in report.fitted.items()},
        "CPU seconds": round(sum(report.cpu_seconds.values()), 2),
    }
    loss = METRICS["log_loss"]
    candidates: list[dict[str, Cell]] = [
        {
            "candidate": spoken(" + ".join(blend.members)),
            loss.label: loss.number(blend.log_loss),
            "behind the default": f"{loss.number(blend.behind_default)} ± {loss.number(blend.behind_default_se)}",
            "choice": "chosen" if blend.chosen else "default" if blend.default else "",
        }
        for blend in report.blends
    ]
    before, after = report.calibration.before, report.calibration.after
    calibration: list[dict[str, Cell]] = [_calibration_row("as fitted", before), _calibration_row("as used", after)]
    blocks = [
        Definitions(facts),
        Table.of(candidates, "Candidates and their blends, out of fold", right=[loss.label, "behind the default"]),
        Table.of(calibration, "Calibration, out of fold"),
    ]
    return Section("Model card", blocks, lead="Everything here was measured on training customers, out of fold.")


def _fitted_name(name: str) -> str:
    """Return the name of something that was fitted, with its unit."""
    plain = spoken(name.removesuffix("_us"))
    return f"{plain}, microseconds a row" if name.endswith("_us") else plain


def _calibration_in_words(report: TrainingReport) -> str:
    line = report.calibration
    gain = f"a line through the log-odds saves {number(line.gain, 5)} ± {number(line.gain_se, 5)} of log loss"
    return f"recalibrated: {gain}" if line.applied else f"not recalibrated: {gain}, which is within the noise"


def _calibration_row(name: str, score: CalibrationScore) -> dict[str, Cell]:
    return {
        "probabilities": name,
        METRICS["brier"].label: METRICS["brier"].number(score.brier),
        METRICS["ece"].label: METRICS["ece"].number(score.ece),
        "by chance alone": METRICS["ece"].number(score.ece_by_chance),
        METRICS["calibration_slope"].label: METRICS["calibration_slope"].number(score.slope),
        "intercept": number(score.intercept, 2),
    }


def model_section(model: ChurnModel) -> Section:
    """Return what a model reads and is made of."""
    trees = model.booster.num_boosted_rounds() if model.booster is not None else 0
    facts: dict[str, Cell] = {
        "digest": model.digest,
        "additive terms": 0 if model.additive is None else len(model.schema.kinds),
        "trees": trees,
        "symmetric trees": 0 if model.symmetric is None else len(model.symmetric.levels),
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
    }
    tags: list[dict[str, Cell]] = [{"tag": name, "value": value} for name, value in registration.tags.items()]
    blocks = [Definitions(facts), Table.of(tags, f"All {len(tags)} tags", folded=True)]
    return Section("Registered version", blocks, lead=registration.description)

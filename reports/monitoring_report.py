"""Monitoring as a page: what to do, metrics over time, estimates against outcomes, a map of drift."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from churn.core.wording import counted, moment, number, percent, span
from churn.evaluation.metrics import METRICS
from churn.gate.report import GateReport
from churn.lifecycle.alerts import Alerted
from churn.lifecycle.retraining_result import RETRAININGS, Attempt, Retraining
from churn.monitoring.measure import LABEL, SCORE
from churn.monitoring.performance import ESTIMATED
from churn.monitoring.report import KINDS, Diagnosis, MonitoringReport, Window

from .chart_style import COLOURS, DASHED, chart, drawn_once, named, shortened, small_multiples
from .gate_report import gate_sections
from .page import Block, Callout, Card, Cards, Cell, Figure, Section, Step, Steps, Table, Text, Tone, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "alerts_section",
    "attempt_section",
    "monitoring_page",
    "monitoring_sections",
    "monitoring_tags",
    "retraining_page",
    "retraining_section",
]

_TIMELINE = ("roc_auc", "profit_per_customer", "log_loss", "churn_share")
_LETTERS = {"promotion": "P", "retraining": "R", "campaign": "C", "alert": "A"}
_whole = partial(number, digits=0)
_COLUMNS, _WINDOWS = 15, 24
"""Columns and windows that the map of the drift shows at most."""


def monitoring_tags(report: MonitoringReport) -> list[str]:
    """Return whether to act, and the most pressing diagnosis."""
    first = [KINDS[diagnosis.kind] for diagnosis in report.diagnoses[:1]]
    return ["act" if report.acts else "nothing to do", *first]


def monitoring_page(report: MonitoringReport) -> str:
    """Return the self-contained page of a monitoring run."""
    facts: dict[str, Cell] = {
        "dataset": report.dataset,
        "model": f"{report.model}, version {report.live} is live" if report.live else f"{report.model}, none is live",
        "as of": moment(report.at),
        "windows": f"judged by {report.length}; {report.measured:,} measured, {report.unchanged:,} as they were",
    }
    title = "Monitoring: someone should act" if report.acts else "Monitoring: nothing to do"
    return page(title, monitoring_sections(report), lead=report.headline, facts=facts)


def retraining_page(report: MonitoringReport, retraining: Retraining, gate: GateReport | None) -> str:
    """Return the self-contained page of a retraining: what became of it, its gate, and what called for it."""
    sections = [retraining_section(retraining), *(gate_sections(gate) if gate else ()), *monitoring_sections(report)]
    facts: dict[str, Cell] = {"dataset": report.dataset, "model": report.model, "as of": moment(retraining.at)}
    return page(f"Retraining: {RETRAININGS[retraining.state]}", tuple(sections), lead=retraining.sentence, facts=facts)


def alerts_section(alerted: Alerted) -> Section:
    """Return the alerts that are open, those of this run, and those that a channel has not taken yet."""
    cards = [
        Card("open", len(alerted.opened)),
        Card("new notices", len(alerted.notices), "of this run"),
        Card("waiting", len(alerted.waiting), "for a channel", "warn" if alerted.waiting else "plain"),
    ]
    blocks: list[Block] = [Cards(cards)]
    if alerted.opened:
        rows: list[list[Cell]] = [
            [alert.severity, alert.title, alert.window, moment(alert.at), " ".join(alert.evidence[:2])]
            for alert in alerted.opened
        ]
        blocks.append(Table(["severity", "alert", "window", "since", "evidence"], rows, "Open alerts."))
    if alerted.waiting:
        rows = [[left.channel, left.notice.title, left.attempts, left.reason] for left in alerted.waiting]
        blocks.append(Table(["channel", "notice", "attempts", "reason"], rows, "Sent again with the next run."))
    return Section("Alerts", blocks)


def attempt_section(attempt: Attempt) -> Section:
    """Return whether a challenger was trained, and why."""
    trained = None if attempt.registration is None else f"version {attempt.registration.version}"
    cards = [
        Card("trained", trained, f"on outcomes known by {moment(attempt.at)}" if trained else "nothing"),
        Card("new outcomes", attempt.advice.new_outcomes, "since the training before"),
    ]
    return Section("Challenger", [Cards(cards), Text(attempt.advice.sentence)])


def retraining_section(retraining: Retraining) -> Section:
    """Return what became of a retraining, with its figures."""
    tone: Tone = "warn" if retraining.acts else "plain" if retraining.state == "not_called_for" else "good"
    blocks: list[Block] = [Callout(retraining.sentence, tone)]
    if retraining.recommendation:
        blocks.append(Text(retraining.recommendation))
    blocks.append(
        Cards(
            [
                Card("trained", retraining.version and f"version {retraining.version}"),
                Card("live before", retraining.before and f"version {retraining.before}"),
                Card("live now", retraining.live and f"version {retraining.live}"),
            ]
        )
    )
    if retraining.version is not None:
        blocks.append(Text(f"Called for by monitoring: {retraining.advice.sentence}"))
    if retraining.gains:
        rows: list[list[Cell]] = [
            [METRICS[name].label, METRICS[name].number(gain.point), METRICS[name].span(gain)]
            for name, gain in retraining.gains.items()
        ]
        which = "outcomes newer than the training of the old one" if retraining.compared_on == "newest" else "holdout"
        caption = (
            f"Version {retraining.version} beside version {retraining.before} on the same {retraining.compared_rows:,} "
            f"rows ({which}); above 0 the new one is better."
        )
        blocks.append(Table(["metric", "gain", "interval"], rows, caption, ["gain", "interval"]))
    return Section("Retraining", blocks)


def monitoring_sections(report: MonitoringReport) -> tuple[Section, ...]:
    """Return what monitoring found: what to do, the metrics over time, estimates beside what came true, the drift."""
    drawn = _drawn(report)
    sections = [_verdict(report, drawn)]
    if report.costs:
        sections.append(_costs(report))
    if line := _line(report, drawn):
        sections.append(_timeline(report, line))
    if backtests := [window for window in drawn if window.backtest and window.realised]:
        sections.append(_backtest(report, backtests))
    if any(window.drift for window in drawn):
        sections.append(_drift(drawn))
    if report.windows:
        sections.append(_windows(report))
    return tuple(sections)


def _drawn(report: MonitoringReport) -> list[Window]:
    """Return the windows of the live version that make one line: those of the source with the most predictions."""
    rows: dict[str, int] = {}
    for window in report.windows:
        if window.version == report.live:
            rows[window.source] = rows.get(window.source, 0) + window.rows
    source = max(rows, key=lambda name: rows[name], default=None)
    return [window for window in report.windows if (window.version, window.source) == (report.live, source)]


def _line(report: MonitoringReport, drawn: Sequence[Window]) -> list[Window]:
    """Return the windows of every version that make one line: of several in one window, the one that is live."""
    if not drawn:
        return []
    by_start: dict[dt.datetime, Window] = {}
    for window in report.windows:
        best = by_start.get(window.start)
        if window.source == drawn[-1].source and (best is None or _rank(report, window) > _rank(report, best)):
            by_start[window.start] = window
    return [by_start[start] for start in sorted(by_start)]


def _rank(report: MonitoringReport, window: Window) -> tuple[bool, int]:
    return window.version == report.live, window.rows


def _costs(report: MonitoringReport) -> Section:
    blocks: list[Block] = []
    for cost in report.costs:
        parts = {**cost.columns, **({"how columns come together": cost.rest} if cost.rest else {}), "total": cost.total}
        rows: list[list[Cell]] = [[name, _whole(part.point), span(part, _whole)] for name, part in parts.items()]
        caption = (
            f"{cost.window}, {cost.source}: {report.currency} a month on {counted(cost.rows, 'prediction')}; below 0 "
            f"the shift earns. The weighted baseline is worth {cost.effective_rows:,.0f} equal rows."
        )
        if cost.unpriced >= 0.001:
            caption += f" Up to {percent(cost.unpriced)} of the rows have a value that no baseline row has: unpriced."
        head = f"cost, {report.currency} a month"
        blocks.append(Table(["column", head, "interval"], rows, caption, [head, "interval"]))
    lead = (
        "Expected profit that is lost against the baseline, because customers are other ones. The baseline is weighted "
        "until each column is spread as in the window; columns that move together share what they cost. The parts add "
        "up to the total, which is what the window's own probabilities say. Customers who behave otherwise do not show "
        "here."
    )
    return Section("What the shift costs a month", blocks, lead)


def _verdict(report: MonitoringReport, drawn: Sequence[Window]) -> Section:
    blocks: list[Block] = [Callout(report.headline, "warn" if report.acts else "good")]
    if drawn:
        blocks.append(Cards(_cards(report, drawn)))
    if report.diagnoses:
        steps = [
            Step(
                f"{KINDS[diagnosis.kind][:1].upper()}{KINDS[diagnosis.kind][1:]}, {diagnosis.window}",
                " ".join([*_not_said(report, diagnosis), diagnosis.recommendation]),
            )
            for diagnosis in report.diagnoses
        ]
        blocks.append(Steps(steps))
    if report.advice.sentence not in report.headline:
        blocks.append(Text(report.advice.sentence))
    blocks += [Callout(note) for note in report.remarks]
    return Section("What to do", blocks)


def _not_said(report: MonitoringReport, diagnosis: Diagnosis) -> tuple[str, ...]:
    """Return the evidence that the headline does not give already."""
    return diagnosis.evidence[diagnosis.sentence == report.headline :]


def _cards(report: MonitoringReport, drawn: Sequence[Window]) -> list[Card]:
    last = drawn[-1]
    cards = [Card("predictions", last.rows, f"newest window of {last.source}, {last.name}")]
    for name in ("roc_auc", "profit_per_customer"):
        metric, was = METRICS[name], report.baselines.get(last.version, {}).get(name)
        notes = [] if was is None else [f"on the holdout {metric.text(was, report.currency)}"]
        if name not in last.estimated:
            continue
        point, how = last.estimated[name].point, "estimated"
        if name in last.realised and last.mature == last.rows - last.left_out:
            notes.insert(0, f"estimated {metric.text(point, report.currency)}")
            point, how = last.realised[name], "realised"
        cards.append(Card(f"{metric.label}, {how}", metric.text(point, report.currency), ", ".join(notes)))
    shifted = max(((part.get("psi", 0.0), name) for name, part in last.drift.items() if name != LABEL), default=None)
    if shifted is not None:
        cards.append(Card("largest PSI", METRICS["psi"].text(shifted[0]), shifted[1]))
    share = last.mature / last.rows if last.rows else 0.0
    cards.append(Card("outcomes known", percent(share), "of the newest window"))
    return cards


def _timeline(report: MonitoringReport, windows: Sequence[Window]) -> Section:
    caption = (
        f"Source {windows[-1].source}; the others are in the table below. The band is the estimate without outcomes "
        "with its interval, dots are what came true, and the broken line is the holdout of the version. Along the top: "
        "P promotion, R retraining, C campaign, A alert."
    )
    blocks: list[Block] = [Figure(timeline_chart(report, windows), caption)]
    if report.marks:
        rows: list[list[Cell]] = [[f"{mark.at:%Y-%m-%d}", mark.kind, mark.text] for mark in reversed(report.marks)]
        title = "What happened meanwhile, the newest first; an alert stands at the window that it is about."
        blocks.append(Table(["day", "event", "what"], rows, title, folded=len(rows) > 8))
    return Section("Performance over time", blocks)


@drawn_once
def timeline_chart(report: MonitoringReport, windows: Sequence[Window]) -> str:
    """Draw each main metric over the windows: estimated with its interval, realised, and the holdout's."""
    places, step = np.arange(len(windows)), -(-len(windows) // 3)
    marked = _marked(report, windows)

    def draw(axes: Axes, name: str) -> None:
        estimates = [
            (place, window.estimated[name]) for place, window in enumerate(windows) if name in window.estimated
        ]
        if estimates:
            x, intervals = [place for place, _ in estimates], [estimate for _, estimate in estimates]
            lower, upper = [estimate.lower for estimate in intervals], [estimate.upper for estimate in intervals]
            axes.fill_between(x, lower, upper, color=COLOURS["primary"], alpha=0.18, linewidth=0)
            axes.plot(x, [estimate.point for estimate in intervals], color=COLOURS["primary"], label="estimated")
        realised = [(place, window.realised[name]) for place, window in enumerate(windows) if name in window.realised]
        if realised:
            axes.plot(*zip(*realised, strict=True), "o", color=COLOURS["secondary"], markersize=4, label="realised")
        held = [report.baselines.get(window.version, {}).get(name, np.nan) for window in windows]
        if not np.isnan(held).all():
            axes.step(places, held, where="mid", color=COLOURS["muted"], **DASHED)
            if len(held) == 1:
                axes.axhline(held[0], color=COLOURS["muted"], **DASHED)
        for place, letters in marked.items():
            axes.axvline(place, color=COLOURS["grid"], linewidth=1.0, zorder=0)
            top = axes.get_xaxis_transform()
            axes.text(place, 0.99, letters, transform=top, ha="center", va="top", fontsize=7, color=COLOURS["ink"])
        axes.set_xticks(places[::step], [f"{window.start:%y-%m-%d}" for window in windows][::step])
        axes.set_xlim(-0.5, len(windows) - 0.5)
        if METRICS[name].unit == "%":
            axes.yaxis.set_major_formatter(lambda value, _: percent(value, 0))

    parts = [(METRICS[name].column(report.currency), name) for name in _TIMELINE]
    return small_multiples("Metrics by window: estimated and realised", "", parts, draw)


def _marked(report: MonitoringReport, windows: Sequence[Window]) -> dict[float, str]:
    """Return the letters of what happened, by the place on the axis of windows; what lies outside is in the table."""
    starts, letters = [window.start.timestamp() for window in windows], dict[float, str]()
    for mark in report.marks:
        if windows[0].start <= mark.at < windows[-1].end:
            place = round(float(np.interp(mark.at.timestamp(), starts, np.arange(len(starts)))), 1)
            letter = _LETTERS[mark.kind]
            letters[place] = letters.get(place, "").replace(letter, "") + letter
    return letters


def _backtest(report: MonitoringReport, windows: Sequence[Window]) -> Section:
    rows: list[list[Cell]] = []
    for window in windows[-_WINDOWS:]:
        for name in ESTIMATED:
            if name not in window.backtest or name not in window.realised:
                continue
            metric, estimate, truth = METRICS[name], window.backtest[name], window.realised[name]
            held = estimate.lower <= truth <= estimate.upper
            interval = metric.interval(estimate, report.currency)
            verdict = "as estimated" if held else "the estimate misled"
            rows.append([window.name, metric.label, interval, metric.text(truth, report.currency), verdict])
    misled = sum(row[-1] != "as estimated" for row in rows)
    lead = (
        f"What was estimated without outcomes, for the rows whose outcome is known now: {misled} of {len(rows)} "
        "realised figures lie outside the interval. An estimate misleads where customers behave otherwise than the "
        "model learned."
    )
    head = ["window", "metric", "estimated", "realised", "verdict"]
    return Section(
        "Estimate against realised", [Table(head, rows, folded=len(rows) > 15, caption="Every figure.")], lead
    )


def _drift(windows: Sequence[Window]) -> Section:
    lead = "PSI of each column against the baseline of its version: from 0.1 on shifted, from 0.25 on strongly."
    return Section("Drift", [Figure(drift_map(windows))], lead)


@drawn_once
def drift_map(windows: Sequence[Window]) -> str:
    """Draw the PSI of the most shifted columns in the newest windows as coloured cells."""
    shown = [window for window in windows if window.drift][-_WINDOWS:]
    largest = {
        name: max(window.drift.get(name, {}).get("psi", 0.0) for window in shown)
        for name in {name for window in shown for name in window.drift}
        if name != LABEL
    }
    ranked = sorted(largest, key=lambda name: (name != SCORE, -largest[name], name))[:_COLUMNS]
    values = np.array([[window.drift.get(name, {}).get("psi", 0.0) for window in shown] for name in ranked])

    def draw(axes: Axes) -> None:
        for row, column in np.ndindex(values.shape):
            strength = min(1.0, float(values[row, column]) / 0.5)
            colour = COLOURS["secondary" if values[row, column] >= 0.1 else "muted"]
            height = len(ranked) - row - 0.5
            axes.barh(height, 0.94, left=column, height=0.94, color=colour, alpha=0.08 + 0.9 * strength)
            if len(shown) <= 8:
                axes.text(
                    column + 0.47,
                    height,
                    METRICS["psi"].number(float(values[row, column]))[:4],
                    ha="center",
                    va="center",
                    fontsize=9,
                )
        named(axes, len(ranked) - np.arange(len(ranked)) - 0.5, [shortened(name, 24) for name in ranked])
        step = -(-len(shown) // 4)
        axes.set_xticks(np.arange(len(shown))[::step] + 0.5, [f"{window.start:%y-%m-%d}" for window in shown][::step])
        axes.set_xlim(0, len(shown))
        axes.set_ylim(0, len(ranked))

    return chart("PSI by column and window", "window", "", draw, height=1.2 + 0.27 * len(ranked))


def _windows(report: MonitoringReport) -> Section:
    rows: list[list[Cell]] = [
        [
            window.name,
            window.version,
            window.source,
            window.rows,
            window.mature,
            None if window.mean_probability is None else percent(window.mean_probability),
            percent(window.realised["churn_share"]) if "churn_share" in window.realised else None,
        ]
        for window in reversed(report.windows)
    ]
    head = ["window", "version", "source", "predictions", "outcomes known", "mean prediction", "churn rate"]
    lead = ""
    if any(window.left_out or "effective_rows" in window.realised for window in report.windows):
        head += ["contacted, left out", "effective sample size"]
        for row, window in zip(rows, reversed(report.windows), strict=True):
            row += [window.left_out, round(window.realised.get("effective_rows", window.mature))]
        lead = (
            "Outcomes of customers who were contacted within their outcome window are left out, and control groups "
            "stand for them: realised figures are of churn without contact."
        )
    table = Table(head, rows, "The newest windows, of every version.", head[5:], folded=len(rows) > 15)
    return Section("Windows", [table], lead)

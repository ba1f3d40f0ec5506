"""A scored batch as sections of a page: counts, customers worth treating, scores against the holdout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from churn.core.wording import amount, moment, number, percent
from churn.data.validation import NEVER_MISSING, NOT_KNOWN_YET
from churn.evaluation.shift import MODERATE, STRONG, ColumnShift
from churn.scoring.batch import BatchSummary

from .chart_style import COLOURS, chart, drawn_once, histogram, in_percent, named, shortened
from .data_report import validation_section
from .markdown import in_markdown
from .page import Block, Callout, Card, Cards, Cell, Definitions, Figure, Section, Table, Tone, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "batch_files",
    "batch_headline",
    "batch_in_markdown",
    "batch_page",
    "batch_sections",
    "batch_title",
    "score_chart",
    "what_did_not_fit",
]


_MANY = 0.5
"""The share of the customers of one outcome window that have left above which the page warns: a delivery in part."""


def batch_headline(summary: BatchSummary) -> str:
    """Return the batch in one sentence."""
    unchanged = " (unchanged: the batch was scored before)" if summary.unchanged else ""
    aside = f", {summary.set_aside:,} rows set aside" if summary.set_aside else ""
    aside += f", {summary.inactive:,} who have left were not scored" if summary.inactive else ""
    return (
        f"{summary.scored:,} customers scored by {summary.model_name} version {summary.model_version}{aside}: "
        f"{summary.treated:,} are worth treating, {amount(summary.value_at_stake, summary.currency)} in all{unchanged}"
    )


def batch_title(summary: BatchSummary) -> str:
    """Return the page's heading."""
    return f"{summary.scored:,} customers scored"


def _lead(summary: BatchSummary) -> str:
    who = f"By {summary.model_name} version {summary.model_version}"
    treated = f"{summary.treated:,} are worth treating, {amount(summary.value_at_stake, summary.currency)} in all."
    unchanged = " The batch was scored before and is unchanged." if summary.unchanged else ""
    verdict = "" if summary.shift is None else f" {summary.shift.sentence.partition(':')[0].rstrip('.')}."
    return f"{who}: {treated}{unchanged}{verdict}"


def what_did_not_fit(summary: BatchSummary) -> list[str]:
    """Return a sentence for each rule that rows broke, and each column with values that are scored as missing."""
    sentences = []
    for rule in summary.intake.broken_rules if summary.intake else ():
        counted = rule.column in (summary.missing if rule.rule == NEVER_MISSING else summary.unseen)
        if rule.set_aside or not counted or rule.checked != summary.rows:
            value = "not kept" if rule.rule.endswith(NOT_KNOWN_YET) else "scored as missing"
            what = "set aside" if rule.set_aside else value
            rows = f"{rule.broken:,} of {rule.checked:,} delivered rows ({percent(rule.broken / rule.checked)})"
            examples = f", such as {', '.join(rule.examples)}" if rule.rule != NEVER_MISSING else ""
            sentences.append(f"{rule.column} {rule.rule}: {rows} do not{examples}; {what}")
    for breach, count in sorted(summary.rejected.items()):
        sentences.append(f"{breach}: {_of_all(count, summary)} do not; set aside")
    for column, count in sorted(summary.unseen.items()):
        sentences.append(
            f"{column}: {_of_all(count, summary)} have a value that training did not know; scored as missing"
        )
    for column, count in sorted(summary.missing.items()):
        sentences.append(f"{column}: {_of_all(count, summary)} have no value, and in training everybody had one")
    return sentences


def _of_all(count: int, summary: BatchSummary) -> str:
    return f"{count:,} of {summary.rows:,} customers ({percent(count / summary.rows)})"


def batch_page(summary: BatchSummary, *, next_command: str) -> str:
    """Return the self-contained page of an inference run."""
    facts: dict[str, Cell] = {
        "batch": summary.batch_id,
        "dataset": summary.dataset,
        "known until": moment(summary.as_of),
        "scored": moment(summary.scored_at),
        "next": next_command,
    }
    return page(batch_title(summary), batch_sections(summary), lead=_lead(summary), facts=facts)


def batch_files(summary: BatchSummary, page: str) -> dict[str, str]:
    """Return what is kept with the record of the run, by its name: the page and the chart of the scores."""
    return {"charts/scores.svg": score_chart(summary), "report.html": page}


def batch_in_markdown(summary: BatchSummary) -> str:
    """Return the batch in a few lines of Markdown: are its customers known, five numbers, where the pages are."""
    pages = ("report.html: the page of the batch", "campaign.html: whom to contact, and what that is expected to earn")
    return in_markdown(batch_title(summary), batch_sections(summary), pages=pages)


def batch_sections(summary: BatchSummary) -> tuple[Section, ...]:
    """Return what a batch came to: key figures, the scores, what was set aside, and what made it."""
    return (_scores(summary), *_shift(summary), *_faults(summary), _origin(summary))


@drawn_once
def score_chart(summary: BatchSummary) -> str:
    """Draw the share of customers in each bin of probability, beside the holdout's."""

    def draw(axes: Axes) -> None:
        histogram(axes, _shares(summary.scores), "this batch", "primary")
        if summary.baseline is not None:
            label = f"holdout of version {summary.model_version}"
            histogram(axes, _shares(summary.baseline), label, "secondary", filled=False)
        axes.legend(loc="upper right")
        in_percent(axes, x=(0, 1), y=(0, axes.get_ylim()[1]))

    return chart("Who gets which probability", "predicted churn probability", "share of customers", draw)


def _shares(counts: Sequence[int]) -> list[float]:
    return [count / max(sum(counts), 1) for count in counts]


def _scores(summary: BatchSummary) -> Section:
    share = summary.treated / summary.scored if summary.scored else 0.0
    mean = "" if summary.mean_probability is None else f"mean probability {percent(summary.mean_probability)}"
    cards = Cards(
        [
            Card("customers scored", summary.scored, mean),
            Card("worth treating", summary.treated, f"{percent(share)} of them"),
            Card("value at stake", amount(summary.value_at_stake, summary.currency), "what treating them should earn"),
            _left_out(summary),
            Card(
                "rows set aside",
                summary.set_aside,
                f"in quarantine, {percent(summary.set_aside_share)}",
                "warn" if summary.set_aside else "plain",
            ),
        ]
    )
    caption = (
        "The line is what the model predicted for the customers it was judged on."
        if summary.baseline is not None
        else f"Version {summary.model_version} has no baseline to compare with: it was registered before baselines "
        "were kept. Train again to get one."
    )
    return Section("Scores", [cards, Figure(score_chart(summary), caption)])


def _left_out(summary: BatchSummary) -> Card:
    """Return how many customers were not scored because they have left, and by which rule."""
    lately = summary.lately_inactive or 0
    share = lately / max(summary.rows + lately, 1)
    days = "" if summary.max_age_days is None else f" by more than {summary.max_age_days} days"
    note = f"have left: their newest row is older than the newest of all{days}" if summary.inactive else "nobody"
    if share > _MANY:
        note += f". {percent(share, 0)} of those with a row in one outcome window: was a delivery incomplete?"
    return Card("left out", summary.inactive, note, "warn" if share > _MANY else "plain")


def _shift(summary: BatchSummary) -> tuple[Section, ...]:
    shift = summary.shift
    if shift is None:
        return ()
    columns: list[list[Cell]] = [
        [column.description, number(column.psi, 2), column.words.removeprefix(column.description).strip()]
        for column in (shift.score, *shift.features)
    ]
    lead = (
        f"{shift.customers:,} customers beside {shift.rows:,} rows that the model was judged on, in {shift.compared} "
        f"columns. PSI is the population stability index: from {MODERATE:g} on a column has shifted if chance does not "
        f"explain it, from {STRONG:g} on strongly."
    )
    tone: Tone = "good" if shift.verdict == "alike" else "plain" if shift.verdict == "few" else "warn"
    blocks: list[Block] = [
        Callout(shift.sentence, tone),
        Table(["column", "PSI", "what changed most"], columns, "The scores and the most shifted columns.", ["PSI"]),
        *(Figure(_shift_chart(column)) for column in shift.features),
    ]
    return (Section("Are these the customers the model knows?", blocks, lead),)


@drawn_once
def _shift_chart(column: ColumnShift) -> str:
    """Draw the share of each bin, of the batch and of the rows that the model was judged on."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(column.bins), 0, -1)
        axes.barh(places + 0.2, column.after, height=0.38, color=COLOURS["primary"], label="this batch")
        axes.barh(places - 0.2, column.before, height=0.38, color=COLOURS["muted"], alpha=0.6, label="judged on")
        named(axes, places, [shortened(name, 24) for name in column.bins])
        in_percent(axes, x=(0, 1.06 * max(*column.before, *column.after)))
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=2)

    title = f"{shortened(column.description, 34)}: PSI {number(column.psi, 2)}"
    return chart(title[:1].upper() + title[1:], "share of customers", "", draw, height=1.0 + 0.3 * len(column.bins))


def _faults(summary: BatchSummary) -> tuple[Section, ...]:
    blocks: list[Block] = []
    if summary.rejected:
        broken: list[list[Cell]] = [[rule, count] for rule, count in sorted(summary.rejected.items())]
        blocks.append(Table(["the rule", "rows that do not"], broken, "Rows that were set aside."))
    for counts, caption in (
        (summary.unseen, "Values that training did not know; they are scored as if they were missing."),
        (summary.missing, "Values that are missing, where in training everybody had one."),
    ):
        cells: list[list[Cell]] = [
            [name, count, percent(count / summary.rows)] for name, count in sorted(counts.items())
        ]
        if cells:
            blocks.append(Table(["column", "customers", "share"], cells, caption))
    sections = (Section("What did not fit", blocks),) if blocks else ()
    return sections if summary.intake is None else (*sections, validation_section(summary.intake))


def _origin(summary: BatchSummary) -> Section:
    pace = f", {number(summary.rows_per_second, 0)} customers a second" if summary.rows_per_second else ""
    resumed = f", {summary.resumed:,} customers by a run before that did not end" if summary.resumed else ""
    facts: dict[str, Cell] = {
        "model": f"{summary.model_name} version {summary.model_version} (@{summary.model_alias})",
        "decision": f"treat where {summary.threshold_policy}",
        "features": f"{summary.features.name}, version {summary.features.version}",
        "known until": f"{summary.as_of:%Y-%m-%d %H:%M:%S} UTC, asked for {summary.asked_as_of:%Y-%m-%d %H:%M:%S} UTC",
        "table": f"{summary.predictions.uri}, version {summary.predictions.version}",
        "batch": summary.batch_id,
        "scored": f"in {number(summary.seconds, 1)} s by the {summary.engine} engine{pace}{resumed}",
        "reasons": {"all": "for every customer", "treated": "for those worth treating", "none": "for nobody"}[
            summary.reasons
        ],
    }
    return Section("How it was made", [Definitions(facts)])

"""What a page says in a few lines of Markdown, for dashboards that show those at once."""

from __future__ import annotations

import pytest

from reports.markdown import in_markdown
from reports.page import Block, Callout, Card, Cards, Definitions, Section, Table, Text

CARDS = Cards([Card(f"card {number}", 1000 * number, "of all") for number in range(1, 8)])


def test_heading_verdict_five_numbers_and_pages_come_in_this_order() -> None:
    text = in_markdown("A title", [Section("s", [Text("words"), Callout("Refused."), CARDS])], pages=["report.html"])
    assert text.splitlines() == [
        "### A title",
        "",
        "Refused.",
        "",
        "| | | |",
        "|---|---|---|",
        *(f"| card {number} | {number},000 | of all |" for number in range(1, 6)),
        "",
        "- report.html",
    ]


@pytest.mark.parametrize(
    ("block", "row"),
    [
        (Definitions({"seed": 7}), "| seed | 7 |  |"),
        (Table(["a", "b", "c", "d"], [["x", 0.5, None, 1]]), "| x | 0.5 | \N{EN DASH} |"),
        (Table(["a"], [["x"]]), "| x |  |  |"),
    ],
)
def test_without_key_figures_the_first_facts_or_rows_stand_for_them(block: Block, row: str) -> None:
    assert in_markdown("t", [Section("s", [block])]).splitlines()[-1] == row


def test_a_page_of_words_alone_has_no_table() -> None:
    assert in_markdown("t", [Section("s", [Text("words")])], lead="Two\nlines.") == "### t\n\nTwo lines.\n"


def test_what_the_data_holds_stays_text() -> None:
    text = in_markdown("a_b*", [Section("s", [Definitions({"x|y": "<script>[k](javascript:1)"})])])
    assert r"### a\_b\*" in text
    assert r"| x\|y | &lt;script&gt;\[k\](javascript:1) |" in text

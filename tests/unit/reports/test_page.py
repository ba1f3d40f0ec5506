"""Pages: self-contained, escaped, and readable."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from churn.core.estimate import Estimate
from reports.charts import importance
from reports.page import Callout, Card, Cards, Code, Definitions, Figure, Section, Table, Text, page

DASH = "\N{EN DASH}"
EVERYTHING = [
    Section("Key figures", [Cards([Card("Rows", 51234, "all of them", "good")])], "What matters."),
    Section("Tables", [Table(["name", "share"], [["a", 0.25], ["b", None]], "Two rows")]),
    Section("Words", [Text("One.\n\nTwo."), Callout("Careful.", "warn"), Definitions({"seed": 7}), Code("make train")]),
    Section("Charts", [Figure(importance(["months"], [0.5]), "One feature.")]),
]


class Page(HTMLParser):
    """What a browser would fetch or run, which tags stay open, and what stands in each cell."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.cells: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "xlink:href"}]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in {"td", "th"} and dict(attrs).get("scope") != "col":
            self.cells.append((dict(attrs).get("class") or "", ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "xlink:href"}]

    def handle_data(self, data: str) -> None:
        if self.cells and {"td", "th"} & set(self.open) and "thead" not in self.open:
            kind, text = self.cells[-1]
            self.cells[-1] = (kind, text + data)


def table_cells(table: Table) -> list[tuple[str, str]]:
    return Page(page("t", [Section("s", [table])])).cells


def test_a_page_is_whole_and_fetches_and_runs_nothing() -> None:
    html = page("Report", EVERYTHING, lead="In short.", facts={"data": "telco"})
    found = Page(html)
    assert found.open == []
    assert not {"script", "link", "iframe", "img"} & set(found.tags)
    assert all(link.startswith("#") for link in found.links)
    assert "@import" not in html
    assert "url(http" not in html


def test_a_page_says_everything_it_was_given() -> None:
    html = page("Report", EVERYTHING, lead="In short.", facts={"data": "telco"})
    for words in (
        "Report",
        "In short.",
        "telco",
        "51,234",
        "all of them",
        "Two rows",
        "Careful.",
        "make train",
        "One feature.",
    ):
        assert words in html


def test_values_from_the_data_cannot_become_markup() -> None:
    evil = "<script>alert('x')</script>"
    sections = [
        Section(
            evil,
            [
                Cards([Card(evil, evil, evil)]),
                Table([evil], [[evil]], evil),
                Text(evil),
                Callout(evil),
                Definitions({evil: evil}),
                Code(evil),
                Figure("<svg></svg>", evil),
            ],
            evil,
        )
    ]
    html = page(evil, sections, lead=evil, facts={evil: evil})
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 15


def test_a_list_of_contents_comes_with_the_fourth_section() -> None:
    assert "nav" in Page(page("t", EVERYTHING)).tags
    assert "nav" not in Page(page("t", EVERYTHING[:3])).tags


def test_the_contents_lead_to_the_sections() -> None:
    html = page("t", EVERYTHING)
    assert 'href="#key-figures"' in html
    assert 'id="key-figures"' in html


def test_a_heading_without_latin_letters_has_an_anchor_too() -> None:
    assert Section("日本").anchor == "section"


def test_columns_of_numbers_stand_to_the_right() -> None:
    table = Table(
        ["name", "rows", "auc"], [["a", 1200, Estimate(point=0.8, lower=0.7, upper=0.9, se=0.1)], ["b", None, None]]
    )
    assert table_cells(table) == [
        ("", "a"),
        ("number", "1,200"),
        ("number", "0.800 (0.700 to 0.900)"),
        ("", "b"),
        ("number", DASH),
        ("number", DASH),
    ]


def test_a_column_of_words_stands_to_the_right_where_asked() -> None:
    assert table_cells(Table(["a", "b"], [["x", "16.4%"]], right=["b"])) == [("", "x"), ("number", "16.4%")]


@pytest.mark.parametrize(
    ("cell", "text"), [(float("nan"), DASH), (float("inf"), DASH), (True, "yes"), (False, "no"), (0, "0"), ("", "")]
)
def test_odd_values_are_written_as_people_would(cell: object, text: str) -> None:
    assert [written for _, written in table_cells(Table(["a"], [[cell]]))] == [text]


def test_a_table_of_records_has_a_column_for_every_key() -> None:
    table = Table.of([{"a": 1}, {"b": "x", "a": 2}])
    assert list(table.columns) == ["a", "b"]
    assert table.rows == [[1, None], [2, "x"]]


def test_an_empty_table_says_none() -> None:
    assert [text for _, text in table_cells(Table(["a", "b"], []))] == ["none"]
    assert [text for _, text in table_cells(Table.of([]))] == ["none"]


def test_a_folded_table_opens_on_demand() -> None:
    found = Page(page("t", [Section("s", [Table(["a"], [[1]], "All trials", folded=True)])]))
    assert {"details", "summary"} <= set(found.tags)
    assert found.open == []


def test_the_same_page_is_the_same_bytes() -> None:
    assert page("Report", EVERYTHING) == page("Report", EVERYTHING)


@pytest.mark.parametrize("word", ["7590-VHVEG", "2025-06-01", "--data", "v1.2-rc3"])
def test_ids_dates_and_options_are_not_broken_at_their_hyphens(word: str) -> None:
    assert f'<span class="unbroken">{word}</span>' in page("t", [Section("s", [Text(f"what {word} is")])])


@pytest.mark.parametrize("word", ["non-inferiority", "-5", "(-82.97", "1a-" + "x" * 24, "-", "a<b-1>c"[:3]])
def test_other_words_are_left_as_they_are(word: str) -> None:
    assert "unbroken" not in page("t", [Section("s", [Text(f"what {word} is")])]).partition("<body>")[2]

"""The pages: one self-contained HTML file of sections and blocks, that opens without a network."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from churn.core.estimate import Estimate
from churn.core.program import as_typed
from churn.core.wording import interval, plain

if TYPE_CHECKING:
    import jinja2
    import markupsafe

__all__ = [
    "Block",
    "Callout",
    "Card",
    "Cards",
    "Cell",
    "Code",
    "Definitions",
    "Figure",
    "Section",
    "Step",
    "Steps",
    "Table",
    "Text",
    "Tone",
    "page",
    "stylesheet",
    "written",
]

__package_data__ = ("templates/*",)

Cell = str | int | float | bool | Estimate | None
"""What a table or card may hold; numbers are rounded and stand to the right, `None` is a dash."""
Tone = Literal["plain", "good", "warn", "bad"]
_TEMPLATES = Path(__file__).parent / "templates"
_HYPHENED = re.compile(r"(?<!\S)((?=\S{3,24}(?!\S))(?:(?=\S*\d)\S*\w|-)-\S+)")
"""A short word with hyphens, such as a customer's id, a date or an option; longer ones have to break on a phone."""


@dataclass(frozen=True)
class Block:
    """A part of a section; `template` is the macro of blocks.html that writes it."""

    template: ClassVar[str]


@dataclass(frozen=True)
class Text(Block):
    """Paragraphs, parted by an empty line."""

    template: ClassVar[str] = "text"

    text: str

    @property
    def paragraphs(self) -> list[str]:
        """The paragraphs by themselves."""
        return [paragraph for paragraph in self.text.split("\n\n") if paragraph.strip()]


@dataclass(frozen=True)
class Callout(Block):
    """One sentence or two that must not be overlooked."""

    template: ClassVar[str] = "callout"

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        what: It, as an imperative.
        text: What to know about it.
        links: Addresses by the words that lead there; relative ones lead to files beside the page.
        command: What to type, if anything.
    """

    what: str
    text: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    command: str = ""


@dataclass(frozen=True)
class Steps(Block):
    """What the reader is to do, in order."""

    template: ClassVar[str] = "steps"

    steps: Sequence[Step]


@dataclass(frozen=True)
class Card:
    """A key figure: what it is, the number, and a few words of context."""

    label: str
    value: Cell
    note: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Cards(Block):
    """Key figures side by side."""

    template: ClassVar[str] = "cards"

    cards: Sequence[Card]


@dataclass(frozen=True)
class Table(Block):
    """Rows under headings, the first cell of each being its own heading; no heading is empty.

    A column stands to the right if `right` names it, or if it holds numbers alone. Without a caption the title of the
    section is read out in its place.
    """

    template: ClassVar[str] = "table"

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    right: Sequence[str] = ()
    folded: bool = False
    """Show the caption alone until the reader opens it."""

    @classmethod
    def of(
        cls,
        records: Sequence[Mapping[str, Cell]],
        caption: str = "",
        *,
        right: Sequence[str] = (),
        folded: bool = False,
    ) -> Table:
        """Return a table of mappings from heading to value; a heading that a record lacks is a dash."""
        columns = list(dict.fromkeys(name for record in records for name in record))
        return cls(columns, [[record.get(name) for name in columns] for record in records], caption, right, folded)

    @property
    def numeric(self) -> list[bool]:
        """Whether each column stands to the right."""
        cells = list(zip(*self.rows, strict=True)) if self.rows else [()] * len(self.columns)
        return [
            name in self.right or (any(cell is not None for cell in column) and not any(map(_is_words, column)))
            for name, column in zip(self.columns, cells, strict=True)
        ]


@dataclass(frozen=True)
class Figure(Block):
    """A chart as `charts` and `model_charts` return it, with its caption."""

    template: ClassVar[str] = "figure"

    svg: str
    caption: str = ""


@dataclass(frozen=True)
class Definitions(Block):
    """Names and what belongs to them, such as versions, digests and settings."""

    template: ClassVar[str] = "definitions"

    items: Mapping[str, Cell]


@dataclass(frozen=True)
class Code(Block):
    """Text to copy as it stands, such as the next command."""

    template: ClassVar[str] = "code"

    text: str


@dataclass(frozen=True)
class Section:
    """A heading, a sentence that says what is to be learned, and blocks."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
    lead: str = ""

    @property
    def anchor(self) -> str:
        """The section's name in the page's address."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "section"


def page(title: str, sections: Sequence[Section], *, lead: str = "", facts: Mapping[str, Cell] | None = None) -> str:
    """Return a complete HTML page: style and charts inside, no script, nothing to fetch; it prints and goes dark.

    Every text is escaped, because names and values come from the user's data; a figure's SVG alone is trusted.

    Args:
        title: The page's heading.
        sections: What it says, in order; from the fourth on there is a list of contents.
        lead: One or two sentences under the heading.
        facts: Short facts beside the heading, such as data set, rows and model version.
    """
    whole = {"title": title, "sections": sections, "lead": lead, "facts": facts or {}}
    return as_typed(_templates().get_template("page.html").render(whole))


def stylesheet() -> str:
    """Return the style of every page."""
    return (_TEMPLATES / "style.css").read_text(encoding="utf-8")


def _is_words(cell: Cell) -> bool:
    return isinstance(cell, str | bool)


def written(cell: Cell) -> str:
    """Return a cell's text, with the digits it bears."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, Estimate):
        return interval(cell)
    return "\N{EN DASH}" if cell is None or not math.isfinite(cell) else plain(cell)


def _unbroken(text: str) -> markupsafe.Markup:
    """Return escaped text in which no id, version or date is broken at its hyphens."""
    import markupsafe

    parts = [
        markupsafe.Markup('<span class="unbroken">{}</span>').format(part) if _HYPHENED.fullmatch(part) else part
        for part in _HYPHENED.split(text)
    ]
    return markupsafe.Markup("").join(parts)


@cache
def _templates() -> jinja2.Environment:
    import jinja2

    loader = jinja2.FileSystemLoader(_TEMPLATES)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"written": written, "unbroken": _unbroken}
    return environment

"""A page as a few lines of Markdown, for dashboards that show it at once."""

from __future__ import annotations

import html
from collections.abc import Sequence

from .page import Callout, Cards, Cell, Definitions, Section, Table, written

__all__ = ["in_markdown"]

_NUMBERS = 5


def in_markdown(title: str, sections: Sequence[Section], *, lead: str = "", pages: Sequence[str] = ()) -> str:
    """Return the heading, what is said first, and the first five numbers of a page.

    Args:
        title: The heading.
        sections: What the page says.
        lead: The verdict; without one the first sentence that must not be overlooked.
        pages: Where the whole page and what belongs to it are.
    """
    blocks = [block for section in sections for block in section.blocks]
    verdict = lead or next((block.text for block in blocks if isinstance(block, Callout)), "")
    lines = [f"### {_plain(title)}", *(["", _plain(verdict)] if verdict else [])]
    if rows := _numbers(sections):
        lines += ["", "| | | |", "|---|---|---|", *(f"| {' | '.join(map(_cell, row))} |" for row in rows)]
    return "\n".join([*lines, *(["", *(f"- {_plain(page)}" for page in pages)] if pages else []), ""])


def _numbers(sections: Sequence[Section]) -> Sequence[Sequence[Cell]]:
    """Return label, value and note of the first key figures, or else of the first facts or the first rows."""
    blocks = [block for section in sections for block in section.blocks]
    for cards in (block for block in blocks if isinstance(block, Cards)):
        return [(card.label, card.value, card.note) for card in cards.cards][:_NUMBERS]
    for facts in (block for block in blocks if isinstance(block, Definitions)):
        return [(name, value, "") for name, value in facts.items.items()][:_NUMBERS]
    for table in (block for block in blocks if isinstance(block, Table)):
        return [[*row, "", ""][:3] for row in table.rows][:_NUMBERS]
    return []


def _plain(text: str) -> str:
    """Return text that Markdown leaves as it is."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{character}" if character in "*_`[]#" else character for character in escaped)


def _cell(value: Cell) -> str:
    return _plain(written(value)).replace("|", "\\|")

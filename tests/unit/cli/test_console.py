"""Tables on terminals of every width."""

from __future__ import annotations

import io

import pytest

from cli.console import Screen, table


@pytest.mark.parametrize(("width", "lines"), [(40, True), (120, False)])
def test_a_table_whose_words_have_no_room_has_a_line_for_each_cell(width: int, lines: bool) -> None:
    listed = table("version", "campaign profit per customer", "aliases", "approval", "because")
    listed.add_row("1", "9,521 USD", "@PreviousChampion", "approved", "[bold] is text")
    file = io.StringIO()
    Screen(file, width=width).print(listed)
    shown = file.getvalue()
    assert ("approval: approved\nbecause: [bold] is text\n" in shown) == lines
    for word in ("approval", "@PreviousChampion", "9,521", "approved"):
        assert word in shown, "no word is broken"

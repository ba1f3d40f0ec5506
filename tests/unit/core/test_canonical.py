"""Canonical text, and values that say in which format they are stored."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest

from churn.core.canonical import StoredFormat, canonical, digest
from churn.core.errors import StoreError
from churn.core.frozen import Frozen


class Note(Frozen):
    """A value as it was once stored: its class had no `author`, and called `text` `words`."""

    text: str
    author: str = "nobody"


def upgraded(raw: dict[str, Any]) -> dict[str, Any]:
    words = raw.pop("words")
    return {**raw, "text": words}


NOTES = StoredFormat("note", Note, newest=2, error=StoreError, upgrades={1: upgraded})


def test_canonical_text_has_sorted_keys_no_spaces_and_ascii_alone() -> None:
    assert canonical({"b": [1, 2.5, None, True], "a": {"é": "“"}}) == (
        '{"a":{"\\u00e9":"\\u201c"},"b":[1,2.5,null,true]}'
    )


def test_a_model_is_written_as_its_json_values() -> None:
    class Timed(Frozen):
        at: dt.datetime

    assert canonical(Timed(at=dt.datetime(2024, 5, 1, tzinfo=dt.UTC))) == '{"at":"2024-05-01T00:00:00Z"}'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_know_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"x": number})


def test_the_digest_is_the_sha256_of_the_text() -> None:
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_was_written_is_read() -> None:
    note = Note(text="so", author="ada")
    assert NOTES.write(note) == '{"author":"ada","format":2,"text":"so"}'
    assert NOTES.read(NOTES.write(note)) == note


def test_a_value_without_a_format_is_of_the_first_and_is_upgraded() -> None:
    assert NOTES.read('{"words":"so"}') == Note(text="so")


def test_a_field_that_came_later_has_its_default_in_older_values() -> None:
    assert NOTES.read('{"format":2,"text":"so"}').author == "nobody"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format":3,"text":"so"}', "has format 3, .* reads up to 2: .* newer version of this project, so upgrade"),
        ('{"format":2,"text":"so","mood":"dark"}', "holds `mood`, .* newer version of this project, so upgrade"),
        ('{"format":"two","text":"so"}', "says its format is 'two'"),
        ('{"format":true,"text":"so"}', "says its format is True"),
        ('{"format":0,"text":"so"}', "says its format is 0"),
        ('{"format":2}', r"cannot be read \(`text`: Field required\)"),
        ("[]", "holds no fields"),
        ("{", "is no JSON text"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(StoreError, match=f"This note {words}"):
        NOTES.read(text)

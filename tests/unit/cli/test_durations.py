"""What is remembered of how long runs took."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.durations import in_words, read_durations, write_durations


def test_the_last_run_of_each_name_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "durations.json"
    write_durations(path, "training gym", {"tune": 40.0, "train": 5.0}, 60.0)
    write_durations(path, "training shop", {"tune": 1.0}, 2.0)
    write_durations(path, "training gym", {"train": 6.0}, 20.0)
    assert read_durations(path, "training gym") == {"tune": 40.0, "train": 6.0, "total": 20.0}
    assert read_durations(path, "inference gym") == {}


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"format": 99, "runs": {}}', '{"format": 1}'])
def test_what_cannot_be_read_is_no_estimate_and_no_failure(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "durations.json"
    if content is not None:
        path.write_text(content)
    assert read_durations(path, "training gym") == {}
    write_durations(path, "training gym", {}, 3.0)
    assert read_durations(path, "training gym") == {"total": 3.0}


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    write_durations(tmp_path / "none" / "durations.json", "training gym", {}, 3.0)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (45.4, "45 s"), (89.6, "1 min 30 s"), (3600, "60 min 0 s")]
)
def test_a_duration_is_written_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words

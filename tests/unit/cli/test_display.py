"""The progress of a run as a terminal shows it, and as a log keeps it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from io import StringIO

import pytest

from churn.core.progress import LOGGER, advance, conclude, note, stage
from cli.console import Screen, plain_console, terminal
from cli.display import Board, Line, watch

STEPS = ["ingest", "tune", "register"]


@pytest.fixture(autouse=True)
def _logger() -> Iterator[None]:
    logger = logging.getLogger(LOGGER)
    level = logger.level
    yield
    logger.setLevel(level)


def log_of(run: Callable[[Board], object], steps: list[str] = STEPS) -> list[str]:
    """Return the lines that a run leaves where the output is no terminal, without the times."""
    output = StringIO()
    with watch(plain_console(output), steps) as board:
        run(board)
    return [re.sub(r"\d+\.\d s$", "0.0 s", line) for line in output.getvalue().splitlines()]


def screen(board: Board) -> list[str]:
    """Return what a terminal shows of the board now."""
    output = StringIO()
    Screen(output, width=100, force_terminal=True, no_color=True, color_system=None).print(board)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def watched(run: Callable[[Board], object]) -> list[str]:
    output = StringIO()
    console = Screen(output, width=100, force_terminal=True, color_system=None)
    with watch(console, STEPS) as board:
        run(board)
    return screen(board)


def whole_run(_: Board) -> None:
    with stage("ingest"):
        note("ingest", "960 rows from members.csv")
    with stage("tune"):
        advance("tune", 1, 20, "best log loss 0.42")
        advance("tune", 2, 20, "best log loss 0.41")
    with stage("register"):
        pass


def test_a_log_has_a_line_for_everything_that_happens() -> None:
    assert log_of(whole_run) == [
        "  ingest               …",
        "  ingest               960 rows from members.csv",
        "  ingest               0.0 s",
        "  tune                 …",
        "  tune                 1/20  best log loss 0.42",
        "  tune                 2/20  best log loss 0.41",
        "  tune                 0.0 s",
        "  register             …",
        "  register             0.0 s",
    ]


def test_a_terminal_has_a_line_for_each_step_with_its_last_message_and_its_notes() -> None:
    shown = watched(whole_run)
    assert len(shown) == 4
    assert re.fullmatch(r"  ✓ ingest +0\.0 s", shown[0])
    assert shown[1] == "      960 rows from members.csv"
    assert re.fullmatch(r"  ✓ tune +0\.0 s  2/20  best log loss 0\.41", shown[2])
    assert re.fullmatch(r"  ✓ register +0\.0 s", shown[3])


def test_a_step_that_runs_and_those_that_wait_can_be_told_apart() -> None:
    shown: list[str] = []

    def run(board: Board) -> None:
        with stage("ingest"):
            pass
        with stage("tune"):
            advance("tune", 1, 20, "best log loss 0.42")
            shown.extend(screen(board))

    watched(run)
    assert shown[0].startswith("  ✓ ingest")
    assert re.fullmatch(r"  [^✓·↺✗] tune +0\.0 s  1/20  best log loss 0\.42", shown[1])
    assert shown[2] == "  · register"


def test_the_time_is_told_by_step_from_the_start_of_the_command_to_its_end() -> None:
    board = Board(plain_console(StringIO()), STEPS)
    board.lines["ingest"] = Line("done", seconds=3.04)
    board.lines["tune"] = Line("cached")
    board.lines["register"] = Line("done", seconds=0.04)
    board.began, board.ended = 102.0, 108.0
    assert board.times(100.0, 108.5) == "Time    8 s: start 2.0, ingest 3.0, between steps 2.9, end 0.5"


def test_a_run_from_the_cache_took_its_start_and_nothing_else() -> None:
    assert Board(plain_console(StringIO()), STEPS).times(100.0, 196.2) == "Time    1 min 36 s: start 96.2"


def test_a_step_says_how_long_it_took_the_last_time() -> None:
    output = StringIO()
    with watch(plain_console(output), STEPS, {"tune": 156.2, "ingest": 0.3}) as board:
        with stage("ingest"):
            assert "last time" not in "".join(screen(board))
        with stage("tune"):
            assert screen(board)[1].endswith("2 min 36 s last time")
            advance("tune", 0, 20, "first trial")
            assert screen(board)[1].endswith("0/20  first trial")
    assert "  tune                 2 min 36 s last time" in output.getvalue().splitlines()


def test_where_nobody_knows_of_how_many_there_is_no_counter() -> None:
    def run(_: Board) -> None:
        with stage("tune"):
            advance("tune", 0, 0, "reads the training rows")

    assert "  tune                 reads the training rows" in log_of(run)


def test_what_the_summary_says_is_not_said_twice() -> None:
    def run(_: Board) -> None:
        with stage("tune"):
            conclude("tune", "It is so.")

    assert "It is so." not in "".join([*log_of(run), *watched(run)])


def test_steps_that_never_start_before_a_later_one_came_from_the_cache() -> None:
    def run(_: Board) -> None:
        with stage("register"):
            pass

    assert log_of(run) == [
        "  ingest               cached",
        "  tune                 cached",
        "  register             …",
        "  register             0.0 s",
    ]
    shown = watched(run)
    assert re.fullmatch(r"  ↺ tune +cached", shown[1])
    assert shown[2].startswith("  ✓ register")


def test_a_run_that_ends_well_without_its_last_steps_had_them_in_the_cache() -> None:
    assert log_of(lambda _: None) == [f"  {step:<20} cached" for step in STEPS]
    assert all("cached" in line for line in watched(lambda _: None))


def fail(board: Board, output: list[str]) -> None:
    with pytest.raises(ValueError, match="too few rows"), stage("ingest"):
        raise ValueError("too few rows")
    output.extend(screen(board))


def test_a_step_that_fails_is_marked_and_the_others_still_wait() -> None:
    shown: list[str] = []
    watched(lambda board: fail(board, shown))
    assert re.fullmatch(r"  ✗ ingest +0\.0 s", shown[0])
    assert shown[1:] == ["  · tune", "  · register"]
    assert log_of(lambda board: fail(board, []))[:2] == ["  ingest               …", "  ingest               failed"]


def test_after_a_failure_no_step_is_called_cached() -> None:
    output = StringIO()
    with pytest.raises(ValueError, match="boom"), watch(plain_console(output), STEPS), stage("ingest"):
        raise ValueError("boom")
    assert "cached" not in output.getvalue()


def test_stages_of_other_runs_and_other_records_are_not_shown() -> None:
    def run(_: Board) -> None:
        with stage("elsewhere"):
            logging.getLogger(LOGGER).info("no event")

    assert log_of(run, steps=[]) == []


def test_nothing_is_heard_after_the_run() -> None:
    output = StringIO()
    with watch(plain_console(output), STEPS):
        whole_run(Board(plain_console(), []))
    before = output.getvalue()
    note("ingest", "too late")
    assert output.getvalue() == before
    assert not [h for h in logging.getLogger(LOGGER).handlers if isinstance(h, Board)]


HOSTILE = "rows from [/old] [red]members[/red] :smile:.csv"


def test_names_from_the_users_data_are_printed_as_they_are() -> None:
    def run(_: Board) -> None:
        with stage("ingest"):
            note("ingest", HOSTILE)

    assert f"  ingest               {HOSTILE}" in log_of(run)
    assert f"      {HOSTILE}" in watched(run)


def test_the_terminal_is_the_processs_own_output_whatever_replaces_the_stream(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", StringIO())
    console = terminal()
    console.print(HOSTILE)
    console.file.close()
    assert capfd.readouterr().out == f"{HOSTILE}\n"


def test_an_indented_paragraph_is_one_line_in_a_log_and_several_on_a_terminal() -> None:
    said = "Correct the source and deliver the rows again; " * 6
    log, screen = StringIO(), StringIO()
    Screen(log).print_indented(said.strip())
    Screen(screen, force_terminal=True, width=80).print_indented(said.strip())
    assert log.getvalue() == f"    {said.strip()}\n"
    lines = screen.getvalue().splitlines()
    assert len(lines) > 3
    assert {line[:4] for line in lines} == {"    "}

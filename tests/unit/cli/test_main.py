"""From a command line to an exit code, also where the output is closed, full, or knows ASCII alone."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main

FAULT = "a\0b.yaml"
"""A path that no shell can pass on: what happens to it is a fault of the program."""


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """The command line tells the libraries to be quiet; the other tests must not hear of it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_a_command_that_is_done_is_a_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--set", "seed=7"]) == 0
    shown = capsys.readouterr()
    assert "seed: 7\n" in shown.out
    assert shown.err == ""


def test_nothing_typed_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("usage: run.py")


@pytest.mark.parametrize("line", [["--help"], ["data", "simulate", "--help"]])
def test_the_help_is_a_success(line: list[str]) -> None:
    assert main(line) == 0


@pytest.mark.parametrize("line", [["trian"], ["--pipeline", "trianing"], ["--pipeline", "training", "doctor"]])
def test_a_line_that_is_not_understood_is_the_users_to_mend(
    line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == 2
    assert line[-1] in capsys.readouterr().err


@pytest.mark.parametrize("before", [True, False])
def test_a_mistake_of_the_user_is_one_paragraph_without_a_traceback(
    before: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    mistake = ["--set", "tuning.max_trial=3"]
    assert main([*mistake, "config", "show"] if before else ["config", "show", *mistake]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.strip().endswith("unknown key `tuning.max_trial`; did you mean 'max_trials'?")
    assert len(shown.err.strip().splitlines()) == 1


def test_a_mistake_of_the_user_has_its_traceback_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--set", "tuning.max_trial=3", "--debug"]) == 2
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last):" in shown
    assert shown.strip().endswith("did you mean 'max_trials'?")


def test_a_folder_where_none_can_be_is_the_users_to_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "below" / "x.parquet"
    small = ["--set", "simulation.customers=1", "--set", "simulation.months=4"]
    assert main(["data", "simulate", *small, "--out", str(out)]) == 2
    shown = capsys.readouterr().err
    assert f"{tmp_path}/file" in shown
    assert "choose another path" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("out", ["/proc/x.parquet", "/dev/null/x.parquet", "."])
def test_a_place_that_cannot_be_written_is_the_users_to_mend(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "simulate", "--set", "simulation.customers=1", "--out", out]) == 2
    shown = capsys.readouterr().err
    assert f"{out} cannot be written (" in shown
    assert "choose another path with --out" in shown


def test_the_version_of_the_program_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("churn 0.")
    assert f"Python {sys.version.split()[0]}" in told


@pytest.mark.parametrize(
    "line", ["--pipeline deployment --version", "--pipeline training --version", "doctor --version"]
)
def test_the_version_of_a_model_has_a_number(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert "--version" in capsys.readouterr().err


def test_called_as_a_script_the_program_names_itself_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/churn"])
    assert main(["modles"]) == 2
    assert main(["data", "fetch", "telko"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("churn: argument command")
    assert "Help: churn --help" in told
    assert "run.py" not in told


def test_a_fault_of_the_program_says_so_and_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--config", FAULT]) == 1
    shown = capsys.readouterr().err
    assert "its fault and not yours (ValueError: " in shown
    assert shown.strip().endswith(" --debug shows the traceback.")
    assert "Traceback (" not in shown


def test_a_fault_of_the_program_is_kept_in_a_log_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = f"--set=profile.state={tmp_path}"
    assert main(["data", "simulate", "--set=simulation.customers=1", state, "--out", FAULT]) == 1
    (log,) = (tmp_path / "logs").iterdir()
    assert capsys.readouterr().err.strip().endswith(f" Log: {log}")
    assert "Traceback (most recent call last):" in log.read_text()


def test_a_mistake_is_an_answer_in_json_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json", "--set", "sede=3"]) == 2
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert (told["exit"], told["error"]) == (2, shown.err.strip())
    assert "did you mean 'seed'?" in told["error"]


@pytest.mark.parametrize("line", ["modles --json", "--json --pipeline trainig", "ui --json", "--json use telco"])
def test_a_line_that_is_not_understood_is_an_answer_in_json_too(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert told["exit"] == 2
    assert told["error"] in shown.err


def test_a_command_that_acts_is_silent_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.parquet"
    small = ["--set", "simulation.customers=5", "--set", "simulation.months=4"]
    assert main(["data", "simulate", "--quiet", *small, "--out", str(path)]) == 0
    assert path.is_file()
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
    assert main(["config", "show", "--quiet"]) == 0
    assert capsys.readouterr().out


def test_an_address_is_no_table_to_deliver(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--pipeline", "training", "--dataset", "telco", "--data", "https://example.com/x.csv"]) == 2
    assert "not an address: download it first" in capsys.readouterr().err


def test_settings_are_shown_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--json", "--set", "seed=7"]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 1
    assert json.loads(shown)["seed"] == 7


def test_a_fault_of_the_program_has_its_traceback_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--config", FAULT, "--debug"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last):" in shown
    assert "its fault and not yours" in shown
    assert "--debug" not in shown.rpartition("its fault")[2]


def test_an_interruption_says_that_nothing_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
    pipe = tmp_path / "settings.yaml"
    os.mkfifo(pipe)
    this = threading.get_ident()
    held: list[int] = []

    def press_ctrl_c() -> None:
        while not held:
            try:
                held.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # nobody reads the pipe yet
                time.sleep(0.005)
        signal.pthread_kill(this, signal.SIGINT)

    thread = threading.Thread(target=press_ctrl_c, daemon=True)
    thread.start()
    assert main(["config", "show", "--json", "--config", str(pipe)]) == 130
    thread.join()
    os.close(held[0])
    signal.signal(signal.SIGINT, before)
    shown = capsys.readouterr()
    assert "Interrupted. What was finished is kept" in shown.err
    assert json.loads(shown.out)["exit"] == 130


def test_a_reader_that_went_away_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as screen:  # it is closed as Python closes its output at the end
        monkeypatch.setattr("sys.stdout", screen)
        assert main(["config", "show"]) == 0

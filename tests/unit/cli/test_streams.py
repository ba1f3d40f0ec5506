"""Output that is closed, that nobody reads, or that knows ASCII alone; each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PRINTS = """
from cli.console import plain_console, table
from cli.streams import open_streams

open_streams()
screen = plain_console()
screen.print("✓ Zoë → 3 … 5 ± 1")
rows = table("head")
rows.add_row("cell")
screen.print(rows)
"""
ASCII = [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "latin-1"},
]


def python(code: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in {"PYTHONIOENCODING", "LC_ALL"}}
    line = ["bash", "-c", f'"$@" {shell}', "bash", sys.executable, "-c", f"exec({code!a})"]
    environment = {**own, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(line, env=environment, capture_output=True, text=True, encoding="latin-1", check=False)


@pytest.mark.parametrize("environment", ASCII)
def test_a_terminal_without_unicode_is_written_to_in_ascii(environment: dict[str, str]) -> None:
    printed = python(PRINTS, **environment)
    assert printed.stderr == ""
    name = "Zoë" if environment.get("PYTHONIOENCODING") == "latin-1" else "Zo\\xeb"
    first = printed.stdout.splitlines()[0]
    assert first.replace("±", "+/-") == f"+ {name} -> 3 ... 5 +/- 1"
    assert "head" in printed.stdout


@pytest.mark.parametrize("environment", ASCII)
@pytest.mark.parametrize("line", ["--help", "config show --set sede=1"])
def test_help_and_mistakes_are_told_in_ascii_too(line: str, environment: dict[str, str]) -> None:
    printed = python(f"from cli.main import main\nraise SystemExit(main({line.split()!r}))", **environment)
    assert printed.returncode == (0 if line == "--help" else 2)
    assert "Traceback" not in printed.stderr
    assert ("source -> validated rows" in printed.stdout) or "did you mean 'seed'?" in printed.stderr


def test_a_closed_output_leads_nowhere_and_not_into_the_next_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    code = f"{PRINTS}file = open({str(path)!r}, 'w')\nprint('printed')\nfile.write('written')"
    closed = python(code, ">&-")
    assert (closed.returncode, closed.stderr) == (0, "")
    assert path.read_text() == "written"


def test_a_reader_that_has_seen_enough_does_not_end_the_work() -> None:
    code = f"{PRINTS}\nfor number in range(10_000): screen.print(number)\nraise SystemExit(7)"
    ended = python(f"import sys\n{code}", '| head -n 1; exit "${PIPESTATUS[0]}"')
    assert ended.returncode == 7
    assert ended.stdout.count("\n") == 1
    assert ended.stderr == ""

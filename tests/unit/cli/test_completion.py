"""The completion of the console script, by a shell that has read the script."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cli.main import main

TRY = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
$(complete -p churn | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "churn.bash"
    capture = pytest.MonkeyPatch()
    with path.open("w") as file, capture.context() as patch:
        patch.setattr("sys.stdout", file)
        assert main(["completion", "bash"]) == 0
    return path


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["mod"], {"models"}),
        (["--pipeline", "t"], {"training"}),
        (["data", "desc"], {"describe"}),
        (["approve", "--rea"], {"--reason"}),
        (["config", "show", "--set", "tuning.max_tr"], {"tuning.max_trials"}),
        (["--pipeline", "training", "--set", "profile.resources.thr"], {"profile.resources.threads"}),
        (["data", "describe", "--data", "READ"], {"README.md"}),
    ],
)
def test_commands_options_settings_and_files_are_completed(script: Path, typed: list[str], offered: set[str]) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    line = [bash, "-c", TRY, "bash", str(script), "churn", *typed]
    root = Path(__file__).parents[3]
    completed = subprocess.run(line, capture_output=True, text=True, check=True, cwd=root)
    assert set(completed.stdout.split()) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish", "tcsh"])
def test_other_shells_have_a_script_too(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "training" in capsys.readouterr().out

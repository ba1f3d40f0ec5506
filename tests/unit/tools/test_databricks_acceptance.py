"""The proof in a real workspace: what it would type, and that it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from cli.parser import build_parser
from tools.databricks_acceptance import PROOFS, REMOVED, SERVED, main, options_of, prove, table


class Typed:
    """Remembers what was typed; the command whose words are given fails, or is interrupted."""

    def __init__(self, fails: Sequence[str] = (), *, interrupted: bool = False) -> None:
        self.lines: list[list[str]] = []
        self._fails, self._interrupted = [*fails], interrupted

    def __call__(self, line: Sequence[str]) -> int:
        self.lines.append([*line])
        if self._fails and line[: len(self._fails)] == self._fails:
            if self._interrupted:
                raise KeyboardInterrupt
            return 2
        return 0


def test_every_command_is_one_of_the_command_line() -> None:
    options = options_of("churn_acc_0123abcd", Path("/state"), serving=True)
    for _, command in (*PROOFS, *SERVED, REMOVED):
        build_parser().parse_args([*command, *options])


def test_everything_is_named_after_the_proof() -> None:
    options = options_of("churn_acc_0123abcd", Path("/state"))
    places = [option for option in options if option.startswith("--set=profile.databricks.")]
    assert len(places) == 4
    assert all("churn_acc_0123abcd" in place for place in places)
    served = options_of("churn_acc_0123abcd", Path("/state"), serving=True)
    assert "--set=profile.online.address=projects/churn-acc-0123abcd/branches/production/endpoints/primary" in served


def test_what_was_proved_is_listed_and_removed_at_the_end() -> None:
    typed = Typed()
    proofs = prove(typed, ["--set=a=1"])
    assert {proof.code for proof in proofs} == {0}
    assert len(proofs) == len(PROOFS) + 1
    assert typed.lines[-1] == ["stack", "destroy", "--yes", "--set=a=1"]
    assert table(proofs).count("proved") == len(proofs)


def test_after_a_failure_nothing_else_is_tried_and_everything_is_removed() -> None:
    typed = Typed(["--pipeline", "training"])
    lines = table(prove(typed, [])).splitlines()
    assert [line[:9].strip() for line in lines] == [*["proved"] * 4, "exit 2", *["not tried"] * 7, "proved"]
    assert typed.lines[-1][:2] == ["stack", "destroy"]


def test_an_interrupted_proof_removes_what_it_made() -> None:
    typed = Typed(["--pipeline", "features"], interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        prove(typed, [])
    assert typed.lines[-1][:2] == ["stack", "destroy"]


def test_without_credentials_it_is_skipped_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CLIENT_ID", "DATABRICKS_CONFIG_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("Skipped: no workspace can be logged in to (")

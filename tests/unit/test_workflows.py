"""The workflows of a team on GitHub, Azure DevOps and GitLab: every command in them exists, and no secret is shown."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import main
from cli.parser import build_parser

ROOT = Path(__file__).parents[2]
FILES = sorted(
    [
        *(ROOT / ".github" / "workflows").glob("*.yml"),
        *(ROOT / "ci" / "azure-devops").glob("*.yml"),
        *(ROOT / "ci" / "gitlab").glob(".*.yml"),
    ]
)
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
SECRET = re.compile(r"secrets\.|[A-Z_]*(?:TOKEN|SECRET|API_KEY|PASSWORD)\b")


def loaded(path: Path) -> dict[str, Any]:
    whole: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return whole


def scripts(value: Any) -> Iterator[str]:
    """Yield every script below a value, as each of the three calls them."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key in {"run", "script", "before_script", "bash"}:
                yield from [below] if isinstance(below, str) else below
            else:
                yield from scripts(below)
    elif isinstance(value, list):
        for each in value:
            yield from scripts(each)


def commands(path: Path) -> Iterator[list[str]]:
    for script in scripts(loaded(path)):
        for line in script.splitlines():
            text = re.sub(r'\$\([^)]+\)|"?\$\{?VERSION\}?"?', "4", line)
            for part in re.split(r"&&|\||;", text.strip().strip("()")):
                yield shlex.split(part, comments=True)


def programs(path: Path) -> list[list[str]]:
    """The arguments of each `run.py`; `ci/trained-version` names a file and passes the others on."""
    found = []
    for words in commands(path):
        if "run.py" in [Path(word).name for word in words]:
            found.append(words[words.index("run.py") + 1 :])
        elif "ci/trained-version" in words:
            found.append(["--pipeline", "training", "--json", *words[words.index("ci/trained-version") + 2 :]])
    return found


def test_there_is_a_workflow_for_each_event_and_a_template_for_each_other_host() -> None:
    assert [path.relative_to(ROOT).as_posix() for path in FILES] == [
        *(".github/workflows/ci.yml", ".github/workflows/release.yml", ".github/workflows/staging.yml"),
        *("ci/azure-devops/azure-pipelines.yml", "ci/gitlab/.gitlab-ci.yml"),
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_is_one_that_the_program_or_the_makefile_has(path: Path) -> None:
    for arguments in programs(path):
        build_parser().parse_args(arguments)
        config = arguments[arguments.index("--config") + 1] if "--config" in arguments else None
        assert config is None or (ROOT / config).is_file(), f"{config} is not there"
    for words in commands(path):
        if words[:1] == ["make"]:
            assert set(words[1:]) <= TARGETS, words
        for word in words:
            assert not word.startswith(("ci/", ".ci/")) or (ROOT / word).stat().st_mode & 0o111, f"{word} cannot be run"


@pytest.mark.parametrize("path", FILES[1:], ids=lambda path: path.name)
def test_what_is_deployed_names_stack_target_and_data_set(path: Path) -> None:
    for arguments in programs(path):
        asked = build_parser().parse_args(arguments)
        assert asked.dataset == "$DATASET"
        assert "--as" not in arguments, "a workspace knows who acts, and takes no other name"
        assert arguments[:2] == ["stack", "bundle"] or (
            asked.stack == "databricks" and asked.config.parent.name == "targets"
        )


def leaks(script: str) -> list[str]:
    """Return the lines that would show a secret: printed, traced, or written where others read it."""
    return [
        line
        for line in script.splitlines()
        if re.search(r"\bset -[a-z]*x|\bprintenv\b|^\s*env\s*$", line)
        or (SECRET.search(line) and re.search(r"\b(?:echo|printf|cat|tee)\b|GITHUB_(?:ENV|OUTPUT)|>>", line))
    ]


@pytest.mark.parametrize(
    "path", [*FILES, *(path for path in sorted((ROOT / "ci").iterdir()) if path.is_file())], ids=lambda path: path.name
)
def test_no_secret_is_shown(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    shown = scripts(loaded(path)) if path.suffix == ".yml" else [text]
    assert [line for script in shown for line in leaks(script)] == []


@pytest.mark.parametrize(
    "line",
    [
        'echo "$DATABRICKS_TOKEN"',
        "set -euxo pipefail",
        "printenv",
        "env",
        "echo ${{ secrets.A }}",
        'printf "k=%s" "$API_KEY" >> $GITHUB_ENV',
    ],
)
def test_a_line_that_shows_a_secret_is_found(line: str) -> None:
    assert leaks(f"make install\n{line}") == [line]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_secret_is_stored_and_each_host_gives_a_token_of_its_own(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "secrets." not in text
    assert not re.search(r"DATABRICKS_(?:TOKEN|CLIENT_SECRET)", text)
    types = set(re.findall(r"DATABRICKS_AUTH_TYPE: (\S+)", text))
    assert (
        types
        == {
            "ci.yml": set(),
            "release.yml": {"github-oidc"},
            "staging.yml": {"github-oidc"},
            "azure-pipelines.yml": {"azure-devops-oidc"},
            ".gitlab-ci.yml": {"env-oidc"},
        }[path.name]
    )


@pytest.mark.parametrize("name", ["staging", "release"])
def test_what_deploys_on_github_may_ask_for_a_token_and_runs_one_at_a_time_in_an_environment(name: str) -> None:
    whole = loaded(ROOT / ".github" / "workflows" / f"{name}.yml")
    assert whole["permissions"]["id-token"] == "write"
    assert whole["permissions"]["contents"] == "read"
    assert whole["concurrency"]["cancel-in-progress"] is False
    assert {job["environment"] for job in whole["jobs"].values()} <= {"staging", "production", "production-approval"}
    assert all(job["timeout-minutes"] for job in whole["jobs"].values())
    for variable in ("DATABRICKS_HOST", "DATABRICKS_CLIENT_ID"):
        assert whole["env"][variable] == f"${{{{ vars.{variable} }}}}"


def test_what_a_person_approves_comes_after_the_gate_and_in_an_environment_of_its_own() -> None:
    jobs = loaded(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert (jobs["approve"]["needs"], jobs["approve"]["environment"]) == ("train", "production-approval")
    ran = [words[0:2] for words in programs(ROOT / ".github" / "workflows" / "release.yml")]
    assert (
        ran.index(["deployment-job", "wait"])
        < ran.index(["approve", "--version"])
        < ran.index(["deployment-job", "repair"])
    )
    gitlab = loaded(ROOT / "ci" / "gitlab" / ".gitlab-ci.yml")
    assert gitlab["approve"]["rules"][0]["when"] == "manual"


@pytest.mark.parametrize(("answer", "code"), [("ada", 0), ("", 1)])
def test_an_environment_that_nobody_approved_approves_nothing(tmp_path: Path, answer: str, code: int) -> None:
    gh = tmp_path / "gh"
    gh.write_text(f"#!/bin/sh\necho {answer}\n")
    gh.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "7"}
    done = subprocess.run([ROOT / "ci" / "reviewer"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (code, answer)
    assert answer or "give the environment production-approval required reviewers" in done.stderr
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert 'reviewer="$(ci/reviewer)"' in release, "within an argument its failure would not end the script"


def test_a_command_that_there_is_not_would_be_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deployment-job", "approve"]) == 2
    assert "invalid choice" in capsys.readouterr().err

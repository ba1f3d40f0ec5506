"""Decisions in the real registry: MLflow on SQLite, the ledger on disk, and the commands that are typed."""

from __future__ import annotations

import json
import shlex
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.local.decision_ledger import LocalDecisionLedger
from adapters.mlflow.client import connect, ensure_experiment
from adapters.mlflow.package import build_package
from adapters.mlflow.registry import MlflowModelRegistry
from adapters.wiring import now
from churn.approval.audit import audit
from churn.approval.context import APPROVAL_CHECK, ApprovalContext
from churn.approval.decide import decide, record_gate, reject
from churn.approval.promote import complete_begun, promote, rollback
from churn.approval.rollout import start
from churn.approval.settings import ApprovalSettings
from churn.core.errors import ChurnError, DecisionRefused, NotFound, StoreError
from churn.ports.registry import CHAMPION, PREVIOUS_CHAMPION
from cli import commands
from cli.parser import build_parser
from tests.e2e.project import Project
from tests.fakes.data.deciding import FAILING, MANUAL, PASSING, gate_report, register
from tests.fakes.data.scorers import customers, small_scorer
from tests.fakes.ports.stages import InMemoryStages
from tests.forks import Python

ROOT = Path(__file__).parents[2]
AUTO = ApprovalSettings()
CHILD = """
import os, signal, sys
from pathlib import Path
from adapters.local.decision_ledger import LocalDecisionLedger
from adapters.mlflow.registry import MlflowModelRegistry
from adapters.wiring import now
from churn.approval.audit import audit
from churn.approval.context import ApprovalContext
from churn.approval.promote import promote
from churn.approval.settings import ApprovalSettings
from churn.core.errors import DecisionRefused
from tests.fakes.ports.stages import InMemoryStages
uri, tables, name = sys.argv[1:]
class Registry(MlflowModelRegistry):
    def set_alias(self, name, alias, version):
        super().set_alias(name, alias, version)
        if alias == "Champion" and os.environ.get("DIE"):
            os.kill(os.getpid(), signal.SIGKILL)
ledger = LocalDecisionLedger(Path(tables), name)
context = ApprovalContext(Registry(uri), ledger, InMemoryStages(), name, ApprovalSettings(), now, lambda *_: None)
"""

UNREAD: dict[str, Any] = {"report_fault": lambda _: None}
"""Reports that nobody looks at."""


@dataclass
class Place:
    """A model of its own in a registry that several tests share, with a ledger of its own."""

    project: Project
    name: str
    settings: ApprovalSettings = AUTO

    @property
    def context(self) -> ApprovalContext:
        registry, ledger = MlflowModelRegistry(self.project.uri), LocalDecisionLedger(self.tables, self.name)
        return ApprovalContext(registry, ledger, InMemoryStages(), self.name, self.settings, now, lambda *_: None)

    @property
    def options(self) -> str:
        """What a command needs to be about this model: the data set whose ledger it writes to, model, state folder."""
        contract = self.project.home.parent / f"{self.name}.yaml"
        telco = (ROOT / "configs" / "datasets" / "telco.yaml").read_text(encoding="utf-8")
        contract.write_text(telco.replace("name: telco", f"name: {self.name}", 1), encoding="utf-8")
        state = shlex.quote(f"profile.state={self.project.state}")
        return f"--dataset {shlex.quote(str(contract))} --model {self.name} --set {state}"

    @property
    def tables(self) -> Path:
        return self.project.state / "tables"

    @property
    def champions(self) -> tuple[int | None, int | None]:
        """What @Champion and @PreviousChampion name."""
        named = [self.context.registry.by_alias(self.name, alias) for alias in (CHAMPION, PREVIOUS_CHAMPION)]
        return named[0] and named[0].version, named[1] and named[1].version

    def register(self, versions: int, package: Path | None = None) -> Place:
        experiment = ensure_experiment(self.project.uri, "training", self.project.state / "mlflow")
        run = connect(self.project.uri).create_run(experiment)
        for _ in range(versions):
            register(self.context.registry, run.info.run_id, model=self.name, package=package, dataset=self.name)
        return self

    def judge(self, version: int, *, passes: bool = True) -> None:
        report = gate_report(self.context, version, PASSING if passes else FAILING)
        record_gate(self.context, report, who="ada")
        decide(self.context, version, who="ada")

    def go_live(self, *versions: int) -> Place:
        for version in versions:
            self.judge(version)
            promote(self.context, version, who="ada")
        return self

    def child(self, script: str, **environment: str) -> Python:
        arguments = self.project.uri, str(self.tables), self.name
        return Python(CHILD + script, *arguments, environment=self.project.environment | environment)

    def type(self, line: str) -> int:
        """Type a command about this model, without a process of its own."""
        arguments = build_parser().parse_args(shlex.split(f"{line} {self.options}"))
        code: int = getattr(commands, arguments.command)(arguments)
        return code


@pytest.fixture(scope="module")
def project(new_user: Callable[..., Project]) -> Project:
    made = new_user("deciding")
    connect(made.uri)
    return made


@pytest.fixture
def place(project: Project, request: pytest.FixtureRequest) -> Place:
    return Place(project, f"churn_{request.node.originalname.removeprefix('test_')[:40]}")


def test_a_version_goes_live_and_comes_back(place: Place) -> None:
    place.register(3).go_live(1, 2, 3)
    assert place.champions == (3, 2)
    rollback(place.context, who="bob", why="Too many calls.")
    assert place.champions == (2, 1)
    rollback(place.context, who="bob", why="Still too many.")
    assert place.champions == (1, None)
    tags = {version.version: version.tags[APPROVAL_CHECK] for version in place.context.registry.versions(place.name)}
    assert tags == {1: "Approved", 2: "Rejected", 3: "Rejected"}
    assert audit(place.context, **UNREAD).findings == ()


def test_a_kill_between_two_writes_is_completed_by_the_next_run(place: Place) -> None:
    place.register(2).go_live(1).judge(2)
    killed = place.child("promote(context, 2, who='ada')", DIE="yes")
    _, said = killed.communicate(timeout=100)
    assert killed.returncode == -signal.SIGKILL, said
    assert place.champions == (2, 1)
    [finding] = audit(place.context, **UNREAD).findings
    assert "was begun on" in finding.problem
    record = complete_begun(place.context)
    assert record is not None
    assert (record.kind, record.version, record.who) == ("promoted", 2, "ada")
    assert audit(place.context, **UNREAD).findings == ()


def test_of_two_processes_one_promotes_and_the_other_says_so(place: Place) -> None:
    place.register(3).go_live(1)
    place.judge(2), place.judge(3)
    other = place.child("""
print("ready", flush=True), sys.stdin.readline()
try:
    promote(context, 3, who="eve")
except DecisionRefused as error:
    print(error)
""")
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("go\n"), other.stdin.flush()
    told = ""
    try:
        promote(place.context, 2, who="ada")
    except DecisionRefused as error:
        told = str(error)
    out, err = other.communicate(timeout=100)
    assert (other.returncode, err) == (0, "")
    live = place.champions[0]
    assert f"the champion changed since: it is version {live}" in told + out
    assert bool(told) != bool(out)
    assert kinds(place).count("promoted") == 2
    assert audit(place.context, **UNREAD).findings == ()


def kinds(place: Place) -> list[str]:
    return [record.kind for record in place.context.ledger.read()]


def test_an_alias_that_is_moved_by_hand_is_found_and_put_back(place: Place) -> None:
    place.register(3).go_live(1, 2).judge(3)
    connect(place.project.uri).set_registered_model_alias(place.name, CHAMPION, "3")
    with pytest.raises(DecisionRefused, match=r"@Champion .* names version 3, and version 2 is live"):
        promote(place.context, 3, who="ada")
    assert [finding.subject for finding in audit(place.context, **UNREAD).findings] == ["@Champion"]
    rollback(place.context, who="bob", why="Moved by hand.")
    assert place.champions == (2, 1)
    assert audit(place.context, **UNREAD).findings == ()


def test_a_tag_that_is_set_by_hand_promotes_nothing(place: Place) -> None:
    place.register(1).judge(1, passes=False)
    connect(place.project.uri).set_model_version_tag(place.name, "1", APPROVAL_CHECK, "Approved")
    with pytest.raises(
        DecisionRefused, match="is not approved, and there is still no @Champion: Rejected by policy:auto"
    ):
        promote(place.context, 1, who="ada")
    assert [finding.subject for finding in audit(place.context, **UNREAD).findings] == ["version 1"]


def test_a_live_version_that_mlflow_deleted_is_left_for_the_one_before(place: Place) -> None:
    place.register(3).go_live(1, 2).judge(3)
    connect(place.project.uri).delete_model_version(place.name, "2")
    assert place.champions == (None, 1)
    assert place.context.status(3).state == "lapsed"
    with pytest.raises(NotFound, match=r"has no version 2; it has 1, 3\."):
        promote(place.context, 2, who="ada")
    subjects = [finding.subject for finding in audit(place.context, **UNREAD).findings]
    assert subjects == ["@Champion", "version 2"]
    with pytest.raises(
        DecisionRefused, match=r"Version 2 of .* is live by the ledger, and the registry has it no more"
    ):
        _ = place.context.read().champion
    assert rollback(place.context, who="bob", why="Deleted.").version == 1
    assert place.champions == (1, None)


def test_a_registry_that_cannot_be_reached_changes_nothing(place: Place) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    ledger = LocalDecisionLedger(place.tables, place.name)
    context = ApprovalContext(
        MlflowModelRegistry(address), ledger, InMemoryStages(), place.name, ApprovalSettings(), now, lambda *_: None
    )
    for attempt in (
        lambda: promote(context, 1, who="ada"),
        lambda: rollback(context, who="ada", why="Bad."),
        lambda: audit(context, **UNREAD),
    ):
        with pytest.raises(StoreError, match=f"{address} could not be reached"):
            attempt()
    assert ledger.read() == []


def test_a_person_decides_by_command(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_USER", "bob")
    place.register(3).go_live(1)
    place.settings = MANUAL
    place.judge(2), place.judge(3)
    assert place.type("models") == 0
    told = capsys.readouterr().out
    assert f'Next    python run.py approve --version 3 --reason "…" {place.options}' in told
    assert "Version 2: pending. It passed the gate" in told
    assert place.type("approve --version 2 --reason 'Reviewed with finance.'") == 0
    told = capsys.readouterr().out
    assert f"{place.name} version 2: approved. Approved by bob on" in told
    assert "Live    version 1, since" in told
    assert "Next    python run.py --pipeline deployment --version 2 --dataset" in told
    assert place.type("reject --version 3 --reason 'Too late.' --as eve") == 0
    assert "version 3: rejected. Rejected by eve on" in capsys.readouterr().out
    assert promote(place.context, 2, who="ada").why.endswith("Reviewed with finance.")


def test_the_list_of_models_tells_what_is_and_what_was(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    place.register(3).go_live(1, 2).judge(3, passes=False)
    assert place.type("models") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for shown in (
        "1 @PreviousChampion lapsed passed",
        "2 @Champion approved passed",
        "3 @Challenger rejected refused: slices",
        "Version 3: rejected. Rejected by policy:auto",
        "Live version 2, since",
    ):
        assert any(line[: len(shown.split())] == shown.split() for line in lines), shown
    lived = [line for line in lines if "ada" in line and line[0].isdigit()]
    assert [(line[0], line[3]) for line in lived] == [("1", lived[1][1]), ("2", "now")]


def test_an_audit_ends_in_two_where_something_does_not_fit(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.register(2).go_live(1)
    place.context.registry.set_alias(place.name, CHAMPION, 2)
    assert place.type("audit") == 2
    told = capsys.readouterr().out
    assert "✗ version 1: The packaged model" in told
    assert "✗ record 1: The report of the gate" in told
    assert f"Head    {place.context.ledger.read()[-1].hash}" in told
    assert "✗ @Champion: It names version 2, and by the ledger it should name version 1" in told
    assert "→ `python run.py rollback" in told
    assert place.type("models") == 0
    assert "but @Champion names version 2: see run.py audit" in capsys.readouterr().out


def test_a_mistake_of_the_user_is_told_with_what_to_do(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotFound, match=r"There is no registered model .*--pipeline training"):
        place.type("approve --version 1 --reason Good.")
    assert place.type("models") == 0
    assert "Next    python run.py --pipeline training --dataset" in capsys.readouterr().out
    place.register(2)
    with pytest.raises(DecisionRefused, match=r"The gate has not judged version 1 .*--pipeline deployment"):
        place.type("approve --version 1 --reason Good.")
    with pytest.raises(DecisionRefused, match="nothing to go back to"):
        place.type("rollback --reason Bad.")
    reject(place.context, 1, who="bob", why="No.")
    assert place.type("models") == 0


def test_a_rollback_by_command_goes_to_whole_files_and_shows_in_zenml(place: Place, tmp_path: Path) -> None:
    package = build_package(small_scorer(), tmp_path / "package", example=customers(), metadata={})
    place.register(2, package).go_live(1, 2)
    line = ["rollback", "--reason", "Too many calls.", "--as", "bob", *shlex.split(place.options)]
    [code] = Path(connect(place.project.uri).get_model_version(place.name, "1").source).glob("**/model/money.py")
    written = code.read_text(encoding="utf-8")
    code.write_text(f"{written}# changed\n", encoding="utf-8")
    with pytest.raises(DecisionRefused, match=r"Version 1 of .* cannot be live: .* changed.*--to"):
        place.type("rollback --reason 'Too many calls.' --as bob")
    code.write_text(written, encoding="utf-8")
    done = place.project.run(*line).succeeded()
    assert f"{place.name} version 1 is @Champion again, in place of version 2." in done.out
    assert "Live    version 1, since" in done.out
    assert f"Next    python run.py models {place.options}" in done.out
    assert place.champions == (1, None)
    assert place.project.zenml()["models"][place.name]["v1"]["stage"] == "production"


def roll(place: Place, line: str) -> int:
    """Type a command of a rollout of this model."""
    options = place.options.replace("--model ", "--set model_name=")
    arguments = build_parser().parse_args(shlex.split(f"rollout {line} {options}"))
    code: int = getattr(commands, f"rollout_{arguments.action}")(arguments)
    return code


def test_a_rollout_is_typed_step_by_step(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.register(3).go_live(1).judge(2)
    assert (roll(place, "status"), roll(place, "check")) == (0, 0)
    assert capsys.readouterr().out == f"No version of {place.name} is rolled out.\n" * 2
    start(place.context, 2, share=0.1, who="ada", why="Beside it.")
    assert roll(place, "status") == 0
    told = capsys.readouterr().out
    assert f"{place.name} version 2 answers 10% of the customers, and version 1 the others." in told
    assert "Challenger version 2: 0 rows of 0 customers since the last step, 0 failed" in told
    assert "Brier score saved: too few outcomes are known" in told
    assert "Next    wait: 0 of 500 outcomes in each arm are known before the test is looked at." in told
    assert roll(place, "advance --as bob") == 0
    assert "version 2 answers 25% of the customers" in capsys.readouterr().out
    assert roll(place, "check --json") == 0
    checked = json.loads(capsys.readouterr().out)
    assert (checked["done"], checked["exit"], checked["report"]["rollout"]["version"]) == ("waited", 0, 2)
    assert roll(place, 'abort --reason "complaints" --as bob') == 0
    assert "version 1 answers everybody, and version 2 counts as rejected" in capsys.readouterr().out
    assert roll(place, "status") == 0
    assert "The rollout of version 2 was aborted on" in capsys.readouterr().out
    assert kinds(place)[-3:] == ["rollout_started", "rollout_advanced", "rollout_aborted"]
    assert audit(place.context, **UNREAD).findings == ()


def test_what_a_rollout_cannot_do_is_refused_before_anything_is_written(place: Place) -> None:
    place.register(3).go_live(1).judge(2)
    before = kinds(place)
    for line, message in {
        "advance": "No rollout of .* runs",
        "abort --reason x": "No rollout of .* runs",
        "start --version 9 --reason x": "has no version 9; it has 1, 2, 3",
        "start --version 2 --reason x": "Version 2 of .* is not rolled out: ",  # its files are no packaged model
        "start --version 2 --shadow --share 0.1 --reason x": "give either --shadow or --share",
    }.items():
        with pytest.raises(ChurnError, match=message):
            roll(place, line)
    assert kinds(place) == before

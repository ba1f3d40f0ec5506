"""What the project promises about itself: its commands, its modules, its files."""

from __future__ import annotations

import ast
import configparser
import os
import re
import resource
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from churn.core.codebase import closure
from churn.data.tables import EVENT_TIME
from churn.simulation.simulate import SimulationSettings, simulate

ROOT = Path(__file__).parents[1]
ROOMS = ("churn", "adapters", "steps", "pipelines", "materializers", "cli", "reports")
CODE = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
DOCUMENTS = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *sorted((ROOT / "docs").glob("*.md"))]

SLOW = ("mlflow", "evidently", "great_expectations", "pyspark", "matplotlib", "databricks.sdk")
"""Libraries that take seconds to import: only functions that use them may."""

QUIET = {"ZENML_ENABLE_RICH_TRACEBACK": "false"}

IMPORT_ALL = """
import importlib, json, os, socket, sys
def refuse(*_): raise RuntimeError("a module reached for the network while it was imported")
socket.socket.connect = socket.getaddrinfo = refuse
before = dict(os.environ)
for name in sys.argv[1:]:
    importlib.import_module(name)
changed = sorted(name for name in {*before, *os.environ} if before.get(name) != os.environ.get(name))
print(json.dumps([changed, sorted(sys.modules)]))
"""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_name(path: Path) -> str:
    return relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def project_files() -> list[Path]:
    """Every file that is, or would be, committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: the files of the project cannot be told from others")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def commands_in(document: Path) -> list[list[str]]:
    """The arguments of every `run.py …` that a document names."""
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"\brun\.py((?: +[^\s`|>&;#()]+)+)", text)
    return [shlex.split(line.rstrip(" .,:")) for line in lines if "…" not in line and "..." not in line]


@pytest.mark.parametrize("path", CODE, ids=relative)
def test_importing_a_module_needs_nothing_that_only_one_system_has(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    names = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in body if isinstance(node, ast.ImportFrom)}
    assert not names & {"fcntl", "grp", "msvcrt", "pwd", "resource", "termios", "winreg"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_every_command_that_a_document_names_is_understood(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cli.parser import build_parser

    for arguments in commands_in(document):
        try:
            build_parser().parse_args(arguments)
        except SystemExit as end:  # what argparse does after --help, and after a mistake
            if end.code != 0:
                pytest.fail(f"run.py {shlex.join(arguments)}: {capsys.readouterr().err}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_every_make_target_and_file_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^(?:\$ )?make ([a-z]+)|`make ([a-z]+)`", text, re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }
    linked = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    assert [link for link in linked if not (document.parent / link).exists()] == []


def test_the_readme_names_its_commands_within_200_lines() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 200
    assert commands_in(ROOT / "README.md")


def test_the_readme_says_why_each_dependency_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[\[<>=~]", line)[0] for line in project["dependencies"]]
    why = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Why each dependency")[2].partition("\n## ")[0]
    listed = {name for cell in re.findall(r"^\| ([^|]+) \|", why, re.MULTILINE) for name in cell.split(", ")}
    assert len(names) > 10
    assert sorted(set(names) - listed) == []


def test_every_file_that_a_document_names_is_there() -> None:
    folders = "|".join((*ROOMS, "benchmarks", "configs", "docs", "tests"))
    named = {
        (relative(document), path)
        for document in [*DOCUMENTS, ROOT / "benchmarks" / "README.md"]
        for path in re.findall(rf"`((?:{folders})/[a-z0-9_./-]*)[ `]", document.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert sorted((document, path) for document, path in named if not (ROOT / path).exists()) == []


def test_the_customer_that_a_document_explains_is_among_the_simulated_ones() -> None:
    named = {
        arguments[arguments.index("--customer") + 1]
        for document in DOCUMENTS
        for arguments in commands_in(document)
        if "--customer" in arguments
    }
    rows = simulate("telco", SimulationSettings()).select(["customer_id", EVENT_TIME]).to_pandas()
    assert named
    assert named <= set(rows.loc[rows[EVENT_TIME] == rows[EVENT_TIME].max(), "customer_id"])


def test_the_help_answers_within_a_second() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: run.py")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """Every module imported in one fresh process: which variables it changed, and which modules were loaded."""
    folder = tmp_path_factory.mktemp("imported")
    home, work, script = folder / "home", folder / "work", folder / "import_all.py"
    home.mkdir()
    work.mkdir()
    script.write_text(IMPORT_ALL, encoding="utf-8")  # ZenML asks for the file of the main module
    # ZenML's own Databricks orchestrator and MLflow tracker, of which ours are subclasses, import the SDK and MLflow.
    names = [name for path in CODE if not (name := module_name(path)).startswith("adapters.databricks.zenml_")]
    done = subprocess.run(
        [sys.executable, "-B", str(script), *names],
        cwd=work,
        env={
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "ZENML_CUSTOM_SOURCE_ROOT": str(ROOT),
            **QUIET,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert [path for place in (home, work) for path in place.rglob("*")] == [], "an import wrote files"
    changed, loaded = ast.literal_eval(done.stdout)
    return changed, loaded


def test_importing_the_project_does_nothing_else(imported: tuple[list[str], list[str]]) -> None:
    changed, loaded = imported
    assert len(loaded) > len(CODE)
    assert set(changed) <= {"TF_CPP_MIN_LOG_LEVEL"}  # ZenML's own


def test_importing_the_project_loads_no_library_that_takes_seconds(imported: tuple[list[str], list[str]]) -> None:
    assert [name for name in SLOW if name in imported[1]] == []


def test_everything_public_says_what_it_is_for() -> None:
    silent = []
    for path in CODE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        members = [tree, *(node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))]
        names = [(getattr(node, "name", "the module"), ast.get_docstring(node)) for node in members]
        silent += [f"{relative(path)}: {name}" for name, text in names if not text and not name.startswith("_")]
    assert silent == []


def test_nothing_is_pickled() -> None:
    forbidden = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
    for path in [*CODE, *(ROOT / "benchmarks").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not forbidden & {name.partition(".")[0] for name in names}, f"{relative(path)}, line {node.lineno}"


def test_what_a_registered_model_carries_is_the_room_that_the_import_rules_guard() -> None:
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter", encoding="utf-8")
    guarded = rules["importlinter:contract:runtime"]["source_modules"].split()
    carried = {module_name(path) for path in closure("churn.model.scorer") if path.suffix == ".py"}
    room = {module_name(path) for path in (ROOT / "churn" / "model").glob("*.py")}
    assert guarded == ["churn.model"]
    assert carried == room | {"churn", "churn.core", "churn.core.canonical", "churn.core.errors", "churn.core.frozen"}


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a path of somebody's machine", r"(?<![\w./}-])/(?:root|home|Users|work|workspace)/\w"),
        ("a host of a private network", r"https?://[^\s/\"']+\.(?:internal|local|corp|lan)\b"),
        ("an address of a private network", r"\b(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\b(?!\.)"),
        ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
        ("a token", r"\b(?:AKIA[0-9A-Z]{16}|dapi[0-9a-f]{32}|gh[pousr]_\w{36}|hf_\w{34})\b"),
        ("a password in an address", r"://[^/\s:@\"'{}]+:[^/\s:@\"'{}]+@"),
    ],
)
def test_no_file_holds(what: str, pattern: str) -> None:
    found = []
    for path in project_files():
        if path.suffix in (".png", ".svg", ".parquet", ".ubj") or path.is_relative_to(ROOT / "tests"):
            continue  # the tests make up what this one looks for
        text = path.read_text(encoding="utf-8")
        found += [f"{relative(path)}: {match[0]}" for match in re.finditer(pattern, text)]
    assert found == [], f"{what} is in the project"

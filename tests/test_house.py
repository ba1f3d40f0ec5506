"""Rules that import-linter cannot state: where files are written, who asks for the time, what a test may import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("churn", "adapters", "steps", "pipelines", "materializers", "cli", "reports")

FILES_WRITTEN = {
    "churn/gate/recipes.py": "a recipe's own features, in a temporary folder, to import them",
    "churn/model/files.py": "a model, into the folder of a package",
    "churn/model/scorer.py": "the scorer's settings, beside the model",
    "churn/training/recipe.py": "a recipe's own features, to import them",
}
"""Modules of the domain that write files, and why; everything else goes through a port. This list only shrinks."""

CLOCKS = {
    "adapters/session.py": "the clock of every use case",
    "adapters/databricks/served_model.py": "a served version runs without the wiring",
    "adapters/local/machine_checks.py": "doctor looks at the machine's clock",
    "adapters/local/tables_on_disk.py": "the default clock of a store",
}
"""Modules that ask the machine for the time, and why; a use case is given a clock. This list only shrinks."""

WRITES = {"write_text", "write_bytes", "mkdir", "touch", "unlink", "rename", "makedirs", "rmtree", "copytree"}
LINES_OF_A_STEP = 10


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def code(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of a module with the last name of what is called."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], node


def writes(name: str, call: ast.Call) -> bool:
    """Return whether a call changes the disk, as far as its name and mode say."""
    if name != "open":
        return name in WRITES or ast.unparse(call.func) in {"os.replace", "os.remove"}
    arguments = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    modes = [str(value.value) for value in arguments if isinstance(value, ast.Constant)]
    return any(set(mode) & set("wax+") for mode in modes)


def test_the_domain_writes_files_in_few_places_and_pages_in_none() -> None:
    found = {relative(path) for path in code("churn", "reports") if any(writes(*call) for call in calls(path))}
    assert found <= FILES_WRITTEN.keys()


def test_a_call_that_writes_is_seen() -> None:
    lines = ["p.write_text('')", "p.open('w')", "open(p, 'ab')", "open(p, mode='x')", "os.replace(a, b)", "p.mkdir()"]
    lines += ["p.open()", "open(p, 'rb')", "text.replace('a', 'b')", "p.read_text()"]
    trees = [ast.parse(line, mode="eval").body for line in lines]
    told = [writes(ast.unparse(tree.func).rpartition(".")[2], tree) for tree in trees if isinstance(tree, ast.Call)]
    assert told == [True] * 6 + [False] * 4


def test_the_time_is_asked_for_in_few_places() -> None:
    asked = ("datetime.now(", "datetime.utcnow(", "date.today(", "Timestamp.now(")
    found = {relative(path) for path in code(*ROOMS) if any(word in path.read_text(encoding="utf-8") for word in asked)}
    assert found <= CLOCKS.keys()


def test_who_runs_it_is_asked_for_in_one_place() -> None:
    found = [relative(path) for path in code(*ROOMS) if "getpass" in path.read_text(encoding="utf-8")]
    assert found == ["adapters/local/ports.py"]


def steps() -> list[tuple[str, ast.FunctionDef]]:
    return [
        (f"{relative(path)}: {node.name}", node)
        for path in code("steps")
        for node in parsed(path).body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(decorator).startswith("step") for decorator in node.decorator_list)
    ]


def test_a_step_calls_a_use_case_and_does_no_more() -> None:
    found = steps()
    assert len(found) >= 13, "the steps of four pipelines"
    lengths = {}
    for name, node in found:
        body = node.body[1:] if ast.get_docstring(node) else node.body
        lengths[name] = (body[-1].end_lineno or 0) - body[0].lineno + 1
    assert {name: lines for name, lines in lengths.items() if lines > LINES_OF_A_STEP} == {}


def private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def private_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield what a test takes from behind a module of the project, with its line: an import, the target of a patch."""
    rooms = (*ROOMS, "tools", "benchmarks")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in rooms:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.partition(".")[0] in rooms]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".setattr", ".delattr", "patch.object")):
            names = [str(value.value) for value in node.args if isinstance(value, ast.Constant)]
        else:
            continue
        yield from ((node.lineno, name) for name in names if private(name))


def test_tests_see_what_everybody_sees() -> None:
    seen = ((relative(path), *name) for path in code("tests") for name in private_names(parsed(path)))
    found = [f"{path}, line {line}: {name}" for path, line, name in seen]
    assert found == []


@pytest.mark.parametrize("line", ["from churn.core import _x", "import churn._x", "patch.setattr('churn.core._x', 1)"])
def test_a_look_behind_a_module_is_seen(line: str) -> None:
    assert list(private_names(ast.parse(line))) == [(1, "churn.core._x" if "core" in line else "churn._x")]

"""Which files a module needs, and their digest."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import churn
from churn.core.codebase import closure, source_digest
from churn.core.errors import ConfigError

CHURN = Path(churn.__file__).parent


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `shop` with most ways to import, in a folder on the Python path."""
    write(
        tmp_path,
        {
            "shop/__init__.py": "",
            "shop/till.py": "from . import coins\nfrom .paper.receipt import print_it\nimport json",
            "shop/coins.py": "def count():\n    from shop.bank import rate\n",
            "shop/bank.py": "rate = 1",
            "shop/paper/__init__.py": "from ..ink import black",
            "shop/paper/receipt.py": "__package_data__ = ('*.html',)\nprint_it = 1",
            "shop/paper/receipt.html": "<p>",
            "shop/paper/poster.html": "<p>",
            "shop/ink.py": "black = 1",
            "shop/typed.py": "import typing\nif typing.TYPE_CHECKING:\n import shop.bank\nelse:\n import shop.ink",
            "shop/lost.py": "from .nowhere import thing",
            "shop/round.py": "from . import trip",
            "shop/trip.py": "from . import round",
            "shop/torn.py": "__package_data__ = ('none/*.css',)",
            "street/__init__.py": "",
            "street/walk.py": "import shop.coins\nimport shop.ink as ink",
        },
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def names(files: tuple[Path, ...], root: Path) -> list[str]:
    return [file.relative_to(root).as_posix() for file in files]


def test_the_code_that_scores_needs_what_a_packaged_model_installs_and_nothing_else() -> None:
    files = closure("churn.model.scorer")
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    absolute = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    libraries = {name.partition(".")[0] for name in plain | absolute} - sys.stdlib_module_names
    assert libraries == {"numpy", "pandas", "pydantic", "xgboost"}
    assert {"__init__", "errors", "frame", "model", "money", "reasons", "scorer"} <= {file.stem for file in files}


def test_imports_are_followed_with_the_package_files_on_the_way(package: Path) -> None:
    assert names(closure("shop.till"), package) == [
        "shop/__init__.py",
        "shop/bank.py",
        "shop/coins.py",
        "shop/ink.py",
        "shop/paper/__init__.py",
        "shop/paper/poster.html",
        "shop/paper/receipt.html",
        "shop/paper/receipt.py",
        "shop/till.py",
    ]


def test_nothing_is_executed(package: Path) -> None:
    (package / "shop" / "bank.py").write_text("raise SystemExit")
    closure("shop.till")
    assert not [module for module in sys.modules if module.partition(".")[0] == "shop"]


def test_what_only_a_type_checker_sees_is_left_out(package: Path) -> None:
    assert names(closure("shop.typed"), package) == ["shop/__init__.py", "shop/ink.py", "shop/typed.py"]


def test_modules_that_import_each_other_end(package: Path) -> None:
    assert names(closure("shop.round"), package) == ["shop/__init__.py", "shop/round.py", "shop/trip.py"]


def test_another_package_is_followed_only_where_one_of_its_modules_is_named(package: Path) -> None:
    alone = ["street/__init__.py", "street/walk.py"]
    assert names(closure("street.walk"), package) == alone
    both = ["shop/__init__.py", "shop/bank.py", "shop/coins.py", "shop/ink.py", *alone]
    assert names(closure("street.walk", "shop"), package) == both


def test_a_module_that_is_not_there_is_named(package: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no module 'shop\.till2'"):
        closure("shop.till2")
    with pytest.raises(ConfigError, match=r"There is no module 'shop\.nowhere'"):
        closure("shop.lost")
    with pytest.raises(ConfigError, match="There is no package 'shopp'"):
        closure("shopp.till")


def test_declared_data_that_is_not_there_is_named(package: Path) -> None:
    with pytest.raises(ConfigError, match=r"none/\*\.css"):
        closure("shop.torn")


def test_the_files_are_found_from_any_folder(tmp_path: Path) -> None:
    code = "from churn.core.codebase import closure; print(*closure('churn.model.scorer'), sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": str(CHURN.parent)}
    found = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True)
    assert found.split() == [str(file) for file in closure("churn.model.scorer")]


def test_the_digest_does_not_depend_on_folder_order_or_line_ends(tmp_path: Path) -> None:
    write(tmp_path / "one", {"a.py": "x = 1\ny = 2\n", "b/c.py": ""})
    (tmp_path / "two" / "b").mkdir(parents=True)
    (tmp_path / "two" / "a.py").write_bytes(b"x = 1\r\ny = 2\r\n")
    (tmp_path / "two" / "b" / "c.py").write_bytes(b"")
    one, two = ([tmp_path / place / name for name in ("a.py", "b/c.py")] for place in ("one", "two"))
    assert source_digest(one) == source_digest(reversed(two))
    assert len(source_digest(one)) == 64


@pytest.mark.parametrize("change", [{"a.py": "x = 2"}, {"a.py": "x = 1", "d.py": ""}, {"e.py": "x = 1"}])
def test_the_digest_changes_with_any_name_or_content(tmp_path: Path, change: dict[str, str]) -> None:
    write(tmp_path / "one", {"a.py": "x = 1", "b.py": ""})
    write(tmp_path / "two", {"b.py": "", **change})
    assert source_digest((tmp_path / "one").iterdir()) != source_digest((tmp_path / "two").iterdir())


def test_content_cannot_move_from_one_file_to_the_next_unseen(tmp_path: Path) -> None:
    write(tmp_path / "one", {"a.py": "xy", "b.py": "z"})
    write(tmp_path / "two", {"a.py": "x", "b.py": "yz"})
    assert source_digest((tmp_path / "one").iterdir()) != source_digest((tmp_path / "two").iterdir())

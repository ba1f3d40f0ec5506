"""The import closure of modules: what travels inside a packaged model, and what a cached step depends on."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from .errors import ConfigError

__all__ = ["closure", "library_versions", "source_digest"]

_DATA = "__package_data__"
_LIBRARIES = ("numpy", "optuna", "pandas", "scikit-learn", "scipy", "xgboost")


def closure(*modules: str) -> tuple[Path, ...]:
    """Return the source files that `modules` need, sorted: their own, and those of every module they import.

    Imports are read from the syntax tree, nothing is executed: those inside functions count, those that only a type
    checker sees do not. They are followed within the top-level packages of `modules`; a library is not source of ours.
    A module that reads files beside it declares them as `__package_data__ = ("templates/*.html",)`, patterns relative
    to its folder.

    Args:
        modules: Dotted names, such as `churn.model.scorer`. Naming one of each package follows imports across packages.

    Returns:
        Absolute paths, the `__init__` file of every package on the way included.

    Raises:
        ConfigError: there is no such module, or a declared file is not there.
    """
    roots = {root: _package_folder(root) for root in {module.partition(".")[0] for module in modules}}
    files: dict[str, Path] = {}
    data: set[Path] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in files:
            continue
        file = _find(module, roots)
        if file is None:
            raise ConfigError(f"There is no module {module!r} in {roots[module.partition('.')[0]]}: correct its name.")
        files[module] = file
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        data.update(_declared_data(tree, file))
        waiting.extend(_parents(module))
        for imported, names in _imports(tree, module, file):
            if imported.partition(".")[0] in roots:
                waiting.append(imported)
                # What is imported from a package may be a module or a name within it; only a file tells them apart.
                waiting.extend(name for name in (f"{imported}.{part}" for part in names) if _find(name, roots))
    return tuple(sorted({*files.values(), *data}))


def source_digest(paths: Iterable[Path]) -> str:
    """Return the sha256 of the files' names and contents, in hexadecimal.

    It is the same in any folder, for any order of `paths` and for both conventions of ending a line.
    """
    files = sorted(paths)
    base = Path(os.path.commonpath([path.parent for path in files])) if files else Path()
    whole = hashlib.sha256()
    for path in files:
        content = path.read_bytes().replace(b"\r\n", b"\n")
        whole.update(f"{path.relative_to(base).as_posix()} {hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()


def library_versions() -> str:
    """Return the versions of the libraries that a result depends on: another version may give another model."""
    return " ".join(f"{library}={version(library)}" for library in _LIBRARIES)


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"There is no package {package!r} on the Python path: install the project or correct the name."
        )
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def _find(module: str, roots: dict[str, Path]) -> Path | None:
    root, *parts = module.split(".")
    if root not in roots:
        return None
    folder = roots[root].joinpath(*parts)
    candidates = (folder / "__init__.py", *([folder.with_suffix(".py")] if parts else []))
    return next((file for file in candidates if file.is_file()), None)


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _imports(tree: ast.Module, module: str, file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each module that is imported, by its full name, with the names imported from it."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in _run(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield base, [alias.name for alias in node.names]


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements that Python runs: what stands under `if TYPE_CHECKING:` is left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            continue  # nine of ten nodes, and none holds a statement
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for statement in child.orelse:
                yield statement
                yield from _run(statement)
        else:
            yield child
            yield from _run(child)


def _declared_data(tree: ast.Module, file: Path) -> Iterator[Path]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == _DATA for t in node.targets):
            for pattern in ast.literal_eval(node.value):
                matches = [path for path in file.parent.glob(pattern) if path.is_file()]
                if not matches:
                    raise ConfigError(
                        f"{file} declares the package data {pattern!r}, and no file matches: correct {_DATA}."
                    )
                yield from matches

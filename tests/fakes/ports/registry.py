"""A model registry in memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from churn.core.errors import NotFound, StoreError
from churn.ports.registry import ModelRegistry, ModelVersion


@dataclass
class _Model:
    versions: dict[int, ModelVersion] = field(default_factory=dict)
    files: dict[int, dict[str, bytes]] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    last: int = 0
    description: str = ""


class InMemoryModelRegistry(ModelRegistry):
    """Keeps every file of a package in memory, so that a registered model survives its folder."""

    def __init__(self, runs: set[str]) -> None:
        self._runs = runs
        self._models: dict[str, _Model] = {}

    def register(
        self, name: str, package: Path, *, description: str, tags: Mapping[str, str], run_id: str
    ) -> ModelVersion:
        if "/" in name or ":" in name or "'" in name:
            raise StoreError(f"{name!r} is no name for a registered model: leave out `/`, `:` and quotes.")
        if not (package / "MLmodel").is_file():
            raise StoreError(f"{package} holds no packaged model (no MLmodel file): build the package first.")
        if run_id not in self._runs:
            raise NotFound(f"There is no run {run_id!r}.")
        model = self._models.setdefault(name, _Model())
        model.last += 1
        model.files[model.last] = {
            str(file.relative_to(package)): file.read_bytes() for file in package.rglob("*") if file.is_file()
        }
        model.versions[model.last] = ModelVersion(
            name, model.last, run_id, description, dict(tags), created_at=dt.datetime.now(dt.UTC)
        )
        return model.versions[model.last]

    def versions(self, name: str) -> list[ModelVersion]:
        model = self._models.get(name, _Model())
        return [self._with_aliases(model, version) for version in sorted(model.versions)]

    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        model = self._models.get(name, _Model())
        return self._with_aliases(model, model.aliases[alias]) if alias in model.aliases else None

    def set_alias(self, name: str, alias: str, version: int) -> None:
        self._model(name, version).aliases[alias] = version

    def delete_alias(self, name: str, alias: str) -> None:
        if name not in self._models:
            raise NotFound(f"There is no model {name!r}.")
        self._models[name].aliases.pop(alias, None)

    def describe(self, name: str, text: str, version: int | None = None) -> None:
        if version is not None:
            model = self._model(name, version)
            model.versions[version] = replace(model.versions[version], description=text)
        elif name not in self._models:
            raise NotFound(f"There is no model {name!r}.")
        else:
            self._models[name].description = text

    def description(self, name: str) -> str:
        """Return what was said of a model."""
        return self._models[name].description

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        model = self._model(name, version)
        model.versions[version] = replace(model.versions[version], tags={**model.versions[version].tags, **tags})

    def delete_version(self, name: str, version: int) -> None:
        model = self._model(name, version)
        if aliases := self._with_aliases(model, version).aliases:
            raise StoreError(f"Version {version} of {name!r} is @{', @'.join(aliases)}: move the alias first.")
        del model.versions[version], model.files[version]

    def download(self, name: str, version: int, into: Path) -> Path:
        folder = into / f"{name}-v{version}"
        for relative, content in self._model(name, version).files[version].items():
            file = folder / relative
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return folder

    def _model(self, name: str, version: int) -> _Model:
        model = self._models.get(name, _Model())
        if version not in model.versions:
            raise NotFound(f"There is no version {version} of {name!r}.")
        return model

    @staticmethod
    def _with_aliases(model: _Model, version: int) -> ModelVersion:
        aliases = tuple(sorted(alias for alias, named in model.aliases.items() if named == version))
        return replace(model.versions[version], aliases=aliases)

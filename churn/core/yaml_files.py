"""Reads YAML into strict models; messages name the file, the key and the nearest valid key."""

from __future__ import annotations

import copy
import reprlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from .errors import ChurnError, nearest

__all__ = ["parse_model", "read_yaml", "unambiguous_yaml"]

Model = TypeVar("Model", bound=BaseModel)

_MAX_MEGABYTES = 1  # PyYAML reads about 0.1 MB a second
_MAX_PROBLEMS = 20
_VALUE = reprlib.Repr()
_VALUE.maxstring = _VALUE.maxother = 200


class _Loader(yaml.SafeLoader):
    """YAML in which a bare Yes or No is text, as in YAML 1.2, and keys are scalars, each once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse duplicated keys, of which PyYAML takes the last, and keys that Python cannot look up."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                problem = "a key is itself a list or a mapping: put text that holds braces or brackets into quotes"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is duplicated", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def unambiguous_yaml(text: str) -> Any:
    """Return what a YAML text holds; a bare Yes or No is text. Raises `yaml.YAMLError`."""
    return copy.deepcopy(_parsed(text))


@lru_cache(maxsize=32)  # a command reads the shipped settings several times, each in 30 ms
def _parsed(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except ValueError as cause:  # a day that is not in the calendar, such as 2024-02-30
        raise yaml.MarkedYAMLError(problem=str(cause)) from cause
    except RecursionError as cause:
        raise yaml.MarkedYAMLError(problem="brackets or keys are nested too deep") from cause


def read_yaml(path: Path, error: type[ChurnError]) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        error: the file cannot be read, is not YAML, or does not hold a mapping.
    """
    try:
        if (size := path.stat().st_size / 1e6) > _MAX_MEGABYTES:
            raise error(f"{path} has {size:.1f} MB, more than the {_MAX_MEGABYTES} MB that are read: check the path.")
        raw = unambiguous_yaml(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise error(f"{path} cannot be read ({cause.strerror}): check the path.") from cause
    except UnicodeDecodeError as cause:
        raise error(f"{path} is not a text file in UTF-8: save it as UTF-8.") from cause
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(cause, "problem", None) or getattr(cause, "reason", "it is not YAML")
        raise error(f"{path} is not valid YAML{where}: {problem}. Correct that line.") from cause
    if not isinstance(raw, dict):
        content = "is empty" if raw is None else f"holds {type(raw).__name__}"
        raise error(f"{path} must hold keys and values; it {content}.")
    return raw


def parse_model(model: type[Model], raw: dict[str, Any], source: str, error: type[ChurnError]) -> Model:
    """Return `raw` as `model`.

    Raises:
        error: naming every wrong key of `source`, with the rule it broke and the nearest valid key.
    """
    try:
        parsed = model.model_validate(raw)
        if wrong := [f"`{where}`: a number is expected, got {value!r}" for where, value in _not_numbers(raw, parsed)]:
            raise error(f"{source}: {'; '.join(wrong)}.")
        return parsed
    except ValidationError as cause:
        errors = cause.errors()
        sentences = [_sentence(model, dict(problem)) for problem in errors[:_MAX_PROBLEMS]]
        if len(errors) > _MAX_PROBLEMS:
            sentences.append(f"and {len(errors) - _MAX_PROBLEMS:,} more problems")
        problems = "; ".join(sentences)
        raise error(f"{source}: {problems}{'' if problems.endswith('?') else '.'}") from cause


def _not_numbers(raw: Any, parsed: Any, where: str = "") -> Iterator[tuple[str, bool]]:
    """Yield the truth values that pydantic has taken for the numbers 0 and 1, each with its place."""
    if isinstance(raw, bool):
        if isinstance(parsed, int | float) and not isinstance(parsed, bool):
            yield where.removeprefix("."), raw
    elif isinstance(raw, Mapping):
        fields = dict(parsed) if isinstance(parsed, BaseModel | Mapping) else {}
        for key, value in raw.items():
            yield from _not_numbers(value, fields.get(key), f"{where}.{key}")
    elif isinstance(raw, list) and isinstance(parsed, list | tuple):
        for index, (value, item) in enumerate(zip(raw, parsed, strict=False)):
            yield from _not_numbers(value, item, f"{where}.{index}")


def _sentence(model: type[BaseModel], problem: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    if problem["type"] == "extra_forbidden":
        valid = _keys_at(model, problem["loc"][:-1])
        hint = nearest(str(problem["loc"][-1]), valid) or f" (valid: {', '.join(valid)})"
        return f"unknown key `{where}`{hint}"
    if problem["type"] == "missing":
        return f"`{where}` is missing"
    message, value = str(problem["msg"]).removeprefix("Value error, "), _VALUE.repr(problem["input"])
    if not where:
        return message
    named = isinstance(problem["input"], dict) or (isinstance(problem["input"], str) and value in message)
    return f"`{where}`: {message}{'' if named else f', got {value}'}"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are valid at `location` within `model`, following fields, mappings and sequences."""
    annotation: Any = model
    for part in location:
        models = _models_in(annotation)
        field = next((m.model_fields[part] for m in models if isinstance(part, str) and part in m.model_fields), None)
        annotation = field.annotation if field is not None else annotation
    return sorted({key for candidate in _models_in(annotation) for key in candidate.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]

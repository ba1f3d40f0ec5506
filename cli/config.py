"""The settings: what is in force, what a key means, and who set it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from churn.core.errors import ConfigError, nearest
from churn.core.yaml_files import read_yaml
from churn.profile import Profile
from churn.settings import Settings

from .console import plain_console, table
from .context import CONFIGS, chosen_stack, configuration_of, overrides_of
from .output import print_json, wants_json

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["config_explain", "config_schema", "config_show", "setting_keys"]

_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "keys and values",
    "null": "null",
}
_RANGE = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "pattern": "of the form",
}


def config_show(arguments: argparse.Namespace) -> int:
    """Print the settings in force, as YAML."""
    shown = _in_force(arguments)
    if wants_json(arguments):
        print_json(shown)
        return 0
    print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), end="")
    return 0


def config_schema(arguments: argparse.Namespace) -> int:
    """Print the JSON schema of the settings."""
    print(json.dumps(Settings.model_json_schema(), indent=2))
    return 0


def config_explain(arguments: argparse.Namespace) -> int:
    """Print what a key means, what it may be, its default, its value and who set it; of a section, its keys."""
    key, node = arguments.key, _node(arguments.key)
    default, value = _at(_shipped(arguments), key), _at(_in_force(arguments), key)
    facts = {
        "key": key,
        "meaning": _description(node),
        "type": _type(node),
        "default": default,
        "value": value,
        "set_by": _set_by(arguments, key),
    }
    if wants_json(arguments):
        print_json({**facts, "exit": 0})
        return 0
    console = plain_console()
    console.print(key)
    words = {**facts, "default": _written(default), "value": f"{_written(value)}, set by {facts['set_by']}"}
    below = node.get("properties", {})
    for name in ("meaning",) if below else ("meaning", "type", "default", "value"):
        if words[name]:
            console.print(f"  {name:<8} {words[name]}")
    if below:
        listed = table("key", "value", "meaning")
        for name in below:
            listed.add_row(f"{key}.{name}", _written(_at(value, name)), _description(_node(f"{key}.{name}")))
        console.print(listed)
    return 0


def setting_keys() -> list[str]:
    """Return the keys of all settings, as `--set` takes them."""

    def keys(schema: Mapping[str, Any], defined: Mapping[str, Any], path: str) -> Iterator[str]:
        for name, node in schema.get("properties", {}).items():
            below = defined[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
            yield from keys(below, defined, f"{path}{name}.") if below.get("properties") else [f"{path}{name}"]

    domain, machine = _schema(Settings), _schema(Profile)
    return [*keys(domain, domain["$defs"], ""), *keys(machine, machine["$defs"], "profile.")]


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _node(key: str) -> dict[str, Any]:
    """Return what the schema says of a key; raises ConfigError where there is none, with the nearest."""
    machine = key.partition(".")[0] == "profile"
    schema = _schema(Profile if machine else Settings)
    node: dict[str, Any] = schema
    for name in key.split(".")[1 if machine else 0 :]:
        below = node.get("properties", {}).get(name) or node.get("additionalProperties")
        if not isinstance(below, dict):
            keys = setting_keys()
            alike = [setting for setting in keys if setting.rpartition(".")[2] == name]
            hint = f"; did you mean {alike[0]!r}?" if alike else nearest(key, keys) or ": `config show` lists all."
            raise ConfigError(f"There is no setting {key!r}{hint}")
        if "$ref" in below:
            below = {**schema["$defs"][below["$ref"].rpartition("/")[2]], **below}
        node = {**below, "$defs": schema.get("$defs", {})}
    return node


def _description(node: Mapping[str, Any]) -> str:
    return " ".join(str(node.get("description", "")).split())


def _type(node: Mapping[str, Any]) -> str:
    """Return what a value may be, in words."""
    if "$ref" in node:
        return _TYPES["object"]
    if options := node.get("anyOf") or node.get("oneOf"):
        return " or ".join(dict.fromkeys(map(_type, options)))
    if "enum" in node:
        return f"one of {', '.join(map(str, node['enum']))}"
    if node.get("type") == "array":
        return f"list of {_type(node.get('items', {}))}"
    kind = {"date-time": "time (UTC)", "path": "path"}.get(node.get("format", "")) or _TYPES.get(
        node.get("type", ""), ""
    )
    return ", ".join([kind or "any", *(f"{words} {node[name]}" for name, words in _RANGE.items() if name in node)])


def _in_force(arguments: argparse.Namespace) -> dict[str, Any]:
    settings, profile = configuration_of(arguments)
    return {**settings.model_dump(mode="json"), "profile": profile.model_dump(mode="json")}


def _shipped(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        **read_yaml(CONFIGS / "base.yaml", ConfigError),
        "profile": read_yaml(CONFIGS / f"{_stack(arguments)}.yaml", ConfigError),
    }


def _stack(arguments: argparse.Namespace) -> str:
    return getattr(arguments, "stack", None) or chosen_stack()


def _at(values: Any, key: str) -> Any:
    for name in key.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _set_by(arguments: argparse.Namespace, key: str) -> str:
    """Return where the value in force comes from."""
    for override in reversed(overrides_of(arguments)):
        name = override.partition("=")[0].strip()
        if f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}."):
            return f"the command line ({override})"
    extra, file = getattr(arguments, "config", None), "base.yaml"
    if extra is not None and _at(read_yaml(extra, ConfigError), key) is not None:
        return str(extra)
    if key == "dataset" and _at(_in_force(arguments), key) != _at(_shipped(arguments), key):
        return "`use`"
    if key.startswith("profile"):
        file = f"{_stack(arguments)}.yaml"
    return f"configs/{file}"


def _written(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

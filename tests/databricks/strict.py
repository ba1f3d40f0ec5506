"""Holds the body of a request against the SDK's own method and dataclasses: what they do not know is refused."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import typing
from collections.abc import Callable
from functools import cache
from typing import Any

from .http import refusal

__all__ = ["check", "parsed"]

_SCALARS = {bool: bool, int: int, str: str, float: (int, float)}


def check(method: Callable[..., Any], body: dict[str, Any], *path: str) -> None:
    """Refuse a body whose keys are no parameters of an SDK method; `path` names those that stand in the address."""
    hints = _hints(method)
    for name, value in body.items():
        if name not in hints or name in path:
            raise _unknown(name)
        _check(value, hints[name], name)
    needed = [
        name
        for name, parameter in inspect.signature(method).parameters.items()
        if parameter.default is parameter.empty and name not in ("self", *path) and name not in body
    ]
    if needed:
        raise refusal(400, "INVALID_PARAMETER_VALUE", f"Missing required field: {needed[0]}")


def parsed(kind: Any, body: dict[str, Any]) -> Any:
    """Return a body as one of the SDK's dataclasses, of which it has no other keys."""
    _check(body, kind, "")
    return kind.from_dict(body)


def _check(value: Any, hint: Any, where: str) -> None:
    if value is None:
        return
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union:
        (hint,) = [kind for kind in inner if kind is not type(None)]
        return _check(value, hint, where)
    if origin is list:
        _expect(isinstance(value, list), where, "a list", value)
        for index, item in enumerate(value):
            _check(item, inner[0], f"{where}[{index}]")
    elif origin is dict:
        _expect(isinstance(value, dict), where, "an object", value)
        for name, item in value.items():
            _check(item, inner[1], f"{where}.{name}")
    elif dataclasses.is_dataclass(hint):
        _expect(isinstance(value, dict), where, "an object", value)
        hints = _hints(hint)
        for name, item in value.items():
            if name not in hints:
                raise _unknown(f"{where}.{name}".strip("."))
            _check(item, hints[name], f"{where}.{name}".strip("."))
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        known = [member.value for member in hint]
        _expect(value in known, where, f"one of {', '.join(known)}", value)
    elif hint in _SCALARS:
        fits = isinstance(value, _SCALARS[hint]) and (hint is bool or not isinstance(value, bool))
        _expect(fits, where, hint.__name__, value)
    return None


@cache
def _hints(known: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(known)
    return {name: hint for name, hint in hints.items() if name != "return"}


def _unknown(name: str) -> Exception:
    return refusal(400, "INVALID_PARAMETER_VALUE", f"Cannot find field: {name}")


def _expect(fits: bool, where: str, what: str, value: Any) -> None:
    if not fits:
        raise refusal(400, "INVALID_PARAMETER_VALUE", f"{where} must be {what}, not {value!r}")

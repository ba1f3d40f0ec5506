"""The base classes of values: immutable, and strict about their fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Finite", "Frozen"]


class Frozen(BaseModel):
    """An immutable value; a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Finite(Frozen):
    """A frozen value whose numbers are neither infinite nor NaN, so that JSON can hold them."""

    model_config = ConfigDict(allow_inf_nan=False)

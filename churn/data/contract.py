"""The dataset contract: what a table of customers must look like, and what its columns mean."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ..core.clock import UtcTime
from ..core.errors import ContractError, nearest
from ..core.frozen import Frozen
from ..core.yaml_files import parse_model, read_yaml
from ..model.features import FeatureFunction, FeatureSpec, check_features, load_functions
from ..model.frame import Kind, canonical_text
from ..ports.tables import TableSpec
from .file_format import FileFormat
from .tables import EVENT_TIME, RESERVED, TABLES, TableName

__all__ = ["ColumnSpec", "DatasetContract", "EventTime", "Label", "snake_case"]

_IDENTIFIER = re.compile(r"^[a-z][a-z0-9_]*$")
_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d"})
"""Letters that are no plain letter with an accent."""


def snake_case(name: str) -> str:
    """Return a column name as the tables spell it: `customerID` and `Customer ID` are `customer_id`, `año` is `ano`.

    Letters of other alphabets become their code points, so that different names stay different.
    """
    parts = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    plain = "".join(letter for letter in parts if not unicodedata.combining(letter)).strip()
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain)
    latin = "".join(f"u{ord(sign):x}" if sign.isalpha() and not sign.isascii() else sign for sign in spaced)
    return re.sub(r"[^0-9a-zA-Z]+", "_", latin).strip("_").lower()


class ColumnSpec(Frozen):
    """One input column: its type, what values it may hold, and how to speak of it."""

    type: Literal["categorical", "integer", "number"]
    description: str = Field(description="A few words for reports and reason codes, such as 'months as a customer'.")
    nullable: bool = False
    allowed: tuple[str, ...] | None = Field(default=None, description="Every value a categorical column may hold.")
    min: float | None = Field(default=None, description="The smallest value a numeric column may hold.")
    max: float | None = Field(default=None, description="The largest value a numeric column may hold.")
    actionable: bool = Field(default=False, description="Whether the business can change it for a customer.")
    aliases: tuple[str, ...] = Field(default=(), description="Other names the source may use for this column.")

    @field_validator("allowed", mode="before")
    @classmethod
    def _as_text(cls, values: object) -> object:
        return tuple(dict.fromkeys(map(canonical_text, values))) if isinstance(values, list | tuple) else values

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> Self:
        if self.type == "categorical" and (self.min is not None or self.max is not None):
            raise ValueError("a categorical column has `allowed` values, not `min` and `max`")
        if self.type != "categorical" and self.allowed is not None:
            raise ValueError("a numeric column has `min` and `max`, not `allowed` values")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` {self.min:g} is above `max` {self.max:g}")
        return self

    @property
    def kind(self) -> Kind:
        """How the domain computes on the column."""
        return "categorical" if self.type == "categorical" else "numeric"


class EventTime(Frozen):
    """When the facts of a row were true."""

    column: str | None = Field(default=EVENT_TIME, description="The source's column; null where it has none.")
    as_of: UtcTime | None = Field(default=None, description="Stands for every row of a source without the column.")
    format: str | None = Field(
        default=None, description="How it is written: '%d/%m/%Y', 'unix seconds'; null: ISO 8601."
    )
    arrived_at: str | None = Field(default=None, description="The source's column that says when a row could be seen.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.column is None and self.as_of is None:
            raise ValueError("name the `column` of the event time, or give the `as_of` that holds for every row")
        return self


class Label(Frozen):
    """The outcome: churn within `window_days` after the event time, known `delay_days` after the window closed."""

    column: str
    positive: str = Field(description="The value that means the customer churned.")
    negative: str = Field(description="The value that means the customer stayed.")
    window_days: int = Field(ge=0, description="Length of the outcome window in days.")
    delay_days: int = Field(default=0, ge=0, description="Days from the window's end until the outcome is known.")
    known_at: str | None = Field(default=None, description="The source's column that says when the outcome was known.")

    @field_validator("positive", "negative", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return canonical_text(value) if isinstance(value, bool | int | float | str) else value

    @model_validator(mode="after")
    def _two_values(self) -> Self:
        if self.positive == self.negative:
            raise ValueError(f"`positive` and `negative` are both {self.positive!r}")
        return self


class DatasetContract(Frozen):
    """What one business's customer table promises; one YAML file under `configs/datasets/`."""

    name: str = Field(description="The dataset's name: its tables live under it.")
    description: str
    entity_key: str = Field(description="The column that identifies a customer.")
    numbered_rows: bool = Field(
        default=False, description="The source has no key: `entity_key` is the number of a row in its delivery."
    )
    event_time: EventTime = EventTime()
    label: Label
    active_days: int | None = Field(
        default=None,
        ge=0,
        description="A customer whose newest row lies more days than this before the newest of all has left; null "
        "means the label's window.",
    )
    columns: dict[str, ColumnSpec] = Field(min_length=1)
    features: tuple[FeatureSpec, ...] = ()
    feature_module: Path | None = Field(default=None, description="A Python file with feature functions of your own.")
    feature_digest: str | None = Field(default=None, description="SHA-256 of that file, filled in when it is read.")
    monthly_revenue: str | None = Field(default=None, description="The column with a customer's revenue in a month.")
    slices: tuple[str, ...] = Field(default=(), description="Columns by whose values quality is reported.")
    file_format: FileFormat = Field(default=FileFormat(), description="How delivered files are written.")
    source: Literal["table", "simulation"] = Field(
        default="table", description="Where rows come from: tables delivered with --data, or the `simulator`."
    )
    simulator: str | None = Field(default=None, description="The simulation that makes up the rows.")
    truth: str | None = Field(default=None, description="A simulation's column of true probabilities; never a feature.")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a contract from a YAML file; `feature_module` and `base` are relative to it.

        A contract with a `base`, the name of another contract beside it, says what the base says, but for the keys
        that it has itself.

        Raises:
            ContractError: the file is not there, is not YAML, or breaks a rule; the message names key and remedy.
        """
        raw = _built_on_its_base(path)
        if isinstance(raw.get("feature_module"), str):
            raw["feature_module"] = str((path.parent / raw["feature_module"]).resolve())
        contract = parse_model(cls, raw, str(path), ContractError)
        check_features(contract.features, contract.kinds, contract.functions)
        # So that other feature functions are another contract: to the cache of a step, and to a tuning study.
        module = contract.feature_module
        digest = hashlib.sha256(module.read_bytes()).hexdigest() if module else None
        return contract.model_copy(update={"feature_digest": digest})

    @field_validator("name", "entity_key")
    @classmethod
    def _identifier(cls, value: str) -> str:
        if not _IDENTIFIER.match(value):
            raise ValueError(f"{value!r} is not a lower-case name of letters, digits and underscores")
        return value

    @model_validator(mode="after")
    def _simulation_is_named(self) -> Self:
        if self.source == "simulation" and self.simulator is None:
            raise ValueError("`source: simulation` needs the name of a simulation in `simulator`")
        return self

    @model_validator(mode="after")
    def _columns_are_inputs(self) -> Self:
        for name in self.columns:
            if not _IDENTIFIER.match(name):
                raise ValueError(f"the column {name!r} must be written as its normalised name, {snake_case(name)!r}")
            if name in RESERVED:
                raise ValueError(
                    f"{name!r} is a column that the tables have themselves: call it {name + '_input'!r}, and list the "
                    "source's name under its `aliases`"
                )
        for role, taken in self.roles.items():
            if taken in self.columns:
                raise ValueError(f"{taken!r} is the {role} and must not be in `columns`: the model would learn from it")
        return self

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        for role, name in [("monthly_revenue", self.monthly_revenue), *(("slices", name) for name in self.slices)]:
            if name is not None and name not in self.columns:
                raise ValueError(f"`{role}` names {name!r}, which is not in `columns`{nearest(name, self.columns)}")
        if self.monthly_revenue and self.columns[self.monthly_revenue].type == "categorical":
            raise ValueError(f"`monthly_revenue` names {self.monthly_revenue!r}, which is not a number")
        return self

    @property
    def roles(self) -> dict[str, str]:
        """The columns that are no inputs of a model, by their role."""
        named = {
            "entity_key": self.entity_key,
            "event time": self.event_time.column,
            "arrival time": self.event_time.arrived_at,
            "label": self.label.column,
            "label's time": self.label.known_at,
            "truth of a simulation": self.truth,
        }
        return {role: name for role, name in named.items() if name is not None}

    @property
    def kinds(self) -> dict[str, Kind]:
        """How each input column is computed on."""
        return {name: column.kind for name, column in self.columns.items()}

    @cached_property
    def functions(self) -> Mapping[str, FeatureFunction]:
        """The feature functions: built in and the user's own."""
        return load_functions(self.feature_module)

    @property
    def slice_names(self) -> dict[str, str]:
        """The columns of `slices` by what reports call them: the description, with the name where two share one."""
        words = {name: self.columns[name].description for name in self.slices}
        shared = [text for text, count in Counter(words.values()).items() if count > 1]
        return {f"{text} ({name})" if text in shared else text: name for name, text in words.items()}

    @property
    def stored_features(self) -> tuple[FeatureSpec, ...]:
        """The features that the feature table holds; the others are computed on demand."""
        return tuple(spec for spec in self.features if not spec.on_demand)

    @property
    def active_within(self) -> dt.timedelta:
        """How much older than the newest row of all that of an active customer may be."""
        return dt.timedelta(days=self.label.window_days if self.active_days is None else self.active_days)

    @property
    def digest(self) -> str:
        """A digest of everything the contract says of rows, wherever its file lies and however files are written."""
        silent = set() if self.numbered_rows else {"numbered_rows"}
        whole = self.model_dump_json(exclude={"feature_module", "file_format", "active_days", *silent})
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def table(self, name: TableName) -> TableSpec:
        """Return one of the dataset's tables."""
        return TABLES[name].spec(self.entity_key)


def _built_on_its_base(path: Path) -> dict[str, Any]:
    """Return what a contract file says, with what its base says where it is silent; a base has no base."""
    raw = read_yaml(path, ContractError)
    if "base" not in raw:
        return raw
    name = raw.pop("base")
    base = path.parent / f"{name}.yaml"
    if not base.is_file():
        contracts = sorted(file.stem for file in path.parent.glob("*.yaml") if file != path)
        raise ContractError(
            f"{path} is built on the contract {name!r}, and there is no {base}{nearest(str(name), contracts) or '.'}"
        )
    inherited = read_yaml(base, ContractError)
    if "base" in inherited:
        raise ContractError(f"{path} is built on {base}, which has a `base` itself: name a contract without one.")
    return {**inherited, **raw}

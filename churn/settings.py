"""Every setting of a run: domain values of base.yaml, a machine's profile, and the user's overrides."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml
from pydantic import Field, field_validator, model_validator

from .approval.settings import ApprovalSettings, RolloutSettings
from .campaign.settings import CampaignSettings
from .core.clock import UtcTime
from .core.cron import Cron
from .core.errors import ConfigError, nearest
from .core.frozen import Frozen
from .core.yaml_files import parse_model, read_yaml, unambiguous_yaml
from .data.contract import DatasetContract
from .data.labels import SplitSettings
from .data.leakage import LeakageSettings
from .data.tables import RetentionSettings
from .data.validation import ValidationSettings
from .evaluation.evaluate import EvaluationSettings
from .gate.settings import GateRules, GateSettings
from .model.money import MoneySettings
from .model.scorer import ReasonSettings
from .monitoring.settings import MonitoringSettings
from .profile import Profile, with_text_replaced
from .scoring.settings import InferenceSettings, ServingSettings
from .simulation.simulate import SimulationSettings
from .training.search import TuningSettings
from .training.train import ModelSettings

__all__ = [
    "Configuration",
    "ScheduleSettings",
    "Settings",
    "load_contract",
    "read_configuration",
    "registered_name",
]


class ScheduleSettings(Frozen):
    """When each recurring job runs, by cron expressions in UTC; null: it does not recur."""

    predictions_move: Cron | None = Field(default="*/10 * * * *", description="`endpoint predictions move`.")
    features_publish: Cron | None = Field(default="0 4 * * *", description="`features publish`.")
    inference: Cron | None = Field(default="0 5 * * 1", description="`--pipeline inference`.")
    monitoring: Cron | None = Field(default="0 6 * * *", description="`--pipeline monitoring`.")
    rollout_check: Cron | None = Field(default="0 * * * *", description="`rollout check`.")
    campaign_effect: Cron | None = Field(default="0 7 * * 1", description="`campaign effect`.")
    data_vacuum: Cron | None = Field(default="0 2 * * 0", description="`data vacuum`.")


class TrainingSetSettings(Frozen):
    """Which outcomes may be learned from."""

    cutoff: UtcTime | None = Field(default=None, description="Nothing known after it is used; null means now. UTC.")


class Settings(Frozen):
    """Every domain value of a run: the same on a laptop and on Databricks."""

    dataset: str = Field(description="A contract under configs/datasets/, by name, or the path of a contract file.")
    data: Path | None = Field(default=None, description="A table to deliver to the data set.")
    model_name: str = Field(description="The registered model; `{dataset}` stands for the data set's name.")
    seed: int = Field(ge=0, lt=2**31, description="Seed of everything random.")
    simulation: SimulationSettings
    validation: ValidationSettings
    split: SplitSettings
    retention: RetentionSettings
    training_set: TrainingSetSettings
    leakage: LeakageSettings
    model: ModelSettings
    tuning: TuningSettings
    evaluation: EvaluationSettings
    money: MoneySettings
    reasons: ReasonSettings
    gate: GateSettings
    approval: ApprovalSettings
    inference: InferenceSettings
    serving: ServingSettings
    rollout: RolloutSettings
    campaign: CampaignSettings
    monitoring: MonitoringSettings
    schedule: ScheduleSettings

    @field_validator("model_name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[\w. -]+", value.replace("{dataset}", "x")):
            raise ValueError("use letters, digits, spaces, `_`, `-`, `.` and `{dataset}` alone")
        return value

    @model_validator(mode="after")
    def _salts_differ(self) -> Self:
        if self.campaign.salt == self.split.salt:
            raise ValueError(
                f"`campaign.salt` and `split.salt` are both {self.split.salt!r}: the control group of a campaign would "
                "be customers of the holdout, so choose another `campaign.salt`"
            )
        return self

    def registered_name(self, contract: DatasetContract) -> str:
        """Return the name of the data set's registered model."""
        return registered_name(self.model_name, contract)

    def gate_rules(self, threads: int) -> GateRules:
        """Return what a gate is run with; `threads` change no result. Its capacity is the campaign's if it has none."""
        capacity = self.gate.capacity if self.gate.capacity is not None else self.campaign.capacity
        return GateRules(
            gate=self.gate.model_copy(update={"capacity": capacity or None}),
            money=self.money,
            evaluation=self.evaluation,
            reasons=self.reasons,
            split=self.split.tag,
            seed=self.seed,
            threads=threads,
        )


def registered_name(template: str, contract: DatasetContract) -> str:
    """Return the name of a data set's registered model, `{dataset}` in the template replaced."""
    return template.replace("{dataset}", contract.name)


class _Whole(Settings):
    """Both together, so that one message names every wrong key."""

    profile: Profile


class Configuration(NamedTuple):
    """What a command runs with: domain values, and the machine or cloud it runs on."""

    settings: Settings
    profile: Profile


def read_configuration(
    configs: Path,
    stack: str = "local",
    extra: Path | None = None,
    overrides: Iterable[str] = (),
    *,
    defaults: Iterable[str] = (),
    project: Path | None = None,
    remembered: Callable[[Path], str | None] = lambda _: None,
) -> Configuration:
    """Read `base.yaml` and the profile, then the user's file, then the overrides; later ones win.

    Args:
        configs: The folder of `base.yaml` and the profiles.
        stack: Name of the profile file, without `.yaml`.
        project: What a relative state folder is relative to; by default the parent of `configs`.
        remembered: Returns the data set that was chosen for a state folder, if any; a file or an override wins over it.
        extra: A file with any of the keys of `base.yaml`, and those of the profile below `profile`.
        overrides: `key.path=value`, the value written as in YAML.
        defaults: The same, in which a command differs from `base.yaml` unless the user says otherwise.

    Raises:
        ConfigError: a file is missing or malformed, a key is unknown (with the nearest valid one), a value is wrong, or
            a release would publish to a file that ends with its job.
    """
    profiles = sorted(path.stem for path in configs.glob("*.yaml") if path.stem != "base")
    if stack not in profiles:
        hint = nearest(stack, profiles) or "."
        raise ConfigError(f"There is no stack {stack!r}; configs/ has: {', '.join(profiles)}{hint}")
    overriding: dict[str, Any] = {} if extra is None else read_yaml(extra, ConfigError)
    for override in overrides:
        overriding = _merged(overriding, _override(override))
    shipped = {
        **read_yaml(configs / "base.yaml", ConfigError),
        "profile": read_yaml(configs / f"{stack}.yaml", ConfigError),
    }
    for default in defaults:
        shipped = _merged(shipped, _override(default))
    raw = _merged(shipped, overriding)
    machine = raw["profile"]
    if isinstance(machine, Mapping) and isinstance(machine.get("state"), str):
        folder = ((project or configs.resolve().parent) / Path(machine["state"]).expanduser()).resolve()
        raw["profile"] = with_text_replaced({**machine, "state": str(folder)}, "{state}", str(folder))
        if "dataset" not in overriding:
            raw["dataset"] = remembered(folder) or raw["dataset"]
    # A value of the profile may be a secret that is refused: its key alone is repeated.
    named = [text.partition("=")[0] if text.strip().startswith("profile") else text for text in overrides]
    source = " + ".join(["base.yaml", f"{stack}.yaml", *([extra.name] if extra else []), *named])
    whole = parse_model(_Whole, raw, source, ConfigError)
    if whole.serving.deploy != "never":
        whole.profile.check_online_store()
    return Configuration(Settings(**{name: getattr(whole, name) for name in Settings.model_fields}), whole.profile)


def load_contract(configs: Path, dataset: str) -> DatasetContract:
    """Return the contract named `dataset` under `configs/datasets/`, or the one in the file `dataset`.

    Raises:
        ConfigError: there is neither; the message lists the contracts there are.
        ContractError: the contract is wrong.
    """
    shipped = {path.stem: path for path in sorted((configs / "datasets").glob("*.yaml"))}
    path = shipped.get(dataset, Path(dataset))
    if not path.is_file():
        hint = nearest(dataset, shipped) or "."
        raise ConfigError(
            f"There is no dataset contract {dataset!r}, neither a file nor one of {', '.join(shipped)}{hint} "
            "`run.py dataset infer FILE` drafts one from your table."
        )
    return DatasetContract.load(path)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in over.items():
        old = both.get(key)
        both[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return both


def _override(text: str) -> dict[str, Any]:
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set {text!r} is not of the form key.path=value, such as tuning.max_trials=5.")
    try:
        parsed: Any = unambiguous_yaml(value)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "see its quotes and brackets"
        raise ConfigError(f"--set {text!r}: the value is not valid YAML ({problem}): correct or quote it.") from error
    for key in reversed(path.strip().split(".")):
        parsed = {key: parsed}
    nested: dict[str, Any] = parsed
    return nested

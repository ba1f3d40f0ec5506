"""Checks of a version alone: digest, description, lineage, latency, size."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from statistics import median

import numpy as np
import pandas as pd

from ..data.contract import DatasetContract, Label
from ..model.scorer import LEAVE, TREAT, ReasonSettings
from ..ports.registry import MODEL_DIGEST
from .inputs import JudgedVersion
from .report import Check, run_check
from .settings import GateSettings

__all__ = ["CpuTimer", "latency_check", "soundness_checks"]

_LINEAGE = ("data_digest", "data_version", "git_commit", "config_digest", "recipe_digest", "trained_until")
_CARD = ("metric_roc_auc", "metric_log_loss", "threshold_f1")
_MIN_WORDS = 5
_SINGLE = 15
"""Customers that are scored one by one."""
_REPEATS, _MIN_SECONDS = 5, 0.5
"""A measurement is repeated so often, and no more once it is within its limit and took so many seconds."""
_QUIET = 1.25
"""On a machine with nothing else to do, the median repeat takes less than so many times the CPU time of the fastest,
and the wall time is less than so many times the CPU time."""
_AS_SLOW = 1.1
"""A version that takes up to so many times the champion's CPU time is no slower than it."""


def soundness_checks(
    version: JudgedVersion,
    contract: DatasetContract,
    customers: pd.DataFrame,
    settings: GateSettings,
    reasons: ReasonSettings,
    *,
    champion: JudgedVersion | None = None,
) -> list[Check]:
    """Return every check that needs the version alone.

    Args:
        version: The challenger, loaded by its registered digest.
        contract: The dataset's contract as it is now.
        customers: Fresh rows with raw contract columns, at least one.
        settings: Budgets.
        reasons: Which reasons predictions come with.
        champion: The version that is live; only the latency is held against it.
    """
    sample = _Scored(version, customers)
    checks: dict[str, Callable[[], Check]] = {
        "digest": lambda: _digest(version),
        "description": lambda: _description(version),
        "signature": lambda: _signature(version),
        "model_card": lambda: _model_card(version),
        "lineage": lambda: _lineage(version),
        "contract": lambda: _contract(version, contract),
        "predictions": lambda: _predictions(sample),
        "reasons": lambda: _reasons(sample, reasons),
        "latency": lambda: latency_check(version, champion, customers, settings),
        "size": lambda: _size(version, settings),
    }
    return [run_check(name, check) for name, check in checks.items()]


@dataclass(frozen=True)
class _Scored:
    """A version and a sample of customers; they are scored once, for all checks that need it."""

    version: JudgedVersion
    customers: pd.DataFrame

    @cached_property
    def batch(self) -> pd.DataFrame:
        return self.version.score(self.customers)


def _digest(version: JudgedVersion) -> Check:
    registered = version.version.tags.get(MODEL_DIGEST, "")
    return Check.of(
        "digest",
        bool(registered),
        value=registered[:12],
        threshold="registered digest",
        yes="What was loaded is, byte for byte, what was registered; nothing in it is pickled.",
        no="The version carries no digest, so nobody can tell whether it is the model that was trained: register "
        "models with `python run.py --pipeline training`.",
    )


def _description(version: JudgedVersion) -> Check:
    words = len(version.version.description.split())
    return Check.of(
        "description",
        words >= _MIN_WORDS,
        value=words,
        threshold=_MIN_WORDS,
        yes="The version says what it is and what it was trained on.",
        no=f"The description has {words} words: say what the model is in the registry, in at least {_MIN_WORDS}.",
    )


def _signature(version: JudgedVersion) -> Check:
    return Check.of(
        "signature",
        bool(version.inputs),
        value=f"{len(version.inputs)} columns",
        threshold="at least 1",
        yes="The version declares the columns that it reads and what it returns.",
        no="The version declares no signature: its callers cannot know what to send.",
    )


def _model_card(version: JudgedVersion) -> Check:
    missing = ["its model card"] * (not version.card.strip())
    missing += [tag for tag in _CARD if not {tag, tag.replace("_", ".", 1)} & version.version.tags.keys()]
    return Check.of(
        "model_card",
        not missing,
        value=f"{len(version.card.split())} words",
        threshold="a card, metrics and thresholds",
        yes="The version has a model card, with its metrics and thresholds.",
        no=f"The version lacks {', '.join(missing)}: train it again.",
    )


def _lineage(version: JudgedVersion) -> Check:
    missing = [tag for tag in _LINEAGE if not version.version.tags.get(tag)]
    missing += ["run"] * (version.version.run_id is None)
    tags, packaged = version.version.tags, version.metadata
    changed = [tag for tag in _LINEAGE if tag in tags and str(packaged.get(tag, tags[tag])) != tags[tag]]
    if changed:
        tag = changed[0]
        sentence = (
            f"The tag `{tag}` was changed in the registry: it says {tags[tag]!r}, and the package "
            f"{str(packaged[tag])!r}. Restore it (`python run.py ui`), and look into who changed it."
        )
        return Check(name="lineage", verdict="fail", value=tags[tag], threshold=str(packaged[tag]), sentence=sentence)
    return Check.of(
        "lineage",
        not missing,
        value=f"{len(_LINEAGE) + 1 - len(missing)} of {len(_LINEAGE) + 1}",
        threshold="all",
        yes="Data, code, settings and run that made the version are on record.",
        no=f"Nobody can tell where the version comes from; it lacks {', '.join(missing)}.",
    )


def _contract(version: JudgedVersion, contract: DatasetContract) -> Check:
    if version.version.tags.get("contract_digest") == contract.digest:
        return Check(
            name="contract",
            verdict="pass",
            value="unchanged",
            threshold="compatible",
            sentence="The data contract is the one that the version was trained under.",
        )
    trained_under = version.recipe.contract
    missing = sorted(set(trained_under["columns"]) - set(contract.columns))
    other = [
        *(["entity_key"] if trained_under["entity_key"] != contract.entity_key else []),
        *(["label"] if Label.model_validate(trained_under["label"]) != contract.label else []),
    ]
    types = sorted(
        name
        for name, column in contract.columns.items()
        if name in trained_under["columns"] and trained_under["columns"][name]["type"] != column.type
    )
    trouble = [
        *(f"the column {name} is gone" for name in missing),
        *(f"the type of {name} changed" for name in types),
        *(f"{name} changed" for name in other),
    ]
    return Check.of(
        "contract",
        not trouble,
        value="changed",
        threshold="compatible",
        yes="The data contract changed since, and still holds every column that the version reads.",
        no=f"The data contract changed and the version cannot be used: {'; '.join(trouble)}. Train under the new one.",
    )


def _predictions(sample: _Scored) -> Check:
    """Score a batch, and each of some customers alone: the same row must get the same prediction."""
    batch, rows = sample.batch, range(min(_SINGLE, len(sample.customers)))
    probability = batch["probability"].to_numpy(dtype=np.float64)
    valid = bool(np.all(np.isfinite(probability) & (probability >= 0) & (probability <= 1)))
    decided = bool(batch["decision"].isin([TREAT, LEAVE]).all() and np.isfinite(batch["expected_value"]).all())
    alone = [sample.version.score(sample.customers.iloc[[row]])["probability"].iloc[0] for row in rows]
    gap = float(np.max(np.abs(np.array(alone) - probability[: len(alone)])))
    return Check.of(
        "predictions",
        valid and decided and gap <= 1e-9,
        value=gap,
        threshold=1e-9,
        yes=f"On {len(batch):,} rows that no training saw it gives probabilities and decisions, alone as in a batch.",
        no="On rows that no training saw it gives values that are no probabilities or decisions."
        if not (valid and decided)
        else f"A customer scored alone differs from the same customer in a batch by up to {gap:.2g}.",
    )


def _reasons(sample: _Scored, settings: ReasonSettings) -> Check:
    """Every reason must begin with the contract's words for a column or a feature, and some customer must get one."""
    contract = sample.version.recipe.contract
    words = tuple(part["description"] for part in [*contract["columns"].values(), *contract["features"]])
    by_customer = [list(reasons) for reasons in sample.batch["reasons"]]
    foreign = [reason for reasons in by_customer for reason in reasons if not str(reason).startswith(words)]
    share = sum(map(bool, by_customer)) / len(by_customer)
    return Check.of(
        "reasons",
        not foreign and (share > 0 or not settings.top),
        value=share,
        threshold="in the contract's words",
        yes=f"{share:.0%} of these rows get reasons for a raised risk, all in the words of the contract.",
        no=f"A reason such as {foreign[0]!r} is not in the words of the contract."
        if foreign
        else "No row gets a reason: see `reasons` in the settings.",
    )


@dataclass(frozen=True)
class CpuTimer:
    """Times a call by the CPU seconds of all threads of this process.

    Attributes:
        cpu: CPU seconds of the process so far.
        wall: Seconds of a clock on the wall.
    """

    cpu: Callable[[], float] = time.process_time
    wall: Callable[[], float] = time.perf_counter

    def fastest(self, call: Callable[[], object], limit: float) -> tuple[float, bool]:
        """Return the CPU seconds of the fastest of several calls, and whether the machine was quiet.

        What other processes do can only make a call slower, so the fastest call is nearest to what the work takes.
        Calls are repeated until `limit` (seconds) is kept and half a second was spent, five times at most.
        """
        cpu: list[float] = []
        wall: list[float] = []
        while len(cpu) < _REPEATS and (not cpu or min(cpu) > limit or sum(wall) < _MIN_SECONDS):
            wall_before, cpu_before = self.wall(), self.cpu()
            call()
            cpu.append(self.cpu() - cpu_before)
            wall.append(self.wall() - wall_before)
        steady = median(cpu) <= _QUIET * min(cpu)
        waited = min(wall) > _QUIET * min(cpu)
        return min(cpu), steady and not waited


def latency_check(
    version: JudgedVersion,
    champion: JudgedVersion | None,
    customers: pd.DataFrame,
    settings: GateSettings,
    timer: CpuTimer | None = None,
) -> Check:
    """Hold the CPU time of scoring with reasons against the limits, and where it exceeds one, against the champion's.

    Above a limit, a version passes if it is no slower than the champion in the same process, fails if it is slower and
    the machine was quiet, and is `unmeasured` if it was not.

    Args:
        version: The challenger.
        champion: The version that is live, or None.
        customers: Rows with raw contract columns.
        settings: The limits.
        timer: None for the clocks of this process.
    """
    timer, samples = timer or CpuTimer(), (customers, customers.iloc[[0]])
    limits = (settings.max_seconds_per_1000 * len(customers) / 1000, settings.max_single_ms / 1000)

    def measured(candidate: JudgedVersion) -> list[tuple[float, bool]]:
        calls = (partial(candidate.score, rows) for rows in samples)
        return [timer.fastest(call, limit) for call, limit in zip(calls, limits, strict=True)]

    seconds, quiet = zip(*measured(version), strict=True)
    value = f"{1000 * seconds[0] / len(customers):.2f} CPU s for 1,000, {1000 * seconds[1]:.0f} CPU ms for one"
    threshold = f"{settings.max_seconds_per_1000:g} CPU s, {settings.max_single_ms:g} CPU ms"
    result = partial(Check, name="latency", value=value, threshold=threshold)
    if _within(seconds, limits):
        return result(verdict="pass", sentence=f"Scoring with reasons takes {value}.")
    if champion is not None:
        allowed = [max(limit, _AS_SLOW * time_) for limit, (time_, _) in zip(limits, measured(champion), strict=True)]
        if _within(seconds, allowed):
            return result(verdict="pass", sentence=f"Scoring with reasons takes {value}, no more than the champion.")
    if not all(quiet):
        again = "Run the gate again when less runs beside it."
        return result(verdict="unmeasured", sentence=f"The machine was too busy to measure: {value}. {again}")
    return result(verdict="fail", sentence=f"Scoring with reasons is too slow: {value}.")


def _within(seconds: Sequence[float], limits: Sequence[float]) -> bool:
    return all(time_ <= limit for time_, limit in zip(seconds, limits, strict=True))


def _size(version: JudgedVersion, settings: GateSettings) -> Check:
    megabytes = version.size / 1e6
    return Check.of(
        "size",
        megabytes <= settings.max_megabytes,
        value=megabytes,
        threshold=settings.max_megabytes,
        yes=f"The package has {megabytes:.1f} MB.",
        no=f"The package has {megabytes:.0f} MB, more than the {settings.max_megabytes:g} MB allowed.",
    )

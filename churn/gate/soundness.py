"""Whether a version is what was registered, describes itself, and answers as a service must."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..data.contract import DatasetContract
from ..model.scorer import LEAVE, TREAT, ReasonSettings
from ..ports.registry import MODEL_DIGEST
from .checks import Check, answer
from .settings import GateSettings

if TYPE_CHECKING:
    from .candidate import Candidate

__all__ = ["soundness_checks"]

_LINEAGE = ("data_digest", "data_version", "git_commit", "config_digest", "recipe_digest", "trained_until")
_CARD = ("metric.roc_auc", "metric.log_loss", "threshold.f1")
_WORDS = 5
_TIMED = 15  # single customers


def soundness_checks(
    candidate: Candidate,
    contract: DatasetContract,
    customers: pd.DataFrame,
    settings: GateSettings,
    reasons: ReasonSettings,
) -> list[Check]:
    """Return every check that needs the version alone.

    Args:
        candidate: The version, loaded by its registered digest.
        contract: The dataset's contract as it is now.
        customers: Fresh rows with raw contract columns, at least one.
        settings: Budgets.
        reasons: Which reasons predictions come with.
    """
    asked: dict[str, Callable[[], Check]] = {
        "digest": lambda: _digest(candidate),
        "description": lambda: _description(candidate),
        "signature": lambda: _signature(candidate),
        "model_card": lambda: _model_card(candidate),
        "lineage": lambda: _lineage(candidate),
        "contract": lambda: _contract(candidate, contract),
        "predictions": lambda: _predictions(candidate, customers),
        "reasons": lambda: _reasons(candidate, customers, reasons),
        "latency": lambda: _latency(candidate, customers, settings),
        "size": lambda: _size(candidate, settings),
    }
    return [answer(name, ask) for name, ask in asked.items()]


def _digest(candidate: Candidate) -> Check:
    registered = candidate.version.tags.get(MODEL_DIGEST, "")
    return Check.of(
        "digest",
        bool(registered),
        value=registered[:12],
        threshold="registered digest",
        yes="What was loaded is, byte for byte, what was registered; nothing in it is pickled.",
        no="The version carries no digest, so nobody can tell whether it is the model that was trained: register "
        "models with `python run.py --pipeline training`.",
    )


def _description(candidate: Candidate) -> Check:
    words = len(candidate.version.description.split())
    return Check.of(
        "description",
        words >= _WORDS,
        value=words,
        threshold=_WORDS,
        yes="The version says what it is and what it was trained on.",
        no=f"The description has {words} words: say what the model is in the registry, in at least {_WORDS}.",
    )


def _signature(candidate: Candidate) -> Check:
    return Check.of(
        "signature",
        bool(candidate.inputs),
        value=f"{len(candidate.inputs)} columns",
        threshold="at least 1",
        yes="The version declares the columns that it reads and what it returns.",
        no="The version declares no signature: its callers cannot know what to send.",
    )


def _model_card(candidate: Candidate) -> Check:
    missing = ["its model card"] * (not candidate.card.strip())
    missing += [tag for tag in _CARD if tag not in candidate.version.tags]
    return Check.of(
        "model_card",
        not missing,
        value=f"{len(candidate.card.split())} words",
        threshold="a card, metrics and thresholds",
        yes="The version has a model card, with its metrics and thresholds.",
        no=f"The version lacks {', '.join(missing)}: train it again.",
    )


def _lineage(candidate: Candidate) -> Check:
    missing = [tag for tag in _LINEAGE if not candidate.version.tags.get(tag)]
    missing += ["run"] * (candidate.version.run_id is None)
    return Check.of(
        "lineage",
        not missing,
        value=f"{len(_LINEAGE) + 1 - len(missing)} of {len(_LINEAGE) + 1}",
        threshold="all",
        yes="Data, code, settings and run that made the version are on record.",
        no=f"Nobody can tell where the version comes from; it lacks {', '.join(missing)}.",
    )


def _contract(candidate: Candidate, contract: DatasetContract) -> Check:
    if candidate.version.tags.get("contract_digest") == contract.digest:
        return Check(
            name="contract",
            verdict="pass",
            value="unchanged",
            threshold="compatible",
            sentence="The data contract is the one that the version was trained under.",
        )
    own = candidate.recipe.contract
    missing = sorted(set(own["columns"]) - set(contract.columns))
    other = [name for name in ("entity_key", "label") if own[name] != contract.model_dump(mode="json")[name]]
    types = sorted(
        name
        for name, column in contract.columns.items()
        if name in own["columns"] and own["columns"][name]["type"] != column.type
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


def _predictions(candidate: Candidate, customers: pd.DataFrame) -> Check:
    """Score a batch, and each of some customers alone: the same row must get the same answer."""
    batch = candidate.score(customers)
    probability = batch["probability"].to_numpy(dtype=np.float64)
    valid = bool(np.all(np.isfinite(probability) & (probability >= 0) & (probability <= 1)))
    decided = bool(batch["decision"].isin([TREAT, LEAVE]).all() and np.isfinite(batch["expected_value"]).all())
    alone = [candidate.score(customers.iloc[[row]])["probability"].iloc[0] for row in range(min(_TIMED, len(batch)))]
    gap = float(np.max(np.abs(np.array(alone) - probability[: len(alone)])))
    return Check.of(
        "predictions",
        valid and decided and gap <= 1e-9,
        value=gap,
        threshold=1e-9,
        yes=f"On {len(batch):,} fresh customers it gives probabilities and decisions, alone as in a batch.",
        no="On fresh customers it gives values that are no probabilities or decisions."
        if not (valid and decided)
        else f"A customer scored alone differs from the same customer in a batch by up to {gap:.2g}.",
    )


def _reasons(candidate: Candidate, customers: pd.DataFrame, settings: ReasonSettings) -> Check:
    """Every reason must begin with the contract's words for a column or a feature, and some customer must get one."""
    own = candidate.recipe.contract
    words = tuple(each["description"] for each in [*own["columns"].values(), *own["features"]])
    given = [list(reasons) for reasons in candidate.score(customers)["reasons"]]
    strange = [reason for reasons in given for reason in reasons if not str(reason).startswith(words)]
    share = sum(map(bool, given)) / len(given)
    return Check.of(
        "reasons",
        not strange and (share > 0 or not settings.top),
        value=share,
        threshold="in the contract's words",
        yes=f"{share:.0%} of customers get reasons for a raised risk, all in the words of the contract.",
        no=f"A reason such as {strange[0]!r} is not in the words of the contract."
        if strange
        else "No customer gets a reason: see `reasons` in the settings.",
    )


def _latency(candidate: Candidate, customers: pd.DataFrame, settings: GateSettings) -> Check:
    started = time.perf_counter()
    candidate.score(customers)
    per_1000 = (time.perf_counter() - started) * 1000 / len(customers)
    single = 1000 * median(_seconds(candidate, customers.iloc[[row % len(customers)]]) for row in range(_TIMED))
    within = per_1000 <= settings.max_seconds_per_1000 and single <= settings.max_single_ms
    found = f"{per_1000:.2f} s for 1,000, {single:.0f} ms for one"
    return Check.of(
        "latency",
        within,
        value=found,
        threshold=f"{settings.max_seconds_per_1000:g} s, {settings.max_single_ms:g} ms",
        yes=f"Scoring takes {found}.",
        no=f"Scoring is too slow: {found}.",
    )


def _seconds(candidate: Candidate, customer: pd.DataFrame) -> float:
    started = time.perf_counter()
    candidate.score(customer)
    return time.perf_counter() - started


def _size(candidate: Candidate, settings: GateSettings) -> Check:
    megabytes = candidate.size / 1e6
    return Check.of(
        "size",
        megabytes <= settings.max_megabytes,
        value=megabytes,
        threshold=settings.max_megabytes,
        yes=f"The package has {megabytes:.1f} MB.",
        no=f"The package has {megabytes:.0f} MB, more than the {settings.max_megabytes:g} MB allowed.",
    )

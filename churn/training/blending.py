"""Chooses the blend: the mean of those candidates' log-odds that has the least out-of-fold log loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.frozen import Frozen
from ..evaluation.ranking import logit_losses
from ..model.frame import FloatArray, IntArray

__all__ = ["Blend", "BlendScore", "Difference", "choose_blend", "mean_logit", "paired_difference"]

Blend = tuple[str, ...]
"""The candidates whose log-odds are averaged, in the order of the settings."""


class Difference(NamedTuple):
    """A mean difference over rows and its standard error over customers."""

    mean: float
    se: float


class BlendScore(Frozen):
    """How one blend did out of fold."""

    members: Blend
    log_loss: float
    se: float
    behind_default: float
    behind_default_se: float
    default: bool
    chosen: bool


def paired_difference(
    left: FloatArray, right: FloatArray, customer: IntArray, weight: FloatArray | None = None
) -> Difference:
    """Return the mean of `left - right` over rows, and its standard error when whole customers vary, not rows.

    The error is that of a ratio of two sums over customers (the cluster-robust or linearised estimate, Cochran 1977).

    Args:
        left: A number for each row, shape `(n_rows,)`.
        right: The same of what it is held against.
        customer: Each row's customer as a number, shape `(n_rows,)`.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.
    """
    gap = left - right
    mean = float(np.average(gap, weights=weight))
    off, total = (gap - mean, len(gap)) if weight is None else ((gap - mean) * weight, np.sum(weight))
    scatter = np.bincount(customer, weights=off)
    clusters = len(scatter)
    correction = clusters / (clusters - 1) if clusters > 1 else np.inf
    return Difference(mean, float(np.sqrt(correction * np.sum(scatter**2)) / total))


def mean_logit(oof: Mapping[str, FloatArray], blend: Blend) -> FloatArray:
    """Return the mean log-odds of the blend's members, shape `(n_rows,)`."""
    return np.asarray(np.mean([oof[name] for name in blend], axis=0))


def choose_blend(
    oof: Mapping[str, FloatArray],
    label: npt.NDArray[np.int8],
    customer: IntArray,
    default: Blend,
    *,
    apart: Sequence[str] = (),
    weight: FloatArray | None = None,
) -> tuple[Blend, tuple[BlendScore, ...]]:
    """Return the blend to use, and how every blend did, least loss first.

    It is the default unless the blend with the least loss beats it by more than one standard error of their paired
    difference. So chance does not decide, and the kind of model stays the same from run to run.

    Args:
        oof: Out-of-fold log-odds of each candidate, shape `(n_rows,)`.
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        customer: Each row's customer as a number, shape `(n_rows,)`.
        default: The blend that needs no proof.
        apart: Candidates of which a blend may hold one at most, as a model carries one ensemble of trees.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.
    """
    losses = {blend: logit_losses(label, mean_logit(oof, blend)) for blend in _blends(tuple(oof), apart)}
    least = min(losses, key=lambda blend: float(np.average(losses[blend], weights=weight)))
    gain = paired_difference(losses[default], losses[least], customer, weight)
    chosen = least if gain.mean > gain.se else default
    scores = []
    for blend, loss in losses.items():
        mean_loss = paired_difference(loss, np.zeros_like(loss), customer, weight)
        behind = paired_difference(loss, losses[default], customer, weight)
        scores.append(
            BlendScore(
                members=blend,
                log_loss=mean_loss.mean,
                se=mean_loss.se,
                behind_default=behind.mean,
                behind_default_se=behind.se,
                default=blend == default,
                chosen=blend == chosen,
            )
        )
    return chosen, tuple(sorted(scores, key=lambda score: score.log_loss))


def _blends(candidates: Sequence[str], apart: Sequence[str]) -> list[Blend]:
    blends = (blend for size in range(1, len(candidates) + 1) for blend in combinations(candidates, size))
    return [blend for blend in blends if len(set(blend) & set(apart)) <= 1]

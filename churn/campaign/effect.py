"""The effect of campaigns: churn and money of the contacted against the control group, once outcomes are known.

Both groups were drawn by a hash of the customer from those whom the campaign would have contacted, so that they differ
by the contact and by chance alone. Everybody on the list counts as contacted, whether they were reached or not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from ..core.estimate import Estimate
from ..core.frozen import Finite
from ..model.frame import FloatArray
from ..model.money import Acceptance, MoneySettings
from .interval import detectable_drop
from .plan import CONTROL, TREATMENT

__all__ = [
    "AcceptancePosterior",
    "CampaignEffect",
    "GroupOutcome",
    "ReadOut",
    "SegmentEffect",
    "Verdict",
    "acceptance_posterior",
    "campaign_effect",
    "loss_difference",
]

Verdict = Literal["earned", "lost", "kept", "unclear", "too early", "no control group"]
"""`earned` and `lost`: the interval of the net amount lies on one side of 0; `kept`: fewer of the contacted churned,
and whether that paid is open; `unclear`: the groups are too small to tell; the others say why nothing was compared."""

_FEWEST = 30
"""Known outcomes that a group of a segment needs before the segment is shown."""
_SHOWN = 12
_RATES, _BASES = 1_000, 65


class GroupOutcome(Finite):
    """One group of a comparison.

    Attributes:
        customers: Customers of the group, each counted once a campaign.
        known: Those whose outcome is known; nothing is said of the others.
        churned: Those of them who churned.
        predicted: Churn that the model predicted of the known ones, without any contact, 0 to 1; None without any.
    """

    customers: int
    known: int
    churned: int
    predicted: float | None

    @property
    def churn(self) -> float | None:
        """The share that churned, 0 to 1."""
        return self.churned / self.known if self.known else None


class SegmentEffect(Finite):
    """The difference within one segment; the intervals of all segments hold together (Bonferroni).

    Attributes:
        column: A column of the contract.
        value: Its value.
        contacted: Known outcomes of the contacted.
        control: Known outcomes of the control group.
        drop: Churn of the control group less that of the contacted, -1 to 1.
    """

    column: str
    value: str
    contacted: int
    control: int
    drop: Estimate


class AcceptancePosterior(Finite):
    """What is believed of the acceptance rate after the outcomes.

    Attributes:
        prior: The setting.
        mean: Posterior mean, 0 to 1.
        lower: Lower end of the posterior interval.
        upper: Its upper end.
        fitted: The Beta distribution with the posterior's mean and variance, which `money.acceptance` could be set to.
    """

    prior: Acceptance
    mean: float
    lower: float
    upper: float
    fitted: Acceptance


class CampaignEffect(Finite):
    """What one campaign changed, or all campaigns with one control group.

    Attributes:
        campaigns: Their batches, in the order of their planning.
        salt: By which the control group was drawn.
        measured_at: When the outcomes were read (UTC).
        known_from: From when on all outcomes may be known, in the time of the data (UTC).
        currency: Of all amounts.
        confidence: Of all intervals.
        contacted: The contacted.
        control: The control group.
        drop: Churn of the control group less that of the contacted, -1 to 1; None where nothing can be compared.
        detectable_drop: The smallest fall that groups of this size show four times in five (two-sided test at 5 %).
        saved: What fewer customers lost are worth, over all contacted with a known outcome.
        spent: What their contacts and incentives cost.
        net: Saved less spent.
        acceptance: What the outcomes say of the acceptance rate.
        segments: Segments with enough customers in both groups.
        control_contacted: Contacts of customers of the control group that were made outside the product meanwhile.
        verdict: See `Verdict`.
    """

    campaigns: tuple[str, ...]
    salt: str
    measured_at: dt.datetime
    known_from: dt.datetime
    currency: str
    confidence: float
    contacted: GroupOutcome
    control: GroupOutcome
    drop: Estimate | None
    detectable_drop: float | None
    saved: Estimate | None
    spent: float
    net: Estimate | None
    acceptance: AcceptancePosterior
    segments: tuple[SegmentEffect, ...]
    control_contacted: int
    verdict: Verdict


class ReadOut(Finite):
    """What campaigns changed, or why there is nothing to read out yet.

    Attributes:
        effect: All campaigns with one control group; None where none was planned.
        nothing: Why there is no effect; empty where there is one.
    """

    effect: CampaignEffect | None = None
    nothing: str = ""


def campaign_effect(
    followed: pd.DataFrame,
    money: MoneySettings,
    *,
    salt: str,
    measured_at: dt.datetime,
    known_from: dt.datetime,
    confidence: float = 0.95,
    segments: Sequence[str] = (),
    control_contacted: int = 0,
) -> CampaignEffect:
    """Compare the contacted with the control group, by what became of both.

    Args:
        followed: A row for each customer of each campaign: `batch_id`, `customer`, `group` (treatment or control),
            `probability`, `customer_value`, `churned` (1, 0, NaN while it is not known), and the columns in `segments`.
        money: The economics: what a contact and an incentive cost, and the prior of the acceptance rate.
        salt: By which the control group was drawn.
        measured_at: When the outcomes were read (UTC).
        known_from: From when on all outcomes may be known (UTC).
        confidence: Share of the intervals, between 0 and 1.
        segments: Columns of `followed` by whose values the difference is shown too.
        control_contacted: See `CampaignEffect`.
    """
    mature = _comparable(followed[followed["churned"].notna()])
    groups = {name: _group(followed[followed["group"] == name]) for name in (TREATMENT, CONTROL)}
    contacted = mature[mature["group"] == TREATMENT]
    comparable = len(contacted) > 0
    drop = saved = net = None
    if comparable:
        drop = _churn_difference(mature, confidence)
        lost, cost = mature["churned"] * mature["customer_value"], _cost(mature, money)
        min_se = drop.se * float(mature["customer_value"].mean())
        saved, net = (
            loss_difference(mature, loss.to_numpy(), confidence, min_se=min_se).scaled(len(contacted))
            for loss in (lost, lost + cost)
        )
    return CampaignEffect(
        campaigns=tuple(dict.fromkeys(followed["batch_id"])),
        salt=salt,
        measured_at=measured_at,
        known_from=known_from,
        currency=money.currency,
        confidence=confidence,
        contacted=groups[TREATMENT],
        control=groups[CONTROL],
        drop=drop,
        detectable_drop=_detectable(mature),
        saved=saved,
        spent=float(_cost(mature, money).sum()),
        net=net,
        acceptance=acceptance_posterior(_counts(mature), money.acceptance, confidence),
        segments=tuple(_segments(mature, segments, confidence)),
        control_contacted=control_contacted,
        verdict=_verdict(groups, drop, net),
    )


def loss_difference(mature: pd.DataFrame, loss: FloatArray, confidence: float, *, min_se: float = 0.0) -> Estimate:
    """Return by how much the mean loss of the control group exceeds that of the contacted.

    The means are taken within each campaign and weighted by its contacts. The standard error takes the customer, who
    may be in several campaigns, as the unit that was drawn (Liang and Zeger 1986, Biometrika 73:13-22).

    Args:
        mature: Rows with known outcomes of campaigns that have both groups; see `campaign_effect`.
        loss: What each row lost, shape `(n_rows,)`.
        confidence: Share of the interval.
        min_se: The standard error is taken to be no less: groups without a churner would else seem certain.
    """
    from scipy.special import ndtri

    is_contacted = (mature["group"] == TREATMENT).to_numpy()
    keys = [mature["batch_id"], mature["group"]]
    values = pd.Series(loss, index=mature.index)
    means, sizes = (values.groupby(keys).transform(kind).to_numpy() for kind in ("mean", "size"))
    contacts = mature["batch_id"].map(mature.loc[is_contacted, "batch_id"].value_counts()).to_numpy()
    weight = contacts / is_contacted.sum() / sizes * np.where(is_contacted, -1.0, 1.0)
    influence = pd.Series(weight * (loss - means)).groupby(mature["customer"].to_numpy()).sum()
    point, se = float(np.sum(weight * loss)), max(float(np.sqrt(np.sum(influence.to_numpy() ** 2))), min_se)
    reach = float(ndtri((1 + confidence) / 2)) * se
    return Estimate(point=point, lower=point - reach, upper=point + reach, se=se)


def acceptance_posterior(
    counts: Sequence[tuple[int, int, int, int]], prior: Acceptance, confidence: float = 0.95
) -> AcceptancePosterior:
    """Return what is believed of the acceptance rate once outcomes are known.

    Of the contacted a share `p0 · (1 - gamma)` churns where `p0` of the control group does. `p0` is taken as equally
    likely everywhere and integrated out, for each campaign by itself; gamma has the prior `Beta(alpha, beta)`. A
    customer in several campaigns counts as several.

    Args:
        counts: For each campaign: contacted, churned of them, control group, churned of them.
        prior: The setting.
        confidence: Share of the interval.
    """
    gamma = (np.arange(_RATES) + 0.5) / _RATES
    log_density = (prior.alpha - 1) * np.log(gamma) + (prior.beta - 1) * np.log1p(-gamma)
    for contacted, lost, control, left in counts:
        log_density += _log_likelihood(gamma, contacted, lost, control, left)
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    mean = float(weight @ gamma)
    # Within a step of the grid the rate is taken as evenly spread.
    variance = float(weight @ (gamma - mean) ** 2) + 1 / (12 * _RATES**2)
    total = mean * (1 - mean) / variance - 1
    reached = np.cumsum(weight)
    lower, upper = (float(gamma[np.searchsorted(reached, share)]) for share in _tails(confidence))
    return AcceptancePosterior(
        prior=prior,
        mean=mean,
        lower=lower,
        upper=upper,
        fitted=Acceptance(alpha=mean * total, beta=(1 - mean) * total),
    )


def _log_likelihood(gamma: FloatArray, contacted: int, lost: int, control: int, left: int) -> FloatArray:
    """Return the log-likelihood of each acceptance rate, shape `(n_rates,)`, with the base rate integrated out."""
    refused = 1 - gamma
    churned, stayed, remained = lost + left + 0.5, contacted - lost + 0.5, control - left + 0.5
    whole = churned + stayed + remained
    a, b = refused * whole, churned * (1 + refused) + stayed * refused + remained
    best = 2 * churned / (b + np.sqrt(np.maximum(b**2 - 4 * a * churned, 0)))
    best = np.clip(best, 1e-9, 1 - 1e-9)
    spread = 1 / np.sqrt(np.maximum(best * (1 - best) * whole * 0.05, 1e-3))
    steps = np.linspace(-8, 8, _BASES)
    # The bulk of the integrand lies within a few standard errors of its maximum, on the scale of the log-odds.
    base = 1 / (1 + np.exp(-(np.log(best / (1 - best))[:, None] + np.minimum(spread, 1.0)[:, None] * steps)))
    churn = base * refused[:, None]
    terms = (
        lost * np.log(churn)
        + (contacted - lost) * np.log1p(-churn)
        + left * np.log(base)
        + (control - left) * np.log1p(-base)
        + np.log(base * (1 - base))
    )
    highest = terms.max(axis=1)
    sums = np.exp(terms - highest[:, None]).sum(axis=1) * np.minimum(spread, 1.0)
    return np.asarray(highest + np.log(sums))


def _tails(confidence: float) -> tuple[float, float]:
    return (1 - confidence) / 2, (1 + confidence) / 2


def _comparable(mature: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of campaigns in which some outcome of both groups is known."""
    groups = mature.groupby("batch_id")["group"].nunique()
    return mature[mature["batch_id"].isin(groups.index[groups == 2])].reset_index(drop=True)


def _group(rows: pd.DataFrame) -> GroupOutcome:
    mature = rows[rows["churned"].notna()]
    return GroupOutcome(
        customers=len(rows),
        known=len(mature),
        churned=int(mature["churned"].sum()),
        predicted=float(mature["probability"].mean()) if len(mature) else None,
    )


def _cost(mature: pd.DataFrame, money: MoneySettings) -> pd.Series:
    """Return what each row cost: the contact, and the incentive of everybody who was offered it and stayed."""
    spent = money.contact_cost + money.incentive_cost * (1 - mature["churned"])
    return spent.where(mature["group"] == TREATMENT, 0.0)


def _churn_difference(mature: pd.DataFrame, confidence: float) -> Estimate:
    """Return the difference in churn, with an interval that holds in small groups too (Agresti and Caffo 2000)."""
    # Two more customers in each group, one of whom churned: without a churner the error would else be none.
    sizes = [(len(group) + 2, group["churned"].sum() + 1) for _, group in mature.groupby("group")]
    min_se = float(np.sqrt(sum(churned * (size - churned) / size**3 for size, churned in sizes)))
    difference = loss_difference(mature, mature["churned"].to_numpy(dtype=np.float64), confidence, min_se=min_se)
    return difference.model_copy(update={"lower": max(difference.lower, -1.0), "upper": min(difference.upper, 1.0)})


def _detectable(mature: pd.DataFrame) -> float | None:
    if mature.empty:
        return None
    sizes = _sizes(mature)
    return detectable_drop((mature["churned"].sum() + 1) / (len(mature) + 2), sizes[TREATMENT], sizes[CONTROL])


def _counts(mature: pd.DataFrame) -> list[tuple[int, int, int, int]]:
    counts = []
    for _, rows in mature.groupby("batch_id", sort=False):
        groups = [rows.loc[rows["group"] == name, "churned"] for name in (TREATMENT, CONTROL)]
        contacted, control = ((len(churned), int(churned.sum())) for churned in groups)
        counts.append((*contacted, *control))
    return counts


class _Segment(NamedTuple):
    column: str
    value: str
    rows: pd.DataFrame


def _segments(mature: pd.DataFrame, columns: Sequence[str], confidence: float) -> list[SegmentEffect]:
    """Return the difference in each segment that has enough customers, the largest segments first."""
    segments = [
        _Segment(column, str(value), rows)
        for column in columns
        for value, group in mature.groupby(column, observed=True)
        if len(rows := _comparable(group)) and min(_sizes(rows).values()) >= _FEWEST
    ]
    segments = sorted(segments, key=lambda segment: -len(segment.rows))[:_SHOWN]
    return [
        SegmentEffect(
            column=segment.column,
            value=segment.value,
            contacted=_sizes(segment.rows)[TREATMENT],
            control=_sizes(segment.rows)[CONTROL],
            drop=_churn_difference(segment.rows, 1 - (1 - confidence) / len(segments)),
        )
        for segment in segments
    ]


def _sizes(rows: pd.DataFrame) -> Mapping[str, int]:
    return {name: int((rows["group"] == name).sum()) for name in (TREATMENT, CONTROL)}


def _verdict(groups: Mapping[str, GroupOutcome], drop: Estimate | None, net: Estimate | None) -> Verdict:
    if not groups[CONTROL].customers:
        return "no control group"
    if drop is None or net is None:
        return "too early"
    if net.lower > 0:
        return "earned"
    if net.upper < 0:
        return "lost"
    return "kept" if drop.lower > 0 else "unclear"

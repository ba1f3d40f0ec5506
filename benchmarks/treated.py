"""What it costs to learn from outcomes that campaigns have changed, and what the control group mends.

    python benchmarks/treated.py [--customers 3000] [--months 12] [--seeds 0-2] [--incentive 10]

A simulated telephone provider (`churn.simulation`) contacts whom its model says to contact, every month: a contacted
customer accepts the offer by chance, and who accepts stays for the outcome window. The model is trained anew every
third month on the outcomes that are known then. One company learns from all outcomes as they are, one leaves out those
of the contacted, and one weights the control group too (`churn.data.untreated`). Chance is the same for all three.
Printed, with standard errors over the seeds: by how many points the churn that is predicted for those worth contacting
differs from the truth (without contact), what the decisions miss of what the true probabilities would earn, and how
the companies' earnings differ.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from adapters.local.feature_store import LocalFeatureStore
from benchmarks.measure import print_row, seeds
from churn.campaign.settings import CampaignSettings
from churn.core.shares import hash_shares
from churn.data.contract import DatasetContract
from churn.data.ingest import Source, conform, to_bronze
from churn.data.labels import SplitSettings, labels_of
from churn.data.training_set import bronze_to_features, customer_values, read_side, read_training_set
from churn.data.untreated import CONTROL, TREATMENT, ContactHistory
from churn.model.frame import FloatArray
from churn.model.model import ChurnModel
from churn.model.money import MoneySettings, expected_value, treatment_pays
from churn.settings import load_contract
from churn.simulation.company import Company
from churn.simulation.simulate import SimulationSettings
from churn.training.train import ModelSettings, train

Policy = Literal["as they are", "left out", "weighted"]
POLICIES: tuple[Policy, ...] = ("as they are", "left out", "weighted")
_CAMPAIGN = CampaignSettings()
_MODEL = ModelSettings(candidates=("additive", "boosting"))
_PAST, _EVERY = 9, 3


@dataclass
class Provider:
    """One company with its tables, its contacts, and the model that chooses."""

    policy: Policy
    contract: DatasetContract
    company: Company
    store: LocalFeatureStore
    money: MoneySettings
    model: ChurnModel | None = None
    contacts: list[pd.DataFrame] = field(default_factory=list)
    rested_until: dict[str, dt.datetime] = field(default_factory=dict)
    bias: list[float] = field(default_factory=list)
    earned: list[float] = field(default_factory=list)
    missed: list[float] = field(default_factory=list)

    def live(self, month: int) -> None:
        """Take in what is delivered, train where it is time to, contact, and let the month pass."""
        now = self.company.now
        batch = conform(Source("the provider", self.company.delivery()), self.contract)
        bronze = self.store.upsert(self.contract.table("bronze"), to_bronze(batch.frame, self.contract))
        rows = self.store.read(bronze)
        features = self.store.replace(self.contract.table("features"), bronze_to_features(rows, self.contract))
        labels = self.store.replace(self.contract.table("labels"), self._labels(rows))
        training = self.contract.table("training")
        if month % _EVERY == 0:
            joined = self.store.point_in_time_join(labels, features, training, known_by=now)
            side, _ = read_side(self.store, joined, self.contract, "train", limit=_MODEL.max_rows, seed=0)
            self.model = train(side.data, self.contract, _MODEL, seed=0).model
        self._contact(rows, now)

    def _labels(self, bronze: pa.Table) -> pa.Table:
        history = None
        if self.contacts and self.policy != "as they are":
            history = ContactHistory.of(pd.concat(self.contacts, ignore_index=True))
        labels = labels_of(bronze, self.contract, SplitSettings(), history)
        if history is not None and self.policy == "left out":
            weight = pa.compute.min_element_wise(labels["untreated_weight"], 1.0)
            labels = labels.set_column(labels.column_names.index("untreated_weight"), "untreated_weight", weight)
        return labels

    def _contact(self, bronze: pa.Table, now: dt.datetime) -> None:
        """Contact whose treatment pays by the model, but for the control group and who was contacted lately."""
        keys = np.array(self.company.keys().to_pylist(), dtype=object)
        rows = bronze_to_features(bronze, self.contract).to_pandas()
        newest = rows[rows["transaction_ts"] == rows["transaction_ts"].max()].set_index(self.contract.entity_key)
        table = pa.Table.from_pandas(
            newest.loc[keys].reset_index().assign(label=0, label_ts=now, split="", feature_ts=now)
        )
        scored = read_training_set(table, self.contract)
        value, truth = customer_values(scored, self.contract, self.money), self.company.today.truth
        assert self.model is not None
        predicted = self.model.probability(scored.columns)
        held = hash_shares(keys, _CAMPAIGN.control_share, _CAMPAIGN.salt)
        rests = np.array([self.rested_until.get(key, now) > now for key in keys])
        chosen = treatment_pays(predicted, value, self.money) & ~rests
        worth = expected_value(truth, value, self.money) > 0
        self.bias.append(float(np.mean(predicted[worth] - truth[worth])))
        free = ~held & ~rests
        worth_of = expected_value(truth, value, self.money)[free] / len(keys)
        self.earned.append(float(np.sum(worth_of[chosen[free]])))
        self.missed.append(float(np.sum(np.maximum(worth_of, 0))) - self.earned[-1])
        at = scored.rows["transaction_ts"].max()
        rest = dt.timedelta(days=_CAMPAIGN.rest(self.contract.label.window_days))
        self.rested_until |= dict.fromkeys(keys[chosen], now + rest)
        facts = {"batch_id": f"{at:%Y-%m}", "as_of": at, "contacted_at": now, "planned_at": now}
        facts |= {"salt": _CAMPAIGN.salt, "control_share": _CAMPAIGN.control_share}
        group = np.where(held, CONTROL, TREATMENT)[chosen]
        self.contacts.append(pd.DataFrame({"customer": keys[chosen], "group": group, **facts}))
        self.company.pass_month(chosen & ~held)


def year(seed: int, customers: int, months: int, money: MoneySettings) -> dict[Policy, FloatArray]:
    """Return bias, what was earned and what was missed a customer in each month, shape `(3, months)`, by policy."""
    contract = load_contract(Path(__file__).resolve().parents[1] / "configs", "telco_simulated")
    # What the source delivers, instead of what a simulation makes up at once.
    contract = contract.model_copy(update={"source": "delivered", "simulator": None})
    past = SimulationSettings(customers=customers, months=_PAST, seed=seed)
    company = Company.founded("telco", past, acceptance=money.acceptance.mean, months=months)
    by_policy = {}
    for policy in POLICIES:
        with tempfile.TemporaryDirectory() as folder:
            store = LocalFeatureStore(Path(folder), contract.name)
            provider = Provider(policy, contract, company.copied(), store, money)
            for month in range(months):
                provider.live(month)
            by_policy[policy] = np.array([provider.bias, provider.earned, provider.missed])
    return by_policy


def main() -> None:
    """Print bias by quarter, and what the decisions earn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=3000)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--seeds", type=seeds, default=seeds("0-2"))
    parser.add_argument("--incentive", type=float, default=10, help="cost of the offer; dearer ones pay for fewer")
    arguments = parser.parse_args()
    money = MoneySettings(incentive_cost=arguments.incentive)
    years = [year(seed, arguments.customers, arguments.months, money) for seed in arguments.seeds]
    ends = [min(start + _EVERY, arguments.months) for start in range(0, arguments.months, _EVERY)]

    def cell(values: FloatArray, unit: float = 1) -> str:
        se = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        return f"{unit * np.mean(values):+.2f} ± {unit * se:.2f}"

    chosen = f"seeds {arguments.seeds.start} to {arguments.seeds.stop - 1}"
    print(f"{arguments.customers:,} customers, {chosen}; ± is a standard error")
    print_row("bias, points of churn", [f"month {end - _EVERY + 1}-{end}" for end in ends], width=18)
    for policy in POLICIES:
        bias = [np.array([y[policy][0, end - _EVERY : end].mean() for y in years]) for end in ends]
        print_row(policy, [cell(part, 100) for part in bias], width=18)
    print_row("USD a customer missed", [f"by month {end}" for end in ends], width=18)
    for policy in POLICIES:
        missed = [np.array([y[policy][2, :end].sum() for y in years]) for end in ends]
        print_row(policy, [cell(part) for part in missed], width=18)
    print_row("USD earned more than weighted", [f"by month {end}" for end in ends], width=18, first=31)
    for policy in POLICIES[:2]:
        gained = [np.array([(y[policy][1, :end] - y["weighted"][1, :end]).sum() for y in years]) for end in ends]
        print_row(policy, [cell(part) for part in gained], width=18, first=31)
    earned = np.array([y["weighted"][1].sum() for y in years])
    print(f"weighted earned {cell(earned)} USD a customer in {arguments.months} months")


if __name__ == "__main__":
    main()

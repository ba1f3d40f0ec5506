"""Explaining one customer: what the champion says, why, and what would change it."""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import re
import tempfile
from pathlib import Path

from adapters import wiring
from churn.data.contract import DatasetContract
from churn.lifecycle.inference import champion_of
from churn.scoring.customer import CustomerAnswer, answer
from churn.scoring.facts import alike, facts_of
from churn.settings import Settings

from .context import contract_of, settings_of
from .display import plain_console

__all__ = ["explain", "file_name"]


def explain(arguments: argparse.Namespace) -> int:
    """Print the prediction for a customer with its reasons, and write its page."""
    from reports.customer_report import customer_lines, customer_page

    settings = settings_of(arguments)
    contract = contract_of(settings)
    said = _answer(settings, contract, arguments.customer)
    path = arguments.out or settings.profile.state / "explanations" / f"{file_name(said.customer)}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(customer_page(said), encoding="utf-8")
    console = plain_console()
    for line in [*customer_lines(said), f"Page     {path}"]:
        console.print(line, soft_wrap=True)
    return 0


def _answer(settings: Settings, contract: DatasetContract, customer: str) -> CustomerAnswer:
    as_of = settings.inference.as_of or dt.datetime.now(dt.UTC)
    dataset, model = settings.namespace(contract), settings.registered_name(contract)
    version = champion_of(wiring.governance(settings, dataset, model).look().champion, model)
    store = wiring.feature_store(settings.profile, dataset)
    features = store.latest(contract.table("features").name)
    facts = facts_of(store, features, contract, customer, as_of)
    with tempfile.TemporaryDirectory() as folder:
        scorer = wiring.packaged_scorer(settings.profile, version, into=Path(folder))
        others = alike(store, features, contract, facts)
        return answer(scorer, facts, others, contract, model=model, version=version.version, as_of=as_of)


def file_name(customer: str) -> str:
    """Return a name for a file that holds the customer's id as far as it can, and tells all apart."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", customer).lstrip(".")[:60]
    digest = hashlib.sha256(customer.encode()).hexdigest()[:8]
    return customer if plain and plain == customer else f"{plain or 'customer'}-{digest}"

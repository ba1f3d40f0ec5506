"""The explanation of one customer: prediction, reasons, facts, decision, and what would change it."""

from __future__ import annotations

import datetime as dt

from ..core.frozen import Frozen
from ..data.contract import DatasetContract
from ..model.model import sigmoid
from ..model.money import MoneySettings, optimal_threshold
from ..model.reasons import values_in_words
from ..model.scorer import LEAVE, TREAT
from .facts import Alike, Facts
from .rows import LoadedModel
from .what_if import Change, what_if

__all__ = ["CustomerAnswer", "FeaturePart", "answer"]


class FeaturePart(Frozen):
    """One feature with the customer's value in words, and what it adds to the log-odds of churn."""

    words: str
    added: float
    actionable: bool


class CustomerAnswer(Frozen):
    """What a version of the model says of a customer, and why.

    Attributes:
        true_at: When the facts were true (UTC).
        known_at: When they could first be seen (UTC).
        base: The log-odds that the model starts from; with the parts' contributions, those of this customer.
        starting_point: The same as a probability, 0 to 1; not the churn rate of the training rows.
        threshold: The probability from which treating this customer pays; 1 or more: never.
        parts: Every feature, what moves the prediction most first.
        changes: See `what_if`.
        batch_id: The batch whose table the facts are from, where the customer is in the feature table no more.
    """

    customer: str
    model: str
    version: int
    window_days: int
    as_of: dt.datetime
    true_at: dt.datetime
    known_at: dt.datetime
    currency: str
    probability: float
    decision: str
    expected_value: float
    customer_value: float
    threshold: float
    base: float
    starting_point: float
    parts: tuple[FeaturePart, ...]
    changes: tuple[Change, ...]
    batch_id: str | None = None


def answer(
    scorer: LoadedModel,
    facts: Facts,
    others: Alike,
    contract: DatasetContract,
    *,
    model: str,
    version: int,
    as_of: dt.datetime,
) -> CustomerAnswer:
    """Explain one customer by the version that is given.

    Args:
        scorer: The version.
        facts: What is known of the customer; see `facts_of`.
        others: What values occur; see `alike`.
        contract: The dataset's contract.
        model: The registered model.
        version: Its version.
        as_of: Up to when facts counted (UTC).

    Raises:
        ContractError: the version reads a column that the contract does not have.
    """
    inputs = {name: values for name, values in facts.columns.items() if name in scorer.kinds}
    predicted = scorer.predict(inputs, explain="none")
    columns = scorer.complete(inputs)
    added = scorer.contributions(inputs)[0]
    money = MoneySettings.model_validate(scorer.scoring["money"])
    parts = [
        FeaturePart(words=words, added=float(contribution), actionable=feature.actionable)
        for words, contribution, feature in zip(
            values_in_words(columns, scorer.described, 0), added[:-1], scorer.described, strict=True
        )
    ]
    value = float(predicted.customer_value[0])
    return CustomerAnswer(
        customer=facts.customer,
        model=model,
        version=version,
        window_days=contract.label.window_days,
        as_of=as_of,
        true_at=facts.true_at,
        known_at=facts.known_at,
        currency=money.currency,
        probability=float(predicted.probability[0]),
        decision=TREAT if predicted.treat[0] else LEAVE,
        expected_value=float(predicted.expected_value[0]),
        customer_value=value,
        threshold=float(optimal_threshold(value, money)),
        base=float(added[-1]),
        starting_point=float(sigmoid(added[-1])),
        parts=tuple(sorted(parts, key=lambda part: -abs(part.added))),
        changes=what_if(scorer, inputs, contract, others),
    )

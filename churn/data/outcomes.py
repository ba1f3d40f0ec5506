"""Checks that a data set has enough outcomes to train and evaluate on, before anything is trained."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import NotEnoughData
from .contract import DatasetContract
from .ingest import RAW_LABEL
from .labels import SplitSettings, labels_of
from .tables import EVENT_TIME, LABEL, LABEL_TIME, SPLIT, TRUTH, Side
from .training_set import require_outcomes

__all__ = ["Needed", "Outcomes", "outcomes_of"]


class Needed(NamedTuple):
    """Customers who must have churned, and who must have stayed: on the training side and in the holdout."""

    train: int
    holdout: int
    gate: int


class Outcomes(NamedTuple):
    """The outcomes in a bronze table.

    Attributes:
        column: The contract's column of the outcome.
        rows: How many rows have each outcome, as the contract spells it; None counts rows whose outcome is not known.
        customers: Customers with an outcome that may be learned from, by side and label; up to those that are needed.
    """

    column: str
    rows: Mapping[str | None, int]
    customers: Mapping[tuple[Side, int], frozenset[str]]

    def require(self, needed: Needed) -> None:
        """Check that a model can be trained and evaluated.

        Raises:
            NotEnoughData: there is one class, or too few customers churned or stayed on one side.
        """
        classes = {label for (_, label), customers in self.customers.items() if customers}
        if len(classes) == 1:
            held = sorted(f"{text!r} in {count:,} rows" for text, count in self.rows.items() if text is not None)
            only = "churned" if classes == {1} else "stayed"
            raise NotEnoughData(
                f"Every customer whose outcome may be learned from {only}: {self.column!r} is {', '.join(held)}. A "
                "model learns from customers who churned and customers who stayed: deliver rows of both, or correct "
                "`label` in the contract."
            )
        for side, least, remedy in (
            ("train", needed.train, "so that each fold has one (model.folds): bring rows of a longer time."),
            ("holdout", needed.holdout, "to evaluate on (evaluation.min_per_class): bring rows of a longer time."),
        ):
            if classes:
                self._require(side, least, remedy)  # type: ignore[arg-type]

    def remark(self, needed: Needed) -> str:
        """Return the outcomes in a sentence, with what they do not suffice for."""
        texts = [f"{text!r} in {count:,} rows" for text, count in self.rows.items() if text is not None]
        unknown = f", not known in {self.rows[None]:,}" if self.rows.get(None) else ""
        sentence = f"{self.column} is {', '.join(texts) or 'never known'}{unknown}"
        try:
            self.require(needed)
            self._require("holdout", needed.gate, "for a verdict of the gate (gate.min_churners).")
        except NotEnoughData as error:
            return f"{sentence}. Not enough to train and to go live: {error}"
        return sentence

    def _require(self, side: Side, least: int, remedy: str) -> None:
        labelled = [(label, customer) for label in (0, 1) for customer in self.customers.get((side, label), ())]
        label, customers = [label for label, _ in labelled], [customer for _, customer in labelled]
        require_outcomes(label, customers, least, rows="training" if side == "train" else "holdout", remedy=remedy)


def outcomes_of(
    scan: Callable[[Sequence[str]], Iterable[pa.RecordBatch]],
    contract: DatasetContract,
    split: SplitSettings,
    *,
    cutoff: dt.datetime,
    enough: int,
) -> Outcomes:
    """Return the outcomes in a bronze table, in bounded memory.

    Args:
        scan: Streams the columns of the table that it is given.
        contract: The dataset contract.
        split: Which customers are held out.
        cutoff: Outcomes that are known later are not learned from.
        enough: Customers of each side and label after which no more are looked for.
    """
    counts: Counter[str | None] = Counter()
    for batch in scan([RAW_LABEL]):
        for count in pc.value_counts(batch.column(0)).to_pylist():
            counts[count["values"]] += count["counts"]
    seen: dict[tuple[Side, int], set[str]] = {(side, label): set() for side in ("train", "holdout") for label in (0, 1)}
    entity = contract.entity_key
    for batch in scan([entity, EVENT_TIME, RAW_LABEL, LABEL_TIME, *([TRUTH] if contract.truth else [])]):
        labels = labels_of(pa.Table.from_batches([batch]), contract, split)
        mature = labels.filter(pc.less_equal(labels[LABEL_TIME], pa.scalar(cutoff, labels[LABEL_TIME].type)))
        for customer, side, label in zip(*(mature[name].to_pylist() for name in (entity, SPLIT, LABEL)), strict=True):
            if len(seen[side, label]) < enough:
                seen[side, label].add(customer)
        if all(len(customers) >= enough for customers in seen.values()):
            break
    return Outcomes(
        contract.label.column,
        dict(counts.most_common()),
        {key: frozenset(value) for key, value in seen.items()},
    )

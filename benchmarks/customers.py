"""The customers that benchmarks learn from and ask about: IBM's Telco data, its splits, outcomes that were drawn."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from churn.data.contract import DatasetContract, snake_case
from churn.model.features import compute_features
from churn.model.frame import Columns, FloatArray, columns_of
from churn.training.train import TrainingData

__all__ = ["Rows", "contract_of", "labelled", "outcomes", "read_telco", "split", "subset"]

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Rows:
    """A split of a data set: rows to learn from and rows to predict, with what their columns mean."""

    contract: DatasetContract
    train: TrainingData
    test: TrainingData

    def kinds(self) -> dict[str, str]:
        """Return whether each column and feature is numeric or categorical."""
        features = {spec.name: str(spec.kind) for spec in self.contract.features}
        return {**{name: str(kind) for name, kind in self.contract.kinds.items()}, **features}

    def frame(self, data: TrainingData) -> pd.DataFrame:
        """Return one side's columns and features."""
        return pd.DataFrame({name: data.columns[name] for name in self.kinds()})


def contract_of(name: str) -> DatasetContract:
    """Return a contract that the project ships."""
    return DatasetContract.load(_ROOT / "configs" / "datasets" / f"{name}.yaml")


def read_telco(contract: DatasetContract) -> TrainingData:
    """Return IBM's customers from the file that TELCO_CSV names, or from ../shared/data beside the checkout."""
    path = Path(os.environ.get("TELCO_CSV") or _ROOT.parent / "shared" / "data" / "telco_customer_churn.csv")
    if not path.is_file():
        sys.exit("IBM's Telco CSV is not there: set TELCO_CSV to the file.")
    frame = pd.read_csv(path)
    return labelled(contract, frame.rename(columns={name: snake_case(name) for name in frame}))


def labelled(contract: DatasetContract, frame: pd.DataFrame) -> TrainingData:
    """Return a table's customers with the contract's features."""
    columns = compute_features(contract.features, columns_of(frame, contract.kinds), contract.functions)
    label = (frame[contract.label.column].astype(str) == contract.label.positive).to_numpy(dtype=np.int8)
    return TrainingData(columns, label, frame[contract.entity_key].to_numpy(dtype=object))


def outcomes(columns: Columns, truth: FloatArray, random: np.random.Generator) -> TrainingData:
    """Return customers whose outcomes are drawn from true probabilities, shape `(n_rows,)`."""
    entity = np.array([f"c{index:06d}" for index in range(len(truth))], dtype=object)
    return TrainingData(columns, (random.random(len(truth)) < truth).astype(np.int8), entity)


def split(contract: DatasetContract, data: TrainingData, seed: int) -> Rows:
    """Part customers 80/20, stratified by outcome."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(data.label))
    learn, ask = train_test_split(rows, test_size=0.2, stratify=data.label, random_state=seed)
    return Rows(contract, subset(data, np.sort(learn)), subset(data, np.sort(ask)))


def subset(data: TrainingData, rows: np.ndarray) -> TrainingData:
    """Return some rows: positions, or a mask."""
    columns = {name: values[rows] for name, values in data.columns.items()}
    return TrainingData(columns, data.label[rows], data.entity[rows])

"""Public tables for `quality.py --tables FOLDER`: `python benchmarks/tables.py FOLDER` fetches them, verified.

Any CSV in the folder is read as `run.py dataset infer` drafts it; NAME.yaml beside NAME.csv may name its key and label.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from adapters.local.public_data import PublicData, fetch
from adapters.local.sources import read_source
from benchmarks.customers import labelled
from churn.core.errors import ChurnError, ConfigError
from churn.core.yaml_files import read_yaml
from churn.data.contract import DatasetContract
from churn.data.ingest import RAW_LABEL, Source, conform
from churn.drafting.infer import infer
from churn.training.train import TrainingData

__all__ = ["Table", "fetch_tables", "read_tables"]

CATALOGUE = Path(__file__).with_name("tables.yaml")
_NUMBERED = "row"


class Table(NamedTuple):
    """A table as the trainer takes it: its name, what its columns mean, its customers."""

    name: str
    contract: DatasetContract
    data: TrainingData


def fetch_tables(folder: Path, catalogue: Path = CATALOGUE) -> None:
    """Download every table of the catalogue that is not there yet, with a file beside it that names key and label.

    Raises:
        StoreError: there is no network, or what arrived is not what was published.
    """
    for name, entry in read_yaml(catalogue, ConfigError).items():
        published = PublicData(entry["url"], entry["sha256"], f"{name}.csv")
        fetch(name, folder, offers={name: published})
        beside = {"key": entry["key"], "label": entry["label"]}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(beside), encoding="utf-8")


def read_tables(folder: Path) -> Iterator[Table]:
    """Yield the tables of a folder in the order of their names.

    Raises:
        ChurnError: there is no CSV, or one cannot be drafted or read.
    """
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise ConfigError(f"{folder} holds no CSV: fetch the tables with `python benchmarks/tables.py {folder}`.")
    for path in paths:
        beside = path.with_suffix(".yaml")
        yield _table(path, read_yaml(beside, ConfigError) if beside.is_file() else {})


def _table(path: Path, said: dict[str, str]) -> Table:
    """Return a table's rows whose outcome is known."""
    arrived = read_source(path).rows.to_pandas()
    if said.get("key") == _NUMBERED and _NUMBERED not in arrived:
        arrived.insert(0, _NUMBERED, np.arange(len(arrived)).astype(str))
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch, "contract.yaml")
        draft.write_text(infer(arrived, path.stem, today=dt.date.today(), **said), encoding="utf-8")
        contract = DatasetContract.load(draft)
    frame: pd.DataFrame = conform(Source(path.name, pa.Table.from_pandas(arrived)), contract).frame
    known = frame[frame[RAW_LABEL].isin([contract.label.positive, contract.label.negative])]
    return Table(path.stem, contract, labelled(contract, known.rename(columns={RAW_LABEL: contract.label.column})))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        fetch_tables(Path(sys.argv[1]))
    except ChurnError as error:
        sys.exit(str(error))

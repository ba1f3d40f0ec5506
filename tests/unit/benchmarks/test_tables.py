"""What the benchmark of the trainer reads from a folder of tables, and what it prints of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.quality import tables
from benchmarks.quality_peers import BASELINES, METHODS, Fitted
from benchmarks.tables import fetch_tables, read_tables
from churn.core.errors import ConfigError, StoreError


def write_table(path: Path, *, key: str | None, seed: int, separator: str = ",") -> None:
    random = np.random.default_rng(seed)
    left = random.random(200) < 0.3
    columns = {"months": random.integers(1, 70, 200), "plan": random.choice(["S", "M", "L"], 200), "churn": left * 1}
    if key:
        columns = {key: [f"k{row:04d}" for row in range(200)], **columns}
    lines = [separator.join(columns)] + [separator.join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_every_csv_is_drafted_and_a_file_beside_it_names_key_and_label(tmp_path: Path) -> None:
    write_table(tmp_path / "second.csv", key="customer", seed=1)
    write_table(tmp_path / "first.csv", key=None, seed=2, separator=";")
    (tmp_path / "first.yaml").write_text("key: row\nlabel: churn\n", encoding="utf-8")
    first, second = read_tables(tmp_path)
    assert (first.name, second.name) == ("first", "second")
    assert (first.contract.entity_key, second.contract.entity_key) == ("row", "customer")
    assert [*first.contract.columns] == [*second.contract.columns] == ["months", "plan"]
    assert len(first.data.label) == len(np.unique(first.data.entity)) == 200
    assert 0.2 < first.data.label.mean() < 0.4


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no CSV: fetch the tables with `python benchmarks/tables.py"):
        next(read_tables(tmp_path))


def test_a_fetched_table_is_the_published_one_with_key_and_label_beside_it(tmp_path: Path) -> None:
    published, catalogue = tmp_path / "published.csv", tmp_path / "catalogue.yaml"
    write_table(published, key=None, seed=3)
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    entry = {"url": published.as_uri(), "sha256": digest, "key": "row", "label": "churn"}
    catalogue.write_text(yaml.safe_dump({"gym": entry}), encoding="utf-8")
    fetch_tables(tmp_path / "set", catalogue)
    (table,) = read_tables(tmp_path / "set")
    assert (table.name, table.contract.entity_key, len(table.data.label)) == ("gym", "row", 200)
    published.write_text("another\n1\n", encoding="utf-8")
    with pytest.raises(StoreError, match="sent something else than was published"):
        fetch_tables(tmp_path / "again", catalogue)


def test_the_table_on_which_ours_is_furthest_behind_is_printed_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ahead", "behind"):
        write_table(tmp_path / f"{name}.csv", key="customer", seed=5)

    def says(right: float):  # type: ignore[no-untyped-def]
        return lambda rows, seed: Fitted(np.where(rows.test.label == 1, right, 1 - right), 0.5, 2.0)

    def ours(rows, seed):  # type: ignore[no-untyped-def]
        return says(0.9 if rows.contract.name == "ahead" else 0.6)(rows, seed)

    baselines = {name: says(0.5 + position / 20) for position, name in enumerate(BASELINES)}
    tables([*read_tables(tmp_path)], [0, 1], {"ours": ours, **baselines, "automl": says(0.8)}, best_of=[*BASELINES])
    compared = capsys.readouterr().out.split("ours - best")[1].split("\n")
    assert [line.split()[0] for line in compared[1:3]] == ["behind", "ahead"]
    assert f"{np.log(0.65 / 0.6):+.4f}" in compared[1]  # the best of the defaults says 0.65
    assert f"{np.log(0.8 / 0.6):+.4f}" in compared[1]
    assert {"XGBoost", "LightGBM", "CatBoost", "logistic"} == {*BASELINES}
    assert "ours" in METHODS

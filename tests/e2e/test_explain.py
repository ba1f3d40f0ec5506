"""`run.py explain` on the real registry and tables: what the champion says of one customer."""

from __future__ import annotations

import argparse
import ast
import datetime as dt
import re
import shlex
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml

from adapters.local.decision_ledger import LocalDecisionLedger
from adapters.local.feature_store import LocalFeatureStore
from adapters.mlflow.client import connect, ensure_experiment
from adapters.mlflow.load import load_package
from adapters.mlflow.manifest import package_digest
from adapters.mlflow.package import build_package
from adapters.mlflow.registry import MlflowModelRegistry
from adapters.wiring import now
from churn.approval.context import ApprovalContext
from churn.approval.decide import decide, record_gate
from churn.approval.promote import promote
from churn.approval.settings import ApprovalSettings
from churn.core.errors import ConfigError, NotFound
from churn.lifecycle.inference import score
from churn.model.frame import columns_of
from churn.ports.registry import CHALLENGER, MODEL_DIGEST
from cli import commands
from cli.context import session_of
from cli.parser import build_parser
from tests.fakes.data.deciding import PASSING, gate_report
from tests.fakes.data.explained import CONTRACT, explaining_scorer, phone_store
from tests.fakes.data.scorers import customers, small_scorer
from tests.fakes.ports.stages import InMemoryStages

ROOT = Path(__file__).parents[2]
DATASET, MODEL = CONTRACT.name, f"churn_{CONTRACT.name}"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a live version and the features of three customers."""
    folder = tmp_path_factory.mktemp("explaining")
    uri = f"sqlite:///{folder}/state/mlflow.db"
    (folder / "state").mkdir()
    described = CONTRACT.model_dump(mode="json", exclude={"feature_digest"}, exclude_none=True)
    (folder / "phones.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
    memory = phone_store()
    features = memory.read(memory.latest("churn_features"))
    LocalFeatureStore(folder / "state" / "tables", DATASET).replace(CONTRACT.table("features"), features)
    package = build_package(small_scorer(), folder / "package", example=customers(), metadata={})
    registry = MlflowModelRegistry(uri)
    run = connect(uri).create_run(ensure_experiment(uri, "training", folder / "state" / "mlflow"))
    tags = {MODEL_DIGEST: package_digest(package), "dataset": DATASET}
    version = registry.register(MODEL, package, description="Phones.", tags=tags, run_id=run.info.run_id)
    registry.set_alias(MODEL, CHALLENGER, version.version)
    ledger = LocalDecisionLedger(folder / "state" / "tables", DATASET)
    context = ApprovalContext(registry, ledger, InMemoryStages(), MODEL, ApprovalSettings(), now, lambda *_: None)
    record_gate(context, gate_report(context, 1, PASSING), who="ada")
    decide(context, 1, who="ada")
    promote(context, 1, who="ada")
    return folder / "state"


def arguments(state: Path, line: str) -> argparse.Namespace:
    dataset = shlex.quote(str(state.parent / "phones.yaml"))
    options = f" --dataset {dataset} --set profile.state={shlex.quote(str(state))}"
    return build_parser().parse_args(shlex.split(f"explain {line}{options}"))


def test_a_customer_is_explained_on_the_screen_and_on_a_page(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.explain(arguments(state, "--customer ann --as-of 2025-02-01")) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Customer ann, by {MODEL} version 1 (@Champion)\n")
    assert "Facts    true at 2025-01-01 00:00 UTC, known since 2025-01-01 00:00 UTC\n" in out
    assert "Decision treat: an offer is expected to earn" in out
    assert re.search(r"^Raising  odds ×[1-9]\.\d\d  length of the contract: Month-to-month$", out, re.MULTILINE)
    path = state / "explanations" / "ann.html"
    assert f"Page     {path}\n" in out
    page = path.read_text(encoding="utf-8")
    assert "<h1>Customer ann</h1>" in page
    assert re.findall(r"""\b(?:src|href)=["'](?!#)[^"']*""", page) == []


def test_the_facts_are_those_of_the_time_that_is_asked_for(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "ann.html"
    assert commands.explain(arguments(state, f"--customer ann --out {shlex.quote(str(path))}")) == 0
    out = capsys.readouterr().out
    assert "Facts    true at 2025-02-01 00:00 UTC, known since 2025-03-01 00:00 UTC\n" in out
    assert "Two year" in out
    assert path.is_file()


def test_a_customer_of_a_batch_is_explained_after_the_tables_were_made_anew(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = shutil.copytree(state, tmp_path / "state")
    shutil.copy(state.parent / "phones.yaml", tmp_path)
    line = arguments(again, "--customer ann --set inference.as_of=2025-04-01")
    session = session_of(line)
    batch = score(session.workspace, session.settings)
    store = LocalFeatureStore(again / "tables", DATASET)
    others = store.read(store.latest("churn_features")).filter(pc.field("customer_id") != "ann")
    store.replace(CONTRACT.table("features"), others)
    now = arguments(again, "--customer ann")
    assert commands.explain(now) == 0
    out = capsys.readouterr().out
    assert f"known since 2025-03-01 00:00 UTC; of batch {batch.batch_id}: no row is in the feature table now\n" in out
    assert "Raising" in out
    store.vacuum(dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    with pytest.raises(
        NotFound, match=rf"batch {batch.batch_id}, scored at .* by version 1, said: \d+\.\d%, treat, because"
    ):
        commands.explain(now)
    with pytest.raises(NotFound, match="There is no customer 'zoe'"):
        commands.explain(arguments(again, "--customer zoe"))


def test_an_unknown_customer_is_told_who_there_is(state: Path) -> None:
    with pytest.raises(NotFound, match=r"There is no customer 'anne' among the 3 .* nearest are 'ann', 'anna'"):
        commands.explain(arguments(state, "--customer anne"))


def test_a_time_that_is_none_is_refused(state: Path) -> None:
    with pytest.raises(ConfigError, match=r"inference\.as_of"):
        commands.explain(arguments(state, "--customer ann --as-of soon"))


def test_without_a_champion_the_way_to_one_is_told(state: Path) -> None:
    other = arguments(state, "--customer ann --set model_name=another")
    with pytest.raises(NotFound, match=r"another has no @Champion .*--pipeline deployment"):
        commands.explain(other)


def test_a_packaged_scorer_explains_as_the_scorer_that_was_packaged(state: Path) -> None:
    packaged, ours = load_package(state.parent / "package"), explaining_scorer()
    columns = columns_of(customers(), ours.kinds)
    assert packaged.contributions(columns).tolist() == ours.contributions(columns).tolist()
    assert {name: values.tolist() for name, values in packaged.complete(columns).items()}.keys() == ours.complete(
        columns
    ).keys()
    assert [each.description for each in packaged.described] == [each.description for each in ours.described]
    assert packaged.scoring == ours.scoring


def snippets(document: Path) -> dict[str, str]:
    """Return the Python of a document, by the heading that it stands under."""
    sections = re.split(r"^## ", document.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        text.partition("\n")[0]: "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)) for text in sections
    }


def test_the_snippets_of_the_notebook_page_run(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for name, key, value in (("base", "dataset", state.parent / "phones.yaml"), ("local", "state", state)):
        path = configs / f"{name}.yaml"
        path.write_text(re.sub(rf"^{key}: .*$", f"{key}: {value}", path.read_text(), flags=re.MULTILINE))
    monkeypatch.chdir(tmp_path)
    code = snippets(ROOT / "docs" / "notebook.md")
    pipeline = code.pop("Run a pipeline")
    assert len(code) == 4
    exec("\n".join(code.values()), {})
    out = capsys.readouterr().out
    assert re.search(r"^0 +0\.\d+ +(treat|leave)", out, re.MULTILINE)
    assert re.search(r"^\d+\.\d%, (treat|leave alone): expected value -?\d+\.\d\d USD$", out, re.MULTILINE)
    assert re.search(r"^[+-]\d\.\d\d length of the contract: ", out, re.MULTILINE)
    assert out.endswith("ROC AUC 0.866\nprofit per customer and month, USD 9.43\n")
    (arguments,) = re.findall(r"main\((\[.*?\])\)", pipeline)
    assert build_parser().parse_args(ast.literal_eval(arguments)).pipeline == "training"

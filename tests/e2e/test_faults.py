"""Bad tables and bad disks: each ends in one paragraph that says what to do, and nothing bad is used."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.core.errors import NotEnoughData, ValidationFailed
from churn.lifecycle.features import build_features, ingest
from churn.lifecycle.training import build_training_set
from cli.context import session_of
from cli.parser import build_parser
from tests.e2e.project import Project, Ran
from tests.forks import Python

pytestmark = pytest.mark.timeout(300)

CONTRACT = """
description: Customers of a shop with a membership.
entity_key: member
event_time: {column: day}
label: {column: left, positive: Yes, negative: No, window_days: 30, delay_days: 5}
columns:
  plan: {type: categorical, allowed: [basic, plus], description: plan}
  visits: {type: integer, min: 0, max: 31, description: visits in the month}
  spend: {type: number, min: 0, description: money spent}
  refund: {type: number, min: 0, nullable: true, description: money paid back}
"""


@dataclass(frozen=True)
class Shop:
    """A data set that nobody used before, with its contract."""

    project: Project
    name: str
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "members.csv"

    @property
    def contract(self) -> Path:
        path = self.folder / "contract.yaml"
        path.write_text(f"name: {self.name}\n{CONTRACT}")
        return path

    def features(self, members: pd.DataFrame, *settings: str) -> Ran:
        members.to_csv(self.data, index=False)
        return self.project.features(*settings, dataset=self.contract, data=self.data)

    def train(self, members: pd.DataFrame) -> Ran:
        members.to_csv(self.data, index=False)
        return self.project.train("tuning.mode=off", dataset=self.contract, data=self.data)

    def prepare(self, members: pd.DataFrame) -> None:
        """Do what a training run does with a table before it tunes, without ZenML."""
        members.to_csv(self.data, index=False)
        line = self.project.arguments("training", dataset=self.contract, data=self.data)
        session = session_of(build_parser().parse_args(line))
        workspace, settings = session.workspace, session.settings
        bronze, _ = ingest(workspace, settings, purpose="training")
        features, labels = build_features(workspace, settings, bronze)
        build_training_set(workspace, settings, features, labels)

    @property
    def rows(self) -> dict[str, int]:
        return {name: ref.rows for name, ref in self.project.tables(self.name).items()}

    def read(self, table: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (
            self.project.store(self.name).read(self.project.tables(self.name)[table]).to_pylist()
        )
        return rows

    @property
    def versions(self) -> int:
        return len(self.project.registry.versions(f"churn_{self.name}"))


@pytest.fixture(scope="module")
def project(new_user: Callable[..., Project]) -> Project:
    return new_user("faults")


@pytest.fixture
def shop(project: Project, request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(project, f"shop_{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}", tmp_path)


def members(number: int = 100) -> pd.DataFrame:
    """Return members whose outcome has long been known, every value as text."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "member": [f"M{index:03}" for index in range(number)],
            "day": "2024-01-31",
            "plan": rng.choice(["basic", "plus"], number),
            "visits": rng.integers(0, 31, number).astype(str),
            "spend": rng.gamma(2, 20, number).round(2).astype(str),
            "refund": "",
            "left": np.where(rng.random(number) < 0.3, "Yes", "No"),
        }
    )


def days_ago(days: int) -> str:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(days=days)).date().isoformat()


def test_broken_rows_wait_in_quarantine_with_the_rule_and_the_rest_is_used(shop: Shop) -> None:
    good = members(200).assign(shoe_size="42")
    broken: list[tuple[str, str, str]] = [
        ("visits", "often", "visits is a finite number"),
        ("visits", "2.5", "visits is a whole number"),
        ("spend", "NaN", "spend is never missing"),
        ("spend", "inf", "spend is a finite number"),
        ("spend", "-1", "spend is at least 0"),
        ("plan", "gold", "plan is one of basic, plus"),
        ("member", "", "member is never missing"),
        ("day", "2100-01-01", "transaction_ts does not lie in the future"),
        ("left", "Perhaps", "left is 'Yes', 'No' or not known yet"),
    ]
    for row, (column, value, _) in enumerate(broken):
        good.loc[row, column] = value
    copies = good.iloc[[50, 51, 52]]
    contradiction = good.iloc[[60]].assign(visits="1", spend="1")
    ran = shop.features(pd.concat([good, copies, contradiction]), "validation.max_quarantine_share=0.1").succeeded()
    assert "190 of 204 rows accepted, 11 in quarantine" in ran.out, "and 3 copies"
    entries = [(json.loads(entry["row"])["member"], entry["rule"]) for entry in shop.read("quarantine")]
    expected = [(f"M{row:03}" if column != "member" else None, rule) for row, (column, _, rule) in enumerate(broken)]
    assert Counter(entries) == Counter([*expected, *[("M060", "member stands once for each time")] * 2])
    assert shop.rows == {"bronze_customers": 190, "churn_features": 190, "churn_labels": 190, "quarantine": 11}
    assert "shoe_size" not in shop.read("churn_features")[0]


def test_too_many_broken_rows_stop_the_run_and_none_is_used(shop: Shop) -> None:
    frame = members().assign(spend="")
    frame.loc[:9, "visits"] = "often"
    with pytest.raises(ValidationFailed, match="100 of 100 rows") as refused:
        shop.prepare(frame)
    told = str(refused.value)
    assert "validation.max_quarantine_share allows 5.0%" in told
    assert "spend is never missing (100 rows do not, such as '')" in told
    assert "visits is a finite number (10 rows do not, such as 'often')" in told
    assert shop.rows == {"quarantine": 110}, "an entry for each rule that a row broke"


def test_a_renamed_column_is_named_with_the_nearest_that_is_there(shop: Shop) -> None:
    told = shop.train(members().rename(columns={"visits": "Visit"})).paragraph
    assert f"lacks 1 column(s) of the contract {shop.name!r}: 'visits'; did you mean 'visit'?" in told
    assert shop.rows == {}


@pytest.mark.parametrize(("content", "why"), [("", "is empty"), ("member,day,plan,visits,spend,left\n", "has no rows")])
def test_a_file_without_rows_is_refused(shop: Shop, content: str, why: str) -> None:
    shop.data.write_text(content)
    refused = shop.project.run("data", "describe", "--dataset", shop.contract, "--data", shop.data)
    assert f"{shop.data} {why}" in refused.paragraph


def test_outcomes_that_are_not_known_yet_are_left_out_and_too_few_churners_are_not_trained_on(shop: Shop) -> None:
    frame = members()
    frame.loc[:59, "day"] = days_ago(34)
    frame.loc[60:, "day"] = days_ago(36)
    told = "1 customers of the holdout rows churned, and 10 are needed to evaluate on"
    with pytest.raises(NotEnoughData, match=told):  # of 8 who are there
        shop.prepare(frame)
    assert shop.rows == {"bronze_customers": 100}


def test_no_known_outcome_at_all_is_told(shop: Shop) -> None:
    told = f"No outcome of {shop.name!r} may be learned from yet.* 30 days"
    with pytest.raises(NotEnoughData, match=told):
        shop.prepare(members().assign(day=days_ago(3)))


def test_one_outcome_alone_is_not_trained_on(shop: Shop) -> None:
    with pytest.raises(NotEnoughData, match=r"'left' is 'No' in 100 rows\. A model learns from"):
        shop.prepare(members().assign(left="No"))


def test_a_column_that_knows_the_outcome_stops_the_run_by_name(shop: Shop) -> None:
    frame = members(300)
    frame["refund"] = np.where(frame["left"] == "Yes", frame["spend"], "")
    told = shop.train(frame).paragraph
    assert "refund (ROC AUC" in told
    assert "leakage.max_feature_auc" in told
    assert "visits (" not in told
    assert shop.versions == 0


def test_a_state_folder_below_a_file_is_refused(project: Project, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = project.with_state(tmp_path / "file" / "state").features()
    assert "Not a directory" in refused.paragraph
    assert str(tmp_path / "file" / "state") in refused.paragraph


ON_A_DISK = """
import ctypes, os, sys
from pathlib import Path

folder, options, *line = sys.argv[1:]
library = ctypes.CDLL(None, use_errno=True)

def mount(source, target, kind, flags, data):
    if library.mount(source, target, kind, flags, data):
        raise OSError(ctypes.get_errno(), "mount")

user, group = os.getuid(), os.getgid()
if library.unshare(0x10000000 | 0x00020000):  # CLONE_NEWUSER, CLONE_NEWNS
    raise OSError(ctypes.get_errno(), "unshare")
for name, text in {"setgroups": "deny", "uid_map": f"0 {user} 1", "gid_map": f"0 {group} 1"}.items():
    Path(f"/proc/self/{name}").write_text(text)
mount(None, b"/", None, 0x4000 | 0x40000, None)  # MS_REC, MS_PRIVATE
mount(b"tmpfs", folder.encode(), b"tmpfs", int(options == "ro"), None if options == "ro" else options.encode())
if line:
    from cli.main import main
    sys.exit(main(line))
"""


@pytest.fixture(scope="module")
def on_a_disk(
    require: Callable[[object, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Project, Path, str, list[str]], Ran]:
    """Type a command to which a folder is a disk of its own."""

    def run(project: Project, folder: Path, options: str, line: list[str]) -> Ran:
        folder.mkdir()
        typed = Python(ON_A_DISK, str(folder), options, *line, folder=project.work, environment=project.environment)
        out, err = typed.communicate()
        return Ran(typed.wait(), out, err)

    probe = Python(ON_A_DISK, str(tmp_path_factory.mktemp("disk")), "ro")
    _, err = probe.communicate()
    require(probe.returncode == 0, f"namespaces, to mount a small disk: {err}")
    return run


def test_a_read_only_disk_is_told(project: Project, tmp_path: Path, on_a_disk: Callable[..., Ran]) -> None:
    project = project.with_state(tmp_path / "disk" / "state")
    refused = on_a_disk(project, tmp_path / "disk", "ro", project.arguments("features"))
    assert "Read-only file system" in refused.paragraph
    assert str(project.state) in refused.paragraph


@pytest.mark.parametrize("size", ["1M", "2M"])
def test_a_full_disk_is_told(project: Project, tmp_path: Path, on_a_disk: Callable[..., Ran], size: str) -> None:
    """The smaller disk is too small for the tables, the larger one for the record of the run."""
    project = project.with_state(tmp_path / "disk" / "state")
    refused = on_a_disk(project, tmp_path / "disk", f"size={size}", project.arguments("training", "tuning.mode=off"))
    assert "free some space" in refused.paragraph.lower(), refused.paragraph
    assert str(project.state) in refused.paragraph
    assert len(refused.paragraph) < 800

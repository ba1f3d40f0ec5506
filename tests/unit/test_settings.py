"""The settings of a run: where they come from, who wins, and what a mistake is told."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from churn.core.errors import ConfigError, ContractError
from churn.core.yaml_files import read_yaml
from churn.data.contract import DatasetContract
from churn.profile import MlflowSettings, Profile
from churn.settings import Configuration, Settings, load_contract, read_configuration
from tests.fakes.data.customers import CONTRACT

CONFIGS = Path(__file__).parents[2] / "configs"


def read(*overrides: str, **options: Any) -> Configuration:
    return read_configuration(CONFIGS, overrides=overrides, **options)


def test_what_a_command_sets_by_default_gives_way_to_the_user_and_is_not_told_as_theirs(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("inference: {reasons: treated}")
    defaults = ("inference.reasons=none", "tuning.max_trials=3", "tuning.min_trials=2")
    chosen = load("tuning.max_trials=9", extra=file, defaults=defaults)
    assert (chosen.inference.reasons, chosen.tuning.max_trials, chosen.tuning.min_trials) == ("treated", 9, 2)
    with pytest.raises(ConfigError, match=r"local\.yaml \+ seed=x") as refused:
        load("seed=x", defaults=defaults)
    assert "tuning" not in str(refused.value)


def load(*overrides: str, **options: Any) -> Settings:
    return read(*overrides, **options).settings


def profile_of(*overrides: str, **options: Any) -> Profile:
    return read(*overrides, **options).profile


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """The values below a mapping by their dotted path; an empty mapping is a value."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {
        name: leaf
        for key, below in value.items()
        for name, leaf in leaves(below, f"{path}.{key}" if path else str(key)).items()
    }


def written(name: str) -> dict[str, Any]:
    return leaves(read_yaml(CONFIGS / name, ConfigError))


ADVICE = (
    "Each setting has one line with a comment in configs/base.yaml (a profile's in each profile): add or remove lines "
    "until both lists are empty."
)


def test_the_shipped_files_hold_every_setting() -> None:
    domain = leaves(load().model_dump(mode="json"))
    profile = leaves(profile_of().model_dump(mode="json", exclude={"stack"}))
    base, local = written("base.yaml"), {k: v for k, v in written("local.yaml").items() if not k.startswith("stack.")}
    missing = {"base.yaml": sorted({*domain} - {*base}), "local.yaml": sorted({*profile} - {*local})}
    unknown = {"base.yaml": sorted({*base} - {*domain}), "local.yaml": sorted({*local} - {*profile})}
    assert (missing, unknown) == ({name: [] for name in missing}, {name: [] for name in unknown}), ADVICE


@pytest.mark.parametrize("stack", ["databricks", "hybrid"])
def test_every_shipped_profile_holds_the_same_settings_and_changes_no_domain_value(stack: str) -> None:
    there = read(stack=stack)
    shipped = {name for name in written(f"{stack}.yaml") if not name.startswith("stack.")}
    assert shipped == {*leaves(there.profile.model_dump(mode="json", exclude={"stack"}))}
    assert there.settings == load()
    assert there.profile.name == stack
    assert there.profile.state != profile_of().state, "a ledger is bound to the registry of its profile"


def test_a_workspace_says_where_a_data_set_and_the_files_are() -> None:
    asked = ("profile.databricks.catalog=dev", "profile.databricks.schema_name=ada_{dataset}")
    workspace = profile_of(*asked, stack="databricks").workspace
    assert (workspace.schema_of(CONTRACT), workspace.volume_path) == ("dev.ada_toy", "/Volumes/dev/churn/files")
    with pytest.raises(ConfigError, match=r"The stack 'local' has no Databricks workspace: choose another"):
        _ = profile_of().workspace


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("profile.databricks.catalog=a.b", r"profile\.databricks\.catalog"),
        ("profile.databricks.volume=files", r"profile\.databricks\.volume"),
        ("profile.databricks.schema_name='{data}'", r"profile\.databricks\.schema_name"),
        (
            "profile.mlflow.tracking_uri=databricks://ada",
            r"write 'databricks' alone.*`profile.databricks.config_profile`",
        ),
        ("profile.mlflow.tracking_uri=ftp://x", r"ftp:// is no store of MLflow; these are: .*sqlite"),
        ("profile.databricks=null", r"needs a section `databricks` with at least a `catalog`"),
    ],
)
def test_a_workspace_that_cannot_be_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        profile_of(override, stack="databricks")


def test_a_file_that_ends_with_its_job_is_no_online_store_of_a_release() -> None:
    remedy = r"sqlite.* Set profile\.online\.store to lakebase, which .*setup` makes.* serving\.deploy to never"
    for deploy in ("auto", "always"):
        with pytest.raises(ConfigError, match=remedy):
            profile_of("profile.online.store=sqlite", f"serving.deploy={deploy}", stack="databricks")
    batches_only = profile_of("profile.online.store=sqlite", "serving.deploy=never", stack="databricks")
    with pytest.raises(ConfigError, match=remedy):  # of `features publish` and `serve`
        batches_only.check_online_store()
    for stack in ("local", "hybrid", "databricks"):
        profile_of(stack=stack).check_online_store()


def test_a_default_that_a_class_keeps_is_the_value_of_the_shipped_file() -> None:
    shipped = leaves(load().model_dump(mode="json"))
    for name, field in Settings.model_fields.items():
        room = field.annotation
        if not isinstance(room, type) or not issubclass(room, BaseModel):
            continue
        required = {
            key: getattr(load(), name).model_dump()[key] for key, f in room.model_fields.items() if f.is_required()
        }
        default = leaves(room.model_validate(required).model_dump(mode="json"), name)
        assert default == {key: value for key, value in shipped.items() if key.startswith(f"{name}.")}, name


@pytest.fixture
def extra(tmp_path: Path) -> Path:
    """A user's own file, in which a test writes what it needs."""
    return tmp_path / "mine.yaml"


def test_the_file_of_the_user_wins_over_the_shipped_ones_and_an_override_over_all(extra: Path) -> None:
    shipped, machine = read()
    extra.write_text("seed: 7\nprofile: {resources: {threads: 3}}\n")
    mine, place = read(extra=extra)
    assert (mine.seed, place.resources.threads) == (7, 3)
    assert (shipped.seed, machine.resources.threads) != (7, 3)
    last, override = read("seed=8", "profile.resources.threads=4", "seed=9", extra=extra)
    assert (last.seed, override.resources.threads) == (9, 4)


def test_a_setting_leaves_those_beside_it_alone(extra: Path) -> None:
    extra.write_text("money: {incentive_cost: 5}\n")
    shipped, mine = load(), load("tuning.max_trials=3", extra=extra)
    assert mine.money == shipped.money.model_copy(update={"incentive_cost": 5.0})
    assert mine.tuning == shipped.tuning.model_copy(update={"max_trials": 3})
    assert profile_of(extra=extra) == profile_of()


def test_another_stack_changes_no_domain_value(tmp_path: Path) -> None:
    configs = shutil.copytree(CONFIGS, tmp_path / "configs")
    cloud = (configs / "local.yaml").read_text().replace("name: local", "name: cloud").replace(".churn", "/volume")
    (configs / "cloud.yaml").write_text(cloud)
    here, there = read_configuration(configs), read_configuration(configs, "cloud")
    assert (there.profile.name, there.profile.state) == ("cloud", Path("/volume"))
    assert there.settings == here.settings


def test_values_are_written_as_in_yaml() -> None:
    settings = load(
        "leakage.trusted=[tenure, contract]",
        "training_set.cutoff=2024-05-01",
        "tuning.mode=off",
        "split.salt=No",
        "data='a: b.csv'",
        "money.customer_value={amount: 300, margin: null, months: null}",
    )
    assert settings.leakage.trusted == ("tenure", "contract")
    assert settings.training_set.cutoff == dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    assert (settings.tuning.mode, settings.split.salt, settings.data) == ("off", "No", Path("a: b.csv"))
    assert settings.money.customer_value.amount == 300


def test_a_cutoff_of_any_zone_becomes_utc() -> None:
    moment = load("training_set.cutoff=2024-05-01T02:00:00+02:00").training_set.cutoff
    assert moment is not None
    assert moment.isoformat() == "2024-05-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tunning.max_trials=3", r"unknown key `tunning`; did you mean 'tuning'\?$"),
        ("tuning.max_trial=3", r"unknown key `tuning\.max_trial`; did you mean 'max_trials'\?$"),
        ("money.customer_value.amout=3", r"unknown key `money\.customer_value\.amout`; did you mean 'amount'\?$"),
        ("profile.mlflow.tracking=x", r"`profile\.mlflow\.tracking`; did you mean 'tracking_uri'\?$"),
        (
            "profile.stack.orchestrator.flavour=local",
            r"`profile\.stack\.orchestrator\.flavour`; did you mean 'flavor'\?$",
        ),
        ("profile.stack.orchestratr.flavor=local", r"`profile\.stack\.orchestratr`: Input should be 'orchestrator', "),
        (
            "simulation.events=[{kind: price_rise, month: 3, share: 0.1, when: 3}]",
            r"unknown key `simulation\.events\.0\.price_rise\.when` \(valid: .*\bmonth\b",
        ),
        ("zzz=3", r"unknown key `zzz` \(valid: approval, .*data, .*, validation\)\.$"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_valid_one(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(override)


def test_unknown_keys_in_a_file_are_named_with_the_file(extra: Path) -> None:
    extra.write_text("evaluaton: {resamples: 200}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml.*unknown key `evaluaton`; did you mean 'evaluation'"):
        load(extra=extra)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=many", "`seed`: Input should be a valid integer, .* got 'many'"),
        ("seed=-1", "`seed`: Input should be greater than or equal to 0, got -1"),
        ("seed=2147483648", "`seed`: Input should be less than 2147483648"),
        ("tuning=3", "`tuning`: Input should be a valid dictionary or instance of TuningSettings, got 3"),
        ("split.holdout_share=1", "`split.holdout_share`: Input should be less than 1, got 1"),
        (
            "training_set.cutoff=soon",
            "`training_set.cutoff`: 'soon' is no time such as .* or 2024-06-30T12:00[.]$",
        ),
        ("profile.state=", "`profile.state`: Input is not a valid path .*, got None"),
        (
            "profile=databricks",
            "`profile`: Input should be a valid dictionary or instance of Profile, got 'databricks'",
        ),
        ("profile.resources.threads=0", "`profile.resources.threads`: Input should be greater than or equal to 1"),
        ("profile.resources.memory_limit=lots", "`profile.resources.memory_limit`: String should match pattern"),
        ("money.incentive_cost=500", "nobody should be treated"),
        ("model_name=churn/{dataset}", "`model_name`: use letters, digits, .* got 'churn/{dataset}'"),
        ("model_name=churn_{data}", "`model_name`: use letters, digits, "),
        ("model_name=", "`model_name`: Input should be a valid string, got None"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(override)


def test_the_last_value_of_a_range_is_in_it() -> None:
    assert [load(f"seed={seed}").seed for seed in (0, 2**31 - 1)] == [0, 2**31 - 1]
    resources = profile_of("profile.resources={threads: 1, memory_limit: 1.5 GiB}").resources
    assert (resources.threads, resources.memory_limit) == (1, "1.5 GiB")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tuning.max_trials", "--set 'tuning.max_trials' is not of the form key.path=value, such as"),
        ("=5", "--set '=5' is not of the form"),
        ("leakage.trusted=[a", r"--set 'leakage.trusted=\[a': the value is not valid YAML .*correct or quote it"),
        ("training_set.cutoff=2024-02-30", r"is not valid YAML \(day is out of range for month\)"),
        ("model_name={{dataset}}", r"--set 'model_name={{dataset}}': .* not valid YAML \(a key is itself .* quotes\)"),
        ("seed=" + "[" * 5000, "is not valid YAML .*nested too deep"),
        ("data=a: b: c", "is not valid YAML .*quote it"),
    ],
)
def test_an_override_that_cannot_be_read_says_how_to_write_it(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(override)


@pytest.mark.parametrize("content", ["profile: local\n", "profile: null\n", "profile: [a]\n"])
def test_a_profile_that_is_no_mapping_is_refused(extra: Path, content: str) -> None:
    extra.write_text(content)
    with pytest.raises(ConfigError, match="`profile`: Input should be a valid dictionary or instance of Profile"):
        load(extra=extra)


def test_a_file_that_is_not_there_is_named(extra: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml cannot be read \(No such file or directory\): check the path"):
        load(extra=extra)


def test_a_stack_that_is_not_there_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no stack 'locale'; configs/ has: .*local.*; did you mean 'local'\?$"):
        load(stack="locale")
    with pytest.raises(ConfigError, match=r"no stack 'base'; configs/ has: databricks, hybrid, local"):
        load(stack="base")


def test_the_state_folder_is_placed_wherever_the_profile_names_it(tmp_path: Path) -> None:
    profile = profile_of(f"profile.state={tmp_path}")
    assert "{state}" not in profile.model_dump_json()
    assert profile.mlflow.tracking_uri == profile.mlflow.registry_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert profile.stack["artifact_store"].settings == {"path": f"{tmp_path}/artifacts"}
    for place in (profile.tables, profile.studies_file, profile.reports):
        assert place.is_relative_to(tmp_path)


def test_a_relative_state_folder_is_relative_to_the_project_and_not_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert profile_of("profile.state=some/../where").state == CONFIGS.parent / "where"


def test_settings_survive_the_way_into_a_step() -> None:
    settings = load("training_set.cutoff=2024-05-01", "simulation.events=[{kind: price_rise, month: 3, share: 0.1}]")
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings


def test_tables_and_model_belong_to_the_contract_whether_or_not_a_table_is_delivered() -> None:
    assert load().registered_name(CONTRACT) == load("data=own.csv").registered_name(CONTRACT) == "churn_toy"
    assert load("model_name=main.churn").registered_name(CONTRACT) == "main.churn"


def test_a_remembered_data_set_holds_until_a_file_or_an_override_names_another(extra: Path) -> None:
    def remembered(state: Path) -> str:
        return f"{state.name}/mine.yaml"

    assert load(remembered=remembered).dataset == ".churn/mine.yaml"
    assert load("dataset=saas", remembered=remembered).dataset == "saas"
    extra.write_text("dataset: telco\n")
    assert load(extra=extra, remembered=remembered).dataset == "telco"
    assert load(remembered=lambda _: None).dataset == "telco_simulated"


def test_the_shipped_simulations_say_what_the_contracts_say_that_they_are_built_on() -> None:
    for name in ("telco", "saas"):
        real, simulated = load_contract(CONFIGS, name), load_contract(CONFIGS, f"{name}_simulated")
        assert (real.source, simulated.source, simulated.simulator) == ("table", "simulation", name)
        own = {"name", "description", "source", "simulator", "truth", "active_days"}
        assert simulated.model_dump(exclude=own) == real.model_dump(exclude=own)


def test_a_base_that_is_not_there_or_has_a_base_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text("base: frist\n")
    with pytest.raises(ContractError, match=r"is built on the contract 'frist', and there is no .*frist.yaml"):
        DatasetContract.load(tmp_path / "first.yaml")
    (tmp_path / "second.yaml").write_text("base: first\n")
    with pytest.raises(ContractError, match=r"is built on .*first.yaml, which has a `base` itself"):
        DatasetContract.load(tmp_path / "second.yaml")


def test_a_simulation_must_be_named() -> None:
    raw = CONTRACT.model_dump(mode="json") | {"source": "simulation", "simulator": None}
    with pytest.raises(ValueError, match="`source: simulation` needs the name of a simulation in `simulator`"):
        DatasetContract.model_validate(raw)


def test_a_contract_is_found_by_name_and_by_file(tmp_path: Path) -> None:
    shipped = load_contract(CONFIGS, "telco")
    mine = tmp_path / "mine.yaml"
    mine.write_text((CONFIGS / "datasets" / "telco.yaml").read_text().replace("name: telco", "name: mine"))
    assert (shipped.name, load_contract(CONFIGS, str(mine)).name) == ("telco", "mine")


def test_a_contract_that_is_not_there_is_named_with_those_there_are() -> None:
    remedy = re.escape("`run.py dataset infer FILE` drafts one from your table.")
    with pytest.raises(
        ConfigError,
        match=rf"'telko', .* telco, telco_simulated; did you mean 'telco'\? {remedy}$",
    ):
        load_contract(CONFIGS, "telko")
    with pytest.raises(ConfigError, match=rf"'qqq', neither a file nor one of saas, .* telco_simulated\. {remedy}$"):
        load_contract(CONFIGS, "qqq")


def test_a_contract_that_is_wrong_is_a_fault_of_the_contract(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    with pytest.raises(ContractError, match=r"mine\.yaml: .*`entity_key` is missing"):
        load_contract(CONFIGS, str(tmp_path / "mine.yaml"))


def test_local_runs_and_a_registry_in_unity_catalog_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"needs runs on Databricks.*set `tracking_uri: databricks`"):
        MlflowSettings(tracking_uri="sqlite:////x/mlflow.db", registry_uri="databricks-uc", artifacts="/x")
    assert MlflowSettings(tracking_uri="databricks", registry_uri="databricks-uc", artifacts="/x")
